package maildir

import (
	"context"
	"errors"
	"os"
	"slices"

	"driftless/drivers"
	"driftless/merge"
)

// Changes yields every message, with its flags, sorted by id, unless the cursor proves that nothing changed: then nothing is yielded or read in the scope
// Delta. Sizes and dates are not told (see Describe). Of a mailbox that others change too fast to be listed reliably it yields what several passes
// found together: All is false then, and the cursor never proves "unchanged", so that the next observation finds what is gone. The
// disappearance of a whole cur or new directory is an error, not the disappearance of its messages.
func (m *Mailbox) Changes(ctx context.Context, since drivers.Cursor, scope drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	if err := m.store.usable(ctx); err != nil {
		return drivers.Observed{}, err
	}
	old, known := decodeCursor(since)
	if known {
		now, err := m.stamps()
		if err != nil {
			return drivers.Observed{}, err
		}
		if scope == drivers.Delta && old.unchanged(now) {
			return drivers.Observed{Cursor: since, Count: old.count}, nil
		}
		if old.at.cur.exists() && !now.cur.exists() || old.at.fresh.exists() && !now.fresh.exists() {
			return drivers.Observed{}, m.fail("list", errVanished)
		}
	}
	s, err := m.list(ctx)
	if err != nil {
		return drivers.Observed{}, err
	}
	now := s.at
	if !s.proven && known && (old.at.cur.exists() && !now.cur.exists() || old.at.fresh.exists() && !now.fresh.exists()) {
		return drivers.Observed{}, m.fail("list", errVanished)
	}
	for i, e := range s.entries {
		if i%1024 == 0 && ctx.Err() != nil {
			return drivers.Observed{}, ctx.Err()
		}
		id := s.idOf(e)
		if err := yield(drivers.Entry{ID: id, FlagsKnown: true, Flags: s.kw.flags(id, s.name(e)), Size: -1}); err != nil {
			return drivers.Observed{}, err
		}
	}
	if err := m.settle(now); err != nil {
		return drivers.Observed{}, err
	}
	c := cursor{sure: s.proven && s.sure && !s.ambiguous(), count: len(s.entries), at: s.at}
	return drivers.Observed{All: s.proven, Cursor: c.encode(), Count: c.count}, nil
}

var errVanished = errors.New("its directory cur or new has disappeared")

// list returns a listing, proven unless others change the mailbox too fast. Twins in a proven one get fresh names if this run may write.
func (m *Mailbox) list(ctx context.Context) (*snapshot, error) {
	s, err := m.scan(ctx, nil)
	if err != nil {
		return nil, err
	}
	if s.proven && s.ambiguous() && m.store.mayWrite.Load() && !m.readOnly {
		if err := m.separate(s); err != nil {
			return nil, m.fail("rename a file with the id of another", err)
		}
		if s, err = m.scan(ctx, nil); err != nil {
			return nil, err
		}
	}
	return m.keep(s), nil
}

// separate gives each twin in a listing a fresh unique part and removes second names of one file, durably. What is gone or was renamed is left for the
// next listing. In a listing that is not proven two names of one file may be one that is being renamed: there, none is removed.
func (m *Mailbox) separate(s *snapshot) error {
	var touched places
	aliases := s.aliases
	if !s.proven {
		aliases = nil
	}
	for _, a := range aliases {
		first, err := os.Lstat(m.dir + "/" + a[0].path())
		if err != nil {
			continue
		}
		second, err := os.Lstat(m.dir + "/" + a[1].path())
		if err != nil || !os.SameFile(first, second) || linksOf(first) < 2 || linksOf(second) < 2 {
			continue
		}
		if err := ignoreMissing(m.store.disk.unlink(m.dir + "/" + a[1].path())); err != nil {
			return err
		}
		touched.add(a[1].in)
	}
	for _, t := range s.twins {
		fresh := file{name: withUnique(t.name, m.store.unique.next(m.store.now())), in: t.in}
		err := m.store.disk.rename(m.dir+"/"+t.path(), m.dir+"/"+fresh.path())
		if err := ignoreMissing(err); err != nil {
			return err
		}
		touched.add(t.in)
	}
	return m.syncPlaces(touched)
}

// places is a set of directories of a mailbox.
type places [2]bool

func (p *places) add(in place) { p[in] = true }

// syncPlaces makes the entries of these directories durable, cur first: a message on its way out of new must not be in neither.
func (m *Mailbox) syncPlaces(p places) error {
	for _, in := range []place{inCur, inNew} {
		if p[in] {
			if err := m.store.disk.syncDir(m.dir + "/" + in.dir()); err != nil {
				return err
			}
		}
	}
	return nil
}

// locate returns a listing in which each of ids is there unless it is gone from the mailbox, and which names the present files. If others change the mailbox
// too fast to find out what is gone, the listing is not proven: absence tells what an id that is not in it means. It reads the directories only if they may have changed since the last listing.
func (m *Mailbox) locate(ctx context.Context, ids []merge.ID) (*snapshot, error) {
	m.mu.Lock()
	last, clean := m.last, len(m.moved) == 0
	m.mu.Unlock()
	if last != nil && clean && last.sure && last.proven {
		now, err := m.stamps()
		if err != nil {
			return nil, err
		}
		if now == last.at {
			return last, nil
		}
	}
	s, err := m.scan(ctx, func(s *snapshot) bool {
		for _, id := range ids {
			if _, ok := s.find(id); !ok {
				return false
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return m.keep(s), nil
}

// absence returns why an id is not in the listing: ErrGone, or errBusy if that is not proven.
func (s *snapshot) absence() error {
	if s.proven {
		return drivers.ErrGone
	}
	return errBusy
}

// Look yields the present state of these messages; that they are there is durable. One that several passes did not find while others changed the mailbox too fast to prove that it is gone is left
// out: saying that it is there would be as wrong as saying that it is not.
func (m *Mailbox) Look(ctx context.Context, ids []merge.ID, yield func(drivers.Entry) error) error {
	if err := m.store.usable(ctx); err != nil || len(ids) == 0 {
		return err
	}
	if err := m.sweep(ctx); err != nil {
		return err
	}
	s, err := m.locate(ctx, ids)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(ids, func(id merge.ID) bool { _, ok := s.find(id); return ok }) {
		if err := m.settle(s.at); err != nil {
			return err
		}
	}
	done := make(map[merge.ID]bool, len(ids))
	for _, id := range ids {
		if done[id] {
			continue
		}
		done[id] = true
		e := drivers.Entry{ID: id, Gone: true, Size: -1}
		f, ok := s.find(id)
		if !ok && !s.proven {
			continue
		}
		if ok {
			e = drivers.Entry{ID: id, FlagsKnown: true, Flags: s.kw.flags(id, f.name), Size: -1}
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Since yields every message, durable by name: the store keeps no order of arrival. Appends in doubt are found by their reserved id instead. A mailbox that others change too
// fast to be listed reliably is an error with RetryNow.
func (m *Mailbox) Since(ctx context.Context, _ drivers.Mark, yield func(drivers.Description) error) error {
	if err := m.store.usable(ctx); err != nil {
		return err
	}
	s, err := m.list(ctx)
	if err != nil {
		return err
	}
	if !s.proven {
		return m.fail("list", errBusy)
	}
	if err := m.settle(s.at); err != nil {
		return err
	}
	ids := make([]merge.ID, len(s.entries))
	for i, e := range s.entries {
		ids[i] = s.idOf(e)
	}
	return m.Describe(ctx, ids, yield)
}
