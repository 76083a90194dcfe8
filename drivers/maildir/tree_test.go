package maildir

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

// names returns the listing as words: the name, with "/" behind it for a mere parent.
func names(t *testing.T, s *Store) []string {
	t.Helper()
	list, err := s.List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range list {
		if i.NoSelect {
			i.Name += "/"
		}
		out = append(out, i.Name)
	}
	return out
}

func maildirAt(t *testing.T, dir string) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func TestForeignTrees(t *testing.T) {
	s, c := tree(t, FS)
	outside := t.TempDir()
	for _, d := range []string{"A/B", "docs", "docs/deep", ".git/refs", ".notmuch", "P/Q/R", "lost+found", "caf\xe9"} {
		if err := os.MkdirAll(filepath.Join(c.root, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"A", "A/B", "P/Q/R", ".hidden", "caf\xe9"} {
		maildirAt(t, filepath.Join(c.root, d))
	}
	maildirAt(t, outside+"/Linked")
	for _, l := range [][2]string{{"..", "A/up"}, {".", "self"}, {"A", "alias"}, {"loop2", "loop1"}, {"loop1", "loop2"}, {"nowhere", "dangling"}, {"/", "everything"}, {outside + "/Linked", "Linked"}} {
		if err := os.Symlink(l[0], filepath.Join(c.root, l[1])); err != nil {
			t.Fatal(err)
		}
	}
	// A loop by way of the outside.
	if err := os.Symlink(outside, outside+"/Linked/again"); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"file", "A/file", "docs/file"} {
		if err := os.WriteFile(filepath.Join(c.root, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := names(t, s)
	for _, want := range []string{inbox, "A", "A/B", "P/", "P/Q/", "P/Q/R", "Linked", "%FF=636166e9"} {
		if i := slices.Index(got, want); i < 0 {
			t.Errorf("%q is not listed", want)
		} else {
			got = slices.Delete(got, i, i+1)
		}
	}
	for _, n := range got {
		if !strings.HasPrefix(n, "Linked/again") {
			t.Errorf("%q is listed", n)
		}
	}
	for _, n := range []string{"%FF=636166e9", "A/B", "Linked"} {
		if _, err := s.Open(t.Context(), n); err != nil {
			t.Errorf("open %q: %v", n, err)
		}
	}
	for _, n := range []string{"P", "docs", "none", ".hidden", "A/cur"} {
		if _, err := s.Open(t.Context(), n); !errors.Is(err, drivers.ErrNoMailbox) {
			t.Errorf("open %q: %v, want ErrNoMailbox", n, err)
		}
	}
	for _, n := range []string{"", "a//b", "\xff"} {
		for what, err := range map[string]error{"create": s.Create(t.Context(), n), "delete": s.Delete(t.Context(), n), "rename": s.Rename(t.Context(), "A", n)} {
			if !errors.Is(err, errName) {
				t.Errorf("%s %q: %v", what, n, err)
			}
		}
	}
	// Deleting the linked mailbox removes the link.
	if err := s.Delete(t.Context(), "Linked"); err != nil {
		t.Fatal(err)
	}
	if !isMaildir(outside + "/Linked") {
		t.Error("deleting a link deleted what it leads to")
	}
}

func TestNothingLeadsOutside(t *testing.T) {
	for _, layout := range layouts {
		s, c := tree(t, layout)
		before := files(t, filepath.Dir(c.root))
		for _, n := range []string{"../x", "..", "a/../../../x", ".", "./x", "cur", "INBOX/../../x"} {
			if err := s.Create(t.Context(), n); err != nil {
				t.Errorf("%v: create %q: %v", layout, n, err)
			}
			store(t, openBox(t, s, n), merge.Flags{})
			if err := s.Delete(t.Context(), n); err != nil {
				t.Errorf("%v: delete %q: %v", layout, n, err)
			}
		}
		after := files(t, filepath.Dir(c.root))
		if !slices.Equal(before, after) {
			t.Errorf("%v: files before %q, after %q", layout, before, after)
		}
		if up, err := os.ReadDir(filepath.Dir(c.root)); err != nil || len(up) != 1 {
			t.Errorf("%v: beside the root: %v, %v", layout, up, err)
		}
	}
}

func TestInboxInAnyCase(t *testing.T) {
	s, c := tree(t, FS)
	if err := os.Rename(c.root+"/INBOX", c.root+"/Inbox"); err != nil {
		t.Fatal(err)
	}
	maildirAt(t, c.root+"/Inbox/Sub")
	if got := names(t, s); !slices.Equal(got, []string{"INBOX", "INBOX/Sub"}) {
		t.Errorf("listed %q", got)
	}
	for _, n := range []string{"INBOX", "inbox", "iNBOX/Sub"} {
		m, err := s.Open(t.Context(), n)
		if err != nil || m.Name() != canonical(n) {
			t.Errorf("open %q: %v", n, err)
		}
	}
	if err := s.Create(t.Context(), "INBOX/Other"); err != nil {
		t.Fatal(err)
	}
	if !isMaildir(c.root + "/Inbox/Other") {
		t.Error("a second inbox was made")
	}
	maildirAt(t, c.root+"/INBOX")
	if _, err := s.List(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "two directories") {
		t.Errorf("two inboxes: %v", err)
	}
}

func TestRenameTakesChildren(t *testing.T) {
	for _, layout := range layouts {
		s, _ := tree(t, layout)
		for _, n := range []string{"A", "A/B", "A/B/C", "AB", "Z"} {
			if err := s.Create(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		ids := store(t, openBox(t, s, "A/B"), merge.NewFlags("work"))
		for from, to := range map[string]string{"A": "Z", "none": "X", inbox: "X", "Z": inbox, "A/B": "A/B/D", "AB": "AB"} {
			if err := s.Rename(t.Context(), from, to); err == nil {
				t.Errorf("%v: %q was renamed to %q", layout, from, to)
			}
		}
		if err := s.Rename(t.Context(), "A", "New/Place"); err != nil {
			t.Fatal(err)
		}
		want := []string{"AB", "INBOX", "New/", "New/Place", "New/Place/B", "New/Place/B/C", "Z"}
		if got := names(t, s); !slices.Equal(got, want) {
			t.Errorf("%v: listed %q, want %q", layout, got, want)
		}
		if got := flagOf(t, openBox(t, s, "New/Place/B"), ids[0]); !got.Equal(merge.NewFlags("work")) {
			t.Errorf("%v: flags %v after the rename", layout, got)
		}
		if err := s.Rename(t.Context(), "Z", "AB"); !errors.Is(err, drivers.ErrExists) {
			t.Errorf("%v: rename over another: %v", layout, err)
		}
	}
}

func TestDeleteKeepsChildren(t *testing.T) {
	for _, layout := range layouts {
		s, c := tree(t, layout)
		for _, n := range []string{"A", "A/B", "C"} {
			if err := s.Create(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			store(t, openBox(t, s, n), merge.NewFlags("work"))
		}
		dir, err := s.MailboxDir("C")
		if err != nil {
			t.Fatal(err)
		}
		keep := filepath.Join(t.TempDir(), "keep")
		maildirAt(t, keep)
		if err := os.RemoveAll(dir + "/cur"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(keep, dir+"/cur"); err != nil {
			t.Fatal(err)
		}
		// What an earlier deletion left behind goes with the next one.
		if err := os.MkdirAll(c.root+"/"+s.graveyard()+"old/cur", 0o700); err != nil {
			t.Fatal(err)
		}
		for _, n := range []string{"A", "C"} {
			if err := s.Delete(t.Context(), n); err != nil {
				t.Errorf("%v: delete %q: %v", layout, n, err)
			}
		}
		if got := names(t, s); !slices.Equal(got, []string{"A/", "A/B", "INBOX"}) {
			t.Errorf("%v: listed %q", layout, got)
		}
		if got, _ := observe(t, openBox(t, s, "A/B"), "", drivers.Full); len(got) != 1 {
			t.Errorf("%v: the child has %d messages", layout, len(got))
		}
		if !isMaildir(keep) {
			t.Errorf("%v: a link was followed", layout)
		}
		if graves, err := filepath.Glob(c.root + "/" + s.graveyard() + "*"); err != nil || len(graves) > 0 {
			t.Errorf("%v: left behind: %q, %v", layout, graves, err)
		}
		for _, n := range []string{"A", "none"} {
			if err := s.Delete(t.Context(), n); !errors.Is(err, drivers.ErrNoMailbox) {
				t.Errorf("%v: delete %q: %v", layout, n, err)
			}
		}
		if err := s.Delete(t.Context(), inbox); err == nil {
			t.Errorf("%v: the inbox was deleted", layout)
		}
		if err := s.Create(t.Context(), "A"); err != nil {
			t.Errorf("%v: create again: %v", layout, err)
		}
		if got, _ := observe(t, openBox(t, s, "A"), "", drivers.Full); len(got) != 0 {
			t.Errorf("%v: the new mailbox has %d messages", layout, len(got))
		}
	}
}

func TestUnreadableDirectoryIsAnError(t *testing.T) {
	s, c := tree(t, FS)
	maildirAt(t, c.root+"/A/B")
	s.disk.fault = func(op, path string) error {
		if op == "readdir" && filepath.Base(path) == "A" {
			return &os.PathError{Op: "open", Path: path, Err: syscall.EACCES}
		}
		return nil
	}
	if got, err := s.List(t.Context(), nil); !errors.Is(err, syscall.EACCES) || got != nil || drivers.ReachOf(err) != drivers.ReachStore {
		t.Errorf("listed %v, %v", got, err)
	}
	s.disk.fault = nil
	if err := os.RemoveAll(c.root); err != nil {
		t.Fatal(err)
	}
	if _, err := s.List(t.Context(), nil); err == nil {
		t.Error("a missing root lists nothing without an error")
	}
	if _, err := s.Open(t.Context(), "A"); err == nil || errors.Is(err, drivers.ErrNoMailbox) {
		t.Errorf("without a root, the mailbox does not exist: %v", err)
	}
	if id, err := s.Identity(t.Context()); err == nil {
		t.Errorf("without a root, the identity is %q", id)
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere")
	}
	s, c := tree(t, FS)
	if err := os.Chmod(c.root+"/INBOX/cur", 0o500); err != nil {
		t.Fatal(err)
	}
	m := openBox(t, s, inbox)
	if !m.Status().ReadOnly {
		t.Error("not read-only")
	}
	res, err := m.Append(t.Context(), []drivers.Append{{Content: drivers.Bytes("x")}})
	if !errors.Is(err, drivers.ErrReadOnly) || !errors.Is(res[0].Err, drivers.ErrReadOnly) || drivers.RetryOf(err) != drivers.RetryNever {
		t.Errorf("append: %v", err)
	}
	if err := os.Chmod(c.root+"/INBOX", 0o000); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(c.root+"/INBOX", 0o700) })
	if _, err := s.List(t.Context(), nil); !errors.Is(err, os.ErrPermission) {
		t.Errorf("list: %v", err)
	}
}

func TestOpen(t *testing.T) {
	root := filepath.Join(t.TempDir(), "a/b")
	if _, err := Open(t.Context(), Options{Path: root}); !errors.Is(err, os.ErrNotExist) || drivers.ReachOf(err) != drivers.ReachStore {
		t.Errorf("missing root: %v", err)
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("a missing root was made")
	}
	s := reopen(t, root, MaildirPlusPlus, true)
	if got := names(t, s); !slices.Equal(got, []string{inbox}) {
		t.Errorf("listed %q", got)
	}
	id, err := s.Identity(t.Context())
	if err != nil || len(id) != 32 {
		t.Errorf("identity %q, %v", id, err)
	}
	if same, err := reopen(t, root, MaildirPlusPlus, true).EnsureIdentity(t.Context()); err != nil || same != id {
		t.Errorf("identity %q became %q, %v", id, same, err)
	}
	if err := os.WriteFile(filepath.Join(root, markerFile), []byte("driftless-store 1 zz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Identity(t.Context()); err == nil {
		t.Errorf("a damaged marker is the identity %q", got)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, ""} {
		if _, err := Open(t.Context(), Options{Path: path}); err == nil {
			t.Errorf("opened %q", path)
		}
	}
}

// TestObservingWritesNothing looks at a store in every way; neither a file nor a directory may change.
func TestObservingWritesNothing(t *testing.T) {
	for _, layout := range layouts {
		s, c := tree(t, layout)
		if err := os.Remove(c.root + "/" + markerFile); err != nil {
			t.Fatal(err)
		}
		ids := store(t, openBox(t, s, inbox), merge.Flags{}, merge.NewFlags("work"))
		before := print(t, c.root)
		dry := reopen(t, c.root, layout, false)
		if id, err := dry.Identity(t.Context()); err != nil || id != "" {
			t.Errorf("identity %q, %v", id, err)
		}
		_ = names(t, dry)
		m := openBox(t, dry, inbox)
		_ = m.Status()
		observe(t, m, "", drivers.Full)
		err := errors.Join(
			m.Describe(t.Context(), ids, func(drivers.Description) error { return nil }),
			m.Fetch(t.Context(), ids, func(f drivers.Fetched) error { return f.Content.Close() }),
			m.Look(t.Context(), ids, func(drivers.Entry) error { return nil }),
			m.Since(t.Context(), "", func(drivers.Description) error { return nil }),
			m.Close(), dry.Close(),
		)
		if err != nil {
			t.Fatal(err)
		}
		if after := print(t, c.root); after != before {
			t.Errorf("%v: before\n%s\nafter\n%s", layout, before, after)
		}
	}
}

// print tells name and stamp of everything in a tree.
func print(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(root, func(path string, fi os.FileInfo, err error) error {
		if err == nil {
			b.WriteString(path + " " + string(cursor{at: stamps{cur: stampFrom(fi)}}.encode()) + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
