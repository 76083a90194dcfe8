package harness

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Freeze keeps a copy of a user's mail as it is now. Nobody may be logged in who changes it. Thaw gives another user a copy of it, with the same
// UIDVALIDITYs and UIDs.
func (d *Dovecot) Freeze(t testing.TB, user string) (thaw func(user string)) {
	t.Helper()
	kept := filepath.Join(publicDir(t, "frozen"), "home")
	CopyTree(t, filepath.Join(d.Dir, "home", user), kept)
	return func(user string) { CopyTree(d.t, kept, filepath.Join(d.Dir, "home", user)) }
}

// CopyTree copies a directory to a name that is not there yet, with owners, modes and times.
func CopyTree(t testing.TB, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", from, err, out)
	}
}
