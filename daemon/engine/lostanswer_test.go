package engine

// Package directory: daemon/engine (uses dieAt of 13_firstsync_test.go)

import (
	"testing"

	"driftless/drivers/drivertest"
	"driftless/merge"
)

// A message is deleted on the left; the connection is lost when the server had expunged it. Its owner restores it, into another mailbox: it is deleted for good.
func TestRestoredMessageIsDeletedAfterALostExpungeAnswer(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 4 {
			w.put(l, "Box", n)
			w.put(l, "INBOX", 10+n)
		}
		w.settled()
		w.remove(l, "Box", 1)
		w.dieAt(r, r.String()+" Expunge Box 1.1", drivertest.UnknownAfter)
		w.put(l, "INBOX", 1)
		rep := w.sync()
		w.sync()
		if w.find(l, "INBOX", 1) == "" {
			t.Errorf("the restored message was deleted: %+v", rep)
		}
	})
}

// The same when the process dies before it can log the outcome (settling concludes "done"): it must be kept.
func TestRestoredMessageAfterACrash(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 4 {
			w.put(l, "Box", n)
			w.put(l, "INBOX", 10+n)
		}
		w.settled()
		w.remove(l, "Box", 1)
		w.dieAt(r, r.String()+" Expunge Box 1.1", drivertest.DieAfter)
		w.put(l, "INBOX", 1)
		rep := w.sync()
		if w.find(l, "INBOX", 1) == "" {
			t.Errorf("the restored message was deleted: %+v", rep)
		}
	})
}

// Its owner moves a message back after a move whose answer was lost.
func TestMovedBackAfterALostMoveAnswer(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 4 {
			w.put(l, "Box", n)
			w.put(l, "INBOX", 10+n)
		}
		w.settled()
		w.move(l, "Box", 1, "INBOX")
		w.dieAt(r, r.String()+" Move Box 1.1", drivertest.UnknownAfter)
		w.move(l, "INBOX", 1, "Box")
		w.sync()
		w.sync()
		w.has("Box", 0, 1, 2, 3)
		w.has("INBOX", 10, 11, 12, 13)
	})
}
