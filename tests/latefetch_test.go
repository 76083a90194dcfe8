package tests

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

// TestLateFetch is TestLateAppend the other way: a sync is killed, or cut off, in the middle of messages that come from a server, and their owner does things to the first of them there before
// the next sync. A Maildir reserves the name of what it gets, so there is nothing to wait for: the next sync is right at once.
func TestLateFetch(t *testing.T) {
	t.Parallel()
	type play struct {
		rung   harness.Rung
		what   meanwhile
		killed bool
		part   int // of the messages' bytes, in percent, that come before
	}
	var plays []play
	for _, what := range meanwhiles {
		if what.copied != nil || what.killed > 0 || what.reset || what.size > 1<<20 {
			continue // of the server's copy only
		}
		for _, rung := range harness.Rungs {
			for _, killed := range []bool{true, false} {
				for _, part := range []int{1, 50, 99, 100} {
					plays = append(plays, play{rung, what, killed, part})
				}
			}
		}
	}
	servers := map[harness.Rung]*harness.Dovecot{}
	for _, rung := range harness.Rungs {
		servers[rung] = harness.StartDovecot(t, harness.Options{Rung: rung})
	}
	name := func(i int) string {
		p := plays[i]
		how := "cut"
		if p.killed {
			how = "killed"
		}
		return fmt.Sprintf("%v/%s/%s-%d", p.rung, p.what.name, how, p.part)
	}
	var tried atomic.Int64
	crowd(t, 6, torture.Points(t, len(plays), 20), name, func(t *testing.T, i int) {
		p := plays[i]
		tried.Add(1)
		w := onServer(t, servers[p.rung], fmt.Sprintf("u%d", i), "")
		w.c.Create("Box", "Other", "Third")
		w.c.Append("Box", letters(900, 2, 400)...)
		w.p.Sync(0)
		server := imapHands{w.c}
		n, size := max(1, p.what.bodies), p.what.size
		if size == 0 {
			size = 200_000
		}
		var bodies [][]byte
		for k := range n {
			if p.what.same {
				k = 0
			}
			bodies = append(bodies, mail(k, size))
			server.put("Box", k, bodies[len(bodies)-1])
		}
		kind := harness.Reset
		if p.killed {
			kind = harness.Silence
		}
		struck := w.proxy.Strike(harness.Fault{Kind: kind, All: true, At: 3000 + int64(n)*int64(size)*int64(p.part)/100})
		run := w.p.Start("sync", "--json")
		select {
		case <-struck:
		case <-run.Done():
			t.Fatalf("the sync was not disturbed: %v", run.Wait())
		}
		if p.killed {
			time.Sleep(time.Duration(i%7) * 10 * time.Millisecond) // it deals with what it has got
			run.Signal(syscall.SIGKILL)
		}
		if r := run.Wait(); p.killed && r.Code != -1 || !p.killed && r.Code != 0 && r.Code != 1 {
			t.Errorf("the disturbed sync: %v", r)
		}
		if p.what.source != nil {
			p.what.source(server, bodies[0])
		}
		want := w.c.All()
		w.p.Sync(0)
		w.is("after the next sync", want)
		w.verify()
		w.idle()
		if t.Failed() {
			t.Logf("%v", w.p.Run("log", "work"))
		}
	})
	t.Logf("%d late fetches of %d kinds", tried.Load(), len(plays))
}
