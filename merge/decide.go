package merge

import "slices"

// decide makes the plan of everything that was matched, and of what was not.
func (b *builder) decide() Plan {
	for i := range b.pairs {
		b.decidePair(&b.pairs[i])
	}
	for i := range b.halves {
		b.decideHalf(&b.halves[i])
	}
	for i := range b.arrivals {
		if a := &b.arrivals[i]; !a.used {
			b.decideArrival(a)
		}
	}
	b.await()
	for i := range b.plans {
		p := &b.plans[i]
		if p.Failed {
			p.Commit, p.Actions = Commit{}, [2][]Action{}
		}
		for _, s := range Sides {
			sortActions(p.Actions[s])
		}
	}
	return Plan{Mailboxes: b.plans}
}

// await notes which mailboxes have arrivals that are the other end of a move from elsewhere.
func (b *builder) await() {
	await := func(who, mb int) {
		if p := &b.plans[who]; who != mb && !slices.Contains(p.Awaits, b.names[mb]) {
			p.Awaits = append(p.Awaits, b.names[mb])
		}
	}
	note := func(ai, mb int) {
		if ai != none && b.arrivals[ai].used {
			await(b.arrivals[ai].mb, mb)
		}
	}
	for i := range b.pairs {
		p := &b.pairs[i]
		if p.Now[Left].Gone && p.Now[Right].Gone {
			// What was moved to two places is moved from the one to the other; what was moved and removed is removed where it was moved to.
			for _, s := range Sides {
				if ai := p.movedTo[s]; ai != none && b.arrivals[ai].used {
					note(p.movedTo[s.Other()], b.arrivals[ai].mb)
					await(p.mb, b.arrivals[ai].mb)
				}
			}
		}
		note(p.movedTo[Left], p.mb)
		note(p.movedTo[Right], p.mb)
	}
	for i := range b.halves {
		h := &b.halves[i]
		note(h.movedTo, h.mb)
		note(h.movedTo, h.storedMB)
	}
}

func (b *builder) act(mb int, target Side, a Action) {
	b.plans[mb].Actions[target] = append(b.plans[mb].Actions[target], a)
}

func (b *builder) commit(mb int) *Commit { return &b.plans[mb].Commit }

// readable returns the content as it is stored: that it could not be read just now is no property of the message.
func readable(c Content) Content {
	if c == Unreadable {
		return Content{}
	}
	return c
}

// now returns the pair as the state has it once the plan's commit is done.
func (p *pair) now() Pair {
	out := p.Pair
	out.Content = readable(out.Content)
	return out
}

// write commits the pair if it differs from what the state has. Writing it replaces what the state has under either id; if
// both ids are new, the old pair is dropped.
func (b *builder) write(p *pair) {
	if !p.put {
		return
	}
	c := b.commit(p.mb)
	c.Put = append(c.Put, p.now())
	if p.inState && p.stored.ID[0] != p.ID[0] && p.stored.ID[1] != p.ID[1] {
		c.Drop = append(c.Drop, p.stored)
	}
}

func (b *builder) decidePair(p *pair) {
	switch l, r := p.Now[Left].Gone, p.Now[Right].Gone; {
	case !l && !r:
		b.mergePair(p)
	case l && r:
		b.decideGone(p)
	case l:
		b.decideGoneOn(p, Left)
	default:
		b.decideGoneOn(p, Right)
	}
}

// mergePair merges the flags of a pair that is there on both sides.
func (b *builder) mergePair(p *pair) {
	m := mergeFlags(p.Base, [2]Flags{p.Now[0].Flags, p.Now[1].Flags}, b.rules.Flags)
	for _, s := range Sides {
		if !m.base[s].Equal(p.Base[s]) {
			p.Base[s], p.put = m.base[s], true
		}
	}
	b.write(p)
	for _, s := range Sides {
		if !m.add[s].Empty() || !m.remove[s].Empty() {
			next := p.now()
			for i := range next.Base {
				next.Base[i] = next.Base[i].Union(m.add[s]).Minus(m.remove[s])
			}
			b.act(p.mb, s, Action{Kind: SetFlags, Old: p.now(), New: next, Now: p.Now[s].Flags, Add: m.add[s], Remove: m.remove[s]})
		}
	}
}

// decideGoneOn handles a pair that is gone on side s only.
func (b *builder) decideGoneOn(p *pair, s Side) {
	o := s.Other()
	moved := p.movedTo[s]
	switch {
	case moved != none && b.rules.Deletions[o]:
		a := &b.arrivals[moved]
		b.write(p)
		next := p.now()
		next.ID[s], next.ID[o] = a.ID, ""
		b.act(p.mb, o, Action{Kind: Move, Old: p.now(), New: next, Now: p.Now[o].Flags, To: b.names[a.mb]})
	case moved != none:
		b.orphan(p, o, Policy, "")
		b.arrivals[moved].used = false
	case p.Now[s].Late:
		b.write(p)
		b.plans[p.mb].Late++
	case b.blind[s]:
		b.write(p)
		b.plans[p.mb].Unseen[s]++
	case b.touched(p, o):
		b.conflictGone(p, s)
	default:
		b.remove(p, o)
	}
}

// touched reports whether the flags on side s were changed in a way that speaks against removing the message. Marking it as deleted does not.
func (b *builder) touched(p *pair, s Side) bool {
	deleted := SystemFlags(Deleted)
	now, base := p.Now[s].Flags, p.Base[s]
	if now.sys&Deleted != 0 && base.sys&Deleted == 0 {
		now = now.Minus(deleted)
	}
	return !now.Equal(base)
}

// remove deletes what is left of a pair on side o, or remembers it as kept.
func (b *builder) remove(p *pair, o Side) {
	if !b.rules.Deletions[o] {
		b.orphan(p, o, Policy, "")
		return
	}
	b.write(p)
	b.act(p.mb, o, Action{Kind: Delete, Old: p.now(), Now: p.Now[o].Flags})
}

// orphan turns a pair into a half-pair of side o, and returns it.
func (b *builder) orphan(p *pair, o Side, reason Reason, note string) *Half {
	h := Half{
		Side: o, ID: p.ID[o], Base: p.Now[o].Flags, Reason: reason, Note: note,
		Identity: p.Identity, Content: readable(p.Content),
	}
	c := b.commit(p.mb)
	if p.inState {
		c.Orphan = append(c.Orphan, Orphan{Pair: p.stored, Half: h})
	} else {
		c.PutHalf = append(c.PutHalf, h)
	}
	return &h
}

// conflictGone handles a pair that is gone on side s while its flags were changed on the other side.
func (b *builder) conflictGone(p *pair, s Side) {
	o := s.Other()
	resolution := b.resolve(s)
	b.report(p, resolution)
	switch {
	case resolution == Unresolved:
	case b.deletionWins(s):
		b.remove(p, o)
	case !b.rules.New[s]:
		b.orphan(p, o, Policy, "")
	default:
		b.copyBack(p, o)
	}
}

// copyBack copies what is left of a pair on side o back to the other side. It becomes a half-pair that is due at once, so that it is not forgotten if
// the cycle ends before it is copied.
func (b *builder) copyBack(p *pair, o Side) {
	h := b.orphan(p, o, InDoubt, "removed on one side, changed on the other: copied back")
	h.Retry = 1
	c := b.commit(p.mb)
	if p.inState {
		c.Orphan[len(c.Orphan)-1].Half.Retry = 1
	} else {
		c.PutHalf[len(c.PutHalf)-1].Retry = 1
	}
	b.copyHalf(p.mb, h)
}

// deletionWins reports whether a removal on side s beats a change on the other side.
func (b *builder) deletionWins(s Side) bool {
	switch b.rules.Conflict {
	case ConflictDelete:
		return true
	case ConflictLeft:
		return s == Left
	case ConflictRight:
		return s == Right
	}
	return false
}

// resolve returns what the policy makes of a removal on side s against a change on the other side.
func (b *builder) resolve(s Side) Resolution {
	switch b.rules.Conflict {
	case ConflictDelete:
		return DeletedBoth
	case ConflictKeep:
		return CopiedBack
	case ConflictLeft:
		return LeftWon
	case ConflictRight:
		return RightWon
	}
	return Unresolved
}

func (b *builder) report(p *pair, r Resolution) {
	c := Conflict{Pair: p.stored, Now: p.Now, Resolution: r}
	if !p.inState {
		c.Pair = p.now()
	}
	for _, s := range Sides {
		if ai := p.movedTo[s]; ai != none {
			c.MoveTo[s] = b.names[b.arrivals[ai].mb]
		}
	}
	plan := &b.plans[p.mb]
	plan.Conflicts = append(plan.Conflicts, c)
	if r == Unresolved && b.rules.Conflict == ConflictFail {
		plan.Failed = true
	}
}

// decideGone handles a pair that is gone on both sides.
func (b *builder) decideGone(p *pair) {
	l, r := p.movedTo[Left], p.movedTo[Right]
	switch {
	case l == none && p.Now[Left].Late, r == none && p.Now[Right].Late:
		b.plans[p.mb].Late++
	case l == none && b.blind[Left]:
		b.plans[p.mb].Unseen[Left]++
	case r == none && b.blind[Right]:
		b.plans[p.mb].Unseen[Right]++
	case l != none && r != none:
		b.conflictMoves(p)
	case l != none:
		b.conflictMoveGone(p, Left)
	case r != none:
		b.conflictMoveGone(p, Right)
	default:
		b.drop(p)
	}
}

func (b *builder) drop(p *pair) {
	if p.inState {
		c := b.commit(p.mb)
		c.Drop = append(c.Drop, p.stored)
	}
}

// conflictMoves handles a pair that was moved to different mailboxes: the winner's place wins. Until it is moved, the loser's message is a
// half-pair whose other half may be in any mailbox, so that a cycle that ends before that leads to the same move.
func (b *builder) conflictMoves(p *pair) {
	winner, resolution := Left, LeftWon
	switch b.rules.Conflict {
	case ConflictRight:
		winner, resolution = Right, RightWon
	case ConflictAsk, ConflictFail:
		b.report(p, Unresolved)
		return
	}
	loser := winner.Other()
	b.report(p, resolution)
	b.drop(p)
	if !b.rules.Deletions[loser] {
		b.arrivals[p.movedTo[0]].used, b.arrivals[p.movedTo[1]].used = false, false
		return
	}
	w, a := &b.arrivals[p.movedTo[winner]], &b.arrivals[p.movedTo[loser]]
	h := Half{
		Side: loser, ID: a.ID, Base: p.Base[loser], Reason: InDoubt, Identity: p.Identity, Content: readable(p.Content),
		Retry: 1, Note: "moved to different mailboxes on both sides",
	}
	b.putHalf(a.mb, h)
	next := p.now()
	next.ID[winner], next.ID[loser] = w.ID, ""
	b.act(a.mb, loser, Action{Kind: Move, Old: b.solitary(p, a), New: next, Now: a.Flags, To: b.names[w.mb], Half: &h})
}

// solitary returns a pair for an action on an arrival that the state does not know: it has only the id of the arrival's side.
func (b *builder) solitary(p *pair, a *arrival) Pair {
	old := Pair{Identity: p.Identity, Content: readable(p.Content)}
	old.ID[a.side], old.Base[a.side] = a.ID, a.Flags
	return old
}

// conflictMoveGone handles a pair that was moved on side s and removed on the other side. If the removal wins, the pair is dropped together with the
// outcome of the deletion: dropped before, a cycle that ends in between would leave a message that looks new.
func (b *builder) conflictMoveGone(p *pair, s Side) {
	a := &b.arrivals[p.movedTo[s]]
	resolution := b.resolve(s.Other())
	b.report(p, resolution)
	switch {
	case resolution == Unresolved:
	case !b.deletionWins(s.Other()):
		b.drop(p)
		a.used = false // it is copied like any other
	case b.rules.Deletions[s]:
		b.act(a.mb, s, Action{Kind: Delete, Old: b.solitary(p, a), New: p.stored, Now: a.Flags, To: b.names[p.mb]})
	default:
		b.drop(p)
		b.keepArrival(a)
	}
}

// decideArrival copies a message that nothing matched, or remembers it as kept on its side.
func (b *builder) decideArrival(a *arrival) {
	o := a.side.Other()
	if a.Late {
		b.plans[a.mb].Late++
		return
	}
	if !b.rules.New[o] {
		b.keepArrival(a)
		return
	}
	p := Pair{Base: [2]Flags{a.Flags, a.Flags}, Identity: a.Identity, Content: readable(a.Arrival.Content)}
	p.ID[a.side] = a.ID
	b.act(a.mb, o, Action{Kind: Copy, New: p})
}

func (b *builder) keepArrival(a *arrival) {
	c := b.commit(a.mb)
	c.PutHalf = append(c.PutHalf, Half{
		Side: a.side, ID: a.ID, Base: a.Flags, Reason: Policy, Identity: a.Identity, Content: readable(a.Arrival.Content),
	})
}
