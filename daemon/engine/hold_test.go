package engine

import (
	"testing"

	"driftless/drivers/memory"
	"driftless/merge"
)

// Another IMAP store answers under the same name (host changed, account re-created), and a mailbox there has the same UIDVALIDITY. The hold lasts for one cycle only.
func TestIdentityHoldEvaporates(t *testing.T) {
	w := newWorld(t, [2]memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}})
	for n := range 15 {
		w.put(merge.Left, "Box", n)
	}
	w.settled()
	w.srv[1].SetIdentity("another")
	for n := range 15 {
		w.remove(merge.Right, "Box", n)
	}
	rep := w.sync()
	if rep.Held != 15 {
		t.Fatalf("held %d", rep.Held)
	}
	rep = w.sync()
	if got := len(w.srv[0].Snapshot()["Box"].Messages); got != 15 || rep.Held != 15 {
		t.Errorf("second sync: %d of 15 messages are left, %+v", got, rep)
	}
}

// The same with a crash or lost connection between.
func TestEmptiedStore(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 15 {
			w.put(l, "INBOX", n)
		}
		w.settled()
		for n := range 15 {
			w.remove(l, "INBOX", n)
		}
		rep := w.sync()
		if got := len(w.srv[r].Snapshot()["INBOX"].Messages); got != 15 {
			t.Errorf("every mailbox of a store is empty: %d of 15 messages are left on the other side, %+v", got, rep)
		}
	})
}
