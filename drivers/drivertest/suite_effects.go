package drivertest

import (
	"maps"
	"slices"

	"driftless/drivers"
	"driftless/merge"
)

var effectTests = []test{
	{"Effects/Expunge", testExpunge},
	{"Effects/ExpungeJustThese", testExpungeJustThese},
	{"Effects/ExpungeChanged", testExpungeChanged},
	{"Effects/Move", testMove},
	{"Effects/MoveGone", testMoveGone},
	{"Effects/Durable", testDurable},
	{"Effects/ReadOnly", testReadOnly},
}

func (e *env) expunge(b drivers.Mailbox, removals ...drivers.Removal) []error {
	e.Helper()
	res, err := b.Expunge(e.ctx, removals)
	e.ok("expunge", err)
	if len(res) != len(removals) {
		e.Fatalf("expunge: %d results for %d removals", len(res), len(removals))
	}
	return res
}

func (e *env) move(b drivers.Mailbox, to string, ids ...merge.ID) []drivers.Moved {
	e.Helper()
	res, err := b.Move(e.ctx, ids, to)
	e.ok("move", err)
	if len(res) != len(ids) {
		e.Fatalf("move: %d results for %d ids", len(res), len(ids))
	}
	return res
}

func testExpunge(e *env) {
	b := e.box("INBOX")
	ids := e.put(b, upTo(0, 10)...)
	e.byHand("remove", e.hand.Remove("INBOX", ids[3]))
	removals := []drivers.Removal{{ID: ids[7], Seen: MessageFlags(7)}, {ID: ids[3], Seen: MessageFlags(3)}, {ID: ids[0], Seen: MessageFlags(0)}}
	for i, err := range e.expunge(b, removals...) {
		if err != nil {
			e.Errorf("removal %d: %v", i, err)
		}
	}
	want := map[merge.ID]merge.Flags{}
	for i, id := range ids {
		if i != 0 && i != 3 && i != 7 {
			want[id] = MessageFlags(i)
		}
	}
	e.wantFlags("after expunge", e.full(b), want)
	for i, err := range e.expunge(b, removals...) {
		if err != nil {
			e.Errorf("removal %d again: %v; one that is gone is done", i, err)
		}
	}
	e.wantFlags("after expunge again", e.full(b), want)
	if res := e.expunge(b); len(res) != 0 {
		e.Error("results for no removals")
	}
	// The newest one goes; what comes next, even from another Store, is not taken for it.
	e.ok("expunge", e.expunge(b, drivers.Removal{ID: ids[9], Seen: MessageFlags(9)})[0])
	nb := e.boxOf(e.open(), "INBOX")
	if fresh := e.put(nb, 20); slices.Contains(ids, fresh[0]) {
		e.Errorf("id %q is given a second time", fresh[0])
	}
	if !e.look(b, ids[9])[ids[9]].Gone {
		e.Error("a message that was expunged is there again")
	}
}

// testExpungeJustThese wants other messages that are marked as deleted to stay.
func testExpungeJustThese(e *env) {
	b := e.box("INBOX")
	deleted := merge.NewFlags(`\Deleted`, `\Seen`)
	ids := e.putItems(b,
		item{data: Message(1, MessageOptions{}), flags: deleted},
		item{data: Message(2, MessageOptions{}), flags: deleted},
		item{data: Message(3, MessageOptions{})})
	want := map[merge.ID]merge.Flags{ids[0]: deleted, ids[2]: {}}
	err := e.expunge(b, drivers.Removal{ID: ids[1], Seen: deleted})[0]
	if err != nil && e.sub.NoUIDExpunge {
		want[ids[1]] = deleted
	} else {
		e.ok("expunge", err)
	}
	e.wantFlags("after expunge of one", e.full(b), want)
	e.ok("close", b.Close()) // CLOSE expunges (RFC 9051, section 6.4.1); a driver must not use it
	e.wantFlags("after the handle was closed", e.full(e.box("INBOX")), want)
}

func testExpungeChanged(e *env) {
	b := e.box("INBOX")
	ids := e.put(b, upTo(0, 4)...)
	e.byHand("flags", e.hand.SetFlags("INBOX", ids[1], merge.NewFlags(`\Flagged`, `\Seen`)))
	res := e.expunge(b, drivers.Removal{ID: ids[0], Seen: MessageFlags(0)}, drivers.Removal{ID: ids[1], Seen: MessageFlags(1)}, drivers.Removal{ID: ids[2], Seen: MessageFlags(2)})
	e.ok("expunge", res[0])
	e.ok("expunge", res[2])
	want := map[merge.ID]merge.Flags{ids[3]: MessageFlags(3)}
	if e.sub.Guards {
		e.wantErr("expunge of a message with other flags", res[1], drivers.ErrChanged)
	}
	if res[1] != nil {
		want[ids[1]] = merge.NewFlags(`\Flagged`, `\Seen`)
	}
	e.wantFlags("after expunge", e.full(b), want)
}

func testMove(e *env) {
	b := e.made("From")
	d := e.made("To/Deep")
	kw := merge.Flags{}
	if e.sub.MaxKeywords == 0 || e.sub.MaxKeywords > 2 {
		kw = storable(d, storable(b, merge.NewFlags("work", "$Forwarded")))
	}
	items := numbered(upTo(0, 9)...)
	for i := range items {
		items[i].flags = items[i].flags.Union(kw)
	}
	ids := e.putItems(b, items...)
	e.put(d, 20)
	there := e.full(d)
	order := []merge.ID{ids[6], ids[1], ids[4]}
	res := e.move(b, "To/Deep", order...)
	want := maps.Clone(there)
	var fresh []merge.ID
	for id := range e.full(d) {
		if _, old := there[id]; !old {
			fresh = append(fresh, id)
		}
	}
	if len(fresh) != 3 {
		e.Fatalf("%d messages in the destination after a move of 3", len(fresh))
	}
	numbers := e.numbers(d, fresh, identities(upTo(0, 9)...))
	got := e.fetch(d, fresh...)
	for i, r := range res {
		e.ok("move", r.Err)
		n := slices.Index(ids, order[i])
		switch {
		case r.ID == "" && e.sub.TellsIDs:
			e.Errorf("move: no id told for message %d", n)
		case r.ID != "" && numbers[r.ID] != n:
			e.Errorf("move: message %d is said to be %q, which is message %d", n, r.ID, numbers[r.ID])
		case e.sub.StableIDs && r.ID != order[i]:
			e.Errorf("move: id %q became %q", order[i], r.ID)
		}
	}
	for id, n := range numbers {
		want[id] = items[n].flags
		e.wantContent("moved", got[id].data, items[n].data)
		if !got[id].Date.Equal(MessageDate(n)) {
			e.Errorf("message %d has date %v after a move, want %v", n, got[id].Date, MessageDate(n))
		}
	}
	e.wantFlags("the destination", e.full(d), want)
	left := map[merge.ID]merge.Flags{}
	for i, id := range ids {
		if !slices.Contains(order, id) {
			left[id] = items[i].flags
		}
	}
	e.wantFlags("the source", e.full(b), left)
	if res := e.move(b, "To/Deep"); len(res) != 0 {
		e.Error("results for no moves")
	}

	// Back again: whatever ids they get, they are there once.
	e.move(d, "From", fresh...)
	if n := len(e.full(b)); n != 9 {
		e.Errorf("%d messages after moving there and back, want 9", n)
	}
	e.wantFlags("the destination", e.full(d), there)
}

func testMoveGone(e *env) {
	b := e.box("INBOX")
	d := e.made("To")
	ids := e.put(b, upTo(0, 5)...)
	e.byHand("remove", e.hand.Remove("INBOX", ids[0]))
	e.byHand("remove", e.hand.Remove("INBOX", ids[3]))
	for i, r := range e.move(b, "To", ids...) {
		if i == 0 || i == 3 {
			e.wantErr("move of a message that is gone", r.Err, drivers.ErrGone)
		} else if r.Err != nil {
			e.Errorf("move of message %d: %v", i, r.Err)
		}
	}
	if n, m := len(e.full(b)), len(e.full(d)); n != 0 || m != 3 {
		e.Errorf("%d messages stayed and %d are in the destination, want 0 and 3", n, m)
	}
	for i, r := range e.move(b, "To", ids[1], ids[2]) {
		e.wantErr("move again", r.Err, drivers.ErrGone)
		if e.Failed() {
			e.Logf("result %d: %+v", i, r)
		}
	}
	if m := len(e.full(d)); m != 3 {
		e.Errorf("%d messages in the destination after moving again, want 3", m)
	}
}

// testDurable looks at every effect with a Store that was opened afterwards, without the first one being closed.
func testDurable(e *env) {
	b := e.made("Kept")
	e.made("Other")
	ids := e.put(b, upTo(0, 6)...)
	e.ok("flags", e.setFlags(b, drivers.FlagChange{ID: ids[0], Add: merge.NewFlags(`\Draft`)})[0].Err)
	e.ok("expunge", e.expunge(b, drivers.Removal{ID: ids[1], Seen: MessageFlags(1)})[0])
	e.ok("move", e.move(b, "Other", ids[2])[0].Err)
	s := e.open()
	want := map[merge.ID]merge.Flags{ids[0]: MessageFlags(0).Union(merge.NewFlags(`\Draft`)), ids[3]: MessageFlags(3), ids[4]: MessageFlags(4), ids[5]: MessageFlags(5)}
	nb := e.boxOf(s, "Kept")
	e.wantFlags("seen by another store", e.full(nb), want)
	if n := len(e.full(e.boxOf(s, "Other"))); n != 1 {
		e.Errorf("another store sees %d moved messages, want 1", n)
	}
	for id, f := range e.fetch(nb, ids[3], ids[4]) {
		e.wantContent("fetched by another store", f.data, numbered(slices.Index(ids, id))[0].data)
	}
}

// testReadOnly tries to change mailboxes that say they are read-only, if the Subject has one.
func testReadOnly(e *env) {
	found := false
	for name, i := range e.list(nil) {
		if i.NoSelect {
			continue
		}
		b := e.box(name)
		if !b.Status().ReadOnly {
			continue
		}
		found = true
		now := e.full(b)
		res, err := b.Append(e.ctx, []drivers.Append{{Reserved: b.Reserve(), Content: drivers.Bytes(Message(1, MessageOptions{}))}})
		if err == nil {
			err = res[0].Err
		}
		e.wantErr("append to a read-only mailbox", err, drivers.ErrReadOnly)
		if r := drivers.ReachOf(err); r != drivers.ReachMailbox {
			e.Errorf("a read-only mailbox is an error of reach %d", r)
		}
		for id, f := range now {
			res, err := b.SetFlags(e.ctx, []drivers.FlagChange{{ID: id, Add: merge.NewFlags(`\Flagged`)}})
			if err == nil {
				err = res[0].Err
			}
			e.wantErr("set flags in a read-only mailbox", err, drivers.ErrReadOnly)
			errs, err := b.Expunge(e.ctx, []drivers.Removal{{ID: id, Seen: f}})
			if err == nil {
				err = errs[0]
			}
			e.wantErr("expunge in a read-only mailbox", err, drivers.ErrReadOnly)
			moved, err := b.Move(e.ctx, []merge.ID{id}, "INBOX")
			if err == nil {
				err = moved[0].Err
			}
			e.wantErr("move from a read-only mailbox", err, drivers.ErrReadOnly)
		}
		e.wantFlags("a read-only mailbox", e.full(b), now)
	}
	if !found {
		e.Skip("the subject has no read-only mailbox")
	}
}
