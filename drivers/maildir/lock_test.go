package maildir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"driftless/drivers"
)

// over is a context that is over.
func over(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestLock(t *testing.T) {
	s, c := tree(t, FS)
	unlock, err := s.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := reopen(t, c.root, FS, false)
	_, err = other.Lock(over(t))
	if !errors.Is(err, ErrLocked) || drivers.RetryOf(err) != drivers.RetryLater || drivers.ReachOf(err) != drivers.ReachStore {
		t.Errorf("second lock: %v", err)
	}
	got := make(chan error, 1)
	go func() {
		again, err := other.Lock(t.Context())
		if err == nil {
			again()
		}
		got <- err
	}()
	unlock()
	unlock()
	if err := <-got; err != nil {
		t.Errorf("after unlock: %v", err)
	}
}

// TestLockTouchesNothing compares every name, size and time of a tree before, during and after a lock.
func TestLockTouchesNothing(t *testing.T) {
	for _, layout := range layouts {
		s, c := tree(t, layout)
		if kind, err := s.rootClock(); err != nil || kind == clockForeign {
			t.Skipf("locks of directories are not known to other machines here (%v)", err)
		}
		before := print(t, c.root)
		unlock, err := s.Lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if now := print(t, c.root); now != before {
			t.Errorf("%v: locked:\n%s\nbefore:\n%s", layout, now, before)
		}
		unlock()
		if now := print(t, c.root); now != before {
			t.Errorf("%v: unlocked:\n%s\nbefore:\n%s", layout, now, before)
		}
	}
}

// TestLockHelper is no test: other tests run it as another program, which locks the store that LOCK_ROOT names, says so, and keeps the lock until its input ends.
func TestLockHelper(t *testing.T) {
	root := os.Getenv("LOCK_ROOT")
	if root == "" {
		t.Skip("runs in another process only")
	}
	unlock, err := reopen(t, root, FS, false).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	fmt.Println("locked")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// TestLockedByAnotherProgram names it, and takes the lock when it was killed.
func TestLockedByAnotherProgram(t *testing.T) {
	s, c := tree(t, FS)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockHelper$")
	cmd.Env = append(os.Environ(), "LOCK_ROOT="+c.root)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "locked\n" {
		t.Fatalf("the other program says %q, %v", line, err)
	}
	_, err = s.Lock(over(t))
	if !errors.Is(err, ErrLocked) {
		t.Errorf("got %v", err)
	}
	if table, readErr := os.ReadFile("/proc/locks"); readErr != nil || !strings.Contains(string(table), "FLOCK") {
		t.Logf("this system does not tell who holds a lock (%s)", runtime.GOOS)
	} else if !strings.Contains(err.Error(), fmt.Sprintf("(process %d)", cmd.Process.Pid)) || !strings.Contains(err.Error(), "maildir.test") {
		t.Errorf("it does not say who holds the lock: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	_ = in.Close()
	unlock, err := s.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// TestLockOfAReplacedRoot wants the lock of what is at the path now, not of what was there.
func TestLockOfAReplacedRoot(t *testing.T) {
	s, c := tree(t, FS)
	f, err := s.openLock()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := errors.Join(os.Rename(c.root, c.root+"-old"), os.Mkdir(c.root, 0o700)); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.tryLock(f); ok || err != nil {
		t.Errorf("the lock of a directory that is no longer the root counts: %v, %v", ok, err)
	}
	unlock, err := s.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := reopen(t, c.root, FS, false).Lock(over(t)); !errors.Is(err, ErrLocked) {
		t.Errorf("the new root is not locked: %v", err)
	}
	if err := os.RemoveAll(c.root); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lock(over(t)); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("lock of a missing root: %v", err)
	}
}

// TestLockFile locks as on network file systems, by a file: made once, never written to.
func TestLockFile(t *testing.T) {
	s, c := tree(t, FS)
	path := filepath.Join(c.root, lockFile)
	for range 2 {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := s.tryLock(f); !ok || err != nil {
			t.Errorf("lock of the file: %v, %v", ok, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.tryLock(f); ok || err != nil {
		t.Errorf("the lock of a file that was removed counts: %v, %v", ok, err)
	}
}

const sampleLocks = `1: POSIX  ADVISORY  WRITE 3568 00:2e:11 0 EOF
2: FLOCK  ADVISORY  WRITE 4711 08:01:131090 0 EOF
2: -> FLOCK  ADVISORY  WRITE 4712 08:01:131090 0 EOF
3: FLOCK  ADVISORY  WRITE 4713 08:02:131090 0 EOF
4: FLOCK  ADVISORY  WRITE -1 08:01:7 0 EOF
5: FLOCK  ADVISORY  WRITE 99 00:1f:8 0 EOF
6: OFDLCK ADVISORY  READ -1 00:06:338 0 EOF
`

func TestFlockHolder(t *testing.T) {
	for _, c := range []struct {
		major, minor uint32
		ino          uint64
		want         int
	}{{8, 1, 131090, 4711}, {8, 2, 131090, 4713}, {8, 3, 131090, 0}, {8, 1, 7, 0}, {0, 0x1e, 8, 99}, {0, 0x2e, 11, 0}, {8, 1, 9, 0}} {
		if got := flockHolder([]byte(sampleLocks), c.major, c.minor, c.ino); got != c.want {
			t.Errorf("%x:%x:%d is held by %d, want %d", c.major, c.minor, c.ino, got, c.want)
		}
	}
	if got := printable([]byte("a\x1b[31m\xff b\n")); got != "a?[31m? b" {
		t.Errorf("printable name is %q", got)
	}
}

func FuzzFlockHolder(f *testing.F) {
	f.Add([]byte(sampleLocks), uint64(131090))
	f.Add([]byte("1: FLOCK\n\n1: FLOCK A W 1 ::\n2: FLOCK A W x 1:1:1"), uint64(1))
	f.Fuzz(func(t *testing.T, table []byte, ino uint64) {
		if pid := flockHolder(table, 8, 1, ino); pid < 0 || pid > 0 && !strings.Contains(string(table), fmt.Sprint(pid)) {
			t.Errorf("process %d", pid)
		}
	})
}

// TestForeignRoot keeps the choice of the carrier: only a local root is locked itself.
func TestForeignRoot(t *testing.T) {
	s, c := tree(t, FS)
	f, err := s.openLock()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	kind, err := clockOf(c.root)
	if dir := st.Mode&unix.S_IFMT == unix.S_IFDIR; err != nil || dir == (kind == clockForeign) {
		t.Errorf("the lock is on a directory: %v, the file system is of kind %d, %v", dir, kind, err)
	}
}
