package imap

import (
	"context"
	"strings"

	"driftless/drivers"
	"driftless/merge"
)

// identityFields is merge's list for a FETCH command.
var identityFields = strings.ToUpper(strings.Join(merge.IdentityFields(), " "))

// Mark returns UIDVALIDITY and UIDNEXT.
func (m *mailbox) Mark(ctx context.Context) (drivers.Mark, error) {
	var mark drivers.Mark
	err := m.st.read(ctx, "look at", m.name, func(c *conn) error {
		if err := c.prepare(ctx); err != nil {
			return err
		}
		if sel, ok := c.selected(); ok && sel.box == m.name {
			// A STATUS of the selected mailbox may be old.
			sel, err := m.refresh(ctx, c, newFlight())
			if err == nil {
				mark = makeMark(sel.validity, sel.next)
			}
			return err
		}
		st, err := c.status(ctx, m.name, m.raw, "UIDVALIDITY UIDNEXT")
		if err != nil {
			return err
		}
		if st.validity == 0 || st.next == 0 {
			return errNoStatus
		}
		mark = makeMark(st.validity, st.next)
		return nil
	})
	return mark, err
}

// Since yields the messages from the mark's UIDNEXT on, or every message when UIDVALIDITY changed.
func (m *mailbox) Since(ctx context.Context, mark drivers.Mark, yield func(drivers.Description) error) error {
	return m.st.read(ctx, "look at", m.name, func(c *conn) error {
		if err := c.prepare(ctx); err != nil {
			return err
		}
		sel, err := m.refresh(ctx, c, newFlight())
		if err != nil {
			return err
		}
		validity, next, ok := parseMark(mark)
		if !ok || validity != sel.validity {
			next = 1
		}
		if sel.exists == 0 {
			return nil
		}
		// n:* always means the last message, too, even one below n.
		return m.describe(ctx, c, sel.validity, newRange(next), func(u uint32) bool { return u >= next }, yield)
	})
}

// newRange returns the set of everything from a UID on.
func newRange(first uint32) string {
	return string(uidRange{first, first}.append(nil)) + ":*"
}
