package merge

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The contents of the model: missing Message-IDs (one header for many), equal Message-IDs with other contents, equal sizes.
// Identity alone is proof when it is unique, so no two contents have both header and size in common.
var contents = []string{"a.100", "a.200", "b.100", "c.300", "none.100", "none.200", "none.300", "d.400"}

var (
	anyContent = rapid.SampledFrom(contents)
	anyFlags   = rapid.Custom(func(t *rapid.T) Flags {
		var f Flags
		for _, c := range []string{"S", "F", "T", "k", "j"} {
			if rapid.Bool().Draw(t, c) {
				f = f.Union(flagsOf(c))
			}
		}
		return f
	})
)

// history is what users did.
type history struct {
	touched [2]map[string]bool
	added   map[string]int
	deleted map[string]bool
	moved   map[string]int
	renamed map[string]bool
}

// most returns how many messages of a content there may be at most. Where the state does not know identity or content, a message that
// both sides moved to different places is not recognized, and both are kept. So they are if the process dies just between two commits and users go on. A move of ours that was
// not logged cannot be settled where equal messages arrived beside it: what it moved may be taken for somebody's, and be copied.
func (h *history) most(m *model, base int, content string) int {
	n := base + h.added[content] + m.unsure[content]
	if !m.complete || m.torn {
		n += h.moved[content]
	}
	return n
}

func newHistory() *history {
	return &history{touched: [2]map[string]bool{{}, {}}, added: map[string]int{}, deleted: map[string]bool{}, moved: map[string]int{}, renamed: map[string]bool{}}
}

// change lets the user of a side do something.
func (m *model) change(rt *rapid.T, s Side, h *history) {
	op := rapid.SampledFrom([]string{"new", "copy", "move", "move", "delete", "flags", "flags", "rename"}).Draw(rt, "op")
	mb := rapid.IntRange(0, m.mailboxes-1).Draw(rt, "mailbox")
	if op == "new" {
		content := anyContent.Draw(rt, "content")
		m.add(s, mb, content, anyFlags.Draw(rt, "flags"))
		h.touched[s][content], h.added[content] = true, h.added[content]+1
		return
	}
	if len(m.store[s][mb]) == 0 {
		return
	}
	msg := &m.store[s][mb][rapid.IntRange(0, len(m.store[s][mb])-1).Draw(rt, "message")]
	h.touched[s][msg.content] = true
	to := rapid.IntRange(0, m.mailboxes-1).Draw(rt, "to")
	switch op {
	case "copy":
		h.added[msg.content]++
		m.add(s, to, msg.content, msg.flags)
	case "move":
		if to != mb {
			h.moved[msg.content]++
			m.move(s, mb, to, msg.id)
		}
	case "delete":
		h.deleted[msg.content] = true
		m.remove(s, mb, msg.id)
	case "flags":
		msg.flags = anyFlags.Draw(rt, "flags").Minus(m.cannot[s])
	case "rename": // gone and new again, under another id
		h.renamed[msg.content] = true
		msg.id = m.newID()
	}
}

// newWorld draws a model whose sides are in sync. In half of them the state knows the identity and content of every message.
func newWorld(rt *rapid.T) *model {
	m := newModel(3)
	m.complete = rapid.Bool().Draw(rt, "complete")
	for _, s := range Sides {
		if rapid.IntRange(0, 2).Draw(rt, "limited") == 0 {
			m.cannot[s] = flagsOf("k")
		}
	}
	for range rapid.IntRange(0, 6).Draw(rt, "messages") {
		mb, content, f := rapid.IntRange(0, 2).Draw(rt, "mailbox"), anyContent.Draw(rt, "content"), anyFlags.Draw(rt, "flags")
		l, r := m.add(Left, mb, content, f), m.add(Right, mb, content, f)
		p := Pair{ID: [2]ID{l.id, r.id}, Base: [2]Flags{l.flags, r.flags}}
		if m.complete || rapid.Bool().Draw(rt, "identity known") {
			p.Identity = identityOf(content)
		}
		if m.complete || rapid.Bool().Draw(rt, "content known") {
			p.Content = contentOf(content)
		}
		m.pairs[mb] = append(m.pairs[mb], p)
	}
	return m
}

func (m *model) clone() *model {
	c := *m
	c.unsure = maps.Clone(m.unsure)
	c.pairs, c.halves = slices.Clone(m.pairs), slices.Clone(m.halves)
	for mb := range m.mailboxes {
		c.pairs[mb], c.halves[mb] = slices.Clone(m.pairs[mb]), slices.Clone(m.halves[mb])
	}
	for _, s := range Sides {
		c.store[s] = slices.Clone(m.store[s])
		for mb := range m.mailboxes {
			c.store[s][mb] = slices.Clone(m.store[s][mb])
		}
	}
	return &c
}

// disturb syncs a few times, with everything that may go wrong.
func (m *model) disturb(t *testing.T, rt *rapid.T, r Rules) {
	for range rapid.IntRange(0, 3).Draw(rt, "broken cycles") {
		m.tick()
		_, p := m.plan(t, r)
		m.apply(p, rapid.IntRange(-1, 8).Draw(rt, "cut"), func(k Kind) fate {
			last := unlogged
			if k == Copy {
				last = late
			}
			return fate(rapid.IntRange(int(fine), int(last)).Draw(rt, "fate"))
		})
	}
}

// checkCounts compares the outcome with what the users did: world is the model before they changed it, start the one
// before the first sync.
func (m *model) checkCounts(rt *rapid.T, world, start *model, h *history) {
	for _, content := range contents {
		l, r := h.touched[Left][content], h.touched[Right][content]
		if !l || !r { // only one side changed anything about it: that side is right in everything
			expect := Left
			if r {
				expect = Right
			}
			want, got := start.census(expect), m.census(Left)
			for mb := range m.mailboxes {
				key := mailboxName(mb) + " " + content
				if want[key] != got[key] {
					rt.Fatalf("%s: %d messages, want %d as on the %s\nbefore\n%s\nafter\n%s", key, got[key], want[key], expect, start, m)
				}
			}
			continue
		}
		n := m.total(Left, content)
		if most := h.most(m, world.total(Left, content), content); n > most {
			rt.Fatalf("%s: doubled: %d messages, at most %d were made\nbefore\n%s\nafter\n%s", content, n, most, start, m)
		}
		if least := min(start.total(Left, content), start.total(Right, content)); !h.deleted[content] && n < least {
			rt.Fatalf("%s: lost: %d messages, there were %d and nobody removed one\nbefore\n%s\nafter\n%s", content, n, least, start, m)
		}
	}
}

// checkFlags compares the flags of messages that are easy to follow (one of their content, in its place on both sides) with what the users did.
func (m *model) checkFlags(rt *rapid.T, world, start *model, h *history) {
	for mb := range m.mailboxes {
		for _, p := range world.pairs[mb] {
			base := [2]*message{world.find(Left, mb, p.ID[0]), world.find(Right, mb, p.ID[1])}
			content := base[0].content
			if world.total(Left, content) != 1 || h.added[content] > 0 || h.deleted[content] || h.moved[content] > 0 {
				continue
			}
			if (!m.complete || m.torn) && h.renamed[content] {
				continue // renamed on both sides, it cannot be recognized: first contact
			}
			var before, after [2]Flags
			for _, s := range Sides {
				for _, msg := range start.store[s][mb] {
					if msg.content == content {
						before[s] = msg.flags
					}
				}
				for _, msg := range m.store[s][mb] {
					if msg.content == content {
						after[s] = msg.flags
					}
				}
			}
			for _, letter := range []string{"S", "F", "T", "k", "j"} {
				f := flagsOf(letter)
				for _, s := range Sides {
					o := s.Other()
					want := before[s].Has(f)
					if !m.cannot[0].Union(m.cannot[1]).Has(f) && want == base[s].flags.Has(f) {
						want = before[o].Has(f) // s did not change it: o's value counts
					}
					if after[s].Has(f) != want {
						rt.Fatalf("%s of %s on the %s is %v\nbefore\n%s\nafter\n%s", letter, content, s, !want, start, m)
					}
				}
			}
		}
	}
}

// TestConverges lets both users change things, syncs with interruptions, and looks whether the result is what they wanted.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		world := newWorld(rt)
		m, h := world.clone(), newHistory()
		for _, s := range Sides {
			for range rapid.IntRange(0, 5).Draw(rt, "changes") {
				m.change(rt, s, h)
			}
		}
		start := m.clone()
		m.disturb(t, rt, DefaultRules())
		m.settle(t, rt, DefaultRules())
		m.checkEqual(rt)
		m.checkCounts(rt, world, start, h)
		m.checkFlags(rt, world, start, h)
	})
}

// TestConvergesWhileChanging lets the users go on between broken cycles: nothing may be lost or doubled then either.
func TestConvergesWhileChanging(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, h := newWorld(rt), newHistory()
		most := map[string]int{}
		for _, c := range contents {
			most[c] = m.total(Left, c)
		}
		had := map[string]bool{}
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			for _, s := range Sides {
				for range rapid.IntRange(0, 3).Draw(rt, "changes") {
					m.change(rt, s, h)
				}
				for _, c := range contents {
					had[c] = had[c] || m.total(s, c) > 0
				}
			}
			m.disturb(t, rt, DefaultRules())
		}
		m.settle(t, rt, DefaultRules())
		m.checkEqual(rt)
		for _, c := range contents {
			n := m.total(Left, c)
			if had[c] && !h.deleted[c] && n == 0 {
				rt.Fatalf("%s is lost\n%s", c, m)
			}
			if n > h.most(m, most[c], c) {
				rt.Fatalf("%s is doubled: %d of %d\n%s", c, n, h.most(m, most[c], c), m)
			}
		}
	})
}

// TestFirstContact joins two populated stores without any state: of each content there are as many as on the side that has more. If cycles break,
// a message whose copy is in doubt may be taken for an equal one in another mailbox, but none is lost and none is doubled.
func TestFirstContact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, h := newModel(3), newHistory()
		for _, s := range Sides {
			for range rapid.IntRange(0, 8).Draw(rt, "messages") {
				m.change(rt, s, h)
			}
		}
		want := m.census(Left)
		for k, n := range m.census(Right) {
			want[k] = max(want[k], n)
		}
		least := map[string]int{}
		for _, c := range contents {
			least[c] = max(m.total(Left, c), m.total(Right, c))
		}
		broken := rapid.Bool().Draw(rt, "broken")
		if broken {
			m.disturb(t, rt, DefaultRules())
		}
		m.settle(t, rt, DefaultRules())
		m.checkEqual(rt)
		got := m.census(Left)
		if !broken && fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("got %v, want %v\n%s", got, want, m)
		}
		most := map[string]int{}
		for k, n := range want {
			most[k[2:]] += n
		}
		for _, c := range contents {
			if n := m.total(Left, c); n < least[c] || n > most[c] {
				rt.Fatalf("%s: got %d, want %d to %d\n%s", c, n, least[c], most[c], m)
			}
		}
	})
}

// TestLostState forgets everything the state knew, after changes on both sides: nothing is deleted and nothing that is equal is doubled.
func TestLostState(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, h := newWorld(rt), newHistory()
		for _, s := range Sides {
			for range rapid.IntRange(0, 4).Draw(rt, "changes") {
				m.change(rt, s, h)
			}
		}
		want := m.census(Left)
		for k, n := range m.census(Right) {
			want[k] = max(want[k], n)
		}
		for mb := range m.mailboxes {
			m.pairs[mb], m.halves[mb] = nil, nil
		}
		m.settle(t, rt, DefaultRules())
		m.checkEqual(rt)
		if got := m.census(Left); fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("got %v, want %v\n%s", got, want, m)
		}
	})
}

// TestAnyRules checks what holds under all rules: planning ends, is deterministic, deletes nothing on a side where deletions are
// off, and comes to rest; and a content that nobody removed is not lost.
func TestAnyRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := Rules{Conflict: rapid.SampledFrom([]ConflictPolicy{ConflictDelete, ConflictKeep, ConflictLeft, ConflictRight, ConflictAsk, ConflictFail}).Draw(rt, "conflict")}
		for _, d := range []*Direction{&r.New, &r.Flags, &r.Deletions} {
			*d = Direction{rapid.Bool().Draw(rt, "left"), rapid.Bool().Draw(rt, "right")}
		}
		m, h := newWorld(rt), newHistory()
		had := [2]map[string]bool{{}, {}}
		for _, s := range Sides {
			for range rapid.IntRange(0, 5).Draw(rt, "changes") {
				m.change(rt, s, h)
			}
			for _, c := range contents {
				had[s][c] = m.total(s, c) > 0
			}
		}
		for round := range 12 {
			m.tick()
			_, p := m.plan(t, r)
			if _, again := m.plan(t, r); planString(p) != planString(again) {
				rt.Fatalf("two plans of one view:\n%s\n%s", planString(p), planString(again))
			}
			rest := true
			for _, mp := range p.Mailboxes {
				rest = rest && mp.Empty()
				if mp.Failed && !mp.Empty() {
					rt.Fatal("a failed mailbox has something to do")
				}
				for _, s := range Sides {
					for _, a := range mp.Actions[s] {
						if (a.Kind == Delete || a.Kind == Move) && !r.Deletions[s] || a.Kind == Copy && !r.New[s] || a.Kind == SetFlags && !r.Flags[s] {
							rt.Fatalf("%s on the %s is switched off: %s", a.Kind, s, planString(p))
						}
					}
				}
			}
			if rest {
				break
			}
			if round == 11 {
				rt.Fatalf("no end in sight: %s\n%s", planString(p), m)
			}
			m.apply(p, -1, alwaysFine)
		}
		for _, c := range contents {
			for _, s := range Sides {
				if had[s][c] && !h.deleted[c] && m.total(Left, c)+m.total(Right, c) == 0 {
					rt.Fatalf("%s is lost\n%s", c, m)
				}
			}
		}
	})
}
