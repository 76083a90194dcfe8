package engine

import (
	"context"
	"fmt"
	"slices"

	"driftless/drivers"
	"driftless/merge"
)

// patience is for how many rounds of a cycle a copy waits because a message that it may be equal to has just vanished.
const patience = 3

// confirm looks once more at what changed on a side since it was observed. Mailboxes are not observed at one moment: of a message that was moved meanwhile only one end may have
// been seen. Taken for an arrival it would be copied, taken for gone it would be deleted on the other side, with what was changed there. So before anything is concluded from
// one end of what may be a move, or an append in doubt is repeated, every mailbox of that side is either proven not to have changed since it was observed, or observed again: then the other end of all that the first look
// saw has been seen, too. What only the second look saw is late: it is decided in the next round, when nothing explains it in this one.
//
// An arrival alone that is copied too early does no harm unless the other side changed something, too, or, where messages are known already, has an arrival to be copied: what that
// copy is called would be taken for the new name of the equal message that was moved. That spares the mail that just comes in the second look.
func (c *cycle) confirm(ctx context.Context) error {
	c.calm = [2]map[string]string{}
	if len(c.boxes)+len(c.aside) < 2 {
		return nil
	}
	var arrived, gone, changed [2]bool
	known := false
	for _, b := range c.boxes {
		known = known || b.state.Count(merge.Left)+b.state.Count(merge.Right) > 0
		for _, side := range merge.Sides {
			s := b.seen[side]
			if s == nil || b.failed.Load() {
				continue
			}
			arrived[side] = arrived[side] || len(s.arrivals) > 0
			changed[side] = changed[side] || len(s.changed) > 0
			for _, l := range s.changed {
				gone[side] = gone[side] || l.Gone
			}
		}
		if b.failed.Load() {
			continue
		}
		for _, h := range b.state.Halves() {
			// An append that seems not to have arrived may have been moved on by somebody.
			if o := h.Side.Other(); h.Reason == merge.InDoubt && b.seen[o] != nil && c.due(b, h, b.seen[o].began) {
				gone[o] = true
			}
		}
	}
	for _, side := range merge.Sides {
		other := side.Other()
		if !gone[side] && !(arrived[side] && (changed[other] || arrived[other] && known)) {
			continue
		}
		if err := c.confirmSide(ctx, side); err != nil {
			return err
		}
	}
	return nil
}

// confirmSide observes the mailboxes of a side once more that may have changed since they were observed.
func (c *cycle) confirmSide(ctx context.Context, side merge.Side) error {
	cursors := map[string]drivers.Cursor{}
	for _, b := range c.boxes {
		cursors[b.names[side]] = drivers.Cursor(b.cursor[side])
		if s := b.seen[side]; s != nil {
			cursors[b.names[side]] = drivers.Cursor(s.cursor)
		}
	}
	for _, a := range c.aside {
		cursors[a.names[side]] = drivers.Cursor(a.cursor[side])
	}
	list, err := c.stores[side].List(ctx, cursors)
	if err != nil {
		return fmt.Errorf("%s store: %w", side, err)
	}
	unchanged := map[string]bool{}
	c.calm[side] = map[string]string{}
	for _, info := range list {
		unchanged[info.Name] = info.Unchanged && cursors[info.Name] != ""
		if unchanged[info.Name] {
			c.calm[side][info.Name] = string(cursors[info.Name])
		}
	}
	if c.req.DryRun {
		return nil
	}
	before := map[*box]*sight{}
	for _, b := range c.boxes {
		if b.failed.Load() || unchanged[b.names[side]] {
			continue
		}
		before[b] = b.seen[side]
		b.look[side] = true
	}
	if len(before) == 0 {
		return nil
	}
	if err := c.eachBox(ctx, (*box).again, c.observe); err != nil {
		return err
	}
	for b, old := range before {
		if s := b.seen[side]; s != nil {
			s.markLate(old)
			b.fled[side] = b.fled[side] || s.misses(old)
		}
	}
	return nil
}

// misses reports whether an arrival of an earlier sight, which may be nil, is not there any more. It may have gone to a mailbox that was looked at before.
func (s *sight) misses(old *sight) bool {
	if old == nil {
		return false
	}
	there := map[merge.ID]bool{}
	for _, a := range s.arrivals {
		there[a.ID] = true
	}
	return slices.ContainsFunc(old.arrivals, func(a merge.Arrival) bool { return !there[a.ID] })
}

// markLate marks what an earlier sight, which may be nil, did not have.
func (s *sight) markLate(old *sight) {
	known := map[merge.ID]bool{}
	if old != nil {
		for _, a := range old.arrivals {
			known[a.ID] = true
		}
	}
	for i := range s.arrivals {
		s.arrivals[i].Late = !known[s.arrivals[i].ID]
	}
	for id, l := range s.changed {
		if l.Gone && (old == nil || !old.changed[id].Gone) {
			l.Late = true
			s.changed[id] = l
		}
	}
}

// hesitate marks the arrivals as late that may be equal to a message of the other side that vanished while it was looked at or asked about: it may be there again under another id, and what is copied
// now would be there twice. Where messages vanish all the time, that comes to an end. An append in doubt that may be the one that vanished is not repeated however often that happens: the next cycle
// can do it as well.
func (c *cycle) hesitate(v *merge.View) {
	var fled [2]bool
	for _, b := range c.boxes {
		for _, side := range merge.Sides {
			fled[side] = fled[side] || b.fled[side]
		}
	}
	for i := range v.Mailboxes {
		mv := &v.Mailboxes[i]
		b := c.byName(mv.Name)
		for _, side := range merge.Sides {
			if !b.fled[side] || c.round > patience {
				continue
			}
			arrivals := mv.New[side.Other()]
			for k := range arrivals {
				arrivals[k].Late = true
			}
		}
		for k := range mv.Halves {
			h := &mv.Halves[k]
			h.Late = h.Reason == merge.InDoubt && fled[h.Side.Other()]
		}
	}
}
