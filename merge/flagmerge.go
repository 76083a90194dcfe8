package merge

// flagMerge is the result of a per-flag three-way merge: what to change on each side, and the bases
// with everything in them that needs no change of a store. Adding Add and Remove of a side to both bases
// once they are done leaves nothing to merge.
type flagMerge struct {
	base        [2]Flags
	add, remove [2]Flags // by the side to be changed
}

// mergeFlags merges what each side changed against its own base.
//
// A flag is a boolean, so both sides can only have changed it to the same value, unless one side cannot hold it and the bases differ; then
// setting it beats removing it. A change towards a side that dir leaves out is settled at once: it is in the base from then on and is not
// applied when the direction is switched on later.
func mergeFlags(base, now [2]Flags, dir Direction) flagMerge {
	m := flagMerge{base: base}
	var added, removed [2]Flags
	for _, s := range Sides {
		added[s], removed[s] = now[s].Minus(base[s]), base[s].Minus(now[s])
	}
	for _, s := range Sides {
		o := s.Other()
		if added[s].Empty() && removed[s].Empty() {
			continue
		}
		if dir[o] {
			m.add[o] = added[s].Minus(now[o])
			m.remove[o] = removed[s].Minus(added[o]).Intersect(now[o])
		}
		// What the other side shows already (or cannot show) is settled. The rest goes into the base with the outcome of the action,
		// so that an interrupted cycle plans it again.
		m.base[s] = base[s].Union(added[s].Minus(m.add[o])).Minus(removed[s].Minus(m.remove[o]))
	}
	return m
}

// uniteBases returns the bases with which a pair is made of two messages, so that merging them unites their flags: each flag that only
// one side has counts as set there. Exceptions: a \Deleted that only one side has is taken off, because removing is never the answer to
// doubt; and what side s is known to have changed since it showed was (a half-pair's base; nil on first contact) is a change like any other.
//
// The bases are not simply what both sides show: if the cycle ends before the flags are set, they are still a difference.
func uniteBases(s Side, was *Flags, now [2]Flags) [2]Flags {
	o := s.Other()
	common := now[s].Intersect(now[o])
	off := SystemFlags(Deleted).Intersect(now[s].Union(now[o]))
	var removed Flags
	if was != nil {
		removed = was.Minus(now[s])
		off = off.Minus(now[s].Minus(*was))
	}
	var base [2]Flags
	base[s] = common.Union(removed).Union(off)
	base[o] = common.Union(now[o].Intersect(removed)).Union(off)
	return base
}
