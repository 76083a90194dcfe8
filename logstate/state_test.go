package logstate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"driftless/merge"
)

// Pairs goes over the pairs of one moment while commits change them, and its function may use the state.
func TestPairsWhileCommitting(t *testing.T) {
	a := openTest(t, t.TempDir())
	m := registerTest(t, a, 1)[0]
	const n = 3000
	var ops []Op
	for i := range n {
		ops = append(ops, Op{Kind: PutPair, Pair: benchPair(i)})
	}
	must(t, a.Commit(ctx, m, ops))
	s, err := a.State(m)
	must(t, err)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(w)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				// Each commit keeps the number of pairs: one goes, one comes.
				i := rnd.IntN(n/2)*2 + w
				p, q := benchPair(i), benchPair(i)
				q.ID[0] += "x"
				if err := a.Commit(ctx, m, []Op{{Kind: DropPair, Pair: p}, {Kind: PutPair, Pair: q}}); err != nil {
					t.Error(err)
					return
				}
				if err := a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: p}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 20 {
		seen := map[merge.ID]bool{}
		s.Pairs(func(p merge.Pair) bool {
			if seen[p.ID[1]] {
				t.Errorf("%s came twice", p.ID[1])
			}
			seen[p.ID[1]] = true
			s.Count(merge.Left)
			return true
		})
		if len(seen) != n {
			t.Errorf("%d pairs, want %d", len(seen), n)
		}
	}
	close(stop)
	wg.Wait()
	must(t, a.Close())
}

// The effects of a move show in both mailboxes in one entry of the log.
func TestMoveIsOneEntry(t *testing.T) {
	dir := t.TempDir()
	a, gates := openGated(t, dir)
	boxes := registerTest(t, a, 2)
	p := benchPair(1)
	must(t, a.Commit(ctx, boxes[0], []Op{{Kind: PutPair, Pair: p}}))
	q := p
	q.ID = [2]merge.ID{"", "moved on the right"}
	b, err := a.Begin(ctx, Intent{Target: merge.Left, Mailbox: boxes[0], Time: 1, Effects: []Effect{{Kind: EffectMove, Old: p, New: q, To: boxes[1]}}})
	must(t, err)
	before := gates["shared"].Last()
	must(t, a.Finish(ctx, b, Outcome{Time: 2, Results: []Result{{Status: Done, ID: "moved on the left"}}}))
	if n := gates["shared"].Last() - before; n != 1 {
		t.Errorf("the move took %d entries", n)
	}
	for i, want := range []int{0, 1} {
		if got := a.Mailboxes()[i].Count; got != [2]int{want, want} {
			t.Errorf("mailbox %d has %v messages", i, got)
		}
	}
	must(t, a.Close())
}

// Entries of deleted messages are used again, and ids that nobody uses are dropped from memory.
func TestTableReusesSpace(t *testing.T) {
	tab := newTable()
	for i := range 200_000 {
		_, err := tab.apply(rawOp{kind: PutPair, pair: rawPairOf(benchPair(i))})
		must(t, err)
		if i >= 1000 {
			_, err := tab.apply(rawOp{kind: DropPair, pair: rawPair{id: [2][]byte{[]byte(benchPair(i - 1000).ID[0])}}})
			must(t, err)
		}
	}
	if tab.count.pairs != 1000 || tab.pairs.n > 1100 {
		t.Errorf("%d pairs in %d entries", tab.count.pairs, tab.pairs.n)
	}
	size := 0
	for _, s := range tab.arena.slabs {
		size += cap(s)
	}
	if size > 4*slabSize {
		t.Errorf("the ids of 1000 messages take %d bytes", size)
	}
	if len(tab.byID[0].tags) > 4000 {
		t.Errorf("the index of 1000 messages has %d slots", len(tab.byID[0].tags))
	}
}

// Damage in the middle of the shared log marks the mailboxes, and only until they are cleared.
func TestDamageInTheMiddle(t *testing.T) {
	for victim := range 6 {
		t.Run(fmt.Sprint(victim), func(t *testing.T) {
			dir := t.TempDir()
			a, err := Open(ctx, dir, Options{})
			must(t, err)
			boxes := registerTest(t, a, 2)
			if victim >= 3 { // damage a checkpoint
				fillModels(t, a, boxes, 3)
				must(t, a.Checkpoint(ctx, true))
			}
			var at []int64
			for i := range 3 {
				at = append(at, logSize(t, dir, "shared"))
				must(t, a.Commit(ctx, boxes[0], []Op{{Kind: PutPair, Pair: benchPair(100 + i)}}))
			}
			must(t, a.Close())
			where := at[1] + 20
			if victim >= 3 {
				where = int64(50 + victim*40)
			}
			path := onlySegment(t, filepath.Join(dir, "shared"))
			data, err := os.ReadFile(path)
			must(t, err)
			data[where] ^= 0x10
			must(t, os.WriteFile(path, data, 0o600))

			a = openTest(t, dir)
			if len(a.Repairs()) == 0 {
				t.Error("nothing was reported")
			}
			marked := 0
			for _, s := range a.Mailboxes() {
				if s.Repair {
					marked++
				}
				_, err := a.State(s.Mailbox)
				must(t, err)
			}
			if marked == 0 {
				t.Fatalf("no mailbox is marked: %+v", a.Mailboxes())
			}
			must(t, a.Close())
			a = openTest(t, dir)
			for i := range 2 {
				m, err := a.Register(ctx, names(i))
				must(t, err)
				must(t, a.Commit(ctx, m, []Op{{Kind: Clear}}))
				must(t, a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(7)}}))
			}
			for range 2 {
				must(t, a.Close())
				a = openTest(t, dir)
				for i := range 2 {
					m, err := a.Register(ctx, names(i))
					must(t, err)
					s, err := a.State(m)
					must(t, err)
					if s.Count(merge.Left) != 1 {
						t.Errorf("mailbox %d has %d messages", m, s.Count(merge.Left))
					}
				}
				for _, s := range a.Mailboxes() {
					if s.Repair {
						t.Errorf("mailbox %d is still marked", s.Mailbox)
					}
				}
				if len(a.Repairs()) > 0 {
					t.Errorf("repairs: %+v", a.Repairs())
				}
				must(t, a.Checkpoint(ctx, true))
			}
			must(t, a.Close())
		})
	}
}

// Two processes take turns.
func TestTurns(t *testing.T) {
	dir := t.TempDir()
	models := map[Mailbox]*model{}
	for turn := range 5 {
		a := openTest(t, dir)
		for i := range turn + 1 {
			m, err := a.Register(ctx, names(i))
			must(t, err)
			if models[m] == nil {
				models[m] = newModel()
			}
			op := Op{Kind: PutPair, Pair: benchPair(turn*10 + i)}
			models[m].apply(op)
			must(t, a.Commit(ctx, m, []Op{op}))
		}
		checkModels(t, a, models, true)
		must(t, a.Close())
	}
}

// A mailbox whose pairs do not add up with what the log counts is not used but marked, for good.
func TestInconsistentMailboxIsMarked(t *testing.T) {
	for _, by := range []string{"state", "commit", "checkpoint"} {
		t.Run(by, func(t *testing.T) {
			dir := t.TempDir()
			a := openTest(t, dir)
			m := registerTest(t, a, 1)[0]
			must(t, a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(1)}}))
			wrong := counts{pairs: 5}
			_, err := a.logs[2].Append([]frame{{Kind: kindCommit, Mailbox: m, Payload: appendCommit(nil, commitRecord{
				sections: []section{{mailbox: m, counts: &wrong}},
			})}})
			must(t, err)
			must(t, a.Close())
			a = openTest(t, dir)
			switch by {
			case "state":
				_, err = a.State(m)
			case "commit":
				err = a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(2)}})
			case "checkpoint":
				err = a.Checkpoint(ctx, true)
			}
			if !errors.Is(err, errInconsistent) {
				t.Errorf("error %v", err)
			}
			must(t, a.Close())
			a = openTest(t, dir)
			if !a.Mailboxes()[0].Repair {
				t.Error("the mailbox is not marked")
			}
			must(t, a.Commit(ctx, m, []Op{{Kind: Clear}, {Kind: PutPair, Pair: benchPair(3)}}))
			must(t, a.Close())
			a = openTest(t, dir)
			s, err := a.State(m)
			must(t, err)
			if sum := a.Mailboxes()[0]; sum.Repair || sum.Count != [2]int{1, 1} || s.Count(merge.Left) != 1 {
				t.Errorf("after it was cleared: %+v", sum)
			}
			must(t, a.Close())
		})
	}
}

// A log without its beginning puts what it knows in doubt, but not what is registered from then on.
func TestNewMailboxIsNotInDoubt(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	boxes := registerTest(t, a, 1)
	for i := range 100 {
		must(t, a.Commit(ctx, boxes[0], []Op{{Kind: PutPair, Pair: benchPair(i)}}))
	}
	must(t, a.Close())
	shared := filepath.Join(dir, "shared")
	segs := segmentsOf(t, shared)
	if len(segs) < 2 {
		t.Fatalf("segments %v", segs)
	}
	must(t, os.Remove(filepath.Join(shared, segmentName(segs[0]))))
	a = openTest(t, dir)
	m, err := a.Register(ctx, [2]string{"new", "new"})
	must(t, err)
	must(t, a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(7)}}))
	for range 2 {
		for _, s := range a.Mailboxes() {
			if s.Mailbox == m && s.Repair {
				t.Error("the new mailbox is to be paired again")
			}
			if s.Mailbox == boxes[0] && !s.Repair {
				t.Error("the old mailbox is not to be paired again")
			}
		}
		must(t, a.Close())
		a = openTest(t, dir)
	}
	must(t, a.Close())
}
