package logstate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"driftless/merge"
)

// fillModels commits pairs and half-pairs to all mailboxes and keeps the models.
func fillModels(t *testing.T, a *Account, boxes []Mailbox, n int) map[Mailbox]*model {
	t.Helper()
	models := map[Mailbox]*model{}
	for _, m := range boxes {
		models[m] = newModel()
		var ops []Op
		for i := range n {
			ops = append(ops, Op{Kind: PutPair, Pair: benchPair(i)})
			ops = append(ops, Op{Kind: PutHalf, Half: merge.Half{Side: merge.Right, ID: merge.ID(fmt.Sprintf("h%d", i)), Reason: merge.Window}})
		}
		ops = append(ops, Op{Kind: SetCursor, Side: merge.Left, Cursor: "cursor"}, Op{Kind: KnownOn, Side: merge.Left})
		must(t, a.Commit(ctx, m, ops))
		for _, op := range ops {
			models[m].apply(op)
		}
	}
	return models
}

// A checkpoint that a crash interrupts at any byte does not count and does no harm; nor does a crash between its end and any of the truncations.
func TestCheckpointInterruptedAtAnyByte(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "a")
	var copies []string
	keep := func(what string) func(string) error {
		return func(op string) error {
			to := filepath.Join(base, fmt.Sprintf("%d-%s-%s", len(copies), what, op))
			copyTree(t, dir, to)
			copies = append(copies, to)
			return nil
		}
	}
	spying := false
	a, err := openWith(ctx, dir, Options{}, func(name string, log appender) appender {
		before := keep(name)
		return &spy{appender: log, mu: new(sync.Mutex), before: func(op string) error {
			if !spying {
				return nil
			}
			return before(op)
		}}
	})
	must(t, err)
	boxes := registerTest(t, a, 3)
	models := fillModels(t, a, boxes, 5)
	in := Intent{Target: merge.Left, Mailbox: boxes[0], Time: 1, Effects: []Effect{{Kind: EffectDelete, Old: benchPair(1)}}}
	b, err := a.Begin(ctx, in)
	must(t, err)
	out := Outcome{Time: 2, Results: []Result{{Status: Done}}}
	must(t, a.Finish(ctx, b, out))
	play(models, in, out)
	left, err := a.Begin(ctx, Intent{Target: merge.Left, Mailbox: boxes[1], Time: 3, Effects: in.Effects})
	must(t, err)
	before := logSize(t, dir, "shared")
	spying = true
	must(t, a.Checkpoint(ctx, true))
	spying = false
	must(t, a.Close())

	check := func(dir string) {
		t.Helper()
		a, err := Open(ctx, dir, Options{})
		must(t, err)
		checkModels(t, a, models, true)
		if !sameBatches(a.Unsettled(), []Batch{left}) {
			t.Fatalf("unsettled: %+v", a.Unsettled())
		}
		must(t, a.Checkpoint(ctx, true))
		must(t, a.Close())
		a, err = Open(ctx, dir, Options{})
		must(t, err)
		checkModels(t, a, models, true)
		if len(a.Repairs()) > 0 {
			t.Fatalf("repairs: %+v", a.Repairs())
		}
		must(t, a.Close())
	}
	check(dir)
	var whole string // with the whole checkpoint, before any truncation
	for _, c := range copies {
		if filepath.Base(c)[1:] == "-shared-truncate" || filepath.Base(c)[2:] == "-shared-truncate" {
			whole = filepath.Join(base, "whole")
			copyTree(t, c, whole)
		}
		check(c)
	}
	if whole == "" {
		t.Fatal("the shared log was not truncated")
	}
	after := logSize(t, whole, "shared")
	for size := before; size < after; size += 3 {
		c := filepath.Join(base, "cut")
		copyTree(t, whole, c)
		cut(t, c, "shared", size)
		check(c)
		must(t, os.RemoveAll(c))
	}
}

// Commits that come while a checkpoint is written are in neither too much nor too little of it.
func TestCommitsDuringCheckpoint(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	boxes := registerTest(t, a, 3)
	models := fillModels(t, a, boxes, 3000)
	a.Release(boxes[2]) // one that has to be folded for the checkpoint
	var wg sync.WaitGroup
	for _, m := range boxes {
		wg.Go(func() {
			for i := range 50 {
				ops := []Op{
					{Kind: DropPair, Pair: merge.Pair{ID: benchPair(i).ID}},
					{Kind: PutPair, Pair: benchPair(10_000 + i)},
					{Kind: SetCursor, Side: merge.Right, Cursor: fmt.Sprint(i)},
				}
				for _, op := range ops {
					models[m].apply(op)
				}
				if err := a.Commit(ctx, m, ops); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		must(t, a.Checkpoint(ctx, true))
	}
	wg.Wait()
	checkModels(t, a, models, true)
	must(t, a.Close())
	a = openTest(t, dir)
	checkModels(t, a, models, true)
	must(t, a.Close())
}

// A checkpoint is due only when the log has grown by as much as is allowed, and by as much as the last checkpoint took.
func TestCheckpointWhenDue(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(ctx, dir, Options{CheckpointSize: 2000})
	must(t, err)
	defer func() { must(t, a.Close()) }()
	m := registerTest(t, a, 1)[0]
	first := func() uint64 { return a.driver.log.First() }
	must(t, a.Checkpoint(ctx, false))
	if first() != 1 {
		t.Fatal("a checkpoint was written although none was due")
	}
	for i := range 100 {
		must(t, a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(i)}}))
	}
	must(t, a.Checkpoint(ctx, false))
	begin := first()
	if begin == 1 {
		t.Fatal("no checkpoint was written although one was due")
	}
	for i := range 30 { // more than CheckpointSize, less than the checkpoint
		must(t, a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(1000 + i)}}))
	}
	must(t, a.Checkpoint(ctx, false))
	if first() != begin {
		t.Fatal("a checkpoint was written that costs more than what has happened since the last one")
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if err := a.Checkpoint(canceled, true); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
}

// The logs of an account that is used for long stay small, and a side log keeps what is not finished.
func TestLogsStayBounded(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(ctx, dir, Options{SegmentSize: 4096, CheckpointSize: 10_000})
	must(t, err)
	m := registerTest(t, a, 1)[0]
	in := Intent{Target: merge.Right, Mailbox: m, Time: 1, Effects: []Effect{{Kind: EffectFlags, Old: benchPair(1), Add: merge.NewFlags("x")}}}
	left, err := a.Begin(ctx, in)
	must(t, err)
	for i := range 400 {
		b, err := a.Begin(ctx, in)
		must(t, err)
		must(t, a.Finish(ctx, b, Outcome{Time: int64(i), Results: []Result{{Status: Done}}}))
		must(t, a.Checkpoint(ctx, false))
		if i == 200 {
			must(t, a.Finish(ctx, left, Outcome{Time: int64(i), Results: []Result{{Status: NotDone}}}))
		}
	}
	must(t, a.Close())
	var total int64
	must(t, filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			total += info.Size()
		}
		return err
	}))
	if total > 60_000 {
		t.Fatalf("the logs have %d bytes", total)
	}
	a = openTest(t, dir)
	if len(a.Unsettled()) != 0 || len(a.Repairs()) != 0 {
		t.Fatalf("unsettled %v, repairs %v", a.Unsettled(), a.Repairs())
	}
	must(t, a.Close())
}
