package engine

import (
	"fmt"
	"slices"

	"driftless/merge"
)

// putOff takes out of a view the arrivals that could not be read just now, and those of either side that may be the same message as one of them: whether they are is found out when it can be
// read. To conclude from one failed question that they differ would double them for good. The next sync asks again, since the mailbox's cursors stay where they are.
func (c *cycle) putOff(b *box, mv *merge.MailboxView, side merge.Side, facts map[merge.ID]fact) {
	var twins []merge.Identity
	mv.New[side] = slices.DeleteFunc(mv.New[side], func(a merge.Arrival) bool {
		f := facts[a.ID]
		if f.later == nil {
			return false
		}
		b.later[side]++
		if !b.stuck.Swap(true) {
			c.rep.problem(Problem{Kind: ProblemError, Mailbox: b.name(), Side: side, ID: a.ID, Text: fmt.Sprintf("%s message %s cannot be compared with others now: %v", side, a.ID, f.later)})
		}
		if a.Identity.Known() {
			twins = append(twins, a.Identity)
		}
		return true
	})
	if b.later[side] > 0 {
		// What was put off may be an append that arrived after all: none is repeated before that is known.
		for i := range mv.Halves {
			if h := &mv.Halves[i]; h.Reason == merge.InDoubt && h.Side == side.Other() {
				h.Due = false
			}
		}
	}
	if len(twins) == 0 {
		return
	}
	for _, s := range merge.Sides {
		mv.New[s] = slices.DeleteFunc(mv.New[s], func(a merge.Arrival) bool { return slices.Contains(twins, a.Identity) })
	}
}
