package merge

// decideHalf says how a half-pair goes on.
func (b *builder) decideHalf(h *half) {
	c := b.commit(h.mb)
	switch {
	case h.done:
		c.DropHalf = append(c.DropHalf, h.Half)
	case h.next != none:
		b.followHalf(h)
	case h.movedTo != none:
		b.moveHalf(h)
	case h.Now.Gone:
		c.DropHalf = append(c.DropHalf, h.Half)
	default:
		b.keepHalf(h)
	}
}

// known returns the half-pair with what its side shows now.
func (h *half) known() Half {
	out := h.Half
	out.Base, out.Content = h.Now.Flags, readable(out.Content)
	return out
}

// keepHalf handles a half-pair that nothing completes: what is due is copied, the others stay.
func (b *builder) keepHalf(h *half) {
	target := h.Side.Other()
	next := h.known()
	put := !h.Now.Flags.Equal(h.Half.Base)
	retries := h.Reason == InDoubt || h.Reason == Quarantined
	due := retries && h.Due
	if due && !b.rules.New[target] {
		next.Reason, next.Retry, next.Mark, next.Reserved, put, due = Policy, 0, "", "", true, false
	} else if h.Reason == InDoubt && !due {
		b.plans[h.mb].Waiting++
	}
	if put {
		c := b.commit(h.mb)
		c.PutHalf = append(c.PutHalf, next)
	}
	if due {
		b.copyHalf(h.mb, &next)
	}
}

// copyHalf copies the message of a half-pair to the other side.
func (b *builder) copyHalf(mb int, h *Half) {
	p := Pair{Base: [2]Flags{h.Base, h.Base}, Identity: h.Identity, Content: h.Content}
	p.ID[h.Side] = h.ID
	b.act(mb, h.Side.Other(), Action{Kind: Copy, New: p, Half: h})
}

// followHalf lets a half-pair go on under the new id of its message, perhaps in another mailbox: why it is a half-pair is still true.
func (b *builder) followHalf(h *half) {
	a := &b.arrivals[h.next]
	if b.plans[a.mb].Failed || b.plans[h.mb].Failed {
		return // seen again when the mailbox no longer fails
	}
	next := h.Half
	next.ID, next.Base, next.Content = a.ID, a.Flags, readable(next.Content)
	if a.mb != h.mb {
		next.Mark = "" // it speaks of the other mailbox
	}
	from, to := b.commit(h.mb), b.commit(a.mb)
	from.DropHalf = append(from.DropHalf, h.Half)
	to.PutHalf = append(to.PutHalf, next)
	if h.Reason == InDoubt {
		b.plans[a.mb].Waiting++
	}
}

// moveHalf moves the message of a half-pair to where its other half was found.
func (b *builder) moveHalf(h *half) {
	a := &b.arrivals[h.movedTo]
	known := h.known()
	if !b.rules.Deletions[h.Side] {
		// It may not be removed from here: both messages stay where they are, on their own.
		known.Reason, known.Retry, known.Mark, known.Reserved, known.Hold = Policy, 0, "", "", 0
		c := b.commit(h.mb)
		c.PutHalf = append(c.PutHalf, known)
		a.used = false
		return
	}
	var now [2]Flags
	now[h.Side], now[a.side] = h.Now.Flags, a.Flags
	next := Pair{Base: uniteBases(h.Side, &h.Half.Base, now), Identity: known.Identity, Content: known.Content}
	next.ID[a.side] = a.ID
	old := Pair{Identity: known.Identity, Content: known.Content}
	old.ID[h.Side], old.Base[h.Side] = h.ID, h.Half.Base
	stored := h.Half
	stored.Content = readable(stored.Content)
	b.act(h.mb, h.Side, Action{Kind: Move, Old: old, New: next, Now: h.Now.Flags, To: b.names[a.mb], Half: &stored})
}
