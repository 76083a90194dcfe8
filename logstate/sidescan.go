package logstate

import (
	"cmp"
	"fmt"
	"slices"

	"driftless/merge"
)

// sideScan is what a side log says that the shared log does not know yet, and what it knows of the shared log.
type sideScan struct {
	side        merge.Side // whose log it is: "left" is written by the right controller
	boxes       map[Mailbox]*sideBox
	last        uint64 // index of the last frame
	epoch       uint32 // of the last frame
	sharedEpoch uint32 // newest epoch of the shared log that was seen when something was written here
}

// sideBox is what a side log says about one mailbox.
type sideBox struct {
	named   bool
	names   [2]string
	floor   uint64 // sequences up to here may have been dropped
	changes uint64 // what the shared log must know at least
	batches map[uint64]*sideBatch
}

// sideBatch is an intent, an outcome or both.
type sideBatch struct {
	seq     uint64
	epoch   uint32
	index   uint64 // of the intent
	done    uint64 // index of the outcome
	intent  *Intent
	outcome *Outcome
	since   []changeCount // as the outcome has it
	settled bool          // its outcome is there, although it may not have been decoded
}

func newSideScan(side merge.Side) *sideScan {
	return &sideScan{side: side, boxes: map[Mailbox]*sideBox{}}
}

func (x *sideScan) box(m Mailbox) *sideBox {
	b := x.boxes[m]
	if b == nil {
		b = &sideBox{batches: map[uint64]*sideBatch{}}
		x.boxes[m] = b
	}
	return b
}

func (b *sideBox) name(names [2]string) { b.named, b.names = true, names }

// last returns the highest sequence that the log knows of.
func (b *sideBox) last() uint64 {
	n := b.floor
	for seq := range b.batches {
		n = max(n, seq)
	}
	return n
}

func (b *sideBox) batch(seq uint64) *sideBatch {
	t := b.batches[seq]
	if t == nil {
		t = &sideBatch{seq: seq}
		b.batches[seq] = t
	}
	return t
}

// add takes the next frame. used tells whether a batch is in the shared log, so that it need not be decoded.
func (x *sideScan) add(fr frame, used func(m Mailbox, seq uint64) bool) error {
	if err := x.frame(fr, used); err != nil {
		return fmt.Errorf("%s log: entry %d (%s): %w", x.side, fr.Index, kindName(fr.Kind), err)
	}
	x.last, x.epoch = fr.Index, fr.Epoch
	return nil
}

func (x *sideScan) frame(fr frame, used func(m Mailbox, seq uint64) bool) error {
	switch fr.Kind {
	case frameLost:
		return nil // a batch that is missing shows as a gap, a lost mark as a log that is too old
	case kindMark, kindEpoch:
		r, err := decodeMark(fr.Payload)
		if err != nil {
			return err
		}
		x.mark(r)
		return nil
	}
	if fr.Mailbox == 0 {
		return fmt.Errorf("%w: mailbox number 0", errBadRecord)
	}
	b := x.box(fr.Mailbox)
	switch fr.Kind {
	case kindRegister:
		_, names, err := decodeNames(fr.Payload)
		if err != nil {
			return err
		}
		b.name(names)
	case kindIntent:
		changes, epoch, err := decodeIntentHead(fr.Payload)
		if err != nil {
			return err
		}
		b.changes, x.sharedEpoch = max(b.changes, changes), max(x.sharedEpoch, epoch)
		t := &sideBatch{seq: fr.Seq, epoch: fr.Epoch, index: fr.Index} // an intent begins a batch: what had the number before is another line of history
		b.batches[fr.Seq] = t
		if used(fr.Mailbox, fr.Seq) {
			return nil
		}
		r, err := decodeIntent(fr.Mailbox, fr.Payload)
		if err != nil {
			return err
		}
		if r.in.Target != x.side.Other() {
			return fmt.Errorf("%w: an intent of the other log", errBadRecord)
		}
		t.intent = &r.in
	case kindOutcome:
		t := b.batch(fr.Seq)
		t.epoch, t.settled, t.done = max(t.epoch, fr.Epoch), true, fr.Index
		since, err := decodeOutcomeHead(fr.Payload)
		if err != nil {
			return err
		}
		for _, o := range since {
			x.box(o.mailbox).changes = max(x.box(o.mailbox).changes, o.changes)
		}
		if used(fr.Mailbox, fr.Seq) {
			return nil
		}
		r, err := decodeOutcome(fr.Payload)
		if err != nil {
			return err
		}
		t.outcome, t.since = &r.out, r.since
	default:
		return fmt.Errorf("%w: a kind of record that does not belong here", errBadRecord)
	}
	return nil
}

func (x *sideScan) mark(r markRecord) {
	x.sharedEpoch = max(x.sharedEpoch, r.sharedEpoch)
	if r.void {
		for _, b := range x.boxes {
			clear(b.batches)
		}
	}
	for _, f := range r.facts {
		b := x.box(f.mailbox)
		b.floor, b.changes = max(b.floor, f.floor), max(b.changes, f.changes)
		if f.names != [2]string{} {
			b.name(f.names)
		}
	}
}

// open returns the batches with an intent that are not in the shared log, in the order of the log.
func (b *sideBox) open(used *consumed) []*sideBatch {
	var out []*sideBatch
	for seq, t := range b.batches {
		if t.intent != nil && !used.has(seq) {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b *sideBatch) int { return cmp.Compare(a.index, b.index) })
	return out
}

// missing returns the sequences above low that the shared log has not and the side log cannot tell, at most limit of them.
func (b *sideBox) missing(used *consumed, limit int) []uint64 {
	var out []uint64
	last := b.last()
	for seq := used.low + 1; seq <= last && len(out) < limit; seq++ {
		if t := b.batches[seq]; !used.has(seq) && (t == nil || t.intent == nil) {
			out = append(out, seq)
		}
	}
	return out
}
