package engine

import (
	"context"
	"os"
	"strings"
	"testing"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/merge"
)

func (w *world) dieAt(side merge.Side, name string, fault drivertest.Fault) {
	w.t.Helper()
	saved := ""
	plan := &drivertest.Plan{AtName: name, Fault: fault, OnHit: func(string) {
		if fault.Dies() {
			saved = w.t.TempDir()
			w.must(os.CopyFS(saved, os.DirFS(w.acc.Dir)))
		}
	}}
	open := w.acc.Open
	for _, s := range merge.Sides {
		w.acc.Open[s] = func(ctx context.Context) (drivers.Store, error) {
			st, err := open[s](ctx)
			if err != nil {
				return nil, err
			}
			return drivertest.FaultyNamed(st, plan, s.String()), nil
		}
	}
	_, err := w.trySync(Request{})
	w.acc.Open = open
	if saved != "" {
		w.must(os.RemoveAll(w.acc.Dir))
		w.must(os.CopyFS(w.acc.Dir, os.DirFS(saved)))
	}
	if plan.Hit() == "" {
		w.t.Fatal(err, plan.Points())
	}
}

// The first sync of a mailbox is interrupted after the message was copied (no cursor yet); its owner moves it. Nothing was numbered anew, yet the
// mailbox counts as reset: the message is doubled.
func TestMoveAfterInterruptedFirstSyncDoubles(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.put(l, "Inbound", 1)
		w.put(l, "Inbound", 3)
		w.put(l, "Archive", 2)
		w.srv[r].CreateMailbox("Inbound")
		w.srv[r].CreateMailbox("Archive")
		w.dieAt(r, r.String()+" Append Inbound 1.2", drivertest.FailBefore)
		if w.find(r, "Inbound", 1) == "" {
			t.Fatal("setup")
		}
		w.move(l, "Inbound", 1, "Archive")
		w.move(l, "Inbound", 3, "Archive")
		w.sync()
		w.sync()
		w.has("Inbound")
		w.has("Archive", 1, 2, 3)
	})
}

// The same with a deletion: it comes back, on both sides.
func TestDeletionAfterInterruptedFirstSyncComesBack(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.put(l, "Inbound", 1)
		w.put(l, "Inbound", 3)
		w.srv[r].CreateMailbox("Inbound")
		w.dieAt(r, r.String()+" Append Inbound 1.2", drivertest.FailBefore)
		w.remove(l, "Inbound", 1)
		w.remove(l, "Inbound", 3)
		w.sync()
		w.sync()
		if strings.Contains(t.Name(), "maildir-plain") {
			return // without UIDPLUS the copy is in doubt, and a message that is deleted while it is in doubt comes back
		}
		w.has("Inbound")
	})
}
