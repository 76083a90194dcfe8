package maildir

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

// watchSyncs notes which directories are synced from now on, relative to the root, and lets those fail that fails names.
func watchSyncs(s *Store, fails func(dir string) bool) (synced func() []string) {
	var mu sync.Mutex
	var dirs []string
	s.disk.fault = func(op, path string) error {
		if op != "fsyncdir" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		dir := "."
		if rest, below := strings.CutPrefix(path, s.root+"/"); below {
			dir = rest
		}
		if fails(dir) {
			return syscall.EIO
		}
		dirs = append(dirs, dir)
		return nil
	}
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		out := dirs
		dirs = nil
		return out
	}
}

// A moved message whose new directory cannot be made durable must not be made durably absent from the old one: a power cut would leave it in neither.
func TestMoveThatCannotBeDurable(t *testing.T) {
	t.Parallel()
	s, _ := tree(t, FS)
	m := openBox(t, s, inbox)
	if err := s.Create(t.Context(), "To"); err != nil {
		t.Fatal(err)
	}
	ids := store(t, m, merge.NewFlags(`\Seen`))
	synced := watchSyncs(s, func(dir string) bool { return dir == "To/cur" })
	if _, err := m.Move(t.Context(), ids, "To"); !errors.Is(err, syscall.EIO) {
		t.Fatalf("got %v", err)
	}
	if dirs := synced(); slices.Contains(dirs, "INBOX/cur") || slices.Contains(dirs, "INBOX/new") {
		t.Errorf("synced %v", dirs)
	}
}

// A mailbox that cannot be made durable is not there afterwards, so that nobody takes it for one that is, and can be made again.
func TestMailboxThatCannotBeDurable(t *testing.T) {
	t.Parallel()
	for _, layout := range []Layout{FS, MaildirPlusPlus} {
		s, _ := tree(t, layout)
		failing := true
		watchSyncs(s, func(string) bool { return failing })
		if err := s.Create(t.Context(), "A/B"); !errors.Is(err, syscall.EIO) {
			t.Fatalf("got %v", err)
		}
		dir, err := s.dirOf("A/B")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%v: the mailbox is there: %v", layout, err)
		}
		failing = false
		if err := s.Create(t.Context(), "A/B"); err != nil {
			t.Errorf("%v: once more: %v", layout, err)
		}
	}
}

// A mailbox that somebody else made, or a process that was killed before it was durable, is made durable with the first message that is put into it.
func TestAppendMakesMailboxDurable(t *testing.T) {
	t.Parallel()
	s, _ := tree(t, FS)
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(s.root+"/A/B/"+sub, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m := openBox(t, s, "A/B")
	synced := watchSyncs(s, func(string) bool { return false })
	store(t, m, merge.NewFlags(`\Seen`))
	dirs := synced()
	for _, dir := range []string{"A/B/cur", "A/B", "A", "."} {
		if !slices.Contains(dirs, dir) {
			t.Errorf("%s was not synced, only %v", dir, dirs)
		}
	}
	store(t, m, merge.NewFlags(`\Seen`))
	if dirs := synced(); !slices.Equal(dirs, []string{"A/B/cur"}) {
		t.Errorf("a second message synced %v", dirs)
	}
}

// What is found after a process died, or after an fsync that failed, is durable before anybody concludes from it.
func TestLookMakesDurable(t *testing.T) {
	t.Parallel()
	s, _ := tree(t, FS)
	m := openBox(t, s, inbox)
	ids := store(t, m, merge.NewFlags(`\Seen`))
	synced := watchSyncs(s, func(string) bool { return false })
	for what, look := range map[string]func() error{
		"Look":  func() error { return m.Look(t.Context(), ids, func(drivers.Entry) error { return nil }) },
		"Since": func() error { return m.Since(t.Context(), "", func(drivers.Description) error { return nil }) },
	} {
		if err := look(); err != nil {
			t.Fatal(err)
		}
		if dirs := synced(); !slices.Contains(dirs, "INBOX/cur") {
			t.Errorf("%s synced only %v", what, dirs)
		}
	}
}
