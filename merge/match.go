package merge

import (
	"cmp"
	"slices"
	"sort"
)

// matchClasses pairs messages of equal content. Within a class any message will do for any other, so what remains is to choose well.
func (b *builder) matchClasses() {
	var list []item // header is not looked at here: it holds the class
	for i := range b.arrivals {
		if a := &b.arrivals[i]; a.class != none {
			list = append(list, item{header: uint64(a.class), mb: a.mb, kind: isArrival, index: i})
		}
	}
	for i := range b.pairs {
		if p := &b.pairs[i]; p.class != none {
			list = append(list, item{header: uint64(p.class), mb: p.mb, kind: isPair, index: i})
		}
	}
	for i := range b.halves {
		if h := &b.halves[i]; h.class != none {
			list = append(list, item{header: uint64(h.class), mb: h.mb, kind: isHalf, index: i})
		}
	}
	slices.SortFunc(list, func(x, y item) int {
		return cmp.Or(cmp.Compare(x.header, y.header), cmp.Compare(x.kind, y.kind), cmp.Compare(x.mb, y.mb), cmp.Compare(x.index, y.index))
	})
	for start := 0; start < len(list); {
		c := class{b: b}
		end := start
		for ; end < len(list) && list[end].header == list[start].header; end++ {
			i := list[end].index
			switch list[end].kind {
			case isArrival:
				c.arrivals = append(c.arrivals, i)
			case isPair:
				c.pairs = append(c.pairs, i)
			default:
				c.halves = append(c.halves, i)
			}
		}
		if len(c.arrivals) > 0 && end-start > 1 {
			c.match()
		}
		start = end
	}
}

// class is the messages of one content, each kind by mailbox and order.
type class struct {
	b                       *builder
	arrivals, pairs, halves []int
}

func (c *class) match() {
	c.newIDs()
	c.movedTogether()
	c.halvesHere(InDoubt)
	c.goneHalvesHere(true)
	c.bothNew(c.movers())
	c.halvesHere(Quarantined, Held, Policy, Window)
	c.moves()
	c.bothNew(0)
	c.halvesElsewhere()
	c.remains()
}

// content returns the content of the class if one of its messages knows it. A pair must not forget it: once it is gone on both sides nobody else can tell.
func (c *class) content() Content {
	for _, i := range c.arrivals {
		if x := c.b.arrivals[i].Content; x.Known() {
			return x
		}
	}
	for _, i := range c.pairs {
		if x := c.b.pairs[i].Content; x.Known() {
			return x
		}
	}
	for _, i := range c.halves {
		if x := c.b.halves[i].Content; x.Known() {
			return x
		}
	}
	return Content{}
}

// span returns the part of list that is in a mailbox; list is sorted by it.
func span(list []int, mb int, mailboxOf func(int) int) []int {
	from := sort.Search(len(list), func(i int) bool { return mailboxOf(list[i]) >= mb })
	to := from + sort.Search(len(list)-from, func(i int) bool { return mailboxOf(list[from+i]) > mb })
	return list[from:to:to]
}

// arrived returns the arrivals on a side of a mailbox that are still free.
func (c *class) arrived(mb int, s Side) []int {
	var out []int
	for _, i := range span(c.arrivals, mb, func(i int) int { return c.b.arrivals[i].mb }) {
		if a := &c.b.arrivals[i]; a.side == s && !a.used {
			out = append(out, i)
		}
	}
	return out
}

// arrivedOn returns the arrivals on a side that are still free, whatever their mailbox.
func (c *class) arrivedOn(s Side) []int {
	var out []int
	for _, i := range c.arrivals {
		if a := &c.b.arrivals[i]; a.side == s && !a.used {
			out = append(out, i)
		}
	}
	return out
}

// mailboxes returns the mailboxes of a list, each once.
func mailboxes(list []int, mailboxOf func(int) int) []int {
	var out []int
	for _, i := range list {
		if mb := mailboxOf(i); len(out) == 0 || out[len(out)-1] != mb {
			out = append(out, mb)
		}
	}
	return out
}

func (c *class) pairMailbox(i int) int    { return c.b.pairs[i].mb }
func (c *class) halfMailbox(i int) int    { return c.b.halves[i].mb }
func (c *class) arrivalMailbox(i int) int { return c.b.arrivals[i].mb }

// keep returns the members of list for which ok is true.
func keep(list []int, ok func(int) bool) []int {
	var out []int
	for _, i := range list {
		if ok(i) {
			out = append(out, i)
		}
	}
	return out
}

func flagsKey(f Flags) string { return string(rune(f.sys)) + asciiLower(f.kw) }

// pairUp takes min(len(as), len(bs)) couples out of both lists: first those with an equal key, for one key after the other, then
// in order. The lists shrink by what was taken. Keys are given as functions of a member of as and of bs; an empty key equals none.
func pairUp(as, bs []int, take func(a, b int), keys ...[2]func(int) string) {
	if len(as) == 0 || len(bs) == 0 {
		return
	}
	if len(as) == 1 && len(bs) == 1 {
		take(as[0], bs[0])
		return
	}
	for _, key := range keys {
		byKey := map[string][]int{}
		for _, b := range bs {
			if k := key[1](b); k != "" {
				byKey[k] = append(byKey[k], b)
			}
		}
		taken := map[int]bool{}
		rest := as[:0:0]
		for _, a := range as {
			k := key[0](a)
			if queue := byKey[k]; k != "" && len(queue) > 0 {
				byKey[k] = queue[1:]
				taken[queue[0]] = true
				take(a, queue[0])
				continue
			}
			rest = append(rest, a)
		}
		as, bs = rest, keep(bs, func(b int) bool { return !taken[b] })
	}
	for i := range min(len(as), len(bs)) {
		take(as[i], bs[i])
	}
}

// arrivalFlags, pairFlags and the like are keys for pairUp.
func (c *class) arrivalFlags(i int) string { return flagsKey(c.b.arrivals[i].Flags) }
func (c *class) arrivalID(i int) string    { return string(c.b.arrivals[i].ID) }
func (c *class) pairFlags(s Side) func(int) string {
	return func(i int) string { return flagsKey(c.b.pairs[i].Base[s]) }
}
func (c *class) pairID(s Side) func(int) string {
	return func(i int) string { return string(c.b.pairs[i].ID[s]) }
}
func (c *class) halfFlags(i int) string { return flagsKey(c.b.halves[i].Half.Base) }
func (c *class) halfID(i int) string    { return string(c.b.halves[i].ID) }

// newIDs finds messages that are gone and there again, under a new id, in the same side of the same mailbox. Pairs that are gone on both sides come
// later (movedTogether, remains): what can be explained by a message that is still there must not be taken for the remains of another.
func (c *class) newIDs() {
	b := c.b
	for _, mb := range mailboxes(c.pairs, c.pairMailbox) {
		here := span(c.pairs, mb, c.pairMailbox)
		for _, s := range Sides {
			gone := keep(here, func(i int) bool { return b.pairs[i].Now[s].Gone && !b.pairs[i].Now[s.Other()].Gone })
			pairUp(gone, c.arrived(mb, s), c.rename(s), [2]func(int) string{c.pairFlags(s), c.arrivalFlags})
		}
	}
	for _, mb := range mailboxes(c.halves, c.halfMailbox) {
		here := span(c.halves, mb, c.halfMailbox)
		for _, s := range Sides {
			gone := keep(here, func(i int) bool { return b.halves[i].Side == s && b.halves[i].Now.Gone && b.halves[i].free() })
			pairUp(gone, c.arrived(mb, s), c.relocate, [2]func(int) string{c.halfFlags, c.arrivalFlags})
		}
	}
}

// rename lets a pair that is gone on side s go on under the id of an arrival in its mailbox.
func (c *class) rename(s Side) func(pi, ai int) {
	return func(pi, ai int) {
		p, a := &c.b.pairs[pi], &c.b.arrivals[ai]
		p.ID[s], p.Now[s], p.put, a.used = a.ID, Look{Flags: a.Flags}, true, true
	}
}

// relocate lets a half-pair whose message is gone go on as an arrival on its side: why it is a half-pair is still true.
func (c *class) relocate(hi, ai int) {
	h, a := &c.b.halves[hi], &c.b.arrivals[ai]
	h.ID, h.Now, h.mb, a.used = a.ID, Look{Flags: a.Flags}, a.mb, true
}

// halvesHere completes half-pairs with arrivals on the other side of their mailbox.
func (c *class) halvesHere(reasons ...Reason) {
	b := c.b
	for _, mb := range mailboxes(c.halves, c.halfMailbox) {
		here := keep(span(c.halves, mb, c.halfMailbox), func(i int) bool {
			return b.halves[i].free() && slices.Contains(reasons, b.halves[i].Reason)
		})
		for _, s := range Sides {
			alive := keep(here, func(i int) bool { return b.halves[i].Side == s && !b.halves[i].Now.Gone })
			pairUp(alive, c.arrived(mb, s.Other()), b.complete, [2]func(int) string{c.halfFlags, c.arrivalFlags})
		}
	}
}

// goneHalvesHere completes half-pairs whose append arrived and whose own message is gone: a pair, which then moves or is removed as any other. With moved, only
// so many as there are arrivals elsewhere on the half-pair's side, to which they may have been moved.
func (c *class) goneHalvesHere(moved bool) {
	b := c.b
	for _, mb := range mailboxes(c.halves, c.halfMailbox) {
		here := span(c.halves, mb, c.halfMailbox)
		for _, s := range Sides {
			gone := keep(here, func(i int) bool {
				h := &b.halves[i]
				return h.Side == s && h.free() && h.Now.Gone && (moved || h.sent())
			})
			if moved {
				gone = gone[:min(len(gone), len(c.arrivedOn(s)))]
			}
			pairUp(gone, c.arrived(mb, s.Other()), func(hi, ai int) {
				b.complete(hi, ai)
				c.addPair(len(b.pairs) - 1)
			}, [2]func(int) string{c.halfFlags, c.arrivalFlags})
		}
	}
}

// addPair adds a pair that was just made; the list stays sorted by mailbox.
func (c *class) addPair(pi int) {
	at := sort.Search(len(c.pairs), func(i int) bool { return c.pairMailbox(c.pairs[i]) > c.b.pairs[pi].mb })
	c.pairs = slices.Insert(c.pairs, at, pi)
}

// movedTogether finds pairs that both sides gave a new id, or moved to the same mailbox.
func (c *class) movedTogether() {
	b := c.b
	lost := func() []int { return keep(c.pairs, func(i int) bool { return b.pairs[i].lost() }) }
	gone := lost()
	if len(gone) == 0 {
		return
	}
	// take gives lost pairs the arrivals of a mailbox, and returns those that are still lost.
	take := func(mb int, gone []int) []int {
		pairUp(c.arrived(mb, Left), c.arrived(mb, Right), func(l, r int) {
			if len(gone) > 0 {
				b.pairs[gone[0]].replaced = true
				b.addMoved(b.pairs[gone[0]], mb, [2]int{l, r})
				gone = gone[1:]
			}
		}, [2]func(int) string{c.arrivalFlags, c.arrivalFlags})
		return gone
	}
	for _, mb := range mailboxes(gone, c.pairMailbox) {
		take(mb, span(gone, mb, c.pairMailbox))
	}
	gone = lost()
	for _, mb := range mailboxes(c.arrivals, c.arrivalMailbox) {
		if len(gone) > 0 {
			gone = take(mb, gone)
		}
	}
}

// lost reports whether the pair is gone on both sides, and nothing took its place.
func (p *pair) lost() bool { return !p.replaced && p.Now[0].Gone && p.Now[1].Gone }

// addMoved adds the pair that old became: two arrivals in a mailbox. Old itself is dropped, being gone on both sides.
func (b *builder) addMoved(old pair, mb int, arrivals [2]int) {
	p := pair{PairView: old.PairView, mb: mb, put: true, movedTo: [2]int{none, none}, class: old.class}
	for s, ai := range arrivals {
		a := &b.arrivals[ai]
		p.ID[s], p.Now[s], a.used = a.ID, Look{Flags: a.Flags}, true
	}
	b.pairs = append(b.pairs, p)
}

// movers returns how many arrivals on each side are to be left for moves. Two messages of equal content, one moved on the left and another one
// moved on the right to the same mailbox, are two messages. If only one side moved, an equal arrival there on the other side
// is what became of that move, for instance where a server has to copy and expunge and was interrupted.
func (c *class) movers() int {
	var n [2]int
	for _, i := range c.pairs {
		p := &c.b.pairs[i]
		for _, s := range Sides {
			if p.Now[s].Gone && !p.Now[s.Other()].Gone && c.b.rules.Deletions[s.Other()] {
				n[s]++
			}
		}
	}
	return min(n[0], n[1])
}

// bothNew pairs arrivals of both sides of a mailbox, but for so many couples.
func (c *class) bothNew(leave int) {
	b := c.b
	for _, mb := range mailboxes(c.arrivals, c.arrivalMailbox) {
		pairUp(c.arrived(mb, Left), c.arrived(mb, Right), func(l, r int) {
			if leave > 0 {
				leave--
				return
			}
			la, ra := &b.arrivals[l], &b.arrivals[r]
			p := pair{mb: mb, put: true, movedTo: [2]int{none, none}, class: none}
			p.ID = [2]ID{la.ID, ra.ID}
			p.Now = [2]Look{{Flags: la.Flags}, {Flags: ra.Flags}}
			p.Base = uniteBases(Left, nil, [2]Flags{la.Flags, ra.Flags})
			p.Identity, p.Content = la.Identity, c.content()
			la.used, ra.used = true, true
			b.pairs = append(b.pairs, p)
		}, [2]func(int) string{c.arrivalFlags, c.arrivalFlags})
	}
}

// moves finds messages that are gone on one side among the arrivals in other mailboxes of that side.
func (c *class) moves() {
	for _, s := range Sides {
		gone := keep(c.pairs, func(i int) bool {
			p := &c.b.pairs[i]
			return p.Now[s].Gone && !p.Now[s.Other()].Gone && p.movedTo[s] == none
		})
		c.move(s, gone, c.arrivedOn(s))
	}
}

func (c *class) move(s Side, gone, arrived []int) {
	pairUp(gone, arrived, func(pi, ai int) {
		c.b.pairs[pi].movedTo[s], c.b.arrivals[ai].used = ai, true
	}, [2]func(int) string{c.pairID(s), c.arrivalID}, [2]func(int) string{c.pairFlags(s), c.arrivalFlags})
}

// remains finds, for pairs that are gone on both sides, what became of one side's message or of both: another id, or another mailbox.
func (c *class) remains() {
	b := c.b
	for _, mb := range mailboxes(c.pairs, c.pairMailbox) {
		for _, s := range Sides {
			gone := keep(span(c.pairs, mb, c.pairMailbox), func(i int) bool { return b.pairs[i].lost() })
			pairUp(gone, c.arrived(mb, s), c.rename(s), [2]func(int) string{c.pairFlags(s), c.arrivalFlags})
		}
	}
	c.moves() // of what just got a new id on the other side
	for _, s := range Sides {
		gone := keep(c.pairs, func(i int) bool { return b.pairs[i].lost() })
		c.move(s, gone, c.arrivedOn(s))
	}
}

// halvesElsewhere finds half-pairs that were moved, and then the other halves in other mailboxes.
func (c *class) halvesElsewhere() {
	b := c.b
	for _, s := range Sides {
		gone := keep(c.halves, func(i int) bool {
			h := &b.halves[i]
			return h.Side == s && h.free() && h.Now.Gone
		})
		pairUp(gone, c.arrivedOn(s), c.relocate, [2]func(int) string{c.halfID, c.arrivalID}, [2]func(int) string{c.halfFlags, c.arrivalFlags})
	}
	slices.SortStableFunc(c.halves, func(i, j int) int { return cmp.Compare(c.halfMailbox(i), c.halfMailbox(j)) })
	c.halvesHere(InDoubt)
	c.goneHalvesHere(false)
	c.halvesHere(Quarantined, Held, Policy, Window)
	for _, s := range Sides {
		for _, reason := range [2]Reason{InDoubt, Held} {
			wandering := keep(c.halves, func(i int) bool {
				h := &b.halves[i]
				return h.Side == s && h.free() && h.Reason == reason && (!h.Now.Gone || h.leads())
			})
			pairUp(wandering, c.arrivedOn(s.Other()), func(hi, ai int) {
				b.halves[hi].movedTo, b.arrivals[ai].used = ai, true
			}, [2]func(int) string{c.halfFlags, c.arrivalFlags})
		}
	}
}
