package harness

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// must turns a result with an error into one that fails the test: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// publicDir makes a temporary directory that other users may enter, with a short path (a unix socket's path has to stay
// under 108 bytes, which t.TempDir does not promise). It is removed with the test.
func publicDir(t testing.TB, what string) string {
	t.Helper()
	dir := must(os.MkdirTemp("", "driftless-"+what+"-"))(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return dir
}

// removeAll is os.RemoveAll for a directory in which a process that is just ending may still create something.
func removeAll(dir string) error {
	var err error
	for range 50 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

// repoRoot returns the directory with go.mod above the working directory.
func repoRoot(t testing.TB) string {
	t.Helper()
	dir := must(os.Getwd())(t)
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = up
	}
}

// Eventually calls f until it returns nil, and fails the test with its last error when it has not done so in a generous time.
// It is for effects of another process that come a moment later, not for measuring.
func Eventually(t testing.TB, f func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still not so after 30 s: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
