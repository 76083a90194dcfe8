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

// TestPeopleWhoNeverStop changes a mailbox whenever it is looked at, and looking takes long: the cycle must come to its end all the same, and the next one with it.
func TestPeopleWhoNeverStop(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.put(l, "INBOX", 1)
		w.sync()
		var ahead, rounds atomic.Int64
		w.acc.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		w.put(r, "INBOX", 2)
		for _, side := range merge.Sides {
			w.srv[side].OnCall(func(op, _ string) {
				if op == "Changes" {
					ahead.Add(int64(4 * time.Second))
					w.put(side, "INBOX", int(100+rounds.Add(1)))
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		rep, err := Sync(ctx, w.acc, Request{}, nil)
		w.srv[l].OnCall(nil)
		w.srv[r].OnCall(nil)
		n := rounds.Load() // looks: one or two for each side and round
		if err != nil || n > 2*2*maxRounds || n < maxRounds || rep.Copied[l] == 0 {
			t.Errorf("%d rounds: %v %+v", n, err, rep)
		}
		w.settled()
	})
}
