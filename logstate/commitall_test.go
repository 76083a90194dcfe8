package logstate

import (
	"path/filepath"
	"testing"

	"driftless/merge"
)

// What is committed for several mailboxes together is there as a whole or not at all, wherever the log was cut off.
func TestCommitAllIsOneEntry(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	a := openTest(t, dir)
	boxes := registerTest(t, a, 2)
	old := merge.Pair{ID: [2]merge.ID{"l1", "r1"}}
	must(t, a.Commit(ctx, boxes[0], []Op{{Kind: PutPair, Pair: old}}))
	before := logSize(t, dir, "shared")
	moved := merge.Half{Side: merge.Right, ID: "r2", Reason: merge.InDoubt}
	must(t, a.CommitAll(ctx, map[Mailbox][]Op{boxes[0]: {{Kind: DropPair, Pair: old}}, boxes[1]: {{Kind: PutHalf, Half: moved}}}))
	must(t, a.Close())
	after := logSize(t, dir, "shared")
	if after <= before {
		t.Fatal("nothing was written")
	}
	for size := before; size <= after; size++ {
		copied := filepath.Join(t.TempDir(), "a")
		copyTree(t, dir, copied)
		cut(t, copied, "shared", size)
		b := openTest(t, copied)
		first, err := b.State(boxes[0])
		must(t, err)
		second, err := b.State(boxes[1])
		must(t, err)
		_, there := first.Pair(merge.Left, "l1")
		_, half := second.Half(merge.Right, "r2")
		if there == half || half != (size == after) {
			t.Errorf("cut off after %d of %d bytes: pair %v, half-pair %v", size-before, after-before, there, half)
		}
		must(t, b.Close())
	}
}

// The pair of a message that was moved on one side and removed on the other goes away with the deletion, in the mailbox where it was.
func TestDeletionDropsThePairElsewhere(t *testing.T) {
	a := openTest(t, filepath.Join(t.TempDir(), "a"))
	defer func() { must(t, a.Close()) }()
	boxes := registerTest(t, a, 2)
	pair := merge.Pair{ID: [2]merge.ID{"l1", "r1"}}
	must(t, a.Commit(ctx, boxes[0], []Op{{Kind: PutPair, Pair: pair}}))
	for _, status := range []Status{NotDone, Done} {
		b, err := a.Begin(ctx, Intent{Target: merge.Left, Mailbox: boxes[1], Effects: []Effect{
			{Kind: EffectDelete, Old: merge.Pair{ID: [2]merge.ID{"l2", ""}}, New: pair, To: boxes[0]},
		}})
		must(t, err)
		must(t, a.Finish(ctx, b, Outcome{Results: []Result{{Status: status}}}))
		s, err := a.State(boxes[0])
		must(t, err)
		if _, there := s.Pair(merge.Left, "l1"); there != (status == NotDone) {
			t.Errorf("status %d: the pair is there: %v", status, there)
		}
	}
}
