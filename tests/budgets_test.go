package tests

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"driftless/tests/harness"
)

// TestBudgetRoundTrips counts the round trips of a sync of 200 mailboxes in which nothing happened: at most three, login included.
func TestBudgetRoundTrips(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	for i := range 199 {
		w.c.Do("CREATE box%d", i)
	}
	for i := range 20 {
		w.c.Append(fmt.Sprintf("box%d", i*9), letters(i*10, 10, 300)...)
	}
	w.p.Sync(0)
	w.p.Sync(0) // what the first one left to do, if anything, is another test's subject
	w.proxy.Latency(15 * time.Millisecond)
	before := w.proxy.Counts()
	s := w.idle()
	used := w.proxy.Counts().Sub(before)
	t.Logf("no-op of 200 mailboxes: %d turns, %d connections, %d bytes up, %d down; reported %d round trips", used.Turns, used.Connections, used.Up, used.Down, s.RoundTrips)
	if used.Turns > 3 || s.RoundTrips > 3 {
		t.Errorf("%d turns on the wire, %d round trips reported; the budget is 3", used.Turns, s.RoundTrips)
	}
}

// TestBudgetDelta compares what ten changes cost on the wire in a small and in a big mailbox: nearly the same.
func TestBudgetDelta(t *testing.T) {
	t.Parallel()
	big := 20_000
	if testing.Short() {
		big = 4000
	}
	cost := func(t *testing.T, n int) (fromRight, fromLeft int64) {
		w := newWorld(t, harness.Full, "")
		w.c.Append("INBOX", letters(0, n, 100, `\Seen`)...)
		w.p.Sync(0)
		w.p.Sync(0)
		wire := func(change func()) int64 {
			change()
			before := w.proxy.Counts()
			if s := w.p.Sync(0); s.Idle() {
				t.Errorf("ten changes and nothing done: %+v", s)
			}
			used := w.proxy.Counts().Sub(before)
			return used.Up + used.Down
		}
		fromRight = wire(func() {
			w.c.Store("INBOX", []uint32{7, 8, 9, uint32(n / 2), uint32(n)}, "+", `\Flagged`)
			w.c.Expunge("INBOX", []uint32{3, uint32(n / 3)})
			w.c.Append("INBOX", letters(n, 3, 100)...)
		})
		files := w.m.Messages("INBOX")
		fromLeft = wire(func() {
			for i := range 5 {
				w.m.SetFlags("INBOX", files[len(files)*i/5].Name, `\Answered`)
			}
			w.m.Remove("INBOX", files[1].Name)
			w.m.Remove("INBOX", files[2].Name)
			for i := range 3 {
				w.m.Deliver("INBOX", mail(n+10+i, 100), date(n+10+i))
			}
		})
		w.same("after the changes")
		return fromRight, fromLeft
	}
	smallRight, smallLeft := cost(t, 1000)
	bigRight, bigLeft := cost(t, big)
	t.Logf("ten changes, bytes on the wire: right %d in 1,000 messages, %d in %d; left %d and %d", smallRight, bigRight, big, smallLeft, bigLeft)
	for _, c := range [][2]int64{{smallRight, bigRight}, {smallLeft, bigLeft}} {
		if c[1] > c[0]+c[0]/2+500 {
			t.Errorf("ten changes cost %d bytes in 1,000 messages and %d in %d", c[0], c[1], big)
		}
	}
}

// TestBudgetFsyncs counts fsyncs: on the way to the server they are per batch, never per message; on the way to the Maildir each file has its own, and
// directories and logs theirs per batch.
func TestBudgetFsyncs(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("no strace here (apt-get install strace)")
	}
	const n = 1000
	for _, pull := range []bool{true, false} {
		name := "push"
		limit := 150
		if pull {
			name, limit = "pull", n+300
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, harness.Full, "")
			w.fill(pull, n, 500)
			trace := filepath.Join(w.p.Home, "trace")
			w.p.Wrap = []string{"strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,syncfs,sync", "-e", "signal=none", "-o", trace}
			s := w.p.Sync(0)
			w.p.Wrap = nil
			if s.Copied.Left+s.Copied.Right != n {
				t.Fatalf("summary %+v", s)
			}
			got, detail := countSyncs(t, trace)
			t.Logf("%s of 1,000 messages in 3 mailboxes: %d fsyncs %v", name, got, detail)
			if got > limit || got == 0 {
				t.Errorf("%d fsyncs for %d messages, want at most %d", got, n, limit)
			}
		})
	}
}

func countSyncs(t *testing.T, trace string) (int, map[string]int) {
	t.Helper()
	f, err := os.Open(trace)
	if err != nil {
		t.Skipf("strace cannot trace here: %v", err)
	}
	defer func() { _ = f.Close() }()
	total, detail := 0, map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		for _, call := range []string{"fsync(", "fdatasync(", "syncfs(", "sync("} {
			if _, rest, _ := strings.Cut(lines.Text(), " "); strings.HasPrefix(strings.TrimSpace(rest), call) {
				detail[strings.TrimSuffix(call, "(")]++
				total++
			}
		}
	}
	return total, detail
}

// TestBudgetMemory measures peak memory of the first sync of many messages, either way, and of a no-op after it.
func TestBudgetMemory(t *testing.T) {
	n := 5000
	if os.Getenv("DRIFTLESS_BIG") == "1" {
		n = 100_000
	} else {
		t.Log("5,000 messages; DRIFTLESS_BIG=1 measures 100,000")
		t.Parallel()
	}
	limit := int64(250 << 20)
	if os.Getenv("DRIFTLESS_RACE") == "1" {
		limit *= 8 // the race detector's own shadow memory
	}
	d := harness.StartDovecot(t, harness.Options{})
	measure := func(what string, w *world, copied int) {
		r := w.p.Run("sync", "--json")
		s, err := r.Summaries()
		if err != nil || r.Code != 0 || len(s) != 1 || s[0].Copied.Left+s[0].Copied.Right != copied {
			t.Fatalf("%s: %v %v", what, err, r)
		}
		t.Logf("%s: peak %d MiB, CPU %v, %s bytes per message", what, r.MaxRSS>>20, r.CPU.Round(time.Millisecond), strconv.FormatInt(r.MaxRSS/int64(n), 10))
		if r.MaxRSS > limit {
			t.Errorf("%s of %d messages took %d MiB, want at most %d", what, n, r.MaxRSS>>20, limit>>20)
		}
	}
	push := onServer(t, d, "push", "")
	push.m.Create("INBOX")
	for i := range n {
		name := filepath.Join(push.m.Path("INBOX"), "cur", fmt.Sprintf("%d.P1Q%d.x:2,S", 1_000_000_000+i, i))
		if err := os.WriteFile(name, mail(i, 10), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	measure("push", push, n)
	measure("no-op", push, 0)
	pull := onServer(t, d, "push", "")
	measure("pull", pull, n)
	measure("no-op", pull, 0)
}
