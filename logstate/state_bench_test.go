package logstate

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"testing"

	"driftless/merge"
)

// benchPair makes a pair as a real account has them: a Maildir id and an IMAP id of about 20 bytes, identity and content known.
func benchPair(i int) merge.Pair {
	p := merge.Pair{
		ID:       [2]merge.ID{merge.ID(fmt.Sprintf("1763661234.M%d.hst", i)), merge.ID(fmt.Sprintf("1700000000.%09d", i))},
		Identity: merge.Identity{Header: uint64(i)*0x9e3779b97f4a7c15 | 1, Size: int64(2000 + i%50000)},
	}
	binary.LittleEndian.PutUint64(p.Content[:], uint64(i)+1)
	binary.BigEndian.PutUint64(p.Content[8:], uint64(i)*0xbf58476d1ce4e5b9)
	f := merge.SystemFlags(merge.System(i % 8))
	if i%10 == 0 {
		f = f.Union(merge.NewFlags("NonJunk", "$label1"))
	}
	p.Base = [2]merge.Flags{f, f}
	return p
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// fillTest commits n pairs to each mailbox.
func fillTest(tb testing.TB, a *Account, boxes []Mailbox, n int) {
	tb.Helper()
	for _, m := range boxes {
		var ops []Op
		for i := range n {
			ops = append(ops, Op{Kind: PutPair, Pair: benchPair(i)})
			if len(ops) == 5000 || i == n-1 {
				must(tb, a.Commit(ctx, m, ops))
				ops = ops[:0]
			}
		}
		must(tb, a.Commit(ctx, m, []Op{{Kind: SetCursor, Side: merge.Left, Cursor: "cursor"}}))
		a.Release(m)
	}
}

// A message takes at most 150 bytes of memory, ids and index included.
func TestMemoryPerMessage(t *testing.T) {
	const n = 200_000
	for _, reserve := range []bool{false, true} {
		before := heap()
		tab := newTable()
		if reserve {
			tab.reserve(counts{pairs: n})
		}
		for i := range n {
			if _, err := tab.putPair(rawPairOf(benchPair(i))); err != nil {
				t.Fatal(err)
			}
		}
		per := float64(heap()-before) / n
		runtime.KeepAlive(tab)
		t.Logf("reserved %v: %.1f bytes per message", reserve, per)
		if per > 150 {
			t.Errorf("%.1f bytes per message, at most 150 are allowed", per)
		}
	}
}

func benchAccount(b *testing.B, boxes, each int) string {
	b.Helper()
	dir := b.TempDir()
	a, err := Open(ctx, dir, Options{CheckpointSize: 1 << 50})
	must(b, err)
	fillTest(b, a, registerTest(b, a, boxes), each)
	must(b, a.Close())
	return dir
}

func checkpointTest(tb testing.TB, dir string) {
	tb.Helper()
	a, err := Open(ctx, dir, Options{})
	must(tb, err)
	must(tb, a.Checkpoint(ctx, true))
	must(tb, a.Close())
}

func BenchmarkFold(b *testing.B) {
	for _, shape := range [][2]int{{1, 1_000_000}, {200, 5000}} {
		dir := benchAccount(b, shape[0], shape[1])
		for _, kind := range []string{"commits", "checkpoint"} {
			if kind == "checkpoint" {
				checkpointTest(b, dir)
			}
			name := fmt.Sprintf("%dx%d/%s", shape[0], shape[1], kind)
			b.Run("open/"+name, func(b *testing.B) {
				for b.Loop() {
					a, err := Open(ctx, dir, Options{})
					must(b, err)
					must(b, a.Close())
				}
			})
			b.Run("full/"+name, func(b *testing.B) {
				for b.Loop() {
					before := heap()
					a, err := Open(ctx, dir, Options{})
					must(b, err)
					for _, s := range a.Mailboxes() {
						_, err := a.State(s.Mailbox)
						must(b, err)
					}
					b.StopTimer()
					b.ReportMetric(float64(heap()-before)/float64(shape[0]*shape[1]), "B/message")
					b.StartTimer()
					must(b, a.Close())
				}
			})
		}
		_ = os.RemoveAll(dir)
	}
}

func BenchmarkPairCodec(b *testing.B) {
	p := rawPairOf(benchPair(10))
	buf := appendPair(nil, p)
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			buf = appendPair(buf[:0], p)
		}
		b.ReportMetric(float64(len(buf)), "B/pair")
	})
	b.Run("decode", func(b *testing.B) {
		var cache flagCache
		for b.Loop() {
			d := decoder{b: buf, flags: &cache}
			d.readPair()
		}
	})
}

func BenchmarkPairs(b *testing.B) {
	tab := newTable()
	for i := range 100_000 {
		_, err := tab.putPair(rawPairOf(benchPair(i)))
		must(b, err)
	}
	s := &State{table: tab}
	for b.Loop() {
		s.Pairs(func(merge.Pair) bool { return true })
	}
}
