package maildir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"driftless/drivers"
)

// below lists everything below a root.
func below(t *testing.T, root string) []string {
	t.Helper()
	var out []string
	if err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		out = append(out, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOpenOtherLayout(t *testing.T) {
	for name, c := range map[string]struct {
		dirs     []string
		fs, plus string // what the error says; "" for none
	}{
		"empty":                    {nil, "", ""},
		"no mail":                  {[]string{"docs/old", ".config/x"}, "", ""},
		"fs":                       {[]string{"INBOX/cur", "INBOX/new", "Sent/cur", ".git/refs"}, "", `layout = "fs"`},
		"fs, new only":             {[]string{"Sent/new"}, "", `"Sent"`},
		"maildir++":                {[]string{"cur", "new", "tmp", ".Sent/cur", ".Sent/new"}, `layout = "maildir++"`, ""},
		"maildir++, inbox only":    {[]string{"cur", "new"}, `layout = "maildir++"`, ""},
		"maildir++, without inbox": {[]string{".Sent/cur"}, `".Sent"`, ""},
		"both":                     {[]string{"cur", "new", "Sent/cur"}, `layout = "maildir++"`, ""},
		"a deletion cut short":     {[]string{".driftless-deleted-1/cur", "driftless-deleted-1/cur"}, "", ""},
		"not a mailbox":            {[]string{"tmp/cur", "lists/a/cur"}, "", ""},
	} {
		for _, layout := range []Layout{FS, MaildirPlusPlus} {
			want := c.fs
			if layout == MaildirPlusPlus {
				want = c.plus
			}
			for _, create := range []bool{false, true} {
				root := t.TempDir()
				for _, d := range c.dirs {
					if err := os.MkdirAll(filepath.Join(root, d), 0o700); err != nil {
						t.Fatal(err)
					}
				}
				before := below(t, root)
				s, err := Open(t.Context(), Options{Path: root, Layout: layout, Create: create})
				if want == "" {
					if err != nil {
						t.Errorf("%s as %s: %v", name, layout, err)
					} else if err := s.Close(); err != nil {
						t.Error(err)
					}
					continue
				}
				var e *drivers.Error
				if !errors.As(err, &e) || e.Reach != drivers.ReachStore || e.Retry != drivers.RetryNever || !errors.Is(err, errLayout) {
					t.Errorf("%s as %s: %v, want it refused for good", name, layout, err)
					continue
				}
				if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), root) {
					t.Errorf("%s as %s: %q does not say %q and where", name, layout, err, want)
				}
				if after := below(t, root); !slices.Equal(before, after) {
					t.Errorf("%s as %s: refused, but %q is there now", name, layout, after)
				}
			}
		}
	}
}

// TestOpenMarkedLayout opens a store that was synced before with whatever else came into its root since.
func TestOpenMarkedLayout(t *testing.T) {
	for layout, dir := range map[Layout]string{FS: "cur", MaildirPlusPlus: "Sent/cur"} {
		root := t.TempDir()
		s, err := Open(t.Context(), Options{Path: root, Layout: layout, Create: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.RemoveAll(filepath.Join(root, sub)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := CheckLayout(root, layout); !errors.Is(err, errLayout) {
			t.Errorf("%s: the check says %v", layout, err)
		}
		s, err = Open(t.Context(), Options{Path: root, Layout: layout})
		if err != nil {
			t.Errorf("%s: %v", layout, err)
			continue
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
