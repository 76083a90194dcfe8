package merge

// decideHalf says how a half-pair goes on.
func (b *builder) decideHalf(h *half) {
	if h.mb != h.storedMB && (b.plans[h.mb].Failed || b.plans[h.storedMB].Failed) {
		return // one of the commits would be missing; seen again when the mailbox no longer fails
	}
	switch {
	case h.done:
		b.endHalf(h)
	case h.movedTo != none && h.leads():
		b.fetchOther(h)
	case h.movedTo != none:
		b.moveHalf(h)
	case h.Now.Gone && (h.Now.Late || h.Late && h.sent()):
		b.plans[h.storedMB].Late++
	case h.Now.Gone && h.sent() && !h.Due:
		// The append may still arrive. Then it is known for what it is: a copy of a message that was removed.
		b.plans[h.mb].Waiting++
		b.plans[h.mb].Unsettled++
	case h.Now.Gone && b.blind[h.Side]:
		b.plans[h.storedMB].Unseen[h.Side]++
	case h.Now.Gone && b.absent(h):
		b.plans[h.storedMB].Unseen[h.Side.Other()]++
	case h.Now.Gone:
		b.endHalf(h)
	default:
		b.keepHalf(h)
	}
}

func (b *builder) endHalf(h *half) {
	c := b.commit(h.storedMB)
	c.DropHalf = append(c.DropHalf, h.stored)
}

func (b *builder) putHalf(mb int, h Half) {
	c := b.commit(mb)
	c.PutHalf = append(c.PutHalf, h)
}

// relocated reports whether the message has a new id, perhaps in another mailbox.
func (h *half) relocated() bool { return h.ID != h.stored.ID || h.mb != h.storedMB }

// known returns the half-pair as it goes on: its message under its present id.
func (h *half) known() Half {
	out := h.Half
	out.Content = readable(out.Content)
	if h.mb != h.storedMB && h.sent() {
		out.Moved = true
	}
	return out
}

// leads reports whether the message of the half-pair was moved since its append began. An arrival elsewhere is then what was sent to where the message
// was, and has to follow it; otherwise it is the arrival that was moved.
func (h *half) leads() bool { return h.Moved || h.mb != h.storedMB && h.sent() }

// keepHalf handles a half-pair that nothing completes: what is due is copied, the others stay. As long as its append may still arrive, its base stays what the append was
// given: what the arrival differs from is then what each side changed since. The cursors must not pass such a change before.
func (b *builder) keepHalf(h *half) {
	next := h.known()
	put := h.relocated()
	if put {
		b.endHalf(h)
	}
	due := h.Due && (h.Reason == InDoubt || h.Reason == Quarantined)
	if due && h.Late {
		due = false
		b.plans[h.mb].Late++
	}
	unseen := due && b.absent(h)
	if unseen {
		due = false
		b.plans[h.mb].Unseen[h.Side.Other()]++
	}
	waits := h.Reason == InDoubt && !due
	switch changed := !h.Now.Flags.Equal(h.Half.Base); {
	case changed && waits && h.sent():
		b.plans[h.mb].Unsettled++
	case changed:
		next.Base, put = h.Now.Flags, true
	}
	if due && !b.rules.New[h.Side.Other()] {
		next, put, due = kept(next), true, false
	} else if waits && !unseen {
		b.plans[h.mb].Waiting++
	}
	if put {
		b.putHalf(h.mb, next)
	}
	if due {
		b.copyHalf(h.mb, &next)
	}
}

// absent reports whether the other half of a half-pair in doubt may be in a mailbox that could not be looked at. Under a reserved name it would have been found.
func (b *builder) absent(h *half) bool {
	return h.Reason == InDoubt && h.Reserved == "" && b.blind[h.Side.Other()]
}

// kept returns the half-pair as one that stays on its side by policy.
func kept(h Half) Half {
	h.Reason, h.Retry, h.Mark, h.Reserved, h.Hold = Policy, 0, "", "", 0
	return h
}

// copyHalf copies the message of a half-pair to the other side.
func (b *builder) copyHalf(mb int, h *Half) {
	p := Pair{Base: [2]Flags{h.Base, h.Base}, Identity: h.Identity, Content: h.Content}
	p.ID[h.Side] = h.ID
	b.act(mb, h.Side.Other(), Action{Kind: Copy, New: p, Half: h})
}

// bases returns the bases of the pair that a half-pair and an arrival make. An append in doubt stored the flags that its source had then; so each side's
// own changes since are known, and neither is undone. A keyword that is not there is set again: whether somebody removed it or the store
// cannot hold it is not known.
func (h *half) bases(now [2]Flags) [2]Flags {
	if h.Reason != InDoubt || h.Mark == "" && h.Reserved == "" {
		return uniteBases(h.Side, &h.Half.Base, now)
	}
	system := SystemFlags(h.Half.Base.System())
	stored := system.Union(h.Half.Base.Minus(system).Intersect(now[h.Side.Other()]))
	return [2]Flags{stored, stored}
}

// moveHalf moves the message of a half-pair to where its other half was found.
func (b *builder) moveHalf(h *half) {
	a := &b.arrivals[h.movedTo]
	known := h.known()
	if h.relocated() {
		b.endHalf(h)
	}
	if !b.rules.Deletions[h.Side] {
		// It may not be removed from here: both messages stay where they are, on their own.
		known.Base = h.Now.Flags
		b.putHalf(h.mb, kept(known))
		a.used = false
		return
	}
	if h.relocated() {
		b.putHalf(h.mb, known)
	}
	var now [2]Flags
	now[h.Side], now[a.side] = h.Now.Flags, a.Flags
	next := Pair{Base: h.bases(now), Identity: known.Identity, Content: known.Content}
	next.ID[a.side] = a.ID
	old := Pair{Identity: known.Identity, Content: known.Content}
	old.ID[h.Side], old.Base[h.Side] = h.ID, h.Half.Base
	b.act(h.mb, h.Side, Action{Kind: Move, Old: old, New: next, Now: h.Now.Flags, To: b.names[a.mb], Half: &known})
}

// fetchOther moves the other half of a half-pair, which arrived in another mailbox, to where the message of the half-pair is. That one may be gone: then they are
// a pair there whose message was removed.
func (b *builder) fetchOther(h *half) {
	a := &b.arrivals[h.movedTo]
	if !b.rules.Deletions[a.side] {
		// It may not be removed from there: what arrived is a message of its own, and this one goes on as if nothing had arrived.
		a.used = false
		b.keepHalf(h)
		return
	}
	known := h.known()
	if h.relocated() {
		b.endHalf(h)
		b.putHalf(h.mb, known)
	}
	next := Pair{Base: b.joined(h, a), Identity: known.Identity, Content: known.Content}
	next.ID[h.Side] = h.ID
	old := Pair{Identity: known.Identity, Content: known.Content}
	old.ID[a.side], old.Base[a.side] = a.ID, a.Flags
	b.act(a.mb, a.side, Action{Kind: Move, Old: old, New: next, Now: a.Flags, To: b.names[h.mb], Half: &known})
}

// joined returns the bases of the pair that a half-pair and an arrival make.
func (b *builder) joined(h *half, a *arrival) [2]Flags {
	if h.Now.Gone {
		// What the arrival has beyond what was appended was set there since. What it lacks is set again, should the message of the
		// half turn up elsewhere.
		common := a.Flags.Intersect(h.Base)
		return [2]Flags{common, common}
	}
	var now [2]Flags
	now[h.Side], now[a.side] = h.Now.Flags, a.Flags
	return h.bases(now)
}
