package engine

import (
	"context"
	"os"
	"testing"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
)

// busy is a day's work on both sides: everything that a cycle can do happens at once.
func busy(w *world) {
	for n := range 10 {
		w.put(merge.Left, "INBOX", n, `\Seen`)
	}
	w.sync()
	w.flag(merge.Left, "INBOX", 0, `\Seen`, `\Answered`)
	w.flag(merge.Right, "INBOX", 0, `\Flagged`)
	w.remove(merge.Left, "INBOX", 1)
	w.remove(merge.Right, "INBOX", 2)
	w.put(merge.Left, "INBOX", 100)
	w.put(merge.Right, "INBOX", 101, "todo")
	w.move(merge.Left, "INBOX", 4, "Left Archive")
	w.move(merge.Right, "INBOX", 5, "Right Archive")
	w.flag(merge.Left, "INBOX", 6)
	w.put(merge.Left, "Left Archive", 102)
}

// whole checks that what busy leads to is there, each message once.
func (w *world) whole() {
	w.t.Helper()
	w.has("INBOX", 0, 3, 6, 7, 8, 9, 100, 101)
	w.has("Left Archive", 4, 102)
	w.has("Right Archive", 5)
	w.flags("INBOX", 0, `\Answered`, `\Flagged`)
	w.flags("INBOX", 6)
	w.flags("INBOX", 101, "todo")
}

// A cycle is interrupted at each of its driver calls in each way; the next one puts everything right. When the process dies, the logs stay as they were at
// that moment.
func TestEveryFault(t *testing.T) {
	if testing.Short() {
		t.Skip("hundreds of cycles")
	}
	total := 0
	for _, name := range []string{"maildir-qresync", "maildir-plain", "imap-imap", "maildir-condstore", "maildir-maildir"} {
		opts := characters[name]
		points := len(interrupted(t, opts, 0, 0))
		step := 1
		if name != "maildir-qresync" && os.Getenv("DRIFTLESS_TORTURE") == "" {
			step = 7 // a sample: the full run takes minutes
		}
		for _, fault := range drivertest.Faults {
			t.Run(name+"/"+fault.String(), func(t *testing.T) {
				for at := 1 + int(fault)%step; at <= points; at += step {
					interrupted(t, opts, at, fault)
					if t.Failed() {
						t.Fatalf("at point %d", at)
					}
					total++
				}
			})
		}
	}
	t.Logf("%d interrupted cycles", total)
}

// interrupted plays busy, interrupts the sync at a point and syncs again until nothing is left to do. It returns the points of the interrupted sync.
func interrupted(t *testing.T, opts [2]memory.Options, at int, fault drivertest.Fault) []string {
	t.Helper()
	w := newWorld(t, opts)
	w.acc.Logs.SegmentSize = 4 << 10
	busy(w)
	var saved string
	plan := &drivertest.Plan{At: at, Fault: fault}
	plan.OnHit = func(string) {
		if fault.Dies() {
			saved = t.TempDir()
			if err := os.CopyFS(saved, os.DirFS(w.acc.Dir)); err != nil {
				t.Error(err)
			}
		}
	}
	open := w.acc.Open
	for _, side := range merge.Sides {
		w.acc.Open[side] = func(ctx context.Context) (drivers.Store, error) {
			s, err := open[side](ctx)
			if err != nil {
				return nil, err
			}
			return drivertest.FaultyNamed(s, plan, side.String()), nil
		}
	}
	_, err := w.trySync(Request{})
	if at == 0 && err != nil {
		t.Fatal(err)
	}
	w.acc.Open = open
	if saved != "" {
		w.must(os.RemoveAll(w.acc.Dir))
		w.must(os.CopyFS(w.acc.Dir, os.DirFS(saved)))
	}
	w.settled()
	w.whole()
	if t.Failed() {
		t.Logf("interrupted at point %d: %s %s", at, plan.Hit(), fault)
	}
	return plan.Points()
}
