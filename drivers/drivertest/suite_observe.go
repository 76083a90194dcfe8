package drivertest

import (
	"maps"
	"slices"

	"driftless/drivers"
	"driftless/merge"
)

var observeTests = []test{
	{"Observe/Look", testLook},
	{"Observe/Describe", testDescribe},
	{"Observe/Since", testSince},
	{"Observe/SinceUnreadable", testSinceUnreadable},
	{"Observe/Reserve", testReserve},
	{"Observe/ReserveTwice", testReserveTwice},
}

func testLook(e *env) {
	b := e.box("INBOX")
	e.made("Other")
	ids := e.put(b, upTo(0, 8)...)
	e.byHand("remove", e.hand.Remove("INBOX", ids[1]))
	e.byHand("move", e.hand.Move("INBOX", ids[2], "Other"))
	e.byHand("flags", e.hand.SetFlags("INBOX", ids[3], merge.NewFlags(`\Flagged`)))
	asked := []merge.ID{ids[3], ids[1], ids[0], ids[2], ids[3], ids[1], ids[0]} // some of them twice
	got := e.look(b, asked...)
	if len(got) != 4 {
		e.Errorf("Look at 4 ids yields %d", len(got))
	}
	for i, want := range []drivers.Entry{{FlagsKnown: true, Flags: MessageFlags(0)}, {Gone: true}, {Gone: true}, {FlagsKnown: true, Flags: merge.NewFlags(`\Flagged`)}} {
		x, ok := got[ids[i]]
		if !ok || x.Gone != want.Gone || !want.Gone && (!x.FlagsKnown || !x.Flags.Equal(want.Flags)) {
			e.Errorf("Look at message %d: %+v, want %+v", i, x, want)
		}
	}
	if got := e.look(b, ids...); len(got) != len(ids) {
		e.Errorf("Look at all yields %d of %d", len(got), len(ids))
	}
}

func testDescribe(e *env) {
	b := e.box("INBOX")
	var items []item
	for n := range 12 {
		opt := MessageOptions{EightBit: n%2 == 1, Multipart: n%3 == 0, NoMessageID: n%4 == 0, Size: n * 700}
		if e.sub.Alters {
			opt.EightBit = false
		}
		items = append(items, item{Message(n, opt), MessageFlags(n), n})
	}
	ids := e.putItems(b, items...)
	got := e.describe(b, append(slices.Clone(ids), ids[0], ids[5])...)
	for i, id := range ids {
		d := got[id]
		want, _ := digest(items[i].data)
		if d.Identity.Header != want.Header {
			e.Errorf("message %d: the identity is not that of its header", i)
		}
		if !e.sub.Alters && (d.Identity.Size != want.Size || d.Size != want.Size) {
			e.Errorf("message %d: sizes %d and %d, want %d", i, d.Identity.Size, d.Size, want.Size)
		}
		if !d.Flags.Equal(items[i].flags) || !d.Date.Equal(MessageDate(i)) {
			e.Errorf("message %d: described with %v, %v; want %v, %v", i, d.Flags, d.Date, items[i].flags, MessageDate(i))
		}
	}
}

func testSince(e *env) {
	b := e.made("Marked")
	e.made("Other")
	known := identities(upTo(0, 40)...)
	e.put(b, upTo(0, 5)...)
	mark, err := b.Mark(e.ctx)
	e.ok("mark", err)
	old := slices.Collect(maps.Keys(e.full(b)))
	e.byHand("flags", e.hand.SetFlags("Marked", old[0], merge.NewFlags(`\Draft`)))
	e.ok("append", e.appendAll(b, numbered(10)...)[0].Err)
	it := numbered(11)[0]
	e.byHand("deliver", e.hand.Deliver("Marked", it.flags, MessageDate(11), it.data))
	o := e.box("Other")
	moved := e.put(o, 12)
	e.byHand("move", e.hand.Move("Other", moved[0], "Marked"))
	gone := e.put(b, 13)
	e.byHand("remove", e.hand.Remove("Marked", gone[0]))

	for _, h := range []drivers.Mailbox{b, e.boxOf(e.open(), "Marked")} { // also in another process
		var got []int
		for _, d := range e.since(h, mark) {
			n, ok := known[d.Identity.Header]
			if !ok {
				e.Errorf("Since yields %q with an identity of no message", d.ID)
			}
			got = append(got, n)
		}
		for _, n := range []int{10, 11, 12} {
			if !slices.Contains(got, n) {
				e.Errorf("Since does not yield message %d, which arrived after the mark: %v", n, got)
			}
		}
		if slices.Contains(got, 13) {
			e.Errorf("Since yields a message that is gone: %v", got)
		}
	}
	later, err := b.Mark(e.ctx)
	e.ok("mark", err)
	for id := range e.since(b, later) {
		if !e.sub.Reserves {
			e.Errorf("Since a new mark yields %q", id)
		}
	}
}

// testSinceUnreadable wants every message for a mark that means nothing.
func testSinceUnreadable(e *env) {
	b := e.box("INBOX")
	e.put(b, upTo(0, 4)...)
	for _, m := range []drivers.Mark{"", "x", "v99 1 2", "\x00"} {
		if got := e.since(b, m); len(got) != 4 {
			e.Errorf("Since %q yields %d messages, want all 4", m, len(got))
		}
	}
}

func testReserve(e *env) {
	b := e.box("INBOX")
	if got := b.Status().Reserves; got != e.sub.Reserves {
		e.Errorf("Status says Reserves = %v, declared is %v", got, e.sub.Reserves)
	}
	seen := map[merge.ID]bool{}
	other := e.boxOf(e.open(), "INBOX")
	for range 200 {
		for _, h := range []drivers.Mailbox{b, other} {
			id := h.Reserve()
			if (id != "") != e.sub.Reserves {
				e.Fatalf("Reserve gives %q", id)
			}
			if id != "" && seen[id] {
				e.Fatalf("Reserve gives %q twice", id)
			}
			seen[id] = true
		}
	}
	if len(e.full(b)) != 0 {
		e.Error("Reserve made messages")
	}
}

// testReserveTwice appends under one reserved id twice, as one does who does not know whether the first time was done.
func testReserveTwice(e *env) {
	if !e.sub.Reserves {
		e.Skip("the store assigns ids itself")
	}
	b := e.box("INBOX")
	id := b.Reserve()
	x := e.look(b, id)
	if !x[id].Gone {
		e.Error("a reserved id is there before it is used")
	}
	a := drivers.Append{Reserved: id, Flags: merge.NewFlags(`\Seen`), Date: MessageDate(1), Content: drivers.Bytes(Message(1, MessageOptions{}))}
	for i, h := range []drivers.Mailbox{b, b, e.boxOf(e.open(), "INBOX")} {
		res, err := h.Append(e.ctx, []drivers.Append{a})
		e.ok("append", err)
		if res[0].Err != nil || res[0].ID != id {
			e.Errorf("append number %d: %q, %v; want %q", i, res[0].ID, res[0].Err, id)
		}
		e.wantFlags("appended under a reserved id", e.full(b), map[merge.ID]merge.Flags{id: a.Flags})
	}
	// Its flags changed meanwhile: it is still the same message.
	e.byHand("flags", e.hand.SetFlags("INBOX", id, merge.NewFlags(`\Flagged`)))
	res, err := b.Append(e.ctx, []drivers.Append{a})
	e.ok("append", err)
	if res[0].Err != nil || res[0].ID != id {
		e.Errorf("append of what is there with other flags: %q, %v", res[0].ID, res[0].Err)
	}
	e.wantFlags("afterwards", e.full(b), map[merge.ID]merge.Flags{id: merge.NewFlags(`\Flagged`)})
}
