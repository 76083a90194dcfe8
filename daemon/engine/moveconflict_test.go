package engine

import (
	"testing"

	"driftless/merge"
)

// A message is moved on one side and removed on the other, and a person shall decide. The mailbox that it was moved to must not forget that it arrived there.
func TestConflictOfAMoveStaysOpen(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 3 {
			w.put(l, "Box", n)
			w.put(l, "Archive", 10+n)
		}
		w.settled()
		w.acc.Rules.Conflict = merge.ConflictAsk
		w.move(l, "Box", 1, "Archive")
		w.remove(r, "Box", 1)
		for n := range 3 {
			if rep := w.sync(); rep.Conflicts != 1 {
				t.Fatalf("sync %d: %d conflicts: %+v", n, rep.Conflicts, rep)
			}
		}
		w.acc.Rules.Conflict = merge.ConflictKeep
		w.settled()
		w.has("Box", 0, 2)
		w.has("Archive", 1, 10, 11, 12)
	})
}
