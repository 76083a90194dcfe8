package engine

import (
	"sync"
	"testing"

	"driftless/drivers/memory"
	"driftless/merge"
)

// The first sync is interrupted (no cursor yet). In the next one the right mailbox is numbered anew (and empty) between observation and append.
func TestValidityChangesBeforeTheFirstCursor(t *testing.T) {
	w := newWorld(t, [2]memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}})
	for n := range 5 {
		w.put(merge.Left, "Box", n)
	}
	w.srv[1].CutAppend(3, memory.Lost) // 3 of 5 arrive
	if _, err := w.trySync(Request{}); err == nil {
		t.Fatal("must fail")
	}
	var once sync.Once
	w.srv[1].OnCall(func(op, mailbox string) {
		if op == "Mark" && mailbox == "Box" {
			once.Do(func() {
				w.srv[1].OnCall(nil)
				if err := w.srv[1].DeleteMailbox("Box"); err != nil {
					t.Error(err)
				}
				w.srv[1].CreateMailbox("Box")
			})
		}
	})
	rep, err := w.trySync(Request{})
	t.Logf("%+v %v", rep, err)
	for range 5 {
		rep, err = w.trySync(Request{Full: true})
	}
	if err != nil || rep.Errors > 0 {
		t.Errorf("the mailbox can never be synced again: %v %+v", err, rep)
	}
	for n := range 5 {
		if w.find(merge.Left, "Box", n) == "" {
			t.Errorf("message %d was deleted on the left, though the mailbox on the right was only numbered anew", n)
		}
	}
}
