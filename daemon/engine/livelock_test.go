package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"driftless/merge"
)

// Listing and planning take longer than 30 s (a large account, a slow server, first contact): no batch ever begins, and the cycle never ends.
func TestObservationLongerThanTheLockHold(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 10 {
			w.put(l, "INBOX", n)
		}
		var ahead atomic.Int64
		w.acc.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		rounds := atomic.Int64{}
		w.srv[r].OnCall(func(op, _ string) {
			if op == "Changes" {
				ahead.Add(int64(31 * time.Second))
				rounds.Add(1)
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		rep, err := Sync(ctx, w.acc, Request{}, nil)
		w.srv[r].OnCall(nil)
		if rep.Copied[r] != 10 || err != nil {
			t.Errorf("after %d rounds of 31 s each nothing was copied: %v %+v", rounds.Load(), err, rep.Copied)
		}
	})
}
