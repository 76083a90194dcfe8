package merge

import "slices"

// Build turns what was observed into a plan. It is pure and deterministic.
//
// When it returns questions, the plan is empty: the caller answers all of them in the view (see Question) and calls Build again. Identities
// are asked first, all at once, then contents, all at once; what was answered is not asked again, so a third call plans, unless answers
// removed messages and made others ambiguous, which can only happen as often as messages vanish. An arrival that
// nothing can match is not asked about.
//
// Messages are paired in this order: by an id that an append had reserved; within a mailbox (a new id of a known message, a copy in doubt, new on
// both sides, other half-pairs); then account-wide (moves). What is left is copied or deleted.
//
// A move needs Rules.Deletions towards its target, but not Rules.New: it brings nothing new to the store. Where deletions are off, the
// message stays behind as a half-pair and the arrival is copied like any other. A change of flags towards a side that Rules.Flags leaves out
// is taken into the bases and never applied.
func Build(v View, r Rules) (Plan, []Question) {
	b := newBuilder(v, r)
	b.matchReserved()
	b.markRelevant()
	if q := b.askIdentities(); len(q) > 0 {
		return Plan{}, q
	}
	if q := b.classify(); len(q) > 0 {
		return Plan{}, q
	}
	b.matchClasses()
	return b.decide(), nil
}

const none = -1

// arrival is an Arrival of the view and what became of it.
type arrival struct {
	*Arrival
	mb       int
	side     Side
	relevant bool // something may match it
	used     bool // it is matched
	class    int  // messages of one class have the same content; none when there is no proof
}

// pair is a pair of the view, or one that was made of two messages.
type pair struct {
	PairView
	mb       int
	stored   Pair   // as the state has it
	inState  bool   // false: it was made here
	put      bool   // it differs from what the state has
	replaced bool   // another pair took its place
	movedTo  [2]int // the arrival on that side that it is in another mailbox, or none
	relevant bool
	class    int
}

// half is a half-pair of the view and what became of it.
type half struct {
	HalfView
	mb       int
	stored   Half // as the state has it; the message may have a new id
	storedMB int  // and be in another mailbox
	relevant bool
	class    int
	done     bool // it is part of a pair now
	movedTo  int  // the arrival on the other side, in another mailbox, that is its other half, or none
}

type builder struct {
	rules    Rules
	blind    [2]bool // see View.Blind
	names    []string
	arrivals []arrival // by mailbox, side, order of listing
	pairs    []pair    // those of the view by mailbox and order, then those made here
	halves   []half    // by mailbox and order
	classes  int
	plans    []MailboxPlan
}

func newBuilder(v View, r Rules) *builder {
	b := &builder{rules: r, blind: v.Blind, names: make([]string, len(v.Mailboxes)), plans: make([]MailboxPlan, len(v.Mailboxes))}
	var arrivals, pairs, halves int
	for _, m := range v.Mailboxes {
		arrivals += len(m.New[0]) + len(m.New[1])
		pairs += len(m.Changed)
		halves += len(m.Halves)
	}
	b.arrivals = make([]arrival, 0, arrivals)
	b.pairs = make([]pair, 0, pairs)
	b.halves = make([]half, 0, halves)
	for i := range v.Mailboxes {
		m := &v.Mailboxes[i]
		b.names[i], b.plans[i].Name = m.Name, m.Name
		for _, s := range Sides {
			for j := range m.New[s] {
				b.arrivals = append(b.arrivals, arrival{Arrival: &m.New[s][j], mb: i, side: s, class: none})
			}
		}
		for _, p := range m.Changed {
			b.pairs = append(b.pairs, pair{PairView: p, mb: i, stored: p.Pair, inState: true, movedTo: [2]int{none, none}, class: none})
		}
		for _, h := range m.Halves {
			b.halves = append(b.halves, half{HalfView: h, mb: i, stored: h.Half, storedMB: i, class: none, movedTo: none})
		}
	}
	return b
}

// wanders reports whether the other half of h is looked for in all mailboxes: the append in doubt may have been moved after it arrived,
// and what waits as a deletion may turn out to be a move.
func (h *half) wanders() bool { return h.Reason == InDoubt || h.Reason == Held }

// free reports whether the half-pair has not been matched.
func (h *half) free() bool { return !h.done && h.movedTo == none }

// matchReserved pairs half-pairs with arrivals that bear the id reserved for them: no other message can.
func (b *builder) matchReserved() {
	type key struct {
		side Side
		id   ID
	}
	var reserved map[key]int
	for i := range b.halves {
		h := &b.halves[i]
		if h.Reason != InDoubt || h.Reserved == "" {
			continue
		}
		if reserved == nil {
			reserved = map[key]int{}
		}
		reserved[key{h.Side.Other(), h.Reserved}] = i
	}
	if reserved == nil {
		return
	}
	// The mailbox of the append first, then those where it may have been moved to.
	for _, sameMailbox := range [2]bool{true, false} {
		for ai := range b.arrivals {
			a := &b.arrivals[ai]
			hi, ok := reserved[key{a.side, a.ID}]
			if !ok || a.used {
				continue
			}
			h := &b.halves[hi]
			switch {
			case h.done || h.movedTo != none || sameMailbox != (a.mb == h.mb):
			case sameMailbox:
				b.complete(hi, ai)
			case !h.Now.Gone:
				h.movedTo, a.used = ai, true
			}
		}
	}
}

// complete makes a pair of a half-pair and an arrival on the other side in the same mailbox. The half's message may be gone: the pair is then
// one whose message is gone on that side.
func (b *builder) complete(hi, ai int) {
	h, a := &b.halves[hi], &b.arrivals[ai]
	p := pair{mb: h.mb, put: true, movedTo: [2]int{none, none}, class: h.class}
	p.ID[h.Side], p.ID[a.side] = h.ID, a.ID
	p.Identity, p.Content = h.Identity, h.Content
	if !p.Identity.Known() {
		p.Identity = a.Identity
	}
	if !p.Content.Known() {
		p.Content = a.Arrival.Content
	}
	p.Now[h.Side], p.Now[a.side] = h.Now, Look{Flags: a.Flags}
	p.Base = b.joined(h, a)
	b.pairs = append(b.pairs, p)
	h.done, a.used = true, true
}

// sortActions puts the actions of a side in the order in which they are applied.
func sortActions(as []Action) {
	slices.SortStableFunc(as, func(x, y Action) int { return int(x.Kind) - int(y.Kind) })
}
