package engine

// Package directory: daemon/engine (uses dieAt of 13_firstsync_test.go)

import (
	"sync"
	"testing"

	"driftless/drivers/drivertest"
	"driftless/merge"
)

// A message is removed, and comes back in another mailbox after everything was listed, just before we expunge it on the other side. The answer to our expunge is lost. The next
// sync must not delete the last copy of the message.
func TestMoveByCopyRacingALostExpunge(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 4 {
			w.put(l, "Archive", 10+n)
			w.put(l, "Box", n)
		}
		w.settled()
		w.acc.Workers = 1
		w.put(l, "Archive", 20) // so that both are looked at, Archive first
		w.put(l, "Box", 21)
		w.remove(l, "Box", 1)
		var once sync.Once
		w.srv[l].OnCall(func(op, mailbox string) {
			if op == "Look" && mailbox == "Box" {
				once.Do(func() { w.put(l, "Archive", 1) })
			}
		})
		w.dieAt(r, r.String()+" Expunge Box 1.1", drivertest.UnknownAfter)
		w.srv[l].OnCall(nil)
		rep := w.sync()
		if w.find(l, "Archive", 1) == "" && w.find(r, "Archive", 1) == "" {
			t.Errorf("message 1 is lost on both sides: %+v", rep)
		}
	})
}
