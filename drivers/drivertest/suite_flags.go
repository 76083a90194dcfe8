package drivertest

import (
	"fmt"

	"driftless/drivers"
	"driftless/merge"
)

var flagTests = []test{
	{"Flags/System", testSystemFlags},
	{"Flags/Keywords", testKeywords},
	{"Flags/KeywordCase", testKeywordCase},
	{"Flags/KeywordLimit", testKeywordLimit},
	{"Flags/Results", testFlagResults},
	{"Flags/Gone", testFlagsGone},
	{"Flags/Many", testFlagsMany},
}

const everySystem = merge.Seen | merge.Answered | merge.Flagged | merge.Deleted | merge.Draft

// storable returns what of f the mailbox must hold according to its Status.
func storable(b drivers.Mailbox, f merge.Flags) merge.Flags {
	st := b.Status()
	if st.NewKeywords {
		return f
	}
	keep := merge.SystemFlags(everySystem).Union(st.Keywords)
	return f.Intersect(keep)
}

// holds wants message id to have just these flags, however one asks.
func (e *env) holds(what string, b drivers.Mailbox, id merge.ID, want merge.Flags) {
	e.Helper()
	if x := e.look(b, id)[id]; x.Gone || !x.FlagsKnown || !x.Flags.Equal(want) {
		e.Errorf("%s: Look shows %+v, want %v", what, x, want)
	}
	if got := e.full(b)[id]; !got.Equal(want) {
		e.Errorf("%s: listed with %v, want %v", what, got, want)
	}
	if got := e.describe(b, id)[id].Flags; !got.Equal(want) {
		e.Errorf("%s: described with %v, want %v", what, got, want)
	}
	if got := e.fetch(b, id)[id].Flags; !got.Equal(want) {
		e.Errorf("%s: fetched with %v, want %v", what, got, want)
	}
}

func (e *env) setFlags(b drivers.Mailbox, changes ...drivers.FlagChange) []drivers.FlagResult {
	e.Helper()
	res, err := b.SetFlags(e.ctx, changes)
	e.ok("set flags", err)
	if len(res) != len(changes) {
		e.Fatalf("set flags: %d results for %d changes", len(res), len(changes))
	}
	return res
}

func testSystemFlags(e *env) {
	b := e.box("INBOX")
	for _, f := range []merge.System{0, merge.Seen, merge.Answered, merge.Flagged, merge.Deleted, merge.Draft, everySystem} {
		want := merge.SystemFlags(f)
		ids := e.putItems(b, item{data: Message(int(f)+1, MessageOptions{}), flags: want})
		e.holds(fmt.Sprintf("appended with %v", want), b, ids[0], want)
		for _, g := range []merge.System{everySystem, 0, merge.Draft, f} {
			was := e.look(b, ids[0])[ids[0]].Flags
			want := merge.SystemFlags(g)
			res := e.setFlags(b, drivers.FlagChange{ID: ids[0], Add: want.Minus(was), Remove: was.Minus(want)})
			e.ok("set flags", res[0].Err)
			if !res[0].Flags.Equal(want) {
				e.Errorf("result of %v to %v is %v", was, want, res[0].Flags)
			}
			e.holds(fmt.Sprintf("from %v to %v", was, want), b, ids[0], want)
		}
	}
}

func testKeywords(e *env) {
	b := e.made("Keywords")
	f := merge.NewFlags(`\Seen`, "$Forwarded", "$MDNSent", "work", "Junk", "NonJunk", "$Label1", "a.b-c_d", "ümlaut-is-not-one"[2:], "+plus", "x;y=z")
	if e.sub.MaxKeywords > 0 {
		f = merge.NewFlags(`\Seen`, "$Forwarded", "work")
	}
	want := storable(b, f)
	ids := e.putItems(b, item{data: Message(1, MessageOptions{}), flags: f}, item{data: Message(2, MessageOptions{})}, item{data: Message(3, MessageOptions{}), flags: merge.NewFlags("work")})
	b = e.box("Keywords")
	e.holds("appended with keywords", b, ids[0], want)
	e.holds("appended with none", b, ids[1], merge.Flags{})

	res := e.setFlags(b, drivers.FlagChange{ID: ids[1], Add: f}, drivers.FlagChange{ID: ids[0], Remove: f.Minus(merge.NewFlags("work"))})
	for i, r := range res {
		e.ok(fmt.Sprintf("change %d", i), r.Err)
	}
	e.holds("keywords added", b, ids[1], want)
	if !res[0].Flags.Equal(want) {
		e.Errorf("result of adding keywords is %v, want %v", res[0].Flags, want)
	}
	left := storable(b, merge.NewFlags("work")).Intersect(want)
	e.holds("all but one removed", b, ids[0], left)
	if !res[1].Flags.Equal(left) {
		e.Errorf("result of removing keywords is %v, want %v", res[1].Flags, left)
	}
	e.holds("untouched", b, ids[2], left)

	st := e.box("Keywords").Status()
	if !st.NewKeywords && !st.Keywords.Has(want) {
		e.Errorf("Status says that %v can be stored, but %v are", st.Keywords, want)
	}
	e.holds("seen by another store", e.boxOf(e.open(), "Keywords"), ids[1], want)
}

func testKeywordCase(e *env) {
	b := e.made("Case")
	f := storable(b, merge.NewFlags("Work", "$forwarded"))
	ids := e.putItems(b, item{data: Message(1, MessageOptions{}), flags: merge.NewFlags("Work", "$forwarded")}, item{data: Message(2, MessageOptions{})})
	e.holds("appended", b, ids[0], f)
	res := e.setFlags(b,
		drivers.FlagChange{ID: ids[0], Add: merge.NewFlags("WORK", "$FORWARDED")},
		drivers.FlagChange{ID: ids[1], Add: merge.NewFlags("wORK")})
	e.ok("set", res[0].Err)
	e.holds("added in other spelling", b, ids[0], f)
	e.holds("other message, other spelling", b, ids[1], f.Minus(merge.SystemFlags(merge.Forwarded)))
	c := e.cursor(b)
	res = e.setFlags(b, drivers.FlagChange{ID: ids[0], Remove: merge.NewFlags("work", "$fOrwarded")})
	e.ok("remove", res[0].Err)
	e.holds("removed in other spelling", b, ids[0], merge.Flags{})
	if s := e.changes(b, c, drivers.Delta); !f.Empty() && (!s.byID[ids[0]].FlagsKnown || !s.byID[ids[0]].Flags.Empty()) {
		e.Errorf("the removal is not among the changes: %+v", s.byID[ids[0]])
	}
}

// testKeywordLimit stores more keywords than the mailbox can hold: the message is stored without them, and the results say so.
func testKeywordLimit(e *env) {
	if e.sub.MaxKeywords == 0 && e.box("INBOX").Status().NewKeywords {
		e.Skip("the store has no limit of keywords that is known")
	}
	b := e.made("Limit")
	var ids []merge.ID
	stored := map[merge.ID]merge.Flags{}
	for n := range e.sub.MaxKeywords + 3 {
		f := merge.NewFlags(fmt.Sprintf("keyword%d", n), `\Flagged`)
		before := e.full(b)
		res := e.appendAll(b, item{data: Message(n, MessageOptions{}), flags: f})
		e.ok("append with a keyword beyond the limit", res[0].Err)
		for id, got := range e.full(b) {
			if _, old := before[id]; old {
				continue
			}
			ids = append(ids, id)
			stored[id] = got
			if !got.Equal(res[0].Flags) {
				e.Errorf("appended with %v, the result says %v, stored are %v", f, res[0].Flags, got)
			}
			if !f.Has(got) || !got.Has(merge.SystemFlags(merge.Flagged)) {
				e.Errorf("appended with %v, stored are %v", f, got)
			}
		}
	}
	e.wantFlags("all at the end", e.full(b), stored)
	last := ids[len(ids)-1]
	res := e.setFlags(b, drivers.FlagChange{ID: last, Add: merge.NewFlags("one-more", `\Seen`)})
	e.ok("set a keyword beyond the limit", res[0].Err)
	if now := e.full(b)[last]; !now.Equal(res[0].Flags) || !now.Has(merge.SystemFlags(merge.Seen)) {
		e.Errorf("the result says %v, stored are %v", res[0].Flags, now)
	}
}

func testFlagResults(e *env) {
	b := e.box("INBOX")
	ids := e.putItems(b, item{data: Message(1, MessageOptions{}), flags: merge.NewFlags(`\Seen`, `\Flagged`)})
	steps := []struct {
		name        string
		add, remove merge.Flags
		want        merge.Flags
	}{
		{"nothing", merge.Flags{}, merge.Flags{}, merge.NewFlags(`\Seen`, `\Flagged`)},
		{"add what is there", merge.NewFlags(`\Seen`), merge.Flags{}, merge.NewFlags(`\Seen`, `\Flagged`)},
		{"remove what is not there", merge.Flags{}, merge.NewFlags(`\Draft`), merge.NewFlags(`\Seen`, `\Flagged`)},
		{"add and remove", merge.NewFlags(`\Answered`), merge.NewFlags(`\Seen`), merge.NewFlags(`\Answered`, `\Flagged`)},
		{"remove all", merge.Flags{}, merge.SystemFlags(everySystem), merge.Flags{}},
		{"again", merge.Flags{}, merge.SystemFlags(everySystem), merge.Flags{}},
	}
	for _, s := range steps {
		res := e.setFlags(b, drivers.FlagChange{ID: ids[0], Add: s.add, Remove: s.remove})
		if res[0].Err != nil || !res[0].Flags.Equal(s.want) {
			e.Errorf("%s: result is %v, %v; want %v", s.name, res[0].Flags, res[0].Err, s.want)
		}
		e.holds(s.name, b, ids[0], s.want)
	}
	if res := e.setFlags(b); len(res) != 0 {
		e.Error("results for no changes")
	}
}

// testFlagsGone changes flags of messages some of which another program removed or changed meanwhile.
func testFlagsGone(e *env) {
	b := e.box("INBOX")
	ids := e.put(b, upTo(0, 6)...)
	e.byHand("remove", e.hand.Remove("INBOX", ids[1]))
	e.byHand("remove", e.hand.Remove("INBOX", ids[4]))
	e.byHand("flags", e.hand.SetFlags("INBOX", ids[2], merge.NewFlags(`\Draft`)))
	var changes []drivers.FlagChange
	for _, id := range ids {
		changes = append(changes, drivers.FlagChange{ID: id, Add: merge.NewFlags(`\Answered`)})
	}
	want := map[merge.ID]merge.Flags{}
	for i, r := range e.setFlags(b, changes...) {
		if i == 1 || i == 4 {
			e.wantErr("flags of a message that is gone", r.Err, drivers.ErrGone)
			continue
		}
		e.ok("set flags", r.Err)
		want[ids[i]] = MessageFlags(i).Union(merge.NewFlags(`\Answered`))
		if i == 2 {
			want[ids[i]] = merge.NewFlags(`\Draft`, `\Answered`)
		}
		if !r.Flags.Equal(want[ids[i]]) {
			e.Errorf("message %d: result is %v, want %v", i, r.Flags, want[ids[i]])
		}
	}
	e.wantFlags("afterwards", e.full(b), want)
}

// testFlagsMany mixes many different changes in one call: the results must be in the order of the changes.
func testFlagsMany(e *env) {
	b := e.box("INBOX")
	ids := e.put(b, upTo(0, 64)...)
	var changes []drivers.FlagChange
	want := map[merge.ID]merge.Flags{}
	for i := range ids {
		j := (i*37 + 11) % len(ids) // no order that a store would choose
		to := MessageFlags(j * 5)
		if j%3 == 0 {
			to = to.Union(merge.SystemFlags(merge.Deleted))
		}
		changes = append(changes, drivers.FlagChange{ID: ids[j], Add: to.Minus(MessageFlags(j)), Remove: MessageFlags(j).Minus(to)})
		want[ids[j]] = to
	}
	for i, r := range e.setFlags(b, changes...) {
		if r.Err != nil || !r.Flags.Equal(want[changes[i].ID]) {
			e.Errorf("change %d: result is %v, %v; want %v", i, r.Flags, r.Err, want[changes[i].ID])
		}
	}
	e.wantFlags("afterwards", e.full(b), want)
}
