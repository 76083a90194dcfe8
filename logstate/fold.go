package logstate

import "fmt"

// facts is what the shared log says apart from pairs and half-pairs.
type facts struct {
	boxes     map[Mailbox]*box
	byName    map[[2]string]Mailbox
	identity  [2]string
	next      Mailbox   // the next number to give
	sideEpoch [2]uint32 // newest epoch of each side log that a commit names
	doubt     bool      // the log's beginning is gone: what is met for the first time is to be paired again
}

func newFacts() *facts {
	return &facts{boxes: map[Mailbox]*box{}, byName: map[[2]string]Mailbox{}, next: 1}
}

// box returns what is known of a mailbox, from now on at least its number.
func (f *facts) box(m Mailbox) *box {
	b := f.boxes[m]
	if b == nil {
		b = &box{id: m, repair: f.doubt}
		f.boxes[m] = b
		f.next = max(f.next, m+1)
	}
	return b
}

// register notes the names of a mailbox. One that is met here for the first time is not in doubt: all that was ever said of it comes behind its registration.
func (f *facts) register(m Mailbox, names [2]string) {
	known := f.boxes[m] != nil
	b := f.box(m)
	b.repair = b.repair && known
	b.named, b.names = true, names
	f.byName[names] = m
}

func (f *facts) commit(r *commitRecord, m Mailbox) {
	for i := range r.sections {
		f.box(r.sections[i].mailbox).apply(&r.sections[i])
	}
	for _, u := range r.uses {
		f.box(m).used[u.log].apply(u)
		f.sideEpoch[u.log] = max(f.sideEpoch[u.log], u.epoch)
	}
}

func (f *facts) damaged() {
	for _, b := range f.boxes {
		b.repair = true
	}
}

// fold reads the shared log, without its pairs: facts now, and those of a checkpoint that is not complete yet.
type fold struct {
	*facts
	begun bool  // there was a frame
	whole bool  // what is folded goes back to the log's beginning or to a complete checkpoint
	tail  int64 // bytes since the newest complete checkpoint
	size  int64 // bytes of that checkpoint
	pend  *pending
}

// pending is a checkpoint between its begin and its end.
type pending struct {
	facts  *facts
	begin  uint64
	frames uint64
	bytes  int64
}

func newFold() *fold { return &fold{facts: newFacts()} }

// both calls fn with the present facts and with those of a pending checkpoint: what comes after its begin is not in it.
func (f *fold) both(fn func(*facts)) {
	fn(f.facts)
	if f.pend != nil {
		fn(f.pend.facts)
	}
}

// add takes the next frame of the log.
func (f *fold) add(fr frame) error {
	if !f.begun {
		f.begun, f.whole = true, fr.Index == 1
		f.doubt = !f.whole
	}
	n := int64(frameHeaderSize + len(fr.Payload))
	f.tail += n
	if f.pend != nil {
		f.pend.bytes += n
	}
	if err := f.frame(fr); err != nil {
		return fmt.Errorf("shared log: entry %d (%s): %w", fr.Index, kindName(fr.Kind), err)
	}
	return nil
}

func (f *fold) frame(fr frame) error {
	switch fr.Kind {
	case frameLost:
		f.both((*facts).damaged)
	case kindRegister:
		_, names, err := decodeNames(fr.Payload)
		if err != nil {
			return err
		}
		if fr.Mailbox == 0 {
			return fmt.Errorf("%w: mailbox number 0", errBadRecord)
		}
		f.both(func(x *facts) { x.register(fr.Mailbox, names) })
	case kindStoreIdentity:
		_, side, id, err := decodeStoreIdentity(fr.Payload)
		if err != nil {
			return err
		}
		f.both(func(x *facts) { x.identity[side] = id })
	case kindCommit:
		r, err := decodeCommit(fr.Payload)
		if err != nil {
			return err
		}
		if fr.Mailbox == 0 {
			return fmt.Errorf("%w: mailbox number 0", errBadRecord)
		}
		f.both(func(x *facts) { x.commit(&r, fr.Mailbox) })
	case kindCheckpointBegin:
		r, err := decodeCheckpointBegin(fr.Payload)
		if err != nil {
			return err
		}
		x := newFacts()
		x.identity, x.next, x.sideEpoch = r.identity, r.next, r.sideEpoch
		if !f.whole {
			f.identity, f.next = r.identity, max(f.next, r.next)
		}
		f.pend = &pending{facts: x, begin: fr.Index, bytes: int64(frameHeaderSize + len(fr.Payload))}
	case kindCheckpointBoxes:
		boxes, err := decodeBoxes(fr.Payload)
		if err != nil {
			return err
		}
		f.pendBoxes(boxes)
	case kindCheckpointPairs, kindCheckpointHalfs:
		if f.pend != nil {
			f.pend.frames++
		}
	case kindCheckpointEnd:
		r, err := decodeCheckpointEnd(fr.Payload)
		if err != nil {
			return err
		}
		f.end(r)
	default:
		return fmt.Errorf("%w: a kind of record that does not belong here", errBadRecord)
	}
	return nil
}

func (f *fold) pendBoxes(boxes []*box) {
	if f.pend == nil {
		return // the begin was lost, and so the checkpoint
	}
	f.pend.frames++
	for _, b := range boxes {
		if !f.whole && (f.boxes[b.id] == nil || !f.boxes[b.id].named) {
			// Unless the checkpoint turns out to be complete, this is all that there is.
			c := b.clone()
			c.repair = true
			f.put(c)
		}
		f.pend.facts.put(b)
	}
}

func (f *facts) put(b *box) {
	f.boxes[b.id] = b
	f.next = max(f.next, b.id+1)
	if b.named {
		f.byName[b.names] = b.id
	}
}

// end takes a checkpoint over if it is complete.
func (f *fold) end(r checkpointEnd) {
	p := f.pend
	f.pend = nil
	if p == nil || p.begin != r.begin || p.frames != r.frames {
		return
	}
	f.facts, f.whole = p.facts, true
	f.size, f.tail = p.bytes, 0
}

// summaries returns all mailboxes that have names, by number.
func (f *facts) summaries() []Summary {
	out := make([]Summary, 0, len(f.boxes))
	for m := Mailbox(1); m < f.next; m++ {
		if b := f.boxes[m]; b != nil && b.named {
			out = append(out, b.summary())
		}
	}
	return out
}
