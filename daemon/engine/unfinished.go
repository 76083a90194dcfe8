package engine

import (
	"fmt"
	"sync"

	"driftless/merge"
)

// missing counts how often a store did not answer when it was asked for a message that it lists.
type missing struct {
	mu    sync.Mutex
	times map[saidKey]int
}

// note counts one more time.
func (m *missing) note(b *box, side merge.Side, id merge.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.times == nil {
		m.times = map[saidKey]int{}
	}
	m.times[saidKey{b.name(), side, string(id)}]++
}

// always returns the messages of a mailbox side for which that happened too often to be chance: who lists and asks again and again meets a message that was removed in between only
// once.
func (m *missing) always(b *box, side merge.Side) []merge.ID {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []merge.ID
	for k, n := range m.times {
		if n >= patience && k.mailbox == b.name() && k.side == side {
			out = append(out, merge.ID(k.what))
		}
	}
	return out
}

// unfinished says that mailboxes are left to the next sync, and why.
func (c *cycle) unfinished(open int) {
	for _, b := range c.boxes {
		if b.failed.Load() || !b.again() {
			continue
		}
		told := false
		for _, side := range merge.Sides {
			for _, id := range c.missing.always(b, side) {
				c.rep.problem(Problem{Kind: ProblemError, Mailbox: b.name(), Side: side, ID: id, Count: 1, Text: fmt.Sprintf(
					"the %s store lists message %s and does not show it when it is asked for it; the next sync tries again", side, id)})
				told = true
			}
		}
		if told {
			open--
		}
	}
	if open > 0 {
		c.rep.problem(Problem{Kind: ProblemNote, Text: fmt.Sprintf("%d mailboxes keep changing; the next sync goes on with them", open)})
	}
}
