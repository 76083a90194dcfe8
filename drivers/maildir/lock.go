package maildir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"driftless/drivers"
)

// lockFile, in the root, carries the flock that keeps two programs off one store; its content says who holds it, for people.
const lockFile = ".driftless-lock"

const lockPoll = 50 * time.Millisecond

// ErrLocked says that another process (or another handle of this one) works on the store. It is wrapped with who that is.
var ErrLocked = errors.New("the store is locked")

// Lock takes the lock of the store's root and waits for it until ctx ends: a context that is over already means one try. The error of a busy
// lock wraps ErrLocked and says who holds it. unlock releases it and may be called more than once.
func (s *Store) Lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.OpenFile(s.root+"/"+lockFile, os.O_RDWR|os.O_CREATE|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, classify("lock", s.root, drivers.ReachStore, err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, classify("lock", s.root, drivers.ReachStore, errors.Join(err, f.Close()))
		}
		if sleep(ctx, lockPoll) != nil {
			busy := fmt.Errorf("%w by %s", ErrLocked, holder(f))
			return nil, &drivers.Error{
				Op: "lock", Where: s.root, Reach: drivers.ReachStore, Retry: drivers.RetryLater, Err: errors.Join(busy, f.Close()),
			}
		}
	}
	if err := s.sign(f); err != nil {
		return nil, classify("lock", s.root, drivers.ReachStore, errors.Join(err, f.Close()))
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			// Closing releases the flock; that the note about the holder stays is harmless.
			_ = f.Truncate(0)
			_ = f.Close()
		})
	}, nil
}

// sign writes who holds the lock.
func (s *Store) sign(f *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(fmt.Appendf(nil, "process %d on %s since %s\n", os.Getpid(), host, s.now().Format(time.RFC3339)), 0)
	return err
}

// holder returns what the lock file says about who holds it.
func holder(f *os.File) string {
	buf := make([]byte, 256)
	n, err := f.ReadAt(buf, 0)
	text := strings.TrimSpace(strings.ToValidUTF8(string(buf[:n]), "?"))
	if text == "" {
		if err != nil && n == 0 {
			return "another process"
		}
		return "another process (it just took it)"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
}
