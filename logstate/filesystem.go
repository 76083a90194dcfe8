package logstate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// fileSystem is what the log layer does to files itself, beside what the WAL library does. Each method is durable when it returns,
// but for names: they are durable after SyncDir. Tests put faults behind it.
type fileSystem interface {
	Write(path string, data []byte) error   // creates or replaces the file, syncs it
	Truncate(path string, size int64) error // and syncs it
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(dir string) error
}

// osFiles is the file system of the machine.
type osFiles struct{}

func (osFiles) Write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (osFiles) Truncate(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if err = f.Truncate(size); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (osFiles) Rename(from, to string) error { return os.Rename(from, to) }

func (osFiles) Remove(path string) error { return os.Remove(path) }

func (osFiles) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // this file system cannot sync a directory: nothing better can be done
	}
	return errors.Join(err, d.Close())
}

// errNotDirectory says that there is something else in the place of a directory.
var errNotDirectory = errors.New("not a directory")

// makeDir creates a directory that only its owner may enter, with its parents, durably.
func makeDir(fs fileSystem, dir string) error {
	info, err := os.Stat(dir)
	if err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s: %w", dir, errNotDirectory)
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	switch err := os.Mkdir(dir, 0o700); {
	case errors.Is(err, os.ErrExist): // somebody was quicker, or it is a link to nowhere
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return fmt.Errorf("%s: %w", dir, errNotDirectory)
		}
	case err != nil:
		return err
	}
	return fs.SyncDir(parent)
}

// syncedDirs remembers what directories looked like when this process synced them, so that a daemon, which opens its logs for each
// cycle, does not sync them each time in case that another process died just before it would have.
type syncedDirs struct {
	mu   sync.Mutex
	dirs map[string]os.FileInfo
}

var synced = syncedDirs{dirs: map[string]os.FileInfo{}}

func (s *syncedDirs) note(dir string, info os.FileInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirs[dir] = info
}

// still reports whether no name has changed in the directory since it was synced.
func (s *syncedDirs) still(dir string) bool {
	s.mu.Lock()
	then := s.dirs[dir]
	s.mu.Unlock()
	if then == nil {
		return false
	}
	now, err := os.Stat(dir)
	return err == nil && os.SameFile(then, now) && then.ModTime().Equal(now.ModTime())
}
