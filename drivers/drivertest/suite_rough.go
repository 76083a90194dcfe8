package drivertest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"driftless/drivers"
	"driftless/merge"
)

var roughTests = []test{
	{"Rough/ConcurrentMailboxes", testConcurrentMailboxes},
	{"Rough/ConcurrentHandle", testConcurrentHandle},
	{"Rough/ConcurrentEffects", testConcurrentEffects},
	{"Rough/Cancelled", testCancelled},
	{"Rough/CancelledMidway", testCancelledMidway},
	{"Rough/CloseEarly", testCloseEarly},
	{"Rough/Stats", testStats},
}

// together runs functions at once and reports their errors.
func (e *env) together(fs ...func() error) {
	e.Helper()
	var wg sync.WaitGroup
	errs := make([]error, len(fs))
	for i, f := range fs {
		wg.Go(func() { errs[i] = f() })
	}
	wg.Wait()
	for i, err := range errs {
		e.ok(fmt.Sprintf("goroutine %d", i), err)
	}
}

// fill appends messages without any help of testing.T, for use in goroutines.
func (e *env) fill(b drivers.Mailbox, numbers ...int) error {
	for _, it := range numbered(numbers...) {
		res, err := b.Append(e.ctx, []drivers.Append{{Reserved: b.Reserve(), Flags: it.flags, Date: MessageDate(it.n), Content: drivers.Bytes(it.data)}})
		if err != nil {
			return err
		}
		if res[0].Err != nil {
			return res[0].Err
		}
	}
	return nil
}

// testConcurrentMailboxes works in several mailboxes of one Store at once.
func testConcurrentMailboxes(e *env) {
	var work []func() error
	for i := range 6 {
		work = append(work, func() error {
			name := fmt.Sprintf("Parallel %d", i)
			if err := e.store.Create(e.ctx, name); err != nil {
				return err
			}
			b, err := e.store.Open(e.ctx, name)
			if err != nil {
				return err
			}
			if err := e.fill(b, upTo(i*20, i*20+15)...); err != nil {
				return errors.Join(err, b.Close())
			}
			var ids []merge.ID
			_, err = b.Changes(e.ctx, "", drivers.Full, func(x drivers.Entry) error {
				ids = append(ids, x.ID)
				return nil
			})
			if err == nil {
				err = b.Fetch(e.ctx, ids, func(f drivers.Fetched) error { return errors.Join(f.Err, f.Content.Close()) })
			}
			return errors.Join(err, b.Close())
		})
	}
	work = append(work, func() error { _, err := e.store.List(e.ctx, nil); return err })
	e.together(work...)
	for i := range 6 {
		b := e.box(fmt.Sprintf("Parallel %d", i))
		known := identities(upTo(i*20, i*20+15)...)
		var ids []merge.ID
		for id := range e.full(b) {
			ids = append(ids, id)
		}
		if len(e.numbers(b, ids, known)) != 15 {
			e.Errorf("mailbox %d has %d messages, want 15", i, len(ids))
		}
	}
}

// testConcurrentHandle calls many methods of one handle at once; no yield may be called concurrently by one call.
func testConcurrentHandle(e *env) {
	b := e.made("Shared")
	ids := e.put(b, upTo(0, 30)...)
	var work []func() error
	for i := range 8 {
		work = append(work, func() error {
			inside := 0 // unguarded: the race detector sees two yields at once
			var err error
			switch i % 4 {
			case 0:
				_, err = b.Changes(e.ctx, "", drivers.Full, func(drivers.Entry) error { inside++; return nil })
			case 1:
				err = b.Fetch(e.ctx, ids, func(f drivers.Fetched) error { inside++; return errors.Join(f.Err, f.Content.Close()) })
			case 2:
				err = b.Describe(e.ctx, ids, func(drivers.Description) error { inside++; return nil })
			case 3:
				return e.fill(b, 100+i, 200+i)
			}
			if err == nil && inside < len(ids) {
				err = fmt.Errorf("call %d yielded %d of %d", i, inside, len(ids))
			}
			return err
		})
	}
	e.together(work...)
	if n := len(e.full(b)); n != 34 {
		e.Errorf("%d messages, want 34", n)
	}
}

// testConcurrentEffects lets two Stores do the same to the same messages: each effect happens once.
//
// Without UIDPLUS each sees the other's marks and may leave its own messages marked; then only nothing may be lost.
func testConcurrentEffects(e *env) {
	b := e.made("Contested")
	d := e.made("Target")
	ids := e.put(b, upTo(0, 20)...)
	other := e.boxOf(e.open(), "Contested")
	var moved [2][]drivers.Moved
	var work []func() error
	for i, h := range []drivers.Mailbox{b, other} {
		work = append(work, func() (err error) {
			moved[i], err = h.Move(e.ctx, ids[:10], "Target")
			return err
		}, func() error {
			var rs []drivers.Removal
			for n, id := range ids[10:] {
				rs = append(rs, drivers.Removal{ID: id, Seen: MessageFlags(10 + n)})
			}
			res, err := h.Expunge(e.ctx, rs)
			for _, r := range res {
				// The other one has marked it, and removes it.
				if r != nil && !errors.Is(r, drivers.ErrChanged) && !e.sub.NoUIDExpunge {
					return r
				}
			}
			return err
		})
	}
	e.together(work...)
	for i := range 10 {
		for _, m := range moved {
			if err := m[i].Err; err != nil && !errors.Is(err, drivers.ErrGone) && !e.sub.NoUIDExpunge {
				e.Errorf("move of a contested message: %v", err)
			}
		}
	}
	if n := len(e.full(b)); n != 0 && !e.sub.NoUIDExpunge {
		e.Errorf("%d messages stayed, want none", n)
	}
	// A server without MOVE copies: two clients at once may both do so. But nothing may be lost.
	if n := len(e.full(d)); n < 10 {
		e.Errorf("%d messages in the destination, want 10", n)
	}
}

func testCancelled(e *env) {
	b := e.made("Box")
	ids := e.put(b, 1, 2)
	now := e.full(b)
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	first := func(err error, more ...error) error { return errors.Join(append(more, err)...) }
	calls := map[string]func() error{
		"Identity": func() error { _, err := e.store.Identity(ctx); return err },
		"List":     func() error { _, err := e.store.List(ctx, nil); return err },
		"Create":   func() error { return e.store.Create(ctx, "Never") },
		"Rename":   func() error { return e.store.Rename(ctx, "Box", "Never") },
		"Delete":   func() error { return e.store.Delete(ctx, "Box") },
		"Changes": func() error {
			_, err := b.Changes(ctx, "", drivers.Full, func(drivers.Entry) error { return nil })
			return err
		},
		"Describe": func() error { return b.Describe(ctx, ids, func(drivers.Description) error { return nil }) },
		"Look":     func() error { return b.Look(ctx, ids, func(drivers.Entry) error { return nil }) },
		"Fetch":    func() error { return b.Fetch(ctx, ids, func(f drivers.Fetched) error { return f.Content.Close() }) },
		"Since":    func() error { return b.Since(ctx, "", func(drivers.Description) error { return nil }) },
		"Append": func() error {
			res, err := b.Append(ctx, []drivers.Append{{Reserved: b.Reserve(), Content: drivers.Bytes(Message(3, MessageOptions{}))}})
			if len(res) == 1 {
				err = first(err, res[0].Err)
			}
			return err
		},
		"SetFlags": func() error {
			res, err := b.SetFlags(ctx, []drivers.FlagChange{{ID: ids[0], Add: merge.NewFlags(`\Draft`)}})
			if len(res) == 1 {
				err = first(err, res[0].Err)
			}
			return err
		},
		"Expunge": func() error {
			res, err := b.Expunge(ctx, []drivers.Removal{{ID: ids[0], Seen: MessageFlags(1)}})
			if len(res) == 1 {
				err = first(err, res[0])
			}
			return err
		},
		"Move": func() error {
			res, err := b.Move(ctx, ids[:1], "INBOX")
			if len(res) == 1 {
				err = first(err, res[0].Err)
			}
			return err
		},
	}
	for name, call := range calls {
		err := call()
		if name == "Identity" && err == nil {
			continue // it may be known already
		}
		if !errors.Is(err, context.Canceled) {
			e.Errorf("%s with a cancelled context: error is %v", name, err)
		}
	}
	if o, err := e.store.Open(ctx, "Box"); err == nil { // a local store may not need to wait
		e.ok("close", o.Close())
	}
	e.wantFlags("after cancelled calls", e.full(e.box("Box")), now)
	if _, ok := e.list(nil)["Never"]; ok {
		e.Error("a cancelled call made a mailbox")
	}
}

// testCancelledMidway cancels while something is under way: the call ends, nothing leaks, and the store is as usable as before.
func testCancelledMidway(e *env) {
	b := e.made("Box")
	ids := e.put(b, upTo(0, 60)...)
	now := e.full(b)
	for i := range 3 {
		ctx, cancel := context.WithCancel(e.ctx)
		var err error
		calls := 0
		switch i {
		case 0:
			err = b.Fetch(ctx, ids, func(f drivers.Fetched) error {
				calls++
				if calls == 2 {
					cancel()
				}
				if f.Content == nil {
					return nil
				}
				return f.Content.Close()
			})
		case 1:
			_, err = b.Changes(ctx, "", drivers.Full, func(drivers.Entry) error {
				calls++
				if calls == 2 {
					cancel()
				}
				return nil
			})
		case 2:
			err = b.Describe(ctx, ids, func(drivers.Description) error {
				calls++
				if calls == 2 {
					cancel()
				}
				return nil
			})
		}
		cancel()
		if err == nil && calls != len(ids) {
			e.Errorf("call %d was cancelled and yielded %d of %d, but tells no error", i, calls, len(ids))
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			e.Errorf("call %d was cancelled, the error is %v", i, err)
		}
	}
	if err := e.store.Create(e.ctx, "After"); err != nil {
		e.Errorf("the store is not usable after a cancelled call: %v", err)
	}
	nb := e.box("Box")
	e.wantFlags("after cancelled calls", e.full(nb), now)
	if got := e.fetch(nb, ids...); len(got) != len(ids) {
		e.Errorf("%d of %d messages are fetched after cancelled calls", len(got), len(ids))
	}
}

// testCloseEarly closes a Store in use: its calls fail afterwards, and nothing hangs or leaks.
func testCloseEarly(e *env) {
	s := e.open()
	b, err := s.Open(e.ctx, "INBOX")
	e.ok("open", err)
	e.ok("fill", e.fill(b, 1, 2, 3))
	e.ok("close mailbox", b.Close())
	e.ok("close store", s.Close())
	if _, err := s.List(e.ctx, nil); err == nil {
		e.Error("List of a closed store: no error")
	}
	if o, err := s.Open(e.ctx, "INBOX"); err == nil {
		e.Error("Open on a closed store: no error")
		e.ok("close", o.Close())
	}
	e.ok("close store again", s.Close())
	if n := len(e.full(e.box("INBOX"))); n != 3 {
		e.Errorf("%d messages after the store that wrote them was closed, want 3", n)
	}
}

func testStats(e *env) {
	b := e.box("INBOX")
	before := e.store.Stats()
	ids := e.put(b, upTo(0, 20)...)
	e.fetch(b, ids...)
	after := e.store.Stats()
	if after.RoundTrips < before.RoundTrips || after.BytesIn < before.BytesIn || after.BytesOut < before.BytesOut {
		e.Errorf("counts went back from %+v to %+v", before, after)
	}
	if e.store.Info().Kind == "imap" && (after.RoundTrips == before.RoundTrips || after.BytesIn == before.BytesIn || after.BytesOut == before.BytesOut) {
		e.Errorf("an IMAP store moved mail without counting: %+v", after)
	}
}
