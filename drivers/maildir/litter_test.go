package maildir

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

// TestSweep leaves in tmp what others put there, and what this store has just begun; what a dead process of ours left goes, but only under the lock.
func TestSweep(t *testing.T) {
	s, c := tree(t, FS)
	dead := reopen(t, c.root, FS, false)
	elsewhere := reopen(t, c.root, FS, false)
	elsewhere.unique.mark = elsewhere.unique.mark[:18] + "another-host"
	ours, stays := dead.unique.next(s.now()), []string{
		s.unique.next(s.now()), elsewhere.unique.next(s.now()), "1795209371.P12Q3.mda", "1795209371.M1P2Q3." + s.unique.mark[18:],
		dead.unique.next(s.now()) + ",S=12", "draft",
	}
	m := openBox(t, s, inbox)
	for _, name := range append([]string{ours}, stays...) {
		if err := os.WriteFile(filepath.Join(m.dir, "tmp", name), []byte("half a mess"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	look := func() []string {
		t.Helper()
		err := m.Look(t.Context(), []merge.ID{merge.ID(ours)}, func(e drivers.Entry) error {
			if !e.Gone {
				t.Errorf("%+v is in tmp, and is no message", e)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(filepath.Join(m.dir, "tmp"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	if got := look(); len(got) != len(stays)+1 {
		t.Errorf("without the lock: %q is left", got)
	}
	unlock, err := s.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(stays)
	if got := look(); !slices.Equal(got, stays) {
		t.Errorf("with the lock: %q is left, want %q", got, stays)
	}
	unlock()
	if err := os.WriteFile(filepath.Join(m.dir, "tmp", ours), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := look(); len(got) != len(stays)+1 {
		t.Errorf("after the lock: %q is left", got)
	}
}
