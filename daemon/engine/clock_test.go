package engine

import (
	"context"
	"testing"
	"time"

	"driftless/drivers/memory"
	"driftless/merge"
)

// An append is in doubt; at the next start the clock is an hour behind (no battery, NTP not there yet): the cycle waits, round after round, until the clock has caught up.
func TestClockBehindHangsTheCycle(t *testing.T) {
	w := newWorld(t, [2]memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}})
	w.put(merge.Left, "INBOX", 1)
	w.srv[1].CutAppend(0, memory.Lost)
	if _, err := w.trySync(Request{}); err == nil {
		t.Fatal("must fail")
	}
	w.acc.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	w.acc.Grace = 10 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	waits := 0
	rep, err := Sync(ctx, w.acc, Request{}, func(e Event) {
		if e.Kind == EventWaiting {
			waits++
		}
	})
	if err != nil {
		t.Errorf("after %d grace times the append is still waited for: %v %+v", waits, err, rep.Copied)
	}
}
