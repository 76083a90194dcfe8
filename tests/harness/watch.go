package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watcher tells at once when something is created, written, renamed or removed directly in a set of directories (inotify).
type Watcher struct {
	t    testing.TB
	file *os.File
	done chan struct{}

	mu   sync.Mutex
	dirs map[int32]string
	seen map[string]bool
	hook func(dir, name string)
}

// NewWatcher returns a watcher that watches nothing yet. It ends with the test.
func NewWatcher(t testing.TB) *Watcher {
	t.Helper()
	fd := must(unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK))(t)
	w := &Watcher{t: t, file: os.NewFile(uintptr(fd), "inotify"), done: make(chan struct{}), dirs: map[int32]string{}, seen: map[string]bool{}}
	go w.read()
	t.Cleanup(func() {
		_ = w.file.Close() // only ends the reader
		<-w.done
	})
	return w
}

// Add watches these directories, too. One that does not exist is left out; one that is watched already stays so.
func (w *Watcher) Add(dirs ...string) {
	w.t.Helper()
	for _, d := range dirs {
		w.mu.Lock()
		known := w.seen[d]
		w.mu.Unlock()
		if known {
			continue
		}
		raw := must(w.file.SyscallConn())(w.t)
		var wd int
		var err error
		cerr := raw.Control(func(fd uintptr) {
			wd, err = unix.InotifyAddWatch(int(fd), d, unix.IN_CREATE|unix.IN_MODIFY|unix.IN_MOVED_TO|unix.IN_MOVED_FROM|unix.IN_DELETE|unix.IN_ONLYDIR)
		})
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err := errors.Join(err, cerr); err != nil {
			w.t.Fatalf("watch %s: %v", d, err)
		}
		w.mu.Lock()
		w.dirs[int32(wd)], w.seen[d] = d, true
		w.mu.Unlock()
	}
}

// Hook has f called for each event, from one goroutine, until the next Hook; nil for nothing. Events that follow each other at once and are alike may be told
// as one.
func (w *Watcher) Hook(f func(dir, name string)) { w.mu.Lock(); defer w.mu.Unlock(); w.hook = f }

func (w *Watcher) read() {
	defer close(w.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				w.t.Errorf("watch: %v", err)
			}
			return
		}
		for p := 0; p+unix.SizeofInotifyEvent <= n; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[p])) //nolint:gosec // the kernel's layout; the bounds are checked above
			name := buf[p+unix.SizeofInotifyEvent : p+unix.SizeofInotifyEvent+int(e.Len)]
			p += unix.SizeofInotifyEvent + int(e.Len)
			w.mu.Lock()
			dir, hook := w.dirs[e.Wd], w.hook
			if e.Mask&unix.IN_IGNORED != 0 { // the directory is gone
				delete(w.dirs, e.Wd)
				delete(w.seen, dir)
				hook = nil
			}
			w.mu.Unlock()
			if hook != nil {
				hook(dir, string(bytes.TrimRight(name, "\x00")))
			}
		}
	}
}

// Children returns the pids of the processes that a server's master started and whose command is name ("imap", for example). They are told by their process
// group, which is the master's own.
func (d *Dovecot) Children(name string) []int {
	d.t.Helper()
	if d.cmd == nil {
		return nil
	}
	var pids []int
	for _, e := range must(os.ReadDir("/proc"))(d.t) {
		var pid int
		if _, err := fmt.Sscan(e.Name(), &pid); err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has ended
		}
		// pid (comm) state ppid pgrp
		head, tail, ok := strings.Cut(string(stat), ") ")
		_, comm, _ := strings.Cut(head, "(")
		var state string
		var ppid, pgrp int
		if _, err := fmt.Sscan(tail, &state, &ppid, &pgrp); !ok || err != nil {
			continue
		}
		if comm == name && pgrp == d.cmd.Process.Pid {
			pids = append(pids, pid)
		}
	}
	return pids
}
