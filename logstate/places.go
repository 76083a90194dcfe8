package logstate

import (
	"errors"
	"fmt"
)

// places is where the pairs of a mailbox are in the shared log.
type places struct {
	chunks  []position // records of the newest complete checkpoint
	commits []position // commits after its begin that have ops for this mailbox
}

// directory knows the places of all mailboxes. It is brought up to date when a mailbox has to be folded, not with each commit.
type directory struct {
	dir   string
	end   position // everything before it has been read
	boxes map[Mailbox]*places
	pend  *pendingPlaces
}

type pendingPlaces struct {
	begin  uint64
	frames uint64
	boxes  map[Mailbox]*places
}

func newDirectory(dir string) *directory { return &directory{dir: dir, boxes: map[Mailbox]*places{}} }

func placesOf(boxes map[Mailbox]*places, m Mailbox) *places {
	p := boxes[m]
	if p == nil {
		p = &places{}
		boxes[m] = p
	}
	return p
}

// add takes the next frame; at is the position before it.
func (d *directory) add(fr frame, at position) error {
	switch fr.Kind {
	case kindCommit:
		r, err := decodeCommit(fr.Payload)
		if err != nil {
			return err
		}
		for i := range r.sections {
			s := &r.sections[i]
			if s.ops == nil {
				continue
			}
			p := placesOf(d.boxes, s.mailbox)
			p.commits = append(p.commits, at)
			if d.pend != nil {
				p := placesOf(d.pend.boxes, s.mailbox)
				p.commits = append(p.commits, at)
			}
		}
	case kindCheckpointBegin:
		d.pend = &pendingPlaces{begin: fr.Index, boxes: map[Mailbox]*places{}}
	case kindCheckpointBoxes:
		if d.pend != nil {
			d.pend.frames++
		}
	case kindCheckpointPairs, kindCheckpointHalfs:
		if d.pend != nil {
			d.pend.frames++
			p := placesOf(d.pend.boxes, fr.Mailbox)
			p.chunks = append(p.chunks, at)
		}
	case kindCheckpointEnd:
		r, err := decodeCheckpointEnd(fr.Payload)
		if err != nil {
			return err
		}
		if p := d.pend; p != nil && p.begin == r.begin && p.frames == r.frames {
			d.boxes = p.boxes
		}
		d.pend = nil
	}
	return nil
}

// catchUp reads what was appended since. A log that was truncated meanwhile is read again from its beginning.
func (d *directory) catchUp() error {
	for try := 0; ; try++ {
		end, err := readFrames(d.dir, d.end, func(fr frame, behind position) error {
			return d.add(fr, behind.before())
		})
		if errors.Is(err, errMoved) && try < 3 {
			*d = *newDirectory(d.dir)
			continue
		}
		if err != nil {
			return fmt.Errorf("read shared log: %w", err)
		}
		d.end = end
		return nil
	}
}

// errEnough ends a reading of frames.
var errEnough = errors.New("enough")

// seekLimit is up to how many scattered commits are fetched one by one; more are found by reading through.
const seekLimit = 32

// load folds the pairs of a mailbox from its places.
func (p *places) load(dir string, m Mailbox, expect counts) (*table, error) {
	t := newTable()
	t.reserve(expect)
	if err := readPlaces(dir, p.chunks, func(fr frame) error { return t.addChunk(m, fr) }); err != nil {
		return nil, err
	}
	if err := readPlaces(dir, p.commits, func(fr frame) error { return t.addCommit(m, fr) }); err != nil {
		return nil, err
	}
	return t, nil
}

// readPlaces calls f with the frame behind each of these positions, which are in the log's order.
func readPlaces(dir string, at []position, f func(frame) error) error {
	for len(at) > 0 {
		// One reading serves the places that are close together; what lies between is skipped.
		run := 1
		for run < len(at) && (len(at) > seekLimit || at[run].Index-at[run-1].Index <= 4) {
			run++
		}
		wanted := at[:run]
		at = at[run:]
		_, err := readFrames(dir, wanted[0], func(fr frame, _ position) error {
			if fr.Index != wanted[0].Index {
				return nil
			}
			if err := f(fr); err != nil {
				return fmt.Errorf("entry %d (%s): %w", fr.Index, kindName(fr.Kind), err)
			}
			if wanted = wanted[1:]; len(wanted) == 0 {
				return errEnough
			}
			return nil
		})
		if err == nil {
			err = fmt.Errorf("entry %d is not there any more: %w", wanted[0].Index, errMoved)
		}
		if !errors.Is(err, errEnough) {
			return fmt.Errorf("read shared log: %w", err)
		}
	}
	return nil
}

// addChunk adds the pairs or half-pairs of a checkpoint's record.
func (t *table) addChunk(m Mailbox, fr frame) error {
	if fr.Mailbox != m {
		return fmt.Errorf("%w: it is about mailbox %d, not %d", errBadRecord, fr.Mailbox, m)
	}
	d := decoder{b: fr.Payload, flags: &t.cache}
	n := d.count(5)
	for range n {
		var err error
		if fr.Kind == kindCheckpointPairs {
			p := d.readPair()
			d.needID(p.id[0], p.id[1])
			if d.err == nil {
				_, err = t.putPair(p)
			}
		} else {
			h := d.readHalf()
			d.needID([]byte(h.ID))
			if d.err == nil {
				_, err = t.putHalf(h)
			}
		}
		if d.err != nil {
			return d.err
		}
		if err != nil {
			return err
		}
	}
	return d.end()
}

// addCommit applies the ops that a commit has for this mailbox.
func (t *table) addCommit(m Mailbox, fr frame) error {
	r, err := decodeCommit(fr.Payload)
	if err != nil {
		return err
	}
	for i := range r.sections {
		if s := &r.sections[i]; s.mailbox == m && s.ops != nil {
			err := decodeOps(s.ops, &t.cache, func(op rawOp) error {
				_, err := t.apply(op)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
