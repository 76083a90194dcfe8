package maildir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"driftless/merge"
)

const (
	scanPatience = 500 * time.Millisecond // how long a listing is tried again while others change the mailbox
	scanPasses   = 3                      // the fewest passes that a listing is made of that could not be proven
	scanPause    = 2 * time.Millisecond
	readBatch    = 4096 // directory entries read at a time
)

// scan lists the mailbox. The answer is proven complete, unless enough says before that what was found so far will do, or others change the mailbox for as long as
// it is tried: then the answer is what all passes found together, and is not proven. What is in it was there in some pass, with the name that the last
// pass that saw it has; a file that a pass missed because it was renamed meanwhile is in the others.
//
// A pass reads new, then cur, so that a message on its way from new to cur is seen at least once. A pass proves what is absent only if the
// stamps before and after it are equal, and were old enough at its start that a change during it would have shown. On file systems with coarse or
// foreign clocks that would mean waiting for seconds; there, two passes in a row with equal stamps and equal names are required.
func (m *Mailbox) scan(ctx context.Context, enough func(*snapshot) bool) (*snapshot, error) {
	deadline := time.Now().Add(scanPatience)
	var last, united *snapshot
	waited := false
	for passes := 1; ; {
		before, err := m.stamps()
		if err != nil {
			return nil, err
		}
		granule, kind := before.granule(m.clock, m.store.tick)
		wait := before.freshFor(m.store.clock(), granule)
		if kind == clockFine && wait > 0 && enough == nil && !waited {
			// Stamps that are still fresh after that belong to somebody who does not stop: then passes are united instead.
			waited = true
			if err := sleep(ctx, wait); err != nil {
				return nil, err
			}
			continue
		}
		waited = false
		s, err := m.pass(ctx)
		if err != nil {
			return nil, err
		}
		after, err := m.stamps()
		if err != nil {
			return nil, err
		}
		s.at, s.sure = before, wait <= 0
		if before == after {
			s.proven = s.sure || kind != clockFine && last != nil && last.at == before && last.sameNames(s)
		}
		if s.proven {
			return s, nil
		}
		united = united.and(s)
		if enough != nil && enough(united) || passes >= scanPasses && time.Now().After(deadline) {
			return united, nil
		}
		passes++
		last = s
		if kind == clockFine && wait <= 0 && before != after {
			continue
		}
		if err := sleep(ctx, scanPause); err != nil {
			return nil, err
		}
	}
}

// sameNames reports whether two listings have the same files.
func (s *snapshot) sameNames(o *snapshot) bool {
	return slices.Equal(s.aliases, o.aliases) && slices.EqualFunc(s.entries, o.entries, func(a, b entry) bool { return a.in == b.in && s.name(a) == o.name(b) }) &&
		slices.Equal(s.twins, o.twins)
}

// pass reads the keyword tables and both directories once.
func (m *Mailbox) pass(ctx context.Context) (*snapshot, error) {
	kw, err := loadKeywords(m.dir)
	if err != nil {
		return nil, m.fail("read keywords", err)
	}
	var l listing
	for _, in := range []place{inNew, inCur} {
		if err := m.read(ctx, in, &l); err != nil {
			return nil, m.fail("list", err)
		}
	}
	s := l.snapshot()
	s.kw = kw
	if len(s.twins) > 0 {
		if err := m.judgeTwins(s); err != nil {
			return nil, m.fail("list", err)
		}
	}
	return s, nil
}

func (m *Mailbox) read(ctx context.Context, in place, l *listing) error {
	path := m.dir + "/" + in.dir()
	if err := m.store.disk.check("readdir", path); err != nil {
		return err
	}
	d, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	m.store.disk.dirReads.Add(1)
	err = readNames(ctx, d, func(name string) bool { return l.add(name, in) })
	return errors.Join(err, d.Close())
}

// readNames gives add the names of the files in a directory that are mail: regular files that do not start with a dot.
func readNames(ctx context.Context, d *os.File, add func(string) bool) error {
	for {
		entries, err := d.ReadDir(readBatch)
		for _, e := range entries {
			if name := e.Name(); e.Type().IsRegular() && !strings.HasPrefix(name, ".") && !add(name) {
				return fmt.Errorf("too many messages in one mailbox")
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// judgeTwins decides which of several files with one unique part keeps the id: the one with the lowest inode. Two names of one
// inode are one message. Files that are gone meanwhile are left to the check of the stamps.
func (m *Mailbox) judgeTwins(s *snapshot) error {
	groups := make(map[merge.ID][]file)
	for _, t := range s.twins {
		if len(groups[t.id()]) == 0 {
			if first, ok := s.find(t.id()); ok {
				groups[t.id()] = append(groups[t.id()], first)
			}
		}
		groups[t.id()] = append(groups[t.id()], t)
	}
	var twins []file
	for id, files := range groups {
		keeper, lowest := files[0], uint64(0)
		inode := make(map[uint64]file)
		for _, f := range files {
			fi, err := os.Lstat(m.dir + "/" + f.path())
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			n := inodeOf(fi)
			if first, twice := inode[n]; twice && linksOf(fi) > 1 {
				s.aliases = append(s.aliases, [2]file{first, f})
				continue
			}
			// A file with one link that is met twice was renamed meanwhile: this is its name now.
			inode[n] = f
			if len(inode) == 1 || n <= lowest {
				keeper, lowest = f, n
			}
		}
		for _, f := range inode {
			if f != keeper {
				twins = append(twins, f)
			}
		}
		s.setFile(id, keeper)
	}
	slices.SortFunc(twins, func(a, b file) int { return strings.Compare(a.path(), b.path()) })
	s.twins = twins
	slices.SortFunc(s.aliases, func(a, b [2]file) int { return strings.Compare(a[1].path(), b[1].path()) })
	return nil
}

// setFile makes f the file of an id that is in the snapshot.
func (s *snapshot) setFile(id merge.ID, f file) {
	for i, e := range s.entries {
		if s.idOf(e) == id && s.file(e) != f {
			off := uint32(len(s.arena))
			s.arena += f.name
			n := e.id
			s.entries[i] = entry{off: off, len: uint16(len(f.name)), id: n, in: f.in}
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
