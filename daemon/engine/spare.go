package engine

import (
	"fmt"
	"slices"

	"driftless/merge"
)

// unreadable is what of one side cannot be read: any of it may be what is gone from another mailbox of that side.
type unreadable struct {
	arrivals int          // new messages; nothing is known of where they come from
	aside    []merge.Half // quarantined ones
}

// spare takes deletions out of a plan that would delete the good copy of a message that was moved and cannot be read where it is now. What cannot be read matches nothing, so
// that the move looks like a deletion and an arrival. While such arrivals are new, any message that is gone may be one of them. Later, when they are
// quarantined, one of the same id is; and where a move gives another id, any that may be the same by what is known of the two. Which are quarantined is
// read from the logs: the mailbox where they are need not be looked at in this cycle at all.
func (c *cycle) spare(p *merge.Plan, view merge.View) error {
	c.countUnread(view)
	deletions := 0
	for _, m := range p.Mailboxes {
		deletions += countDeletions(m)
	}
	if deletions == 0 {
		return nil
	}
	bad, err := c.unreadable()
	if err != nil {
		return err
	}
	for i := range p.Mailboxes {
		m := &p.Mailboxes[i]
		b := c.byName(m.Name)
		for _, side := range merge.Sides {
			from := side.Other()
			deletions := actionsOf(m.Actions[side], merge.Delete)
			if n := bad[from].concern(deletions, from, b.named[from]); n > 0 {
				c.withhold(b, m, side, fmt.Sprintf("%d messages on the %s cannot be read and may be ones that are gone from their place; see to it that they can be read, or delete them", n, from))
			}
		}
	}
	return nil
}

// countUnread counts the arrivals that could not be read, in the mailboxes that were looked at in this round. Of the others, the last count of this cycle holds: what could not be read there
// is still not known.
func (c *cycle) countUnread(view merge.View) {
	for _, b := range c.boxes {
		mv := viewOf(&view, b.name())
		for _, side := range merge.Sides {
			if b.seen[side] == nil || b.failed.Load() {
				continue
			}
			b.unread[side] = b.later[side]
			if mv == nil {
				continue
			}
			for _, a := range mv.New[side] {
				if a.Content == merge.Unreadable {
					b.unread[side]++
				}
			}
		}
	}
}

// unreadable collects what cannot be read, whether its mailbox is looked at or not.
func (c *cycle) unreadable() (bad [2]unreadable, err error) {
	for _, side := range merge.Sides {
		for _, b := range c.boxes {
			bad[side].arrivals += b.unread[side]
		}
	}
	for _, s := range c.states.Mailboxes() {
		if s.Halves[merge.Quarantined] == 0 || s.Repair {
			continue
		}
		st, err := c.viewState(s.Mailbox)
		if err != nil {
			return bad, fmt.Errorf("state of mailbox %q: %w", s.Names[merge.Left], err)
		}
		for _, h := range st.Halves() {
			if h.Reason == merge.Quarantined {
				bad[h.Side].aside = append(bad[h.Side].aside, h)
			}
		}
	}
	return bad, nil
}

// concern returns how many messages that cannot be read may be ones that are to be deleted since they are gone on their side. named says that ids survive a move there.
func (u unreadable) concern(deletions []merge.Action, from merge.Side, named bool) int {
	if len(deletions) == 0 {
		return 0
	}
	ids := make(map[merge.ID]bool, len(deletions))
	for _, a := range deletions {
		ids[a.Old.ID[from]] = true
	}
	n := u.arrivals
	for _, h := range u.aside {
		if ids[h.ID] || slices.ContainsFunc(deletions, func(a merge.Action) bool { return mayBe(h, a.Old.Identity, named) }) {
			n++
		}
	}
	return n
}

// mayBe reports whether a quarantined message may be one of which the identity is known: never if its content has been read, for then it was
// compared. Where ids survive a move, one whose id does not say so is taken for it only if their headers are the same.
func mayBe(h merge.Half, gone merge.Identity, named bool) bool {
	switch {
	case h.Content.Known() && h.Content != merge.Unreadable:
		return false
	case h.Identity.Known() && gone.Known():
		return h.Identity.Header == gone.Header
	case named:
		return false
	}
	return h.Identity.Size <= 0 || gone.Size <= 0 || h.Identity.Size == gone.Size
}
