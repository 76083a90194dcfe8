package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

// smallDisk mounts a file system of that many KiB, which the test can change with its options; the test is skipped where that cannot be done.
type smallDisk struct {
	t   *testing.T
	Dir string
}

func newSmallDisk(t *testing.T, dir string) *smallDisk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small tmpfs")
	}
	ok(t, os.MkdirAll(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m,mode=0700"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return &smallDisk{t: t, Dir: dir}
}

// leave makes the disk so big that so many KiB are free.
func (d *smallDisk) leave(kib uint64) {
	d.t.Helper()
	var st syscall.Statfs_t
	ok(d.t, syscall.Statfs(d.Dir, &st))
	used := (st.Blocks - st.Bfree) * uint64(st.Bsize) >> 10
	d.remount(0, fmt.Sprintf("size=%dk", used+kib))
}

// remount changes flags and options.
func (d *smallDisk) remount(flags uintptr, options string) {
	d.t.Helper()
	ok(d.t, syscall.Mount("tmpfs", d.Dir, "tmpfs", syscall.MS_REMOUNT|flags, options))
}

// localWorld is an account of two Maildirs, so that nothing but disks can fail.
type localWorld struct {
	t    *testing.T
	p    *harness.Program
	side [2]*harness.Maildir
}

func newLocalWorld(t *testing.T, p *harness.Program, left, right string) *localWorld {
	t.Helper()
	w := &localWorld{t: t, p: p, side: [2]*harness.Maildir{harness.NewMaildir(t, left), harness.NewMaildir(t, right)}}
	p.WriteConfig(harness.Account("work", "", harness.MaildirSide(left), harness.MaildirSide(right)))
	return w
}

// fill delivers messages to both sides, first with its number, flagged and unflagged.
func (w *localWorld) fill(first, n, size int) {
	w.t.Helper()
	for i := first; i < first+n; i++ {
		box := []string{"INBOX", "Archive", "Lists/go"}[i%3]
		var flags []string
		if i%2 == 0 {
			flags = []string{`\Seen`, "work"}
		}
		w.side[i%2].Deliver(box, mail(i, size), date(i), flags...)
	}
}

// fails runs a sync that cannot succeed, and wants exit code 1 and these words.
func (w *localWorld) fails(words ...string) string {
	w.t.Helper()
	r := w.p.Run("sync")
	text := r.Stdout + r.Stderr
	for _, word := range append(words, "the next sync goes on") {
		if !strings.Contains(text, word) {
			w.t.Errorf("the output does not say %q: %v", word, r)
		}
	}
	if r.Code != 1 {
		w.t.Errorf("want exit code 1: %v", r)
	}
	return text
}

// whole runs a sync that completes, and checks that both sides have just these many messages, each once, and that nothing is left to do.
func (w *localWorld) whole(what string, n int) {
	w.t.Helper()
	w.p.Sync(0)
	left, right := w.side[0].All(), w.side[1].All()
	if diff := harness.Diff(left, right); len(diff) > 0 || left.Count() != n {
		w.t.Errorf("%s: %d messages on the left, %d on the right, want %d:\n%s", what, left.Count(), right.Count(), n, few(diff))
	}
	seen := map[string]bool{}
	for _, msgs := range left {
		for _, m := range msgs {
			if seen[m.Hash] {
				w.t.Errorf("%s: twice: %s", what, m.Line())
			}
			seen[m.Hash] = true
		}
	}
	if r := w.p.Run("verify", "--content"); r.Code != 0 {
		w.t.Errorf("%s: %v", what, r)
	}
	if s := w.p.Sync(0); !s.Idle() {
		w.t.Errorf("%s: a further sync does something: %+v", what, s)
	}
}

// TestDiskFull runs syncs on disks that are full after ever more KiB: the one with the logs, and the one with a Maildir that is written to.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	const n, size = 40, 4000
	for _, which := range []string{"logs", "left Maildir", "both Maildirs"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			tried, failed := 0, 0
			total := 90
			if which == "logs" {
				total = 20 // the logs of these syncs are small
			}
			for kib := range torture.Points(t, total, 3) {
				p := harness.NewProgram(t)
				disk := newSmallDisk(t, filepath.Join(p.Home, "small"))
				left, right := filepath.Join(p.Home, "L"), filepath.Join(p.Home, "R")
				switch which {
				case "logs":
					p.State = filepath.Join(disk.Dir, "state")
				case "left Maildir":
					left = filepath.Join(disk.Dir, "L")
				case "both Maildirs":
					left, right = filepath.Join(disk.Dir, "L"), filepath.Join(disk.Dir, "R")
				}
				w := newLocalWorld(t, p, left, right)
				w.fill(0, 6, size)
				w.whole("the first sync", 6)
				w.fill(6, n, size)
				disk.leave(uint64(kib))
				tried++
				if r := p.Run("sync"); r.Code != 0 {
					failed++
					w.fails("no space left on device", disk.Dir, "free some space")
				}
				disk.remount(0, "size=64m")
				w.whole(fmt.Sprintf("%d KiB", kib), 6+n)
			}
			if failed == 0 {
				t.Errorf("no disk of %d was full", tried)
			}
			t.Logf("%d disks, %d of them full in the middle of a sync", tried, failed)
		})
	}
}

// TestReadOnlyDisk mounts the disk with the logs, or with a Maildir, read-only.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	for _, which := range []string{"logs", "Maildir"} {
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			p := harness.NewProgram(t)
			disk := newSmallDisk(t, filepath.Join(p.Home, "small"))
			left, right := filepath.Join(p.Home, "L"), filepath.Join(p.Home, "R")
			if which == "logs" {
				p.State = filepath.Join(disk.Dir, "state")
			} else {
				left = filepath.Join(disk.Dir, "L")
			}
			w := newLocalWorld(t, p, left, right)
			w.fill(0, 12, 400)
			w.whole("the first sync", 12)
			w.fill(12, 12, 400)
			before := harness.Tree(t, disk.Dir, true)
			disk.remount(syscall.MS_RDONLY, "")
			if which == "logs" {
				w.fails("read-only file system", p.State, "mount that file system writable again")
			} else if r := p.Run("sync"); r.Code != 1 || !strings.Contains(r.Stderr, left) || !strings.Contains(r.Stderr, "mounted read-only") {
				t.Errorf("want exit code 1, %q and the reason: %v", left, r)
			}
			if diff := harness.TreeDiff(before, harness.Tree(t, disk.Dir, true)); len(diff) > 0 {
				t.Errorf("something changed:\n%s", few(diff))
			}
			// What only reads works all the same.
			if r := p.Run("status"); r.Code != 0 {
				t.Errorf("status: %v", r)
			}
			if r := p.Run("verify"); r.Code != 1 || !strings.Contains(r.Stdout+r.Stderr, "missing") {
				t.Errorf("verify does not see what is missing: %v", r)
			}
			disk.remount(0, "")
			w.whole("writable again", 24)
		})
	}
}

// TestFewFiles lets the program open only a few files, down to the fewest with which its runtime can work at all.
func TestFewFiles(t *testing.T) {
	t.Parallel()
	p := harness.NewProgram(t)
	left, right := filepath.Join(p.Home, "L"), filepath.Join(p.Home, "R")
	w := newLocalWorld(t, p, left, right)
	w.fill(0, 6, 400)
	w.whole("the first sync", 6)
	const fewest, enough = 8, 40
	tried, failed, n := 0, 0, 6
	for i := range torture.Points(t, enough-fewest, 4) {
		limit := fewest + i
		w.fill(n, 30, 400)
		n += 30
		p.Wrap = []string{"/bin/sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$@"`, limit), "sh"}
		r := p.Run("sync")
		p.Wrap = nil
		tried++
		switch {
		case r.Code == 1 && strings.Contains(r.Stderr, "too many open files"):
			failed++
			if !strings.Contains(r.Stderr, "/") {
				t.Errorf("%d files: it does not say which file: %v", limit, r)
			}
		case r.Code != 0:
			t.Errorf("%d files: %v", limit, r)
		}
		w.whole(fmt.Sprintf("after a sync with %d files", limit), n)
	}
	if failed == 0 {
		t.Error("no limit was too low")
	}
	t.Logf("%d limits, %d of them too low", tried, failed)
}
