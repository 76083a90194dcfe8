package logstate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"driftless/merge"
)

// gate lets a test hold an append back, so that other requests gather behind it.
type gate struct {
	appender
	appends atomic.Int64
	hold    chan struct{} // nil: open
	held    chan struct{}
	mu      sync.Mutex
	fail    error
}

func (g *gate) Append(f []frame) (uint64, error) {
	g.appends.Add(1)
	g.mu.Lock()
	hold, fail := g.hold, g.fail
	g.hold = nil
	g.mu.Unlock()
	if hold != nil {
		close(g.held)
		<-hold
	}
	if fail != nil {
		return 0, fail
	}
	return g.appender.Append(f)
}

// close makes the next append wait; open lets it go.
func (g *gate) close() (open func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	hold := make(chan struct{})
	g.hold, g.held = hold, make(chan struct{})
	return func() { close(hold) }
}

func openGated(t *testing.T, dir string) (*Account, map[string]*gate) {
	t.Helper()
	gates := map[string]*gate{}
	a, err := openWith(ctx, dir, Options{}, func(name string, log appender) appender {
		gates[name] = &gate{appender: log}
		return gates[name]
	})
	must(t, err)
	return a, gates
}

// Requests of several mailboxes that wait together cost one fsync, not one each.
func TestGroupCommit(t *testing.T) {
	a, gates := openGated(t, t.TempDir())
	boxes := registerTest(t, a, 20)
	intent := func(m Mailbox) Intent {
		return Intent{Target: merge.Left, Mailbox: m, Time: 1, Effects: []Effect{{Kind: EffectCopy, New: merge.Pair{ID: [2]merge.ID{"", "r"}}}}}
	}
	batches := make([]Batch, len(boxes))
	grouped := func(name string, f func(i int) error) {
		t.Helper()
		g := gates[name]
		open := g.close()
		before := g.appends.Load()
		var wg sync.WaitGroup
		var waiting atomic.Int64
		run := func(i int) {
			wg.Go(func() {
				waiting.Add(1)
				if err := f(i); err != nil {
					t.Error(err)
				}
			})
		}
		run(0)
		<-g.held
		for i := 1; i < len(boxes); i++ {
			run(i)
		}
		for waiting.Load() < int64(len(boxes)) {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond) // for the last of them to reach the channel; if it does not, it costs one append more
		open()
		wg.Wait()
		if n := g.appends.Load() - before; n > 4 {
			t.Errorf("%s log: %d requests took %d fsyncs", name, len(boxes), n)
		}
	}
	grouped("right", func(i int) (err error) {
		batches[i], err = a.Begin(ctx, intent(boxes[i]))
		return err
	})
	grouped("shared", func(i int) error {
		return a.Finish(ctx, batches[i], Outcome{Time: 2, Results: []Result{{Status: Done, ID: "l"}}})
	})
	grouped("shared", func(i int) error {
		return a.Commit(ctx, boxes[i], []Op{{Kind: SetCursor, Cursor: "c"}})
	})
	if n := gates["left"].appends.Load(); n != 0 {
		t.Errorf("the left log was written %d times, although nothing was done to the right store", n)
	}
	must(t, a.Close())
}

// A batch costs one fsync to begin and two to finish; what changes nothing costs none.
func TestAppendsPerBatch(t *testing.T) {
	a, gates := openGated(t, t.TempDir())
	m := registerTest(t, a, 1)[0]
	total := func() (n int64) {
		for _, g := range gates {
			n += g.appends.Load()
		}
		return n
	}
	steps := []struct {
		what string
		want int64
		do   func() error
	}{
		{"commit", 1, func() error { return a.Commit(ctx, m, []Op{{Kind: KnownOn}, {Kind: SetCursor, Cursor: "c"}}) }},
		{"the same commit", 0, func() error { return a.Commit(ctx, m, []Op{{Kind: KnownOn}, {Kind: SetCursor, Cursor: "c"}}) }},
		{"pair", 1, func() error { return a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(1)}}) }},
		{"the same pair", 0, func() error { return a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(1)}}) }},
		{"drop of what is not there", 0, func() error { return a.Commit(ctx, m, []Op{{Kind: DropPair, Pair: benchPair(2)}}) }},
		{"base that is so already", 0, func() error {
			return a.Commit(ctx, m, []Op{{Kind: AdjustBase, Pair: benchPair(1), Add: [2]merge.Flags{merge.NewFlags(`\Seen`), {}}}})
		}},
		{"clear", 1, func() error { return a.Commit(ctx, m, []Op{{Kind: Clear}}) }},
		{"clear of nothing", 0, func() error { return a.Commit(ctx, m, []Op{{Kind: Clear}}) }},
		{"no ops", 0, func() error { return a.Commit(ctx, m, nil) }},
		{"known mailbox", 0, func() error { _, err := a.Register(ctx, names(0)); return err }},
		{"identity", 1, func() error { return a.SetStoreIdentity(ctx, merge.Left, "x") }},
		{"same identity", 0, func() error { return a.SetStoreIdentity(ctx, merge.Left, "x") }},
		{"batch", 3, func() error {
			b, err := a.Begin(ctx, Intent{Target: merge.Right, Mailbox: m, Time: 1, Effects: []Effect{{Kind: EffectDelete, Old: benchPair(1)}}})
			if err != nil {
				return err
			}
			return a.Finish(ctx, b, Outcome{Time: 2, Results: []Result{{Status: Done}}})
		}},
	}
	for _, s := range steps {
		before := total()
		must(t, s.do())
		if n := total() - before; n != s.want {
			t.Errorf("%s: %d fsyncs, want %d", s.what, n, s.want)
		}
	}
	must(t, a.Close())
}

// After a failed write everything that would write says so, and opening again gives what was durable.
func TestPoisonedLog(t *testing.T) {
	for _, name := range logNames {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, gates := openGated(t, dir)
			m := registerTest(t, a, 1)[0]
			must(t, a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(1)}}))
			disk := errors.New("no space left on device")
			gates[name].fail = disk
			use := func() error {
				if name == "shared" {
					return a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(2)}})
				}
				target := merge.Left
				if name == "left" {
					target = merge.Right
				}
				_, err := a.Begin(ctx, Intent{Target: target, Mailbox: m, Time: 1, Effects: []Effect{{Kind: EffectDelete, Old: benchPair(1)}}})
				return err
			}
			if err := use(); !errors.Is(err, disk) {
				t.Fatalf("error %v", err)
			}
			gates[name].fail = nil
			for range 2 {
				if err := use(); !errors.Is(err, errPoisoned) || !strings.Contains(err.Error(), "no space") {
					t.Fatalf("error %v", err)
				}
			}
			if err := a.Checkpoint(ctx, true); name == "shared" && !errors.Is(err, errPoisoned) {
				t.Fatalf("checkpoint: error %v", err)
			}
			must(t, a.Close())
			a = openTest(t, dir)
			s, err := a.State(m)
			must(t, err)
			if s.Count(merge.Left) != 1 || len(a.Unsettled()) != 0 {
				t.Fatalf("%d messages, unsettled %v", s.Count(merge.Left), a.Unsettled())
			}
			must(t, a.Close())
		})
	}
}

func TestCancelledAndClosed(t *testing.T) {
	a := openTest(t, t.TempDir())
	m := registerTest(t, a, 1)[0]
	in := Intent{Target: merge.Left, Mailbox: m, Time: 1, Effects: []Effect{{Kind: EffectCreateMailbox}}}
	b, err := a.Begin(ctx, in)
	must(t, err)
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := a.Begin(canceled, in); !errors.Is(err, context.Canceled) {
		t.Errorf("begin: %v", err)
	}
	if err := a.Commit(canceled, m, []Op{{Kind: KnownOn}}); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v", err)
	}
	// What has happened is recorded all the same.
	must(t, a.Finish(canceled, b, Outcome{Time: 2, Results: []Result{{Status: Done}}}))
	if !a.Mailboxes()[0].Known[merge.Left] {
		t.Error("the outcome was not committed")
	}
	must(t, a.Close())
	must(t, a.Close())
	if _, err := a.Begin(ctx, in); !errors.Is(err, errClosed) {
		t.Errorf("begin after close: %v", err)
	}
	if _, err := a.State(m); !errors.Is(err, errClosed) {
		t.Errorf("state after close: %v", err)
	}
}

func TestRegisterConcurrently(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[[2]string]map[Mailbox]bool{}
	for i := range 64 {
		wg.Go(func() {
			n := names(i % 8)
			m, err := a.Register(ctx, n)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if got[n] == nil {
				got[n] = map[Mailbox]bool{}
			}
			got[n][m] = true
		})
	}
	wg.Wait()
	for n, numbers := range got {
		if len(numbers) != 1 {
			t.Errorf("%v has the numbers %v", n, numbers)
		}
	}
	renamed, err := a.Register(ctx, [2]string{names(0)[0], "elsewhere"})
	must(t, err)
	must(t, a.Close())
	a = openTest(t, dir)
	for n, numbers := range got {
		m, err := a.Register(ctx, n)
		must(t, err)
		if !numbers[m] {
			t.Errorf("%v has got the number %d", n, m)
		}
		if m == renamed {
			t.Errorf("a mailbox with another right name has the same number")
		}
	}
	if n := len(a.Mailboxes()); n != 9 {
		t.Errorf("%d mailboxes", n)
	}
	must(t, a.Close())
}

// What cannot be recorded is refused before anything is written.
func TestRefused(t *testing.T) {
	a := openTest(t, t.TempDir())
	m := registerTest(t, a, 1)[0]
	last := func() string { return fmt.Sprint(a.logs[0].Last(), a.logs[1].Last(), a.logs[2].Last()) }
	before := last()
	long := merge.ID(strings.Repeat("x", maxID+1))
	bad := map[string]error{
		"pair without an id":   a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: merge.Pair{ID: [2]merge.ID{"x", ""}}}}),
		"long id":              a.Commit(ctx, m, []Op{{Kind: DropHalf, Half: merge.Half{ID: long}}}),
		"half without reason":  a.Commit(ctx, m, []Op{{Kind: PutHalf, Half: merge.Half{ID: "x"}}}),
		"unknown op":           a.Commit(ctx, m, []Op{{Kind: 99}}),
		"unknown mailbox":      a.Commit(ctx, 99, []Op{{Kind: KnownOn}}),
		"batch never begun":    a.Finish(ctx, Batch{Intent: Intent{Mailbox: m}, Seq: 1}, Outcome{}),
		"one op of two is bad": a.Commit(ctx, m, []Op{{Kind: KnownOn}, {Kind: 99}}),
	}
	huge := Op{Kind: PutHalf, Half: merge.Half{ID: "x", Reason: merge.InDoubt, Mark: strings.Repeat("m", maxMark)}}
	bad["too much for one entry"] = a.Commit(ctx, m, slices.Repeat([]Op{huge}, maxOps/maxMark+1))
	bad["too big an intent"] = func() error {
		effects := slices.Repeat([]Effect{{Kind: EffectDelete, Old: merge.Pair{ID: [2]merge.ID{long[1:], long[1:]}}}}, maxPayload/(2*maxID)+1)
		_, err := a.Begin(ctx, Intent{Mailbox: m, Effects: effects})
		return err
	}()
	for _, in := range []Intent{
		{Mailbox: m},
		{Mailbox: 99, Effects: []Effect{{Kind: EffectCreateMailbox}}},
		{Mailbox: m, Effects: []Effect{{Kind: 77}}},
		{Mailbox: m, Effects: []Effect{{Kind: EffectMove, To: 99}}},
		{Mailbox: m, Target: 2, Effects: []Effect{{Kind: EffectCreateMailbox}}},
	} {
		_, err := a.Begin(ctx, in)
		bad[fmt.Sprintf("intent %+v", in)] = err
	}
	for what, err := range bad {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if last() != before {
		t.Errorf("something was written")
	}
	b, err := a.Begin(ctx, Intent{Mailbox: m, Time: 1, Effects: []Effect{{Kind: EffectCopy, New: merge.Pair{ID: [2]merge.ID{"", "r"}}}}})
	must(t, err)
	if err := a.Finish(ctx, b, Outcome{Results: []Result{{Status: Done}}}); err == nil {
		t.Error("a copy without an id was accepted")
	}
	must(t, a.Finish(ctx, b, Outcome{Results: []Result{{Status: Refused, Note: strings.Repeat("ü", maxNote)}}}))
	must(t, a.Close())
}
