package engine

import "fmt"

// hung says which mailboxes hang on others, because of a move or a conflict of which another mailbox has the other end. One end alone would look like mail that is new, or removed.
//
// The cursors of hung mailboxes stay where they are: the other end was not dealt with. Those that are parked are not looked at again either, because one that they hang on is not, having
// failed or refused something; the next cycle takes both up together. All others are looked at again together, if any is.
func (c *cycle) hung() (hung, parked map[*box]bool) {
	hung, parked = map[*box]bool{}, map[*box]bool{}
	for _, b := range c.boxes {
		if b.stuck.Load() || b.failed.Load() {
			parked[b] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, b := range c.boxes {
			for _, other := range b.awaits {
				switch {
				case other == nil || parked[other]:
					changed = changed || !parked[b]
					hung[b], parked[b] = true, true
				case other.blocked || other.unsettled:
					hung[b] = true
					changed = b.takeAlong(other) || changed
				}
				if other != nil && !parked[other] && other.undone.Load() && !b.undone.Load() {
					b.undone.Store(true)
					changed = true
				}
			}
		}
	}
	c.failHung()
	return hung, parked
}

// takeAlong has what a mailbox hangs on looked at again when it is itself, and reports whether that is new.
func (b *box) takeAlong(other *box) bool {
	if !b.undone.Load() || other.undone.Load() {
		return false
	}
	other.undone.Store(true)
	return true
}

// failHung fails the mailboxes that were to be looked at again and hang on one that failed meanwhile: that one is not looked at any more in this cycle, whatever happens.
func (c *cycle) failHung() {
	for changed := true; changed; {
		changed = false
		for _, b := range c.boxes {
			for _, other := range b.awaits {
				if other == nil || !other.failed.Load() || b.failed.Load() || !b.undone.Load() {
					continue
				}
				c.fail(b, fmt.Errorf("messages were moved between %q and here, and that mailbox failed; both are synced again together", other.name()))
				changed = true
			}
		}
	}
}
