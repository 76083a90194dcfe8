package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

// storm makes a mailbox of three messages change during every pass over it until calm is called: the message "hidden" is found by the first pass
// alone, and the message "gone" was removed before.
func storm(t *testing.T) (s *Store, m *Mailbox, before drivers.Cursor, calm func()) {
	t.Helper()
	s, c := tree(t, FS)
	cur := c.root + "/INBOX/cur/"
	for _, name := range []string{"gone:2,", "hidden:2,", "here:2,"} {
		if err := os.WriteFile(cur+name, []byte("Subject: x\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m = openBox(t, s, inbox)
	_, o := observe(t, m, "", drivers.Full)
	if err := os.Remove(cur + "gone:2,"); err != nil {
		t.Fatal(err)
	}
	m = openBox(t, s, inbox)
	passes := 0
	var last error
	s.disk.fault = func(op, path string) error {
		if op != "readdir" || filepath.Base(path) != "cur" {
			return nil
		}
		passes++
		last = nil
		switch {
		case passes == 1:
			last = os.WriteFile(cur+"../tmp/spare", nil, 0o600)
		case passes == 2:
			last = os.Rename(cur+"hidden:2,", cur+"../aside")
		}
		here := fmt.Sprintf("here:2,%s", []string{"", "S"}[passes%2])
		if name, err := filepath.Glob(cur + "here:2,*"); err != nil || len(name) != 1 {
			last = errors.Join(last, err)
		} else {
			last = errors.Join(last, os.Rename(name[0], cur+"other"), os.Rename(cur+"other", cur+here))
		}
		return last
	}
	return s, m, o.Cursor, func() {
		t.Helper()
		s.disk.fault = nil
		if passes < scanPasses {
			t.Errorf("given up after %d passes", passes)
		}
		if err := os.Rename(cur+"../aside", cur+"hidden:2,F"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEndlessChanges observes a mailbox that never holds still: what any pass found is there, nothing is gone, and the next observation finds what is.
func TestEndlessChanges(t *testing.T) {
	for _, scope := range []drivers.Scope{drivers.Delta, drivers.Present, drivers.Full} {
		_, m, before, calm := storm(t)
		got, o := observe(t, m, before, scope)
		if _, hidden := got["hidden"]; len(got) != 2 || !hidden || o.All || o.Reset || o.Count != 2 {
			t.Errorf("scope %d: %v, %+v", scope, got, o)
		}
		calm()
		list, err := m.store.List(t.Context(), map[string]drivers.Cursor{inbox: o.Cursor})
		if err != nil || list[0].Unchanged {
			t.Errorf("scope %d: the cursor of an unproven listing proves that nothing changed (%v)", scope, err)
		}
		got, o = observe(t, m, o.Cursor, drivers.Delta)
		if len(got) != 2 || !o.All || !got["hidden"].Equal(merge.NewFlags(`\Flagged`)) {
			t.Errorf("scope %d, after the storm: %v, %+v", scope, got, o)
		}
	}
}

// TestUnprovenCursor never proves anything, even when the stamps are still those that it was made with.
func TestUnprovenCursor(t *testing.T) {
	_, m, before, calm := storm(t)
	_, o := observe(t, m, before, drivers.Full)
	calm()
	now, err := m.stamps()
	if err != nil {
		t.Fatal(err)
	}
	c, ok := decodeCursor(o.Cursor)
	if c.at = now; !ok || c.unchanged(now) {
		t.Errorf("%q proves that nothing changed", o.Cursor)
	}
}

// TestLookInAStorm leaves out what nothing can be said about.
func TestLookInAStorm(t *testing.T) {
	_, m, _, calm := storm(t)
	var got []merge.ID
	err := m.Look(t.Context(), []merge.ID{"gone", "here", "hidden"}, func(e drivers.Entry) error {
		if e.Gone {
			t.Errorf("%q is reported as gone", e.ID)
		}
		got = append(got, e.ID)
		return nil
	})
	if err != nil || !slices.Equal(got, []merge.ID{"here", "hidden"}) {
		t.Errorf("got %q, %v", got, err)
	}
	calm()
	var gone []merge.ID
	err = m.Look(t.Context(), []merge.ID{"gone", "here", "hidden"}, func(e drivers.Entry) error {
		if e.Gone {
			gone = append(gone, e.ID)
		}
		return nil
	})
	if err != nil || !slices.Equal(gone, []merge.ID{"gone"}) {
		t.Errorf("after the storm: gone are %q, %v", gone, err)
	}
}

// TestEffectsInAStorm wants effects on what is not found to be left for later, and none to be taken as done.
func TestEffectsInAStorm(t *testing.T) {
	later := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, errBusy) || drivers.RetryOf(err) != drivers.RetryNow || drivers.ReachOf(err) == drivers.ReachStore {
			t.Errorf("%s: %v", what, err)
		}
	}
	ids := []merge.ID{"gone"}
	for what, do := range map[string]func(m *Mailbox) error{
		"expunge": func(m *Mailbox) error {
			errs, err := m.Expunge(t.Context(), []drivers.Removal{{ID: "gone"}})
			return errors.Join(err, errs[0])
		},
		"flags": func(m *Mailbox) error {
			res, err := m.SetFlags(t.Context(), []drivers.FlagChange{{ID: "gone", Add: merge.NewFlags(`\Seen`)}})
			return errors.Join(err, res[0].Err)
		},
		"move": func(m *Mailbox) error {
			if err := m.store.Create(t.Context(), "To"); err != nil {
				return err
			}
			res, err := m.Move(t.Context(), ids, "To")
			return errors.Join(err, res[0].Err)
		},
		"append under a name that may have been used": func(m *Mailbox) error {
			_, err := m.Append(t.Context(), []drivers.Append{{Reserved: "gone", Content: drivers.Bytes("x\r\n")}})
			return err
		},
		"since": func(m *Mailbox) error {
			return m.Since(t.Context(), "", func(drivers.Description) error { return nil })
		},
	} {
		_, m, _, calm := storm(t)
		later(what, do(m))
		calm()
	}
	_, m, _, calm := storm(t)
	err := m.Fetch(t.Context(), ids, func(f drivers.Fetched) error {
		t.Errorf("fetched %+v", f)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	calm()
}

// TestRenameLooksLikeTwoNames renames a file between the looks at its two names: it must not be taken for a file with two names, of which one can be removed.
func TestRenameLooksLikeTwoNames(t *testing.T) {
	s, c := tree(t, FS)
	cur := c.root + "/INBOX/cur/"
	if err := os.WriteFile(cur+"m:2,S", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := openBox(t, s, inbox)
	names := [2]file{{name: "m:2,"}, {name: "m:2,S"}}
	// Two names of one file in a listing that others may have disturbed.
	if err := os.Link(cur+"m:2,S", cur+"m:2,"); err != nil {
		t.Fatal(err)
	}
	if err := m.separate(&snapshot{aliases: [][2]file{names}}); err != nil {
		t.Fatal(err)
	}
	if n := len(files(t, cur)); n != 2 {
		t.Errorf("%d names are left of 2 in a listing that proves nothing", n)
	}
	if err := m.separate(&snapshot{proven: true, aliases: [][2]file{names}}); err != nil {
		t.Fatal(err)
	}
	if n := len(files(t, cur)); n != 1 {
		t.Errorf("%d names are left of 2 in a proven listing", n)
	}
}
