package maildir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/merge"
)

// client changes a tree as a mail client does, with plain file operations and without the driver.
type client struct {
	root   string
	layout Layout
}

var clientCount atomic.Int64

func (c client) dir(mailbox string) string {
	rel, err := c.layout.relative(mailbox)
	if err != nil {
		panic(err)
	}
	return filepath.Join(c.root, rel)
}

func (c client) file(mailbox string, id merge.ID) (string, error) {
	for _, sub := range []string{"new", "cur"} {
		files, err := os.ReadDir(filepath.Join(c.dir(mailbox), sub))
		if err != nil {
			return "", err
		}
		for _, f := range files {
			if uniquePart(f.Name()) == string(id) {
				return filepath.Join(c.dir(mailbox), sub, f.Name()), nil
			}
		}
	}
	return "", fmt.Errorf("no file for %q in %s: %w", id, mailbox, drivers.ErrGone)
}

// Deliver writes a file; keywords get letters of the table, which must have them.
func (c client) Deliver(mailbox string, flags merge.Flags, date time.Time, data []byte) error {
	name := fmt.Sprintf("%d.client%d.host", time.Now().Unix(), clientCount.Add(1))
	sub := "new"
	if !flags.Empty() {
		letters, err := c.letters(mailbox, flags)
		if err != nil {
			return err
		}
		name, sub = name+infoMark+letters, "cur"
	}
	tmp := filepath.Join(c.dir(mailbox), "tmp", name)
	if err := os.WriteFile(tmp, bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), 0o600); err != nil {
		return err
	}
	if !date.IsZero() {
		if err := os.Chtimes(tmp, date, date); err != nil {
			return err
		}
	}
	return os.Rename(tmp, filepath.Join(c.dir(mailbox), sub, name))
}

func (c client) letters(mailbox string, flags merge.Flags) (string, error) {
	path := filepath.Join(c.dir(mailbox), keywordsFile)
	data, err := readSmall(path)
	if err != nil {
		return "", err
	}
	kw := parseKeywords(data)
	if missing := kw.missing(flags); len(missing) > 0 {
		kw = kw.with(missing)
		if err := os.WriteFile(path, kw.lines, 0o600); err != nil {
			return "", err
		}
	}
	letters, rest := lettersFor("", flags, kw)
	if len(rest) > 0 {
		return "", errors.ErrUnsupported
	}
	return letters, nil
}

func (c client) SetFlags(mailbox string, id merge.ID, flags merge.Flags) error {
	letters, err := c.letters(mailbox, flags)
	if err != nil {
		return err
	}
	old, err := c.file(mailbox, id)
	if err != nil {
		return err
	}
	return os.Rename(old, filepath.Join(c.dir(mailbox), "cur", withLetters(filepath.Base(old), letters)))
}

func (c client) Remove(mailbox string, id merge.ID) error {
	path, err := c.file(mailbox, id)
	if err != nil {
		return err
	}
	return os.Remove(path)
}

func (c client) Move(mailbox string, id merge.ID, to string) error {
	path, err := c.file(mailbox, id)
	if err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(c.dir(to), filepath.Base(filepath.Dir(path)), filepath.Base(path)))
}

func (c client) BumpValidity(string) error { return errors.ErrUnsupported }

// tree makes an empty store with an inbox.
func tree(t testing.TB, layout Layout) (*Store, client) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "mail")
	s := reopen(t, root, layout, true)
	if err := s.Create(t.Context(), inbox); err != nil {
		t.Fatal(err)
	}
	return s, client{root: root, layout: layout}
}

func reopen(t testing.TB, root string, layout Layout, create bool) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: root, Layout: layout, Create: create})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openBox(t testing.TB, s *Store, name string) *Mailbox {
	t.Helper()
	m, err := s.open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// observe lists a mailbox.
func observe(t testing.TB, m *Mailbox, since drivers.Cursor, scope drivers.Scope) (map[merge.ID]merge.Flags, drivers.Observed) {
	t.Helper()
	got := make(map[merge.ID]merge.Flags)
	o, err := m.Changes(t.Context(), since, scope, func(e drivers.Entry) error {
		if _, twice := got[e.ID]; twice || e.Gone || !e.FlagsKnown {
			t.Errorf("bad entry %+v (yielded before: %v)", e, twice)
		}
		got[e.ID] = e.Flags
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, o
}

// store appends messages with these flags and returns their ids.
func store(t testing.TB, m *Mailbox, flags ...merge.Flags) []merge.ID {
	t.Helper()
	var msgs []drivers.Append
	for i, f := range flags {
		msgs = append(msgs, drivers.Append{Reserved: m.Reserve(), Flags: f, Content: drivers.Bytes(fmt.Sprintf("Subject: %d\r\n\r\nbody\r\n", i))})
	}
	res, err := m.Append(t.Context(), msgs)
	if err != nil {
		t.Fatal(err)
	}
	var ids []merge.ID
	for i, r := range res {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		if !r.Flags.Equal(flags[i]) {
			t.Fatalf("stored flags %v, want %v", r.Flags, flags[i])
		}
		ids = append(ids, r.ID)
	}
	return ids
}

// files returns all files below a directory, relative to it.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil && !fi.IsDir() {
			out = append(out, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestConformance(t *testing.T) {
	for _, layout := range []Layout{FS, MaildirPlusPlus} {
		t.Run(layout.String(), func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				_, c := tree(t, layout)
				return drivertest.Subject{
					Traits: drivertest.Traits{
						Reserves: true, StableIDs: true, TellsIDs: true, TellsGone: true, Quiet: true, Unchanged: true, Guards: true,
					},
					Open: func(ctx context.Context) (drivers.Store, error) {
						return Open(ctx, Options{Path: c.root, Layout: layout})
					},
					Hand: c,
				}
			})
		})
	}
}
