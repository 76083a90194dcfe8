package logstate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestJob is not a test by itself: it is what the processes do that compete for a lock or write a log.
func TestJob(t *testing.T) {
	job := os.Getenv("LOGSTATE_TEST_JOB")
	if job == "" {
		t.Skip("runs in processes that other tests start")
	}
	if err := runJob(job, os.Getenv("LOGSTATE_TEST_DIR")); err != nil {
		t.Fatal(err)
	}
}

func runJob(job, dir string) error {
	switch job {
	case "count": // add one to a number in a file, under the lock, many times
		for range 10 {
			l, err := lockAccount(context.Background(), dir, Options{Wait: time.Minute})
			if err != nil {
				return err
			}
			path := filepath.Join(dir, "number")
			b, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			n, _ := strconv.Atoi(string(b))
			time.Sleep(time.Millisecond)
			if err := os.WriteFile(path, []byte(strconv.Itoa(n+1)), 0o600); err != nil {
				return err
			}
			if err := l.Unlock(); err != nil {
				return err
			}
		}
	case "hold": // take the lock, say so, and wait to be killed
		l, err := lockAccount(context.Background(), dir, Options{})
		if err != nil {
			return err
		}
		defer l.Unlock()
		fmt.Println("locked")
		_, err = bufio.NewReader(os.Stdin).ReadByte()
		return err
	case "write": // append and truncate until killed
		l, _, err := openLog(dir, logOptions{SegmentSize: 3000})
		if err != nil {
			return err
		}
		for i := l.next; ; i += 5 {
			if _, err := l.Append(testFrames(i, 5)); err != nil {
				return err
			}
			if i == 1 {
				fmt.Println("writing")
			}
			if i%50 == 1 && i > 200 {
				if err := l.TruncateFront(i - 150); err != nil {
					return err
				}
			}
		}
	case "full": // append until the disk is full
		limit, err := strconv.ParseUint(os.Getenv("LOGSTATE_TEST_LIMIT"), 10, 64)
		if err != nil {
			return err
		}
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
		l, _, err := openLog(dir, logOptions{})
		if err != nil {
			return err
		}
		written := 0
		for err == nil {
			if _, err = l.Append(testFrames(l.next, 5)); err == nil {
				written += 5
			}
		}
		if _, err := l.Append(testFrames(l.next, 1)); !errors.Is(err, errPoisoned) {
			return fmt.Errorf("after a short write: %w", err)
		}
		if err := l.Close(); err != nil {
			return err
		}
		if fds, _ := filepath.Glob("/proc/self/fd/*"); len(fds) > 0 {
			for _, fd := range fds {
				if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, dir+"/") {
					return fmt.Errorf("%s is still open", to)
				}
			}
		}
		fmt.Println("written", written)
	default:
		return fmt.Errorf("no job %q", job)
	}
	return nil
}

// startJob runs a job in another process.
func startJob(t testing.TB, job, dir string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestJob$")
	cmd.Env = append(os.Environ(), "LOGSTATE_TEST_JOB="+job, "LOGSTATE_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

func mustLock(t *testing.T, dir string, opt Options) *accountLock {
	t.Helper()
	l, err := lockAccount(context.Background(), dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLockExcludesProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "account")
	const processes = 20
	var wg sync.WaitGroup
	for range processes {
		cmd, _ := startJob(t, "count", dir)
		wg.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	b, err := os.ReadFile(filepath.Join(dir, "number"))
	if err != nil || string(b) != strconv.Itoa(processes*10) {
		t.Fatalf("%s counted, %v", b, err)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Dir(dir): 0o700, filepath.Join(dir, lockName): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if at, err := LastRun(dir); err != nil || !at.IsZero() {
		t.Errorf("a cycle ran at %v, %v", at, err)
	}
}

func TestKilledHolderLeavesNoLock(t *testing.T) {
	dir := t.TempDir()
	cmd, out := startJob(t, "hold", dir)
	if line, err := out.ReadString('\n'); line != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}
	var busy *LockedError
	if l, err := lockAccount(context.Background(), dir, Options{NoWait: true}); !errors.As(err, &busy) || l != nil {
		t.Fatalf("locked twice: %v", err)
	}
	if !strings.Contains(busy.Holder, "(pid "+strconv.Itoa(cmd.Process.Pid)+")") || busy.Since.IsZero() {
		t.Errorf("holder %q since %v", busy.Holder, busy.Since)
	}
	if text := busy.Error(); !strings.Contains(text, busy.Holder) || !strings.Contains(text, "since 2") {
		t.Errorf("says %q", text)
	}
	waiting := make(chan string, 2)
	got := make(chan error, 1)
	go func() {
		l, err := lockAccount(context.Background(), dir, Options{Waiting: func(holder string, since time.Time) { waiting <- holder }})
		if err == nil {
			err = l.Unlock()
		}
		got <- err
	}()
	if holder := <-waiting; holder != busy.Holder {
		t.Errorf("waits for %q", holder)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if len(waiting) > 0 {
		t.Error("told twice")
	}
}

func TestLockWaitEnds(t *testing.T) {
	dir := t.TempDir()
	l := mustLock(t, dir, Options{})
	var busy *LockedError
	if _, err := lockAccount(context.Background(), dir, Options{Wait: time.Millisecond}); !errors.As(err, &busy) {
		t.Errorf("waited in vain: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	_, err := lockAccount(ctx, dir, Options{Waiting: func(string, time.Time) { cancel() }})
	if !errors.Is(err, context.Canceled) || errors.As(err, &busy) {
		t.Errorf("cancelled: %v", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := mustLock(t, dir, Options{NoWait: true}).Unlock(); err != nil {
		t.Fatal(err)
	}
}

func TestLockOfRemovedFileIsNone(t *testing.T) {
	dir := t.TempDir()
	first := mustLock(t, dir, Options{})
	if err := os.Remove(filepath.Join(dir, lockName)); err != nil {
		t.Fatal(err)
	}
	second := mustLock(t, dir, Options{NoWait: true}) // nothing can prevent this one, but it must be sound
	if _, err := lockAccount(context.Background(), dir, Options{NoWait: true}); err == nil {
		t.Error("two holders of the new file")
	}
	if err := errors.Join(first.Unlock(), second.Unlock()); err != nil {
		t.Fatal(err)
	}
}

// The file is replaced or removed between its being locked and the look at it: then another process locks the new one, and both would write.
func TestLockOfReplacedFileIsTakenAgain(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"removed": os.Remove,
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", nil, 0o600), os.Rename(path+".new", path))
		},
		"replaced by a locked one": func(path string) error {
			return errors.Join(os.WriteFile(path+".new", []byte("\n"), 0o600), os.Rename(path+".new", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, lockName)
			var other *accountLock
			times := 0
			l, err := lockAccount(t.Context(), dir, Options{Wait: 5 * time.Second, flocked: func() {
				if times++; times > 1 {
					return
				}
				if err := replace(path); err != nil {
					t.Error(err)
				}
				if strings.HasSuffix(name, "locked one") {
					other = mustLock(t, dir, Options{NoWait: true})
					time.AfterFunc(50*time.Millisecond, func() {
						if err := other.Unlock(); err != nil {
							t.Error(err)
						}
					})
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			if times < 2 {
				t.Errorf("the lock was taken %d times", times)
			}
			var busy *LockedError
			if second, err := lockAccount(t.Context(), dir, Options{NoWait: true}); !errors.As(err, &busy) || second != nil {
				t.Errorf("two processes hold the account: %v", err)
			}
			if err := l.Unlock(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestLastRunOutlivesLocks(t *testing.T) {
	dir := t.TempDir()
	if at, err := LastRun(filepath.Join(dir, "none")); err != nil || !at.IsZero() {
		t.Errorf("of no account: %v, %v", at, err)
	}
	l := mustLock(t, dir, Options{})
	if at, err := LastRun(dir); err != nil || !at.IsZero() {
		t.Errorf("before the first cycle: %v, %v", at, err)
	}
	want := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	if err := l.Touch(want); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if at, err := LastRun(dir); err != nil || !at.Equal(want) {
			t.Errorf("after the cycle: %v, %v", at, err)
		}
		l := mustLock(t, dir, Options{})
		if at, err := LastRun(dir); err != nil || !at.Equal(want) {
			t.Errorf("while locked again: %v, %v", at, err)
		}
		if err := l.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLockFileIsNotTrusted(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, lockName)
	for _, text := range []string{"", "\n", "{", `{"pid":-1}`, strings.Repeat("x", 10000), `{"pid":1,"program":"a\u001b[2Jb","since":"2024-05-06T07:08:09Z"}`} {
		writeFile(t, path, []byte(text))
		if e := lockedBy(path); strings.ContainsAny(e.Error(), "\x1b\n") || (e.Holder != "" && e.Holder != "a[2Jb (pid 1)") {
			t.Errorf("%.40q: %q", text, e.Error())
		}
	}
	// Not even root can lock a directory as a file.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if l, err := lockAccount(context.Background(), dir, Options{NoWait: true}); err == nil || l != nil {
		t.Error("locked a directory")
	}
	if _, err := lockAccount(context.Background(), filepath.Join(dir, "file", "x"), Options{}); err != nil {
		t.Error(err)
	}
	writeFile(t, filepath.Join(dir, "plain"), nil)
	if _, err := lockAccount(context.Background(), filepath.Join(dir, "plain"), Options{}); err == nil {
		t.Error("a file is no account directory")
	}
}
