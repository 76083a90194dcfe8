package engine

import (
	"sync"
	"testing"

	"driftless/drivers/memory"
	"driftless/merge"
)

// No crash, no lost connection: a server without UIDPLUS; while a new message is being appended there, its owner moves it on the left (a filter does that).
func TestMoveDuringAppendDoublesTheMessage(t *testing.T) {
	w := newWorld(t, characters["maildir-plain"])
	w.put(merge.Left, "INBOX", 0)
	w.put(merge.Left, "Box", 1)
	w.settled()
	w.put(merge.Left, "Box", 2)
	var once sync.Once
	w.srv[1].OnCall(func(op, mailbox string) {
		if op == "Append" {
			once.Do(func() { w.move(merge.Left, "Box", 2, "INBOX") })
		}
	})
	w.sync()
	w.srv[1].OnCall(nil)
	w.sync()
	w.sync()
	w.has("INBOX", 0, 2)
	w.has("Box", 1)
}

var _ memory.Options
