package engine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"driftless/drivers/drivertest"
	"driftless/merge"
	"driftless/tests/torture"
)

// The matrix: a sync carries out one change (a deed); at one moment of it a user does something (an op) with the same message on either side.
// Afterwards both sides must have the message as the two changes together make it.

// concerned is the number of the message that everything is about.
const concerned = 7

var momentBoxes = []string{"INBOX", "A", "B"}

// letters writes flags as Maildir letters, keywords as lower-case letters.
func letters(f merge.Flags) string {
	var out []string
	for name, l := range map[string]string{`\Seen`: "S", `\Flagged`: "F", `\Answered`: "R", `\Deleted`: "T", "work": "w"} {
		if f.Has(merge.NewFlags(name)) {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// copies says where message n is on a side: "A[S] INBOX[FS]", "" if nowhere.
func (w *world) copies(side merge.Side, n int) string {
	want := mail(n)
	var out []string
	for name, m := range w.srv[side].Snapshot() {
		for _, msg := range m.Messages {
			if bytes.Equal(msg.Data, want) {
				out = append(out, fmt.Sprintf("%s[%s]", name, letters(msg.Flags)))
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// deed is a change that the sync finds on side l, or on both.
type deed struct {
	name   string
	both   bool // the message is on both sides, known, before the deed
	do     func(w *world, l, r merge.Side)
	result string // what a sync that nobody disturbs makes of it
	rules  func(*merge.Rules)
}

var deeds = []deed{
	{name: "copy", do: func(w *world, l, _ merge.Side) { w.put(l, "INBOX", concerned, `\Seen`) }, result: "INBOX[S]"},
	{name: "pair", do: func(w *world, l, r merge.Side) {
		w.put(l, "INBOX", concerned, `\Seen`)
		w.put(r, "INBOX", concerned, `\Seen`)
	}, result: "INBOX[S]"},
	{name: "flag", both: true, do: func(w *world, l, _ merge.Side) { w.flag(l, "INBOX", concerned, `\Seen`, `\Flagged`) }, result: "INBOX[FS]"},
	{name: "unflag", both: true, do: func(w *world, l, _ merge.Side) { w.flag(l, "INBOX", concerned) }, result: "INBOX[]"},
	{name: "move", both: true, do: func(w *world, l, _ merge.Side) { w.move(l, "INBOX", concerned, "A") }, result: "A[S]"},
	{name: "remove", both: true, do: func(w *world, l, _ merge.Side) { w.remove(l, "INBOX", concerned) }, result: ""},
	{name: "copyback", both: true, do: func(w *world, l, r merge.Side) {
		w.remove(l, "INBOX", concerned)
		w.flag(r, "INBOX", concerned, `\Seen`, `\Flagged`)
	}, result: "INBOX[FS]", rules: func(r *merge.Rules) { r.Conflict = merge.ConflictKeep }},
}

// moment is what an op met.
type moment struct {
	deed    deed
	own     bool // the op is on the side of the deed
	unnamed bool // one of the servers does not tell the ids of what is appended or moved
	applied bool
	box     string // where the message was on that side
	flags   string
}

// op is something that a user does with the message on side x. want returns all the results that are right, given what it met; nil means the deed's own result.
type op struct {
	name string
	do   func(w *world, x merge.Side, box string, id merge.ID, flags merge.Flags)
	here bool // it needs no message
	want func(m moment) []string
}

// with returns a result with flags changed in every place.
func with(result, add, remove string) string {
	var out []string
	for _, f := range strings.Fields(result) {
		box, l, _ := strings.Cut(strings.TrimSuffix(f, "]"), "[")
		set := strings.Split(l+add, "")
		set = slices.DeleteFunc(set, func(s string) bool { return strings.Contains(remove, s) })
		slices.Sort(set)
		out = append(out, fmt.Sprintf("%s[%s]", box, strings.Join(slices.Compact(set), "")))
	}
	return strings.Join(out, " ")
}

// plus returns a result with one more message.
func plus(result, more string) string {
	out := append(strings.Fields(result), more)
	slices.Sort(out)
	return strings.Join(out, " ")
}

func reflag(add, remove []string) func(w *world, x merge.Side, box string, id merge.ID, flags merge.Flags) {
	return func(w *world, x merge.Side, box string, id merge.ID, flags merge.Flags) {
		w.must(w.srv[x].SetFlags(box, id, flags.Union(merge.NewFlags(add...)).Minus(merge.NewFlags(remove...))))
	}
}

var ops = []op{
	{name: "remove", do: func(w *world, x merge.Side, box string, id merge.ID, _ merge.Flags) { w.must(w.srv[x].Remove(box, id)) },
		want: func(m moment) []string {
			switch {
			case m.deed.name == "pair":
				return []string{"", m.deed.result} // perhaps nobody knew yet that it was one message
			case m.unnamed && (m.deed.name == "copy" || m.deed.name == "copyback"):
				// A copy whose id the server did not tell is looked for by content. If it is gone before it was found, or its source is, the message stays: the safe mistake.
				return []string{"", m.deed.result}
			}
			return []string{""}
		}},
	{name: "flag", do: reflag([]string{`\Answered`}, nil), want: func(m moment) []string { return []string{with(m.deed.result, "R", "")} }},
	{name: "keyword", do: reflag([]string{"work"}, nil), want: func(m moment) []string { return []string{with(m.deed.result, "w", "")} }},
	{name: "unflag", do: reflag(nil, []string{`\Seen`}), want: func(m moment) []string {
		if m.deed.name == "pair" {
			return []string{with(m.deed.result, "", "S"), m.deed.result} // flags of two messages that meet are united
		}
		return []string{with(m.deed.result, "", "S")}
	}},
	{name: "mark", do: reflag([]string{`\Deleted`}, nil), want: func(m moment) []string {
		if m.deed.name == "pair" {
			return []string{with(m.deed.result, "T", ""), m.deed.result} // when two messages meet, this flag is not
		}
		return []string{with(m.deed.result, "T", "")}
	}},
	{name: "move", do: func(w *world, x merge.Side, box string, id merge.ID, _ merge.Flags) {
		_, err := w.srv[x].Move(box, id, "B")
		w.must(err)
	}, want: func(m moment) []string {
		there := strings.Replace(strings.Replace(m.deed.result, "INBOX", "B", 1), "A", "B", 1)
		switch {
		case m.deed.name == "pair":
			return []string{there, plus(m.deed.result, "B[S]")} // perhaps nobody knew yet that it was one message
		case m.deed.name == "remove":
			return []string{"", "B[S]"} // removed here and moved there: if the sync asked before it was moved, it stays, the safe mistake
		case m.deed.name == "move" && !m.own && (m.box == "INBOX" || m.unnamed):
			return []string{m.deed.result, there} // moved to two places: one of them, never both
		}
		return []string{there}
	}},
	{name: "copy", do: func(w *world, x merge.Side, _ string, _ merge.ID, flags merge.Flags) {
		w.srv[x].Deliver("B", flags, drivertest.MessageDate(concerned), mail(concerned))
	}, want: func(m moment) []string { return []string{plus(m.deed.result, fmt.Sprintf("B[%s]", m.flags))} }},
	{name: "deliver", here: true, do: func(w *world, x merge.Side, _ string, _ merge.ID, _ merge.Flags) {
		w.srv[x].Deliver("INBOX", merge.Flags{}, drivertest.MessageDate(concerned), mail(concerned))
	}, want: func(m moment) []string {
		both := plus(m.deed.result, "INBOX[]")
		switch {
		case m.deed.name == "copy" && !m.own:
			return []string{m.deed.result, both} // it came twice: here, and as our copy
		case m.deed.name == "pair":
			return []string{both, plus(m.deed.result, "INBOX[S]")}
		case m.deed.name == "copyback" && m.own:
			return []string{"INBOX[F]", "INBOX[FS]", both}
		}
		return []string{both}
	}},
	{name: "rename", do: func(w *world, x merge.Side, box string, id merge.ID, flags merge.Flags) {
		w.srv[x].Deliver(box, flags, drivertest.MessageDate(concerned), mail(concerned))
		w.must(w.srv[x].Remove(box, id))
	}, want: func(m moment) []string {
		if m.deed.name == "remove" {
			return []string{"", "INBOX[S]"} // that it came back is the safe mistake
		}
		return []string{m.deed.result}
	}},
}

// TestMoments lets a user do each op on each side at each moment of a sync that carries out each deed, on each pair of stores.
func TestMoments(t *testing.T) {
	type cell struct {
		char     string
		mirrored bool
		deed     deed
		op       op
		own      bool
		at       string
	}
	var cells []cell
	names := make([]string, 0, len(characters))
	for name := range characters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, mirrored := range []bool{false, true} {
			for _, d := range deeds {
				w, l, _ := momentWorld(t, name, mirrored, d)
				h := &hand{}
				away := w.hands(h)
				w.sync()
				away()
				w.settled()
				if got := w.copies(l, concerned); got != d.result {
					t.Fatalf("%s %s: undisturbed: %q, want %q", name, d.name, got, d.result)
				}
				for _, at := range h.all() {
					for _, o := range ops {
						for _, own := range []bool{true, false} {
							cells = append(cells, cell{name, mirrored, d, o, own, at})
						}
					}
				}
			}
		}
	}
	tried, applied, missed := 0, 0, 0
	failed := map[string]int{} // by deed, op and side: one defect shows at many moments
	for i := range torture.Points(t, len(cells), 700) {
		c := cells[i]
		w, l, r := momentWorld(t, c.char, c.mirrored, c.deed)
		x := r
		if c.own {
			x = l
		}
		m := moment{deed: c.deed, own: c.own, unnamed: c.char == "maildir-plain"}
		h := &hand{at: c.at, act: func() { m.meet(w, x, c.op) }}
		away := w.hands(h)
		rep, err := w.trySync(Request{})
		away()
		tried++
		if m.applied {
			applied++
		}
		what := fmt.Sprintf("cell %d: %s mirrored=%v deed=%s op=%s own=%v at %q (met it in %s[%s])", i, c.char, c.mirrored, c.deed.name, c.op.name, c.own, c.at, m.box, m.flags)
		key := fmt.Sprintf("%s/%s own=%v", c.deed.name, c.op.name, c.own)
		bad := func(format string, args ...any) {
			failed[key]++
			if failed[key] < 4 {
				t.Errorf("%s: %s", what, fmt.Sprintf(format, args...))
			}
		}
		if err != nil || rep.Errors > 0 {
			bad("sync: %v %+v", err, rep.Problems)
			continue
		}
		if !h.acted {
			missed++ // the last rounds of a sync that waits for an append in doubt depend on the clock
			continue
		}
		w.sync()
		want := []string{c.deed.result}
		if m.applied {
			want = c.op.want(m)
		}
		gotL, gotR := w.copies(l, concerned), w.copies(r, concerned)
		if gotL != gotR || !slices.Contains(want, gotL) {
			bad("got %q and %q, want %q", gotL, gotR, want)
			continue
		}
		w.settled()
	}
	t.Logf("%d of %d cells tried, in %d the message was there; %d moments did not come", tried, len(cells), applied, missed)
	if missed > tried/50 {
		t.Errorf("%d of %d moments did not come", missed, tried)
	}
	for k, n := range failed {
		t.Logf("%s failed at %d moments", k, n)
	}
}

// meet lets the user do the op with what is there.
func (m *moment) meet(w *world, x merge.Side, o op) {
	want := mail(concerned)
	snap := w.srv[x].Snapshot()
	for _, box := range momentBoxes {
		for _, msg := range snap[box].Messages {
			if bytes.Equal(msg.Data, want) && !m.applied {
				m.applied, m.box, m.flags = true, box, letters(msg.Flags)
				o.do(w, x, box, msg.ID, msg.Flags)
			}
		}
	}
	if !m.applied && o.here {
		m.applied = true
		o.do(w, x, "", "", merge.Flags{})
	}
}

// momentWorld makes a world in which the deed is done and not synced.
func momentWorld(t *testing.T, char string, mirrored bool, d deed) (w *world, l, r merge.Side) {
	t.Helper()
	w = newWorld(t, characters[char])
	l, r = merge.Left, merge.Right
	if mirrored {
		l, r = r, l
	}
	if d.rules != nil {
		d.rules(&w.acc.Rules)
	}
	for i, box := range momentBoxes {
		w.put(l, box, i, `\Seen`)
	}
	if d.both {
		w.put(l, "INBOX", concerned, `\Seen`)
	}
	w.sync()
	d.do(w, l, r)
	return w, l, r
}
