package everystep

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"driftless/drivers"
	"driftless/drivers/maildir"
	"driftless/drivers/memory"
	"driftless/merge"
	"driftless/tests/harness"
)

// store is one side of a world, as its user and as the program see it. Messages are named as in mail_test.go; where a mailbox has several of one name, any one of them is meant.
type store interface {
	open(ctx context.Context) (drivers.Store, error)

	deliver(box, name string, flags merge.Flags)
	setFlags(box, name string, flags merge.Flags)
	remove(box, name string)
	move(box, name, to string)
	create(box string)
	// renumber gives every message of a mailbox another id: a new UIDVALIDITY, or other file names.
	renumber(box string)
	// keep remembers everything, restore brings it back: the store goes back in time.
	keep() (restore func())

	// lines shows what is there, as lines does.
	lines() []string
	// still begins to watch; what it returns says what was written since, "" if nothing.
	still() func() string
	// leftOpen says what was opened and not closed.
	leftOpen() string
}

// memoryStore is a memory server.
type memoryStore struct {
	t   testing.TB
	srv *memory.Server
}

func (s memoryStore) open(ctx context.Context) (drivers.Store, error) { return s.srv.Open(ctx) }

func (s memoryStore) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s memoryStore) id(box, name string) merge.ID {
	s.t.Helper()
	for _, m := range s.srv.Snapshot()[box].Messages {
		if nameOf(harness.Digest(m.Data)) == name {
			return m.ID
		}
	}
	s.t.Fatalf("no message %s in %s", name, box)
	return ""
}

func (s memoryStore) deliver(box, name string, flags merge.Flags) {
	s.srv.Deliver(box, flags, date(s.t, name), text(s.t, name))
}

func (s memoryStore) setFlags(box, name string, flags merge.Flags) {
	s.t.Helper()
	s.must(s.srv.SetFlags(box, s.id(box, name), flags))
}

func (s memoryStore) remove(box, name string) {
	s.t.Helper()
	s.must(s.srv.Remove(box, s.id(box, name)))
}

func (s memoryStore) move(box, name, to string) {
	s.t.Helper()
	_, err := s.srv.Move(box, s.id(box, name), to)
	s.must(err)
}

func (s memoryStore) create(box string)   { s.srv.CreateMailbox(box) }
func (s memoryStore) renumber(box string) { s.t.Helper(); s.must(s.srv.BumpValidity(box)) }

func (s memoryStore) keep() func() {
	b := s.srv.Backup()
	return func() { s.srv.Restore(b) }
}

func (s memoryStore) lines() []string {
	var out []string
	for box, m := range s.srv.Snapshot() {
		out = append(out, box)
		for _, msg := range m.Messages {
			out = append(out, line(box, nameOf(harness.Digest(msg.Data)), showFlags(msg.Flags), msg.Date))
		}
	}
	slices.Sort(out)
	return out
}

func (s memoryStore) still() func() string {
	s.srv.ResetCounts()
	return func() string {
		if n := s.srv.Counts(); n.Writes() > 0 || n.WriteCalls() > 0 || n.Bodies > 0 {
			return fmt.Sprintf("%+v", n)
		}
		return ""
	}
}

func (s memoryStore) leftOpen() string {
	if c, st := s.srv.OpenContents(), s.srv.OpenStores(); c+st > 0 {
		return fmt.Sprintf("%d contents and %d stores", c, st)
	}
	return ""
}

// maildirStore is a Maildir, its user a mail client that knows nothing of us.
type maildirStore struct {
	t  testing.TB
	md *harness.Maildir
}

func (s maildirStore) open(ctx context.Context) (drivers.Store, error) {
	st, err := maildir.Open(ctx, maildir.Options{Path: s.md.Root, Layout: maildir.FS, Workers: 4})
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (s maildirStore) file(box, name string) string {
	s.t.Helper()
	for _, m := range s.md.Messages(box) {
		if nameOf(m.Hash) == name {
			return m.Name
		}
	}
	s.t.Fatalf("no message %s in %s", name, box)
	return ""
}

func (s maildirStore) deliver(box, name string, flags merge.Flags) {
	s.t.Helper()
	s.md.Deliver(box, []byte(strings.ReplaceAll(string(text(s.t, name)), "\r\n", "\n")), date(s.t, name), flags.Names()...)
}

func (s maildirStore) setFlags(box, name string, flags merge.Flags) {
	s.t.Helper()
	s.md.SetFlags(box, s.file(box, name), flags.Names()...)
}

func (s maildirStore) remove(box, name string) { s.t.Helper(); s.md.Remove(box, s.file(box, name)) }
func (s maildirStore) create(box string)       { s.t.Helper(); s.md.Create(box) }

func (s maildirStore) move(box, name, to string) {
	s.t.Helper()
	s.md.Move(box, s.file(box, name), to)
}

func (s maildirStore) renumber(box string) {
	s.t.Helper()
	for _, sub := range []string{"new", "cur"} {
		dir := filepath.Join(s.md.Path(box), sub)
		entries, err := os.ReadDir(dir)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			if err := os.Rename(filepath.Join(dir, e.Name()), filepath.Join(dir, "9"+e.Name())); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

func (s maildirStore) keep() func() {
	s.t.Helper()
	kept := filepath.Join(s.t.TempDir(), "kept")
	copyTree(s.t, s.md.Root, kept)
	return func() {
		if err := os.RemoveAll(s.md.Root); err != nil {
			s.t.Fatal(err)
		}
		copyTree(s.t, kept, s.md.Root)
	}
}

func (s maildirStore) lines() []string {
	s.t.Helper()
	var out []string
	for box, msgs := range s.md.All() {
		out = append(out, box)
		for _, m := range msgs {
			out = append(out, line(box, nameOf(m.Hash), showFlags(merge.NewFlags(strings.Fields(m.Flags)...)), m.Date))
		}
	}
	slices.Sort(out)
	return out
}

func (s maildirStore) still() func() string {
	s.t.Helper()
	before := harness.Tree(s.t, s.md.Root, true)
	return func() string {
		return strings.Join(harness.TreeDiff(before, harness.Tree(s.t, s.md.Root, true)), "\n")
	}
}

func (maildirStore) leftOpen() string { return "" }
