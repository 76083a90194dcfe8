package tests

import (
	"syscall"
	"testing"
	"time"

	"driftless/tests/harness"
)

// TestKilled stops the first sync of many messages again and again, politely and brutally, in either direction. One more sync, and all of
// them are there, none twice.
func TestKilled(t *testing.T) {
	t.Parallel()
	n := 3000
	if testing.Short() {
		n = 600
	}
	const size = 1500
	for _, rung := range []harness.Rung{harness.Full, harness.Plain} {
		for _, pull := range []bool{true, false} {
			for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
				name := rung.String() + "/push/" + sig.String()
				if pull {
					name = rung.String() + "/pull/" + sig.String()
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, rung, "")
					want := w.fill(pull, n, size)
					hit := 0
					for _, percent := range []int{2, 30, 60, 90} {
						if w.interrupt(sig, int64(n)*size*int64(percent)/100) {
							hit++
						}
					}
					if hit < 2 {
						t.Errorf("only %d of 4 syncs were interrupted", hit)
					}
					w.p.Sync(0)
					for side, got := range map[string]harness.Mail{"left": w.m.All(), "right": w.c.All()} {
						if diff := harness.Diff(want, got); len(diff) > 0 {
							t.Errorf("%s has %d of %d messages, %d differences:\n%s", side, got.Count(), n, len(diff), few(diff))
						}
					}
					w.idle()
				})
			}
		}
	}
}

// fill gives one side n messages in three mailboxes and returns them.
func (w *world) fill(right bool, n, size int) harness.Mail {
	w.t.Helper()
	boxes := []string{"INBOX", "Größe", "Archive/2001"}
	for i, box := range boxes {
		if !right {
			for k := i; k < n; k += len(boxes) {
				w.m.Deliver(box, mail(k, size), date(k), `\Seen`, "Work")
			}
			continue
		}
		if box != "INBOX" {
			w.c.Create(box)
		}
		w.c.Append(box, letters(i*n/len(boxes), (i+1)*n/len(boxes)-i*n/len(boxes), size, `\Seen`, "Work")...)
	}
	if right {
		return w.c.All()
	}
	return w.m.All()
}

// interrupt starts a sync and sends it a signal when that many bytes have gone over the wire in all syncs so far. It reports whether the sync was still running.
func (w *world) interrupt(sig syscall.Signal, after int64) bool {
	w.t.Helper()
	start := w.proxy.Counts()
	run := w.p.Start("sync", "--json")
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for {
		select {
		case <-run.Done():
			if r := run.Wait(); r.Code != 0 {
				w.t.Errorf("a sync that nobody interrupted: %v", r)
			}
			return false
		case <-tick.C:
		}
		c := w.proxy.Counts()
		own := c.Sub(start)
		if c.Up+c.Down >= after && own.Up+own.Down > 5000 { // it has begun, and is not just being loaded
			break
		}
	}
	run.Signal(sig)
	r := run.Wait()
	if r.Code == 0 {
		return false // it was just done
	}
	if want := map[syscall.Signal]int{syscall.SIGTERM: 4, syscall.SIGKILL: -1}[sig]; r.Code != want {
		w.t.Errorf("after %v: want exit code %d: %v", sig, want, r)
	}
	return true
}

// TestBrokenConnection cuts the network again and again while messages go either way. What is in doubt is settled, not repeated blindly.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	for _, rung := range harness.Rungs {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			const n, size = 400, 1500
			w := newWorld(t, rung, "")
			for k := range n {
				w.m.Deliver("INBOX", mail(k, size), date(k), `\Seen`)
			}
			w.c.Append("INBOX", letters(n, n, size, `\Seen`)...)
			want := append(w.m.Messages("INBOX"), w.c.Messages("INBOX", true)...)
			for _, cut := range []int64{300, 20_000, 100_000, 200_000} {
				w.proxy.CutUp(cut)
				w.run0or1("sync")
				w.proxy.CutDown(cut)
				w.run0or1("sync")
			}
			w.proxy.CutUp(-1)
			w.proxy.CutDown(-1)
			w.p.Sync(0)
			for side, got := range map[string]harness.Mail{"left": w.m.All(), "right": w.c.All()} {
				if diff := harness.Diff(harness.Mail{"INBOX": want}, got); len(diff) > 0 {
					t.Errorf("%s: %d messages, %d differences:\n%s", side, got.Count(), len(diff), few(diff))
				}
			}
			w.idle()
		})
	}
}

// run0or1 runs the program; it may succeed (it tries again by itself) or report a failure, and nothing else.
func (w *world) run0or1(args ...string) {
	w.t.Helper()
	if r := w.p.Run(args...); r.Code != 0 && r.Code != 1 {
		w.t.Errorf("want exit code 0 or 1: %v", r)
	}
}
