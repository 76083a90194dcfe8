package logstate

import (
	"slices"

	"driftless/merge"
)

// box is what is known of a mailbox without folding its pairs.
type box struct {
	id      Mailbox
	named   bool // its registration was read; without it, only the number is known
	names   [2]string
	known   [2]bool
	cursor  [2]string
	counts  counts
	repair  bool
	changes uint64      // commits that changed pairs or half-pairs
	used    [2]consumed // by side log
}

func (b *box) clone() *box {
	c := *b
	for i := range c.used {
		c.used[i].extra = slices.Clone(c.used[i].extra)
	}
	return &c
}

func (b *box) summary() Summary {
	s := Summary{
		Mailbox: b.id, Names: b.names, Known: b.known, Cursor: b.cursor, Repair: b.repair,
		Count:  [2]int{b.counts.on(merge.Left), b.counts.on(merge.Right)},
		Halves: map[merge.Reason]int{},
	}
	for r, h := range b.counts.halves {
		if n := h[0] + h[1]; n > 0 {
			s.Halves[merge.Reason(r)] = n
		}
	}
	return s
}

// apply takes over what a section of a commit says, apart from the ops.
func (b *box) apply(s *section) {
	if s.counts != nil {
		b.counts = *s.counts
	}
	if s.repair != nil {
		b.repair = *s.repair
	}
	if s.changes != 0 {
		b.changes = s.changes
	}
	for i, c := range s.cursor {
		if c != nil {
			b.cursor[i] = *c
		}
	}
	if s.known != nil {
		b.known = *s.known
	}
}

// consumed says which batches of a side log are in the shared log. Batches of a mailbox may be finished in another order than they were begun.
type consumed struct {
	epoch uint32
	low   uint64   // all up to here
	extra []uint64 // and these above, sorted
}

func (c *consumed) has(seq uint64) bool {
	if seq <= c.low {
		return true
	}
	_, ok := slices.BinarySearch(c.extra, seq)
	return ok
}

func (c *consumed) max() uint64 {
	if n := len(c.extra); n > 0 {
		return max(c.low, c.extra[n-1])
	}
	return c.low
}

func (c *consumed) apply(u use) {
	c.epoch = max(c.epoch, u.epoch)
	c.low = max(c.low, u.low)
	if i, ok := slices.BinarySearch(c.extra, u.seq); !ok && u.seq > c.low {
		c.extra = slices.Insert(c.extra, i, u.seq)
	}
	i, _ := slices.BinarySearch(c.extra, c.low+1)
	c.extra = slices.Delete(c.extra, 0, i)
	for len(c.extra) > 0 && c.extra[0] == c.low+1 {
		c.low++
		c.extra = slices.Delete(c.extra, 0, 1)
	}
}
