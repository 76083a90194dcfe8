package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"testing"
	"time"

	"driftless/merge"
)

// A lock names its owner from its first moment on: one who is killed while taking it leaves nothing that nobody can judge.
func TestKeywordLockIsNeverEmpty(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	lock := c.root + "/INBOX/" + uidlistLock
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	seen := 0
	watcher.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			data, err := os.ReadFile(lock)
			switch {
			case err == nil && len(data) == 0:
				t.Error("an empty lock was seen")
				return
			case err == nil:
				seen++
			}
		}
	})
	for range 500 {
		unlock, err := m.lockTable(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	watcher.Wait()
	t.Logf("seen held %d times", seen)
	if left, err := os.ReadDir(c.root + "/INBOX/tmp"); err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
}

// An empty lock is what a program leaves that was killed while taking it, on a file system without links.
func TestEmptyKeywordLockIsOverridden(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	lock := c.root + "/INBOX/" + uidlistLock
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * emptyLock)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	store(t, m, merge.NewFlags("fresh"))
	if _, err := os.Stat(lock); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock stays: %v", err)
	}
}

// A lock with this process's number that this process does not hold was left by one before it, as in a container, where the number is always the same. One that
// it does hold is waited for.
func TestKeywordLockOfOurOwnNumber(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	lock := c.root + "/INBOX/" + uidlistLock
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lock, fmt.Appendf(nil, "%d:%s", os.Getpid(), host), 0o600); err != nil {
		t.Fatal(err)
	}
	unlock, err := m.lockTable(t.Context())
	if err != nil {
		t.Fatalf("the lock of a process that is gone: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*lockRetry)
	defer cancel()
	other := openBox(t, reopen(t, c.root, FS, false), inbox)
	if _, err := other.lockTable(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lock that is held: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = other.lockTable(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}
