package engine

import (
	"fmt"

	"driftless/merge"
)

// spare takes deletions out of a plan that would delete the good copy of a message that was moved and cannot be read where it is now. What cannot be read matches nothing, so
// that the move looks like a deletion and an arrival. While such arrivals are new, any message that is gone may be one of them; later, when they are
// quarantined, one of the same id is, for a store whose ids survive a move.
func (c *cycle) spare(p *merge.Plan, view merge.View) {
	var unread [2]int
	var ids [2]map[merge.ID]bool
	for _, m := range view.Mailboxes {
		for _, side := range merge.Sides {
			for _, a := range m.New[side] {
				if a.Content == merge.Unreadable {
					unread[side]++
				}
			}
		}
	}
	for _, side := range merge.Sides {
		ids[side] = map[merge.ID]bool{}
	}
	for _, b := range c.boxes {
		if b.failed.Load() {
			continue
		}
		for _, h := range b.state.Halves() {
			if h.Reason == merge.Quarantined {
				ids[h.Side][h.ID] = true
			}
		}
	}
	for i := range p.Mailboxes {
		m := &p.Mailboxes[i]
		for _, side := range merge.Sides {
			from := side.Other()
			named := 0
			for _, a := range actionsOf(m.Actions[side], merge.Delete) {
				if ids[from][a.Old.ID[from]] {
					named++
				}
			}
			if n := max(unread[from], named); n > 0 {
				c.withhold(c.byName(m.Name), m, side, fmt.Sprintf("%d new messages on the %s cannot be read and may be the ones that are gone from their place; see to it that they can be read", n, from))
			}
		}
	}
}
