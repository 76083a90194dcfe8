package logstate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/gofrs/flock"
)

const (
	lockName        = "lock"
	defaultLockWait = 30 * time.Second
	lockPollMin     = 10 * time.Millisecond
	lockPollMax     = 200 * time.Millisecond
	maxHolderSize   = 4096
)

// LockedError says that another process holds the account.
type LockedError struct {
	Holder string    // program and process, such as "driftless (pid 123)"; "" if unknown
	Since  time.Time // when it took the lock; zero if unknown
}

// Error says who holds the account and since when.
func (e *LockedError) Error() string {
	holder, since := e.Holder, ""
	if holder == "" {
		holder = "another process"
	}
	if !e.Since.IsZero() {
		since = " since " + e.Since.Format(time.DateTime)
	}
	return "the account is in use by " + holder + since
}

// holderInfo is what the holder of a lock writes into the lock file.
type holderInfo struct {
	PID     int       `json:"pid"`
	Program string    `json:"program"`
	Since   time.Time `json:"since"`
}

// accountLock is the lock of an account's directory. The kernel drops it when its holder dies, however it dies; the file stays, for its
// modification time says when the last cycle ran.
type accountLock struct {
	path    string
	lock    *flock.Flock
	flocked func() // Options.flocked, or nothing
}

// lockAccount creates the account's directory, if need be, and locks it. It waits as opt says; a lock that stays busy is *LockedError,
// a cancelled context is the context's error.
func lockAccount(ctx context.Context, dir string, opt Options) (*accountLock, error) {
	if err := makeDir(osFiles{}, dir); err != nil {
		return nil, fmt.Errorf("create account directory: %w", err)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Wait <= 0 {
		opt.Wait = defaultLockWait
	}
	l := &accountLock{path: filepath.Join(dir, lockName), flocked: opt.flocked}
	deadline := time.NewTimer(opt.Wait)
	defer deadline.Stop()
	told := false
	for poll := lockPollMin; ; poll = min(poll*3/2, lockPollMax) {
		ok, err := l.try(opt.Now())
		if ok || err != nil {
			return l.orNil(ok), err
		}
		if opt.NoWait {
			return nil, lockedBy(l.path)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the account's lock: %w", ctx.Err())
		case <-deadline.C:
			return nil, lockedBy(l.path)
		case <-time.After(poll):
		}
		// Only after the first pause: who took the lock a moment ago has written his name by then.
		if !told && opt.Waiting != nil {
			told = true
			busy := lockedBy(l.path)
			opt.Waiting(busy.Holder, busy.Since)
		}
	}
}

func (l *accountLock) orNil(ok bool) *accountLock {
	if !ok {
		return nil
	}
	return l
}

// try takes the lock if it is free.
func (l *accountLock) try(now time.Time) (bool, error) {
	l.lock = flock.New(l.path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o600))
	ok, err := l.lock.TryLock()
	if err != nil {
		return false, fmt.Errorf("lock the account: %w", err)
	}
	if !ok {
		return false, nil
	}
	if l.flocked != nil {
		l.flocked()
	}
	// A lock on a file that somebody has removed or replaced excludes nobody.
	mine, err1 := l.lock.Stat()
	there, err2 := os.Stat(l.path)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		return false, l.lock.Unlock()
	}
	ran := mine.ModTime()
	if mine.Size() == 0 {
		ran = time.Unix(0, 0) // new: no cycle has run
	}
	info, err := json.Marshal(holderInfo{os.Getpid(), filepath.Base(os.Args[0]), now})
	if err == nil {
		err = writeHolder(l.path, append(info, '\n'), ran)
	}
	if err != nil {
		return false, errors.Join(fmt.Errorf("lock the account: %w", err), l.lock.Unlock())
	}
	return true, nil
}

// writeHolder replaces the contents of the lock file and keeps its time. The file is never empty again once it has been locked: an
// empty one is new.
func writeHolder(path string, info []byte, ran time.Time) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(info, 0); err == nil {
		err = f.Truncate(int64(len(info)))
	}
	return errors.Join(err, f.Close(), os.Chtimes(path, ran, ran))
}

// readHolder reads who holds a lock, or held it when he was killed. ok is false if nobody does, or his name is being written.
func readHolder(path string) (info holderInfo, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil || len(b) > maxHolderSize {
		return info, false
	}
	return info, json.Unmarshal(b, &info) == nil && info.PID > 0
}

// Running returns who works on the account in dir at this moment; nil if nobody does. It takes no lock, and may be wrong for the moment in which a lock changes hands.
func Running(dir string) *LockedError {
	path := filepath.Join(dir, lockName)
	info, ok := readHolder(path)
	if !ok || errors.Is(syscall.Kill(info.PID, 0), syscall.ESRCH) {
		return nil
	}
	return lockedBy(path)
}

// lockedBy says who holds a lock.
func lockedBy(path string) *LockedError {
	info, ok := readHolder(path)
	if !ok {
		return &LockedError{}
	}
	program := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, info.Program)
	return &LockedError{Holder: fmt.Sprintf("%.80s (pid %d)", program, info.PID), Since: info.Since}
}

// Touch records that a cycle ran at that time.
func (l *accountLock) Touch(at time.Time) error {
	if err := os.Chtimes(l.path, at, at); err != nil {
		return fmt.Errorf("record the time of the cycle: %w", err)
	}
	return nil
}

// Unlock releases the lock. It is safe to call twice.
func (l *accountLock) Unlock() error {
	if !l.lock.Locked() {
		return nil
	}
	var err error
	info, err1 := l.lock.Stat()
	there, err2 := os.Stat(l.path)
	if err1 == nil && err2 == nil && os.SameFile(info, there) {
		err = writeHolder(l.path, []byte("\n"), info.ModTime()) // so that no waiting process is told of a holder of yesterday
	}
	if err := errors.Join(err, l.lock.Unlock()); err != nil {
		return fmt.Errorf("unlock the account: %w", err)
	}
	return nil
}

// LastRun returns when the last cycle of the account in dir ran, the zero time if none did. It needs no lock.
func LastRun(dir string) (time.Time, error) {
	info, err := os.Stat(filepath.Join(dir, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("time of the last cycle: %w", err)
	}
	if info.ModTime().Unix() <= 0 {
		return time.Time{}, nil
	}
	return info.ModTime(), nil
}
