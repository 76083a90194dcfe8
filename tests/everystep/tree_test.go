package everystep

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// copyTree copies a directory with modes and times, for a file's time is a message's date, and with its hard links, for two names of one file are one message. The times of
// directories are those of the copying.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	copied := map[uint64]string{}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Nlink > 1 {
			if first, done := copied[st.Ino]; done {
				return os.Link(first, target)
			}
			copied[st.Ino] = target
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(target, data, info.Mode()); err != nil {
			return err
		}
		return os.Chtimes(target, time.Time{}, info.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
}
