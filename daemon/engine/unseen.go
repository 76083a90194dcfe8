package engine

import (
	"fmt"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// aside is a mailbox that a cycle leaves alone although messages may have been moved to it: it is missing on one side, or was not asked for. From a mailbox that the configuration
// leaves out, no message ever comes back: what is moved there is gone.
type aside struct {
	names  [2]string
	there  [2]bool
	cursor [2]string
	filter bool // it was not asked for in this cycle
}

// setAside notes the mailboxes that are not looked at because only others were asked for.
func (c *cycle) setAside(lists [2][]drivers.MailboxInfo, summaries []logstate.Summary) {
	if c.req.Mailbox == nil {
		return
	}
	known := map[string]*logstate.Summary{}
	for i := range summaries {
		known[summaries[i].Names[merge.Left]] = &summaries[i]
	}
	toLeft := map[string]string{}
	for l, r := range c.acc.Rename {
		toLeft[r] = l
	}
	listed := map[string]*aside{}
	var order []string
	for _, side := range merge.Sides {
		for _, info := range lists[side] {
			left := info.Name
			if l, renamed := toLeft[left]; renamed && side == merge.Right {
				left = l
			}
			if info.NoSelect || !c.acc.Select(left) || c.req.Mailbox(left) {
				continue
			}
			a := listed[left]
			if a == nil {
				a = &aside{names: [2]string{left, left}, filter: true}
				if r, renamed := c.acc.Rename[left]; renamed {
					a.names[merge.Right] = r
				}
				listed[left], order = a, append(order, left)
			}
			a.there[side] = true
		}
	}
	for _, left := range order {
		a := listed[left]
		s := known[left]
		if s != nil && s.Names == a.names && !s.Repair {
			a.cursor = s.Cursor
		}
		if s == nil && a.there != [2]bool{true, true} && !c.wouldCreate(a.there) {
			continue // never synced, by policy
		}
		c.aside = append(c.aside, *a)
	}
}

// wouldCreate reports whether a mailbox that is on one side only would be made on the other.
func (c *cycle) wouldCreate(there [2]bool) bool {
	for _, side := range merge.Sides {
		if !there[side] && !c.acc.Create[side] {
			return false
		}
	}
	return true
}

// leaveAlone notes a mailbox that was not admitted. One that was never on both sides, and by policy never will be, is none of ours.
func (c *cycle) leaveAlone(r *row) {
	a := aside{names: r.names}
	for _, side := range merge.Sides {
		a.there[side] = r.exists(side)
	}
	if s := r.summary; s != nil {
		a.cursor = s.Cursor
		if s.Repair {
			a.cursor = [2]string{}
		}
	} else if !c.wouldCreate(a.there) {
		return
	}
	c.aside = append(c.aside, a)
}

// unseen returns a mailbox of a side that was not looked at in this round and is not proven to be unchanged, "" if there is none: what is gone from other mailboxes may
// be there. filter says that it was just not asked for.
func (c *cycle) unseen(side merge.Side) (name string, filter bool) {
	calm := func(name, cursor string) bool { return cursor != "" && c.calm[side][name] == cursor }
	for _, b := range c.boxes {
		if b.failed.Load() && !calm(b.names[side], b.cursor[side]) {
			return b.names[side], false
		}
	}
	for _, a := range c.aside {
		if a.there[side] && !calm(a.names[side], a.cursor[side]) && (name == "" || filter && !a.filter) {
			name, filter = a.names[side], a.filter
		}
	}
	return name, filter
}

// sayUnseen says what waits for a mailbox that was not looked at, and keeps the cursors where they are, so that it is found again.
func (c *cycle) sayUnseen(b *box, m *merge.MailboxPlan) {
	for _, side := range merge.Sides {
		n := m.Unseen[side]
		if n == 0 {
			continue
		}
		b.blocked = true
		if !c.once(b, side, "unseen") {
			continue
		}
		name, filter := c.unseen(side)
		p := Problem{Kind: ProblemHeld, Mailbox: b.name(), Side: side, Count: n, Text: fmt.Sprintf(
			"%d messages are not to be found on the %s, and may be in mailbox %q there, which could not be looked at: nothing is deleted or copied again for them until it can be", n, side, name)}
		if filter {
			p.Kind, p.Count = ProblemNote, 0
			p.Text = fmt.Sprintf("%d messages are not to be found on the %s, and may be in mailbox %q there, which was not asked for: nothing is deleted or copied again for them until it is synced, too", n, side, name)
		}
		c.rep.problem(p)
	}
}
