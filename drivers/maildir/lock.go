package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"driftless/drivers"
)

// lockFile, in the root, carries the flock where the root itself cannot: on file systems of other machines the kernel keeps a directory's locks to
// itself, whereas those of a file are known to every machine. It is empty and never written to.
const lockFile = ".driftless-lock"

const lockPoll = 50 * time.Millisecond

// ErrLocked says that another process (or another handle of this one) works on the store. It is wrapped with who that is.
var ErrLocked = errors.New("the store is locked")

// Lock takes the lock of the store's root and waits for it until ctx ends: a context that is over already means one try. The error of a busy
// lock wraps ErrLocked and says who holds it, as far as the system tells. unlock releases it and may be called more than once. Locking touches nothing: what is locked is
// the root directory; only on network file systems a lock file is made once.
func (s *Store) Lock(ctx context.Context) (unlock func(), err error) {
	for {
		f, err := s.openLock()
		if err != nil {
			return nil, classify("lock", s.root, drivers.ReachStore, err)
		}
		ok, err := s.tryLock(f)
		if ok {
			var once sync.Once
			s.locks.Add(1)
			return func() {
				once.Do(func() {
					s.locks.Add(-1)
					_ = f.Close() // this releases the flock
				})
			}, nil
		}
		who := "another program"
		if err == nil {
			who = holder(f)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, classify("lock", s.root, drivers.ReachStore, err)
		}
		if sleep(ctx, lockPoll) != nil {
			return nil, &drivers.Error{
				Op: "lock", Where: s.root, Reach: drivers.ReachStore, Retry: drivers.RetryLater, Err: fmt.Errorf("%w by %s", ErrLocked, who),
			}
		}
	}
}

// openLock opens what carries the lock.
func (s *Store) openLock() (*os.File, error) {
	kind, err := s.rootClock()
	if err != nil {
		return nil, err
	}
	if kind == clockForeign {
		return os.OpenFile(s.root+"/"+lockFile, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	}
	return os.OpenFile(s.root, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
}

// rootClock returns the kind of file system that the root is on.
func (s *Store) rootClock() (clockKind, error) {
	kind, err := clockOf(s.root)
	if err != nil {
		return kind, &fs.PathError{Op: "statfs", Path: s.root, Err: err}
	}
	return kind, nil
}

// tryLock takes the lock if it is free. ok is false without an error if it is not, or if what was locked is no longer what is at that path: then it
// has to be opened again, for another process would lock what is there now.
func (s *Store) tryLock(f *os.File) (ok bool, err error) {
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	mine, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(f.Name())
	if errors.Is(err, fs.ErrNotExist) && f.Name() != s.root {
		return false, nil // a lock file that was removed is made again
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(mine, now), nil
}
