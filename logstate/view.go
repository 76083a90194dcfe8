package logstate

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"driftless/merge"
)

// ErrStale says that the logs were rewritten since the view was taken, so that this part of it cannot be read any more: Refresh it.
var ErrStale = errors.New("the logs were rewritten since the view was taken")

// maxReread bounds how often a reader begins again because a writer truncates the log under it.
const maxReread = 10

// View is a read-only view of an account's logs, for any process at any time. It shows one moment, that of the last Refresh. Its methods are safe for concurrent use.
type View struct {
	dir    string
	mu     sync.Mutex
	shared *fold
	places *directory
	sides  [2]*sideScan
	ends   [2]position
	states map[Mailbox]*State
	broken bool // a Refresh failed half-way
}

// OpenView reads the logs up to their known-good end without locking, renaming or writing anything. An account that was never synced gives an empty
// view. A damaged log gives a *DamageError: Open repairs it.
func OpenView(dir string) (*View, error) {
	v := &View{dir: dir, broken: true}
	if _, err := v.Refresh(); err != nil {
		return nil, err
	}
	return v, nil
}

// Refresh reads what was appended since; it reports whether there was anything. After an error the view is what it was, or empty if it could not be.
func (v *View) Refresh() (bool, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	changed := v.broken
	for try := 0; ; try++ {
		if v.broken {
			v.reset()
			changed = true
		}
		more, err := v.read()
		v.broken = err != nil
		switch {
		case err == nil:
			return changed || more, nil
		case !errors.Is(err, errMoved) || try == maxReread:
			v.reset()
			return false, fmt.Errorf("read logs: %w", err)
		}
	}
}

func (v *View) reset() {
	v.shared, v.places = newFold(), newDirectory(filepath.Join(v.dir, "shared"))
	v.sides = [2]*sideScan{newSideScan(merge.Left), newSideScan(merge.Right)}
	v.ends = [2]position{}
	v.states = map[Mailbox]*State{}
}

// read goes on from where the last reading ended. The side logs come first: what they lack of the shared log does no harm.
func (v *View) read() (more bool, err error) {
	all := func(Mailbox, uint64) bool { return true } // nothing of a batch but its number is needed
	for _, side := range merge.Sides {
		v.ends[side], err = readFrames(filepath.Join(v.dir, side.String()), v.ends[side], func(fr frame, _ position) error {
			more = true
			return v.sides[side].add(fr, all)
		})
		if err != nil {
			return more, err
		}
	}
	touched := map[Mailbox]bool{}
	v.places.end, err = readFrames(v.places.dir, v.places.end, func(fr frame, behind position) error {
		more = true
		touched[fr.Mailbox] = true
		if fr.Kind == kindCommit {
			r, err := decodeCommit(fr.Payload)
			if err != nil {
				return fmt.Errorf("shared log: entry %d: %w", fr.Index, err)
			}
			for _, s := range r.sections {
				touched[s.mailbox] = true
			}
		}
		if err := v.shared.add(fr); err != nil {
			return err
		}
		return v.places.add(fr, behind.before())
	})
	for m := range touched {
		delete(v.states, m)
	}
	if err == nil {
		_, _, err = lineageOf([3]uint32{v.ends[merge.Left].Epoch, v.ends[merge.Right].Epoch, v.places.end.Epoch})
	}
	return more, err
}

// Mailboxes returns all mailboxes, by number, as of the last Refresh.
func (v *View) Mailboxes() []Summary {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.shared.summaries()
}

// State returns the state of a mailbox as of the last Refresh; it does not change afterwards. The error is ErrStale when a writer has truncated the log since.
func (v *View) State(m Mailbox) (*State, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.states[m]; s != nil {
		return s, nil
	}
	b := v.shared.boxes[m]
	if b == nil {
		return nil, fmt.Errorf("read state: mailbox %d is not registered", m)
	}
	t, err := placesOf(v.places.boxes, m).load(v.places.dir, m, b.counts)
	switch {
	case err != nil && errors.Is(err, errMoved):
		return nil, fmt.Errorf("read state of mailbox %d: %w", m, ErrStale)
	case err != nil:
		return nil, fmt.Errorf("read state of mailbox %d: %w", m, err)
	case t.count != b.counts && !b.repair:
		return nil, fmt.Errorf("read state of mailbox %d: %w", m, errInconsistent)
	}
	s := &State{table: t, cursor: b.cursor}
	v.states[m] = s
	return s, nil
}

// StoreIdentity returns the recorded identity of a side's store, "" if none.
func (v *View) StoreIdentity(side merge.Side) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.shared.identity[side]
}

// SharedLost reports whether the shared log is gone while the side logs are there: what they still know is played again when the account is opened.
func (v *View) SharedLost() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.places.end.Epoch == 0 && v.ends[merge.Left].Epoch+v.ends[merge.Right].Epoch > 0
}

// Unsettled counts batches without an outcome, per target side.
func (v *View) Unsettled() [2]int {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out [2]int
	for _, side := range merge.Sides {
		if v.shared.sideEpoch[side] > v.sides[side].epoch {
			continue // another line of history
		}
		used := v.shared.usedBy(side)
		for m, b := range v.sides[side].boxes {
			for seq, t := range b.batches {
				if t.index != 0 && !t.settled && !used(m, seq) {
					out[side.Other()]++
				}
			}
		}
	}
	return out
}

// Records calls f for each record of a log ("left", "right" or "shared") from an index on, to the known-good end, and returns the next index. It reads the log as
// it is now, not as of the last Refresh. An error of f ends it and is returned.
func (v *View) Records(log string, from uint64, f func(Record) error) (uint64, error) {
	if log != "left" && log != "right" && log != "shared" {
		return from, fmt.Errorf("read records: there is no log %q", log)
	}
	v.mu.Lock()
	n := &narrator{log: log, names: map[Mailbox]string{}, intents: map[batchKey]Intent{}}
	for m, b := range v.shared.boxes {
		if b.named {
			n.names[m] = b.names[0]
		}
	}
	v.mu.Unlock()
	next := max(from, 1)
	for try := 0; ; try++ {
		_, err := readFrames(filepath.Join(v.dir, log), position{}, func(fr frame, _ position) error {
			r, err := n.record(fr)
			if err != nil {
				return fmt.Errorf("%s log: entry %d (%s): %w", log, fr.Index, kindName(fr.Kind), err)
			}
			if fr.Index < next {
				return nil
			}
			if err := f(r); err != nil {
				return err
			}
			next = fr.Index + 1
			return nil
		})
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, errMoved) || try == maxReread {
			return next, err
		}
	}
}
