package drivertest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
)

// TestFaultyConforms shows that the wrapper without a fault changes nothing.
func TestFaultyConforms(t *testing.T) {
	drivertest.Run(t, func(t *testing.T) drivertest.Subject {
		srv := memory.New(memory.Options{})
		return drivertest.Subject{
			Traits: drivertest.Traits{TellsIDs: true, TellsGone: true, Quiet: true, Unchanged: true, Counts: true, Guards: true, Subscribes: true},
			Hand:   userHand{srv},
			Open: func(ctx context.Context) (drivers.Store, error) {
				s, err := srv.Open(ctx)
				if err != nil {
					return nil, err
				}
				return drivertest.Faulty(s, &drivertest.Plan{EveryYield: true}), nil
			},
		}
	})
}

// script does one thing of each kind and returns the first error.
func script(ctx context.Context, s drivers.Store) error {
	if _, err := s.Identity(ctx); err != nil {
		return err
	}
	if _, err := s.List(ctx, nil); err != nil {
		return err
	}
	if err := s.Create(ctx, "A"); err != nil {
		return err
	}
	b, err := s.Open(ctx, "INBOX")
	if err != nil {
		return err
	}
	err = scriptIn(ctx, b)
	err = errors.Join(err, b.Close())
	if err != nil {
		return err
	}
	if err := s.Rename(ctx, "A", "B"); err != nil {
		return err
	}
	return s.Delete(ctx, "B")
}

func scriptIn(ctx context.Context, b drivers.Mailbox) error {
	mark, err := b.Mark(ctx)
	if err != nil {
		return err
	}
	var msgs []drivers.Append
	for n := range 4 {
		msgs = append(msgs, drivers.Append{Date: drivertest.MessageDate(n), Content: drivers.Bytes(drivertest.Message(n, drivertest.MessageOptions{}))})
	}
	res, err := b.Append(ctx, msgs)
	if len(res) != len(msgs) {
		return fmt.Errorf("%d results: %w", len(res), err)
	}
	if err != nil {
		return err
	}
	var ids []merge.ID
	if _, err := b.Changes(ctx, "", drivers.Delta, func(e drivers.Entry) error { ids = append(ids, e.ID); return nil }); err != nil {
		return err
	}
	if err := b.Since(ctx, mark, func(drivers.Description) error { return nil }); err != nil {
		return err
	}
	if err := b.Describe(ctx, ids[:2], func(drivers.Description) error { return nil }); err != nil {
		return err
	}
	if err := b.Look(ctx, ids[:1], func(drivers.Entry) error { return nil }); err != nil {
		return err
	}
	if err := b.Fetch(ctx, ids[:2], func(f drivers.Fetched) error { return f.Content.Close() }); err != nil {
		return err
	}
	flags, err := b.SetFlags(ctx, []drivers.FlagChange{{ID: ids[0], Add: merge.NewFlags(`\Seen`)}, {ID: ids[1], Add: merge.NewFlags(`\Seen`)}})
	if err != nil || len(flags) != 2 {
		return errors.Join(err, checkLen("SetFlags", len(flags), 2))
	}
	moved, err := b.Move(ctx, ids[2:3], "A")
	if err != nil || len(moved) != 1 {
		return errors.Join(err, checkLen("Move", len(moved), 1))
	}
	gone, err := b.Expunge(ctx, []drivers.Removal{{ID: ids[0], Seen: flags[0].Flags}, {ID: ids[3]}})
	if err != nil || len(gone) != 2 {
		return errors.Join(err, checkLen("Expunge", len(gone), 2))
	}
	return nil
}

func checkLen(op string, got, want int) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s: %d results, want %d", op, got, want)
}

// writes are the points of script that have an effect, in order.
var writes = []string{
	"Create A 1", "Append INBOX 1.1", "Append INBOX 1.2", "Append INBOX 1.3", "Append INBOX 1.4", "SetFlags INBOX 1.1", "SetFlags INBOX 1.2",
	"Move INBOX 1.1", "Expunge INBOX 1.1", "Expunge INBOX 1.2", "Rename A 1", "Delete B 1",
}

// TestFaultyEveryPoint tries each fault at each point and wants just the effects up to there.
func TestFaultyEveryPoint(t *testing.T) {
	runs := 0
	drivertest.Explore(t, drivertest.Faults, true, func(t *testing.T, p *drivertest.Plan) {
		runs++
		srv := memory.New(memory.Options{})
		inner, err := srv.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		p.Err = boom
		struck := ""
		p.OnHit = func(point string) { struck = point }
		s := drivertest.Faulty(inner, p)
		err = script(t.Context(), s)
		if p.Fault == 0 {
			if err != nil || p.Hit() != "" {
				t.Fatalf("without a fault: %v, hit %q", err, p.Hit())
			}
			if got := srv.Counts().Writes(); got != len(writes) {
				t.Fatalf("%d effects, want %d", got, len(writes))
			}
			return
		}
		if !errors.Is(err, drivertest.ErrInjected) || !errors.Is(err, boom) || drivers.ReachOf(err) != drivers.ReachStore {
			t.Errorf("the error is %v", err)
		}
		if got, want := errors.Is(err, drivers.ErrUnknown), p.Fault != drivertest.FailBefore && p.Fault != drivertest.FailAfter; got != want {
			t.Errorf("the outcome is unknown: %v, want %v", got, want)
		}
		if struck != p.Hit() || struck != p.AtName {
			t.Errorf("struck at %q, hit %q, wanted %q", struck, p.Hit(), p.AtName)
		}
		want := 0
		for _, point := range p.Points() {
			if slices.Contains(writes, point) && (point != p.Hit() || p.Fault.Applies()) {
				want++
			}
		}
		if got := srv.Counts().Writes(); got != want {
			t.Errorf("%d effects, want %d", got, want)
		}
		if n := srv.OpenContents(); n != 0 {
			t.Errorf("%d contents are open", n)
		}
		_, err = s.List(t.Context(), nil)
		if (err != nil) != p.Fault.Dies() || p.Dead() != p.Fault.Dies() {
			t.Errorf("after the fault: %v, dead %v", err, p.Dead())
		}
		if err := s.Close(); err != nil || srv.OpenStores() != 0 {
			t.Errorf("close: %v, %d stores open", err, srv.OpenStores())
		}
	})
	if runs < 30*len(drivertest.Faults) {
		t.Errorf("%d runs only", runs)
	}
}

// TestRefusalsEveryPoint tries each fault of a mailbox or a message at each point that it suits. Those of a message take nothing else along.
func TestRefusalsEveryPoint(t *testing.T) {
	runs := map[drivers.Reach]int{}
	drivertest.Explore(t, drivertest.Refusals, true, func(t *testing.T, p *drivertest.Plan) {
		srv := memory.New(memory.Options{})
		inner, err := srv.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s := drivertest.Faulty(inner, p)
		var res []error
		err = everyAnswer(t.Context(), s, &res)
		if p.Fault == 0 {
			if err != nil || p.Hit() != "" || len(res) == 0 {
				t.Fatalf("without a fault: %v, hit %q, %d answers", err, p.Hit(), len(res))
			}
			return
		}
		runs[p.Fault.Reach()]++
		var bad error
		for _, e := range res {
			if e != nil {
				bad = errors.Join(bad, e)
			}
		}
		if p.Fault.Reach() == drivers.ReachMessage {
			if err != nil {
				t.Errorf("one message fails the call: %v", err)
			}
		} else {
			bad = err
		}
		if !errors.Is(bad, drivertest.ErrInjected) || drivers.ReachOf(bad) != p.Fault.Reach() {
			t.Errorf("the error is %v", bad)
		}
		known := p.Fault == drivertest.BoxFailBefore || p.Fault == drivertest.MailFailBefore
		if errors.Is(bad, drivers.ErrUnknown) == known {
			t.Errorf("the outcome: %v", bad)
		}
		if p.Fault.Reach() == drivers.ReachMessage {
			want := 7 // a mailbox, four messages, two changes of flags
			if !p.Fault.Applies() && !strings.HasPrefix(p.Hit(), "Fetch") {
				want--
			}
			if got := srv.Counts().Writes(); got != want {
				t.Errorf("%d effects, want %d", got, want)
			}
		}
		if n := srv.OpenContents(); n != 0 {
			t.Errorf("%d contents are open", n)
		}
		if _, err := s.List(t.Context(), nil); err != nil || p.Dead() {
			t.Errorf("after it: %v", err)
		}
		if err := s.Close(); err != nil || srv.OpenStores() != 0 {
			t.Errorf("close: %v, %d stores open", err, srv.OpenStores())
		}
	})
	if runs[drivers.ReachMailbox] < 20 || runs[drivers.ReachMessage] < 20 {
		t.Errorf("runs by reach: %v", runs)
	}
}

// everyAnswer does what script does, but goes on after an answer about one message; res gets all of them.
func everyAnswer(ctx context.Context, s drivers.Store, res *[]error) error {
	if err := s.Create(ctx, "A"); err != nil {
		return err
	}
	b, err := s.Open(ctx, "INBOX")
	if err != nil {
		return err
	}
	return errors.Join(everyAnswerIn(ctx, b, res), b.Close())
}

func everyAnswerIn(ctx context.Context, b drivers.Mailbox, res *[]error) error {
	var msgs []drivers.Append
	for n := range 4 {
		msgs = append(msgs, drivers.Append{Date: drivertest.MessageDate(n), Content: drivers.Bytes(drivertest.Message(n, drivertest.MessageOptions{}))})
	}
	appended, err := b.Append(ctx, msgs)
	if err != nil {
		return err
	}
	for _, r := range appended {
		*res = append(*res, r.Err)
	}
	var ids []merge.ID
	if _, err := b.Changes(ctx, "", drivers.Delta, func(e drivers.Entry) error { ids = append(ids, e.ID); return nil }); err != nil {
		return err
	}
	err = b.Fetch(ctx, ids, func(f drivers.Fetched) error {
		*res = append(*res, f.Err)
		if f.Content == nil {
			return nil
		}
		return f.Content.Close()
	})
	if err != nil {
		return err
	}
	ids = ids[:2]
	flags, err := b.SetFlags(ctx, []drivers.FlagChange{{ID: ids[0], Add: merge.NewFlags(`\Seen`)}, {ID: ids[1], Add: merge.NewFlags(`\Seen`)}})
	if err != nil {
		return err
	}
	for _, r := range flags {
		*res = append(*res, r.Err)
	}
	return nil
}

func TestFaultyByNumber(t *testing.T) {
	srv := memory.New(memory.Options{})
	open := func(p *drivertest.Plan, label string) drivers.Store {
		s, err := srv.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return drivertest.FaultyNamed(s, p, label)
	}
	p := &drivertest.Plan{At: 3, Fault: drivertest.DieAfter}
	left, right := open(p, "left"), open(p, "right")
	for i, s := range []drivers.Store{left, right, left, right} {
		_, err := s.List(t.Context(), nil)
		if (err != nil) != (i >= 2) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if got := strings.Join(p.Points(), "; "); got != "left List 1; right List 1; left List 2" {
		t.Errorf("points: %s", got)
	}
	if b, err := right.Open(t.Context(), "INBOX"); err == nil || b != nil {
		t.Error("a dead process opens a mailbox")
	}
}

func TestFaultyConcurrent(t *testing.T) {
	srv := memory.New(memory.Options{})
	inner, err := srv.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := &drivertest.Plan{AtName: "Create box3 2", Fault: drivertest.FailBefore}
	s := drivertest.Faulty(inner, p)
	var mu sync.Mutex
	failed := map[string]int{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprintf("box%d", i)
			for range 5 {
				if err := s.Create(t.Context(), name); err != nil {
					mu.Lock()
					failed[name]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if len(failed) != 1 || failed["box3"] != 1 {
		t.Errorf("failed: %v, want box3 once", failed)
	}
	if n := len(p.Points()); n != 40 {
		t.Errorf("%d points, want 40", n)
	}
}
