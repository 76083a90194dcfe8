package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"driftless/drivers"
	"driftless/merge"
)

// Move moves messages to another mailbox of the store by renaming their files. They keep their unique part, unless the destination has a file with it, and
// their flags; keywords get the letters that they have there. Both sides are synced once, the destination first.
func (m *Mailbox) Move(ctx context.Context, ids []merge.ID, to string) ([]drivers.Moved, error) {
	out := make([]drivers.Moved, len(ids))
	open := make([]bool, len(ids))
	for i := range open {
		open[i] = true
	}
	finish := func(err error) ([]drivers.Moved, error) {
		for i := range out {
			if open[i] {
				out[i] = drivers.Moved{Err: err}
			}
		}
		return out, err
	}
	if err := m.writable(ctx, "move"); err != nil {
		return finish(err)
	}
	dest, err := m.store.open(ctx, to)
	if err == nil {
		err = dest.writable(ctx, "move")
	}
	if err == nil && dest.dir == m.dir {
		err = &drivers.Error{Op: "move", Where: m.name, Reach: drivers.ReachMailbox, Retry: drivers.RetryNever, Err: errors.New("a mailbox is moved to itself")}
	}
	if err == nil {
		err = m.fail("move", m.store.makeMaildir(dest.dir))
	}
	if err != nil {
		return finish(err)
	}
	occupied, err := dest.locate(ctx, ids)
	if err != nil {
		return finish(err)
	}

	mv := mover{from: m, to: dest, occupied: occupied}
	err = m.rounds(ctx, ids, func(i int, why error) {
		out[i], open[i] = drivers.Moved{Err: m.failMessage("move", why)}, false
	}, func(batch []target) (again []int, err error) {
		kw, names, err := mv.prepare(ctx, ids, batch)
		if err != nil {
			return nil, err
		}
		for n, t := range batch {
			err := mv.move(ids[t.i], t.f, names[n], kw)
			switch {
			case err == nil:
				out[t.i], open[t.i] = drivers.Moved{ID: names[n].id}, false
				mv.done = append(mv.done, t.i)
				mv.left = append(mv.left, ids[t.i])
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrExist):
				again = append(again, t.i)
			default:
				return nil, m.fail("move", err)
			}
		}
		return again, nil
	})
	syncErr := dest.syncPlaces(mv.toPlaces)
	if syncErr == nil { // otherwise the messages would durably be in neither
		syncErr = m.syncPlaces(mv.fromPlaces)
	}
	if syncErr != nil {
		syncErr = m.fail("move", unknown(syncErr))
		for _, i := range mv.done {
			out[i] = drivers.Moved{ID: out[i].ID, Err: syncErr}
		}
		return finish(errors.Join(err, syncErr))
	}
	if len(mv.left) > 0 {
		if _, holdErr := m.hold(ctx, nil, mv.left); holdErr != nil {
			err = errors.Join(err, holdErr)
		}
	}
	return finish(err)
}

// mover is the state of one Move.
type mover struct {
	from, to             *Mailbox
	occupied             *snapshot // the destination before the move
	fromPlaces, toPlaces places
	done                 []int
	left                 []merge.ID
}

// prepare chooses the ids in the destination and makes sure that it can hold the keywords.
func (mv *mover) prepare(ctx context.Context, ids []merge.ID, batch []target) (*keywords, []wish, error) {
	kw, err := loadKeywords(mv.from.dir)
	if err != nil {
		return nil, nil, mv.from.fail("read keywords", err)
	}
	wishes := make([]wish, len(batch))
	for n, t := range batch {
		id := ids[t.i]
		wishes[n] = wish{id: id, flags: kw.flags(id, t.f.name)}
		if mv.taken(id) && !mv.arrived(id, t.f) {
			wishes[n].id = mv.from.Reserve()
		}
	}
	kw, err = mv.to.hold(ctx, wishes, nil)
	return kw, wishes, err
}

// taken reports whether the destination has a file with this unique part.
func (mv *mover) taken(id merge.ID) bool {
	if id == noUnique {
		return true
	}
	_, ok := mv.occupied.find(id)
	return ok
}

// arrived reports whether the message is in the destination already, under one more name of the same file: a machine lost its power when of a move only the
// destination was durable, on a file system that does not rename in one go.
func (mv *mover) arrived(id merge.ID, f file) bool {
	there, ok := mv.occupied.find(id)
	if !ok || id == noUnique {
		return false
	}
	source, err := os.Lstat(mv.from.dir + "/" + f.path())
	if err != nil {
		return false
	}
	target, err := os.Lstat(mv.to.dir + "/" + there.path())
	return err == nil && os.SameFile(source, target) && linksOf(source) > 1
}

// move renames one file into the destination. Letters that nobody can name are kept unless they are lower-case: those may mean something there.
func (mv *mover) move(id merge.ID, f file, w wish, kw *keywords) error {
	if w.id == id && mv.arrived(id, f) {
		if err := mv.from.store.disk.unlink(mv.from.dir + "/" + f.path()); err != nil {
			return err
		}
		mv.fromPlaces.add(f.in)
		mv.toPlaces.add(inCur)
		mv.from.note(id, nil)
		return nil
	}
	_, old, _, has := splitName(f.name)
	old = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return -1
		}
		return r
	}, old)
	letters, rest := lettersFor(old, w.flags, kw)
	if err := kw.canHold(w.id, rest); err != nil {
		return err
	}
	to := f
	if !w.flags.Empty() {
		to.in = inCur
	}
	if has || to.in == inCur {
		to.name = withLetters(f.name, letters)
	}
	if w.id != id {
		to.name = withUnique(to.name, string(w.id))
	}
	source, target := mv.from.dir+"/"+f.path(), mv.to.dir+"/"+to.path()
	if err := mv.from.store.disk.rename(source, target); err != nil {
		if errors.Is(err, fs.ErrExist) {
			// Somebody put a file of this name there since the listing: the next round takes a fresh name.
			if fi, statErr := os.Lstat(target); statErr == nil && fi != nil {
				mv.occupied = mv.occupied.with(to)
			}
		}
		return err
	}
	mv.fromPlaces.add(f.in)
	mv.toPlaces.add(to.in)
	mv.from.note(id, nil)
	return nil
}

// with returns a small snapshot that has f beside what s has.
func (s *snapshot) with(f file) *snapshot {
	var l listing
	for _, e := range s.entries {
		l.add(s.name(e), e.in)
	}
	l.add(f.name, f.in)
	return l.snapshot()
}
