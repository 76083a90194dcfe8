package drivertest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"

	"driftless/drivers"
	"driftless/merge"
)

// errStop is what yield functions of the suite end with.
var errStop = errors.New("stopped by the test")

var changeTests = []test{
	{"Changes/Empty", testChangesEmpty},
	{"Changes/EachKind", testChangesEachKind},
	{"Changes/Own", testChangesOwn},
	{"Changes/OldCursors", testOldCursors},
	{"Changes/UnreadableCursor", testUnreadableCursor},
	{"Changes/YieldFails", testYieldFails},
	{"Changes/DuringYield", testChangeDuringYield},
	{"Changes/Replaced", testBump},
	{"Changes/WhileOthersWrite", testWhileOthersWrite},
	{"Changes/NoneGoneWhileFlagged", testNoneGone},
}

// wantObserved observes from an old cursor in every scope and wants, of one who knew base, to know now afterwards.
func (e *env) wantObserved(what string, b drivers.Mailbox, since drivers.Cursor, base, now map[merge.ID]merge.Flags) {
	e.Helper()
	for _, scope := range []drivers.Scope{drivers.Delta, drivers.Present, drivers.Full} {
		s := e.changes(b, since, scope)
		what := fmt.Sprintf("%s, scope %d", what, scope)
		if s.end.Count != len(now) {
			e.Errorf("%s: Count is %d, want %d", what, s.end.Count, len(now))
		}
		got := e.apply(base, s)
		if !s.end.All && !e.sub.TellsGone {
			// What is gone is not told: nothing else may be wrong.
			for id := range got {
				if _, there := now[id]; !there {
					delete(got, id)
				}
			}
		}
		e.wantFlags(what, got, now)
	}
}

func testChangesEmpty(e *env) {
	b := e.box("INBOX")
	for _, scope := range []drivers.Scope{drivers.Delta, drivers.Present, drivers.Full} {
		s := e.changes(b, "", scope)
		if len(s.entries) != 0 || !s.end.All {
			e.Errorf("an empty mailbox in scope %d: %d entries, All %v", scope, len(s.entries), s.end.All)
		}
		e.wantObserved("empty", b, s.end.Cursor, nil, nil)
	}
	c := e.cursor(b)
	ids := e.put(b, 1)
	e.wantObserved("the first message", b, c, nil, map[merge.ID]merge.Flags{ids[0]: MessageFlags(1)})
	full := e.cursor(b)
	e.byHand("remove", e.hand.Remove("INBOX", ids[0]))
	e.wantObserved("the last message is gone", b, full, map[merge.ID]merge.Flags{ids[0]: MessageFlags(1)}, nil)
	e.wantObserved("came and went", b, c, nil, nil)
}

func testChangesEachKind(e *env) {
	b := e.made("Watched")
	e.made("Other")
	ids := e.put(b, upTo(0, 20)...)
	kinds := []struct {
		name string
		do   func() error
	}{
		{"nothing", func() error { return nil }}, // a look again must be as quiet as after every other kind
		{"a flag set", func() error { return e.hand.SetFlags("Watched", ids[0], merge.NewFlags(`\Flagged`)) }},
		{"a flag taken away", func() error { return e.hand.SetFlags("Watched", ids[0], merge.Flags{}) }},
		{"flags there and back", func() error {
			return errors.Join(e.hand.SetFlags("Watched", ids[1], merge.NewFlags(`\Draft`)), e.hand.SetFlags("Watched", ids[1], MessageFlags(1)))
		}},
		{"delivered", func() error {
			return e.hand.Deliver("Watched", merge.NewFlags(`\Seen`), MessageDate(30), Message(30, MessageOptions{}))
		}},
		{"delivered without flags", func() error {
			return e.hand.Deliver("Watched", merge.Flags{}, MessageDate(31), Message(31, MessageOptions{}))
		}},
		{"removed", func() error { return e.hand.Remove("Watched", ids[2]) }},
		{"moved out", func() error { return e.hand.Move("Watched", ids[3], "Other") }},
		{"the first and the last removed", func() error {
			return errors.Join(e.hand.Remove("Watched", ids[4]), e.hand.Remove("Watched", ids[19]))
		}},
		{"one removed, one delivered", func() error {
			return errors.Join(e.hand.Remove("Watched", ids[5]), e.hand.Deliver("Watched", merge.Flags{}, MessageDate(32), Message(32, MessageOptions{})))
		}},
		{"flags, then removed", func() error {
			return errors.Join(e.hand.SetFlags("Watched", ids[6], merge.NewFlags(`\Seen`, `\Deleted`)), e.hand.Remove("Watched", ids[6]))
		}},
		{"moved in", func() error {
			if err := e.hand.Deliver("Other", merge.NewFlags(`\Answered`), MessageDate(33), Message(33, MessageOptions{})); err != nil {
				return err
			}
			want, _ := digest(Message(33, MessageOptions{}))
			o := e.box("Other")
			for id, d := range e.describe(o, slices.Collect(maps.Keys(e.full(o)))...) {
				if d.Identity.Header == want.Header {
					return e.hand.Move("Other", id, "Watched")
				}
			}
			return errors.New("delivered message not found")
		}},
	}
	for _, k := range kinds {
		base, c := e.full(b), e.cursor(b)
		e.byHand(k.name, k.do())
		e.wantObserved(k.name, b, c, base, e.full(b))
		e.wantObserved(k.name+", seen by another store", e.boxOf(e.open(), "Watched"), c, base, e.full(b))
		now := e.full(b)
		c = e.changes(b, e.cursor(b), drivers.Delta).end.Cursor
		s := e.changes(b, c, drivers.Delta)
		if e.sub.Quiet && (len(s.entries) != 0 || s.end.All) {
			e.Errorf("after %s: nothing more changed, but %d entries, All %v", k.name, len(s.entries), s.end.All)
		}
		e.wantFlags("after "+k.name, e.apply(now, s), now)
	}
}

// testChangesOwn wants one's own effects to be visible to the same handle at once.
func testChangesOwn(e *env) {
	b := e.made("Mine")
	other := e.made("Other")
	ids := e.put(b, upTo(0, 10)...)
	kinds := map[string]func() error{
		"append": func() error { return e.appendAll(b, numbered(20, 21)...)[0].Err },
		"flags": func() error {
			return e.setFlags(b, drivers.FlagChange{ID: ids[0], Add: merge.NewFlags(`\Draft`)})[0].Err
		},
		"expunge": func() error { return e.expunge(b, drivers.Removal{ID: ids[1], Seen: MessageFlags(1)})[0] },
		"move":    func() error { return e.move(b, "Other", ids[2])[0].Err },
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		base, c := e.full(b), e.cursor(b)
		otherBase, oc := e.full(other), e.cursor(other)
		e.ok(name, kinds[name]())
		now := e.full(b)
		if sameFlags(base, now) {
			e.Errorf("%s: changed nothing that is seen", name)
		}
		e.wantObserved("own "+name, b, c, base, now)
		e.wantObserved("own "+name+", the other mailbox", other, oc, otherBase, e.full(other))
	}
}

// known is a cursor and what was known with it.
type known struct {
	cursor drivers.Cursor
	flags  map[merge.ID]merge.Flags
}

// testOldCursors makes random changes and, after each, observes from cursors of any age, got in any scope.
func testOldCursors(e *env) {
	for seed := range uint64(3) {
		name := fmt.Sprintf("Random %d", seed)
		b := e.made(name)
		r := rand.New(rand.NewPCG(seed, 7))
		next := 0
		model := map[int]merge.Flags{} // by number
		past := []known{{e.cursor(b), nil}}
		for step := range 40 {
			now := e.full(b)
			ids := slices.Sorted(maps.Keys(now))
			numbers := e.numbers(b, ids, identities(upTo(0, next)...))
			handle := drivers.Mailbox(nil)
			if r.IntN(2) == 0 {
				handle = b
			}
			switch k := r.IntN(5); {
			case k < 2 || len(ids) == 0:
				for range 1 + r.IntN(4) {
					it := numbered(next)[0]
					if handle != nil {
						e.ok("append", e.appendAll(b, it)[0].Err)
					} else {
						e.byHand("deliver", e.hand.Deliver(name, it.flags, MessageDate(next), it.data))
					}
					model[next] = it.flags
					next++
				}
			case k < 4:
				for range 1 + r.IntN(3) {
					id := ids[r.IntN(len(ids))]
					f := MessageFlags(r.IntN(16))
					if handle != nil {
						all := merge.SystemFlags(everySystem)
						e.ok("flags", e.setFlags(b, drivers.FlagChange{ID: id, Add: f, Remove: all.Minus(f)})[0].Err)
					} else {
						e.byHand("flags", e.hand.SetFlags(name, id, f))
					}
					model[numbers[id]] = f
				}
			default:
				id := ids[r.IntN(len(ids))]
				if handle != nil {
					e.ok("expunge", e.expunge(b, drivers.Removal{ID: id, Seen: now[id]})[0])
				} else {
					e.byHand("remove", e.hand.Remove(name, id))
				}
				delete(model, numbers[id])
			}
			now = e.full(b)
			numbers = e.numbers(b, slices.Collect(maps.Keys(now)), identities(upTo(0, next)...))
			byNumber := map[int]merge.Flags{}
			for id, f := range now {
				byNumber[numbers[id]] = f
			}
			if !maps.EqualFunc(byNumber, model, merge.Flags.Equal) {
				e.Fatalf("seed %d, step %d: the mailbox holds %v, want %v", seed, step, byNumber, model)
			}
			scope := drivers.Scope(r.IntN(3))
			from := past[len(past)-1]
			c := e.changes(b, from.cursor, scope)
			past = append(past, known{c.end.Cursor, now})
			for range 3 {
				k := past[r.IntN(len(past))]
				e.wantObserved(fmt.Sprintf("seed %d, step %d", seed, step), b, k.cursor, k.flags, now)
			}
			if e.Failed() {
				return
			}
		}
	}
}

func testUnreadableCursor(e *env) {
	b := e.box("INBOX")
	e.put(b, upTo(0, 5)...)
	now := e.full(b)
	good := string(e.cursor(b))
	for _, c := range []string{"x", "0", "\x00\xff", "v999 1 2 3", good[:len(good)/2], good + good, "{\"v\":99}"} {
		s := e.changes(b, drivers.Cursor(c), drivers.Delta)
		if c == good[:len(good)/2] && !s.end.All {
			continue // a shorter cursor may be an older one by chance
		}
		if !s.end.All {
			e.Errorf("with the unreadable cursor %q: not All", c)
		}
		e.wantFlags(fmt.Sprintf("with the unreadable cursor %q", c), e.apply(nil, s), now)
	}
}

func testYieldFails(e *env) {
	b := e.box("INBOX")
	e.put(b, upTo(0, 30)...)
	before := e.cursor(b)
	base := e.full(b)
	e.put(b, upTo(30, 40)...)
	calls := 0
	_, err := b.Changes(e.ctx, before, drivers.Full, func(drivers.Entry) error {
		calls++
		if calls == 4 {
			return errStop
		}
		return nil
	})
	e.wantErr("changes that yield ends", err, errStop)
	if calls != 4 {
		e.Errorf("yield was called %d times, and returned an error at the fourth", calls)
	}
	e.wantObserved("after changes that ended early", b, before, base, e.full(b))
	ids := slices.Collect(maps.Keys(base))
	err = b.Look(e.ctx, ids, func(drivers.Entry) error { return errStop })
	e.wantErr("look that yield ends", err, errStop)
	err = b.Describe(e.ctx, ids, func(drivers.Description) error { return errStop })
	e.wantErr("describe that yield ends", err, errStop)
	err = b.Since(e.ctx, "", func(drivers.Description) error { return errStop })
	e.wantErr("since that yield ends", err, errStop)
	if len(e.look(b, ids...)) != len(ids) {
		e.Error("after yields that ended early, Look does not show everything")
	}
}

// testChangeDuringYield changes the mailbox while it is observed: what was not yielded must be yielded by the next observation.
func testChangeDuringYield(e *env) {
	for _, scope := range []drivers.Scope{drivers.Delta, drivers.Present, drivers.Full} {
		name := fmt.Sprintf("During %d", scope)
		b := e.made(name)
		ids := e.put(b, upTo(0, 12)...)
		got := map[merge.ID]merge.Flags{}
		var c drivers.Cursor
		calls := 0
		end, err := b.Changes(e.ctx, "", scope, func(x drivers.Entry) error {
			calls++
			got[x.ID] = x.Flags
			if calls != 5 {
				return nil
			}
			return errors.Join(
				e.hand.SetFlags(name, ids[0], merge.NewFlags(`\Draft`)),
				e.hand.SetFlags(name, ids[11], merge.NewFlags(`\Draft`)),
				e.hand.Remove(name, ids[1]),
				e.hand.Remove(name, ids[10]),
				e.hand.Deliver(name, merge.Flags{}, MessageDate(50), Message(50, MessageOptions{})))
		})
		e.byHand("change while it is observed", err)
		c = end.Cursor
		e.wantObserved("changed during the observation", b, c, got, e.full(b))
	}
}

// testBump replaces all ids behind the driver's back (UIDVALIDITY).
func testBump(e *env) {
	b := e.made("Bumped")
	ids := e.put(b, upTo(0, 6)...)
	base, c := e.full(b), e.cursor(b)
	mark, err := b.Mark(e.ctx)
	e.ok("mark", err)
	e.ok("close", b.Close())
	e.byHand("bump validity", e.hand.BumpValidity("Bumped"))
	b = e.boxOf(e.open(), "Bumped")
	now := e.full(b)
	if len(now) != 6 {
		e.Fatalf("%d messages after a new UIDVALIDITY, want 6", len(now))
	}
	for _, id := range ids {
		if _, same := now[id]; same {
			e.Errorf("id %q is there with another UIDVALIDITY", id)
		}
	}
	if e.list(map[string]drivers.Cursor{"Bumped": c})["Bumped"].Unchanged {
		e.Error("List says Unchanged after a new UIDVALIDITY")
	}
	e.wantObserved("after a new UIDVALIDITY", b, c, base, now)
	if s := e.changes(b, c, drivers.Delta); !e.sub.Reserves && !s.end.Reset {
		e.Error("Changes with a cursor of another UIDVALIDITY: not Reset")
	}
	if got := e.since(b, mark); len(got) != 6 {
		e.Errorf("Since with a mark of another UIDVALIDITY yields %d messages, want all 6", len(got))
	}
	e.refusesOld(b, ids)
	if !e.sub.Reserves {
		res, err := b.SetFlags(e.ctx, []drivers.FlagChange{{ID: ids[0], Add: merge.NewFlags(`\Flagged`)}})
		if err == nil {
			err = res[0].Err
		}
		e.wantErr("SetFlags with an id of another UIDVALIDITY", err, drivers.ErrStale)
		errs, err := b.Expunge(e.ctx, []drivers.Removal{{ID: ids[0], Seen: MessageFlags(0)}})
		if err == nil {
			err = errs[0]
		}
		e.wantErr("Expunge with an id of another UIDVALIDITY", err, drivers.ErrStale)
	}
	e.wantFlags("after effects on old ids", e.full(b), now)
}

// isOld reports whether err says that an id means nothing any more.
func isOld(err error) bool {
	return errors.Is(err, drivers.ErrStale) || errors.Is(err, drivers.ErrGone)
}

// testWhileOthersWrite chains observations while another program writes: in the end the chain must know what is there.
func testWhileOthersWrite(e *env) {
	const name = "Busy"
	b := e.made(name)
	ids := e.put(b, upTo(0, 30)...)
	writer := e.hand
	var wg sync.WaitGroup
	var werr error
	wg.Go(func() {
		for i := range 40 {
			switch i % 4 {
			case 0, 2:
				werr = writer.SetFlags(name, ids[i%len(ids)], MessageFlags(i/2))
			case 1:
				werr = writer.Deliver(name, MessageFlags(i), MessageDate(100+i), Message(100+i, MessageOptions{}))
			case 3:
				werr = writer.Remove(name, ids[len(ids)-1-i/4])
			}
			if werr != nil && !errors.Is(werr, drivers.ErrGone) && !errors.Is(werr, drivers.ErrChanged) {
				werr = fmt.Errorf("change %d: %w", i, werr)
				return
			}
			werr = nil
		}
	})
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	state := map[merge.ID]merge.Flags{}
	var c drivers.Cursor
	removed := map[merge.ID]bool{}
	observe := func(scope drivers.Scope) {
		s := e.changesAmid(b, c, scope)
		for id, x := range s.byID {
			if x.Gone {
				removed[id] = true
			} else if removed[id] {
				e.Errorf("%q was reported as gone and is back", id)
			}
		}
		if s.end.All {
			for id := range state {
				if _, there := s.byID[id]; !there {
					removed[id] = true
				}
			}
		}
		state, c = e.apply(state, s), s.end.Cursor
	}
	for n, running := 0, true; running; n++ {
		select {
		case <-done:
			running = false
		default:
		}
		observe(drivers.Scope(n % 2)) // Delta and Present
		if e.Failed() {
			break
		}
	}
	<-done
	e.byHand("write meanwhile", werr)
	observe(drivers.Delta)
	if !e.sub.TellsGone {
		observe(drivers.Present)
	}
	now := e.full(b)
	e.wantFlags("in the end", state, now)
	for id := range removed {
		if _, there := now[id]; there {
			e.Errorf("%q was reported as gone, and it is there", id)
		}
	}
}

// testNoneGone observes while another program does nothing but set flags, which renames files in some stores: no message may ever seem to be gone.
func testNoneGone(e *env) {
	const name, messages, rounds = "Flagged", 100, 12
	b := e.made(name)
	ids := e.put(b, upTo(0, messages)...)
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := e.hand.SetFlags(name, ids[i*37%messages], MessageFlags(i/messages+i)); err != nil {
				done <- err
				return
			}
		}
	}()
	var c drivers.Cursor
	for n := range rounds {
		s := e.changesAmid(b, c, drivers.Scope(n%3))
		c = s.end.Cursor
		if s.end.Count != messages {
			e.Errorf("round %d: Count is %d, want %d", n, s.end.Count, messages)
		}
		for id, x := range s.byID {
			if x.Gone {
				e.Errorf("round %d: %q is reported as gone", n, id)
			}
		}
		for id, x := range e.look(b, ids...) {
			if x.Gone {
				e.Errorf("round %d: Look reports %q as gone", n, id)
			}
		}
		if n%4 == 0 {
			if got := e.fetch(b, ids...); len(got) != messages {
				e.Errorf("round %d: %d of %d messages are fetched", n, len(got), messages)
			}
		}
	}
	close(stop)
	e.byHand("set flags all the time", <-done)
}
