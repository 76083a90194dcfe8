package engine

import (
	"testing"

	"driftless/merge"
)

// A mailbox is removed on both sides by its owner; later he makes it again on one side.
func TestMailboxMadeAgain(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.put(l, "Box", 1)
		w.settled()
		w.must(w.srv[l].DeleteMailbox("Box"))
		w.must(w.srv[r].DeleteMailbox("Box"))
		w.sync()
		w.put(l, "Box", 2)
		rep := w.sync()
		if w.find(r, "Box", 2) == "" {
			t.Errorf("never synced again, and errors = %d: %+v", rep.Errors, rep)
		}
	})
}
