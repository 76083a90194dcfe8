package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"driftless/drivers"
	"driftless/merge"
)

// target is a message to work on: its index in the caller's list and the file it is in. seen is set when the file was found in a
// listing made for this purpose, not remembered from an earlier one.
type target struct {
	i    int
	f    file
	seen bool
}

// rounds gives do the files of the messages, first where they are remembered, then, for those that do reports as not found there, where
// a new listing has them, until none is left. absent is called for each message that is not found, with ErrGone if it is verifiably not in the mailbox, else
// with errBusy.
func (m *Mailbox) rounds(ctx context.Context, ids []merge.ID, absent func(i int, why error), do func([]target) (again []int, err error)) error {
	pending := make([]int, len(ids))
	for i := range pending {
		pending[i] = i
	}
	if err := m.settleTwins(); err != nil {
		return err
	}
	for round := 0; len(pending) > 0; round++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if round == chase {
			return m.fail("find messages", errBusy)
		}
		find, why := m.hint, drivers.ErrGone
		seen := round > 0 || !m.remembers(ids)
		if seen {
			s, err := m.relocate(ctx, ids, pending)
			if err != nil {
				return err
			}
			find, why = s.find, s.absence()
		}
		var batch []target
		var later []int
		taken := make(map[merge.ID]bool, len(pending))
		for _, i := range pending {
			if taken[ids[i]] {
				later = append(later, i)
				continue
			}
			taken[ids[i]] = true
			f, ok := find(ids[i])
			if !ok {
				absent(i, why)
				continue
			}
			batch = append(batch, target{i: i, f: f, seen: seen})
		}
		again, err := do(batch)
		if err != nil {
			return err
		}
		pending = append(again, later...)
	}
	return nil
}

// remembers reports whether there is a hint for each of ids.
func (m *Mailbox) remembers(ids []merge.ID) bool {
	for _, id := range ids {
		if _, ok := m.hint(id); !ok {
			return false
		}
	}
	return true
}

// relocate locates the pending ones of ids, and gives twins their own names first.
func (m *Mailbox) relocate(ctx context.Context, ids []merge.ID, pending []int) (*snapshot, error) {
	want := make([]merge.ID, len(pending))
	for n, i := range pending {
		want[n] = ids[i]
	}
	s, err := m.locate(ctx, want)
	if err != nil || !s.ambiguous() {
		return s, err
	}
	if err := m.settleTwins(); err != nil {
		return nil, err
	}
	return m.locate(ctx, want)
}

// settleTwins gives the twins of the last listing their own names, so that an id means one file when something is done to it.
func (m *Mailbox) settleTwins() error {
	m.mu.Lock()
	last := m.last
	m.mu.Unlock()
	if last == nil || !last.ambiguous() {
		return nil
	}
	if err := m.separate(last); err != nil {
		return m.fail("rename a file with the id of another", err)
	}
	m.keep(nil)
	return nil
}

// unknown marks an effect whose directory could not be made durable.
func unknown(err error) error { return fmt.Errorf("%w: %w", drivers.ErrUnknown, err) }

// SetFlags changes flags by renaming files; a message in new that gets a flag moves to cur. The directories are synced once.
func (m *Mailbox) SetFlags(ctx context.Context, changes []drivers.FlagChange) ([]drivers.FlagResult, error) {
	out := make([]drivers.FlagResult, len(changes))
	ids := make([]merge.ID, len(changes))
	open := make([]bool, len(changes))
	for i, c := range changes {
		ids[i], open[i] = c.ID, true
	}
	finish := func(err error) ([]drivers.FlagResult, error) {
		for i := range out {
			if open[i] {
				out[i] = drivers.FlagResult{Err: err}
			}
		}
		return out, err
	}
	if err := m.writable(ctx, "set flags"); err != nil {
		return finish(err)
	}
	var touched places
	renamed := make([]bool, len(changes))
	err := m.rounds(ctx, ids, func(i int, why error) {
		out[i], open[i] = drivers.FlagResult{Err: m.failMessage("set flags", why)}, false
	}, func(batch []target) (again []int, err error) {
		kw, wishes, err := m.wishes(ctx, batch, changes)
		if err != nil {
			return nil, err
		}
		for n, t := range batch {
			to, err := reflag(t.f, wishes[n], kw)
			if err == nil {
				err = m.moveFile(t.f, to)
			}
			switch {
			case err == nil:
				if to != t.f {
					touched.add(t.f.in)
					touched.add(to.in)
					renamed[t.i] = true
				}
				m.note(ids[t.i], &to)
				out[t.i], open[t.i] = drivers.FlagResult{Flags: kw.flags(ids[t.i], to.name)}, false
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
				again = append(again, t.i)
			default:
				return nil, m.fail("set flags", err)
			}
		}
		return again, nil
	})
	if syncErr := m.syncPlaces(touched); syncErr != nil {
		syncErr = m.fail("set flags", unknown(syncErr))
		for i := range out {
			if renamed[i] {
				out[i] = drivers.FlagResult{Err: syncErr}
			}
		}
		err = errors.Join(err, syncErr)
	}
	return finish(err)
}

// wishes computes the flags that the messages are to have and makes sure that the mailbox can hold them.
func (m *Mailbox) wishes(ctx context.Context, batch []target, changes []drivers.FlagChange) (*keywords, []wish, error) {
	kw, err := loadKeywords(m.dir)
	if err != nil {
		return nil, nil, m.fail("read keywords", err)
	}
	wishes := make([]wish, len(batch))
	for n, t := range batch {
		c := changes[t.i]
		wishes[n] = wish{id: c.ID, flags: kw.flags(c.ID, t.f.name).Union(c.Add).Minus(c.Remove)}
	}
	kw, err = m.hold(ctx, wishes, nil)
	return kw, wishes, err
}

// reflag returns the file that a message with these flags is to be in.
func reflag(f file, w wish, kw *keywords) (file, error) {
	_, old, _, _ := splitName(f.name)
	letters, rest := lettersFor(old, w.flags, kw)
	if err := kw.canHold(w.id, rest); err != nil {
		return file{}, err
	}
	to := f
	if !w.flags.Empty() {
		to.in = inCur
	}
	if letters != old || to.in != f.in {
		to.name = withLetters(f.name, letters)
	}
	return to, nil
}

// moveFile renames a file of the mailbox; for a file that keeps its name it checks that the file is still there.
func (m *Mailbox) moveFile(from, to file) error {
	if from == to {
		_, err := os.Lstat(m.dir + "/" + from.path())
		return err
	}
	return m.store.disk.rename(m.dir+"/"+from.path(), m.dir+"/"+to.path())
}

// Expunge removes messages, each only if it is the very file, with the very flags, that Seen tells of. The directories are synced once.
func (m *Mailbox) Expunge(ctx context.Context, removals []drivers.Removal) ([]error, error) {
	out := make([]error, len(removals))
	open := make([]bool, len(removals))
	ids := make([]merge.ID, len(removals))
	for i, r := range removals {
		ids[i], open[i] = r.ID, true
	}
	finish := func(err error) ([]error, error) {
		for i := range out {
			if open[i] {
				out[i] = err
			}
		}
		return out, err
	}
	if err := m.writable(ctx, "expunge"); err != nil {
		return finish(err)
	}
	var touched places
	var removed []int
	var removedIDs []merge.ID
	err := m.rounds(ctx, ids, func(i int, why error) {
		open[i] = false
		if !errors.Is(why, drivers.ErrGone) {
			out[i] = m.failMessage("expunge", why)
		}
	}, func(batch []target) (again []int, err error) {
		kw, err := loadKeywords(m.dir)
		if err != nil {
			return nil, m.fail("read keywords", err)
		}
		for _, t := range batch {
			if !kw.flags(ids[t.i], t.f.name).Equal(removals[t.i].Seen) {
				if !t.seen {
					again = append(again, t.i)
					continue
				}
				out[t.i], open[t.i] = m.failMessage("expunge", drivers.ErrChanged), false
				continue
			}
			err := m.store.disk.unlink(m.dir + "/" + t.f.path())
			if errors.Is(err, fs.ErrNotExist) {
				again = append(again, t.i)
				continue
			}
			if err != nil {
				return nil, m.fail("expunge", err)
			}
			m.note(ids[t.i], nil)
			touched.add(t.f.in)
			removed = append(removed, t.i)
			removedIDs = append(removedIDs, ids[t.i])
			open[t.i] = false
		}
		return again, nil
	})
	if syncErr := m.syncPlaces(touched); syncErr != nil {
		syncErr = m.fail("expunge", unknown(syncErr))
		for _, i := range removed {
			out[i] = syncErr
		}
		return finish(errors.Join(err, syncErr))
	}
	if len(removedIDs) > 0 {
		if _, holdErr := m.hold(ctx, nil, removedIDs); holdErr != nil {
			// The messages are gone all the same; what stays behind names ids that never come back.
			err = errors.Join(err, holdErr)
		}
	}
	return finish(err)
}
