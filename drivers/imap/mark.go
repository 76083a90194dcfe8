package imap

import (
	"context"
	"strings"

	"driftless/drivers"
	"driftless/merge"
)

// identityFields is merge's list for a FETCH command.
var identityFields = strings.ToUpper(strings.Join(merge.IdentityFields(), " "))

// Mark returns UIDVALIDITY and UIDNEXT as a SELECT tells them: STATUS of a selected mailbox may be old, and the append that follows needs the
// mailbox selected anyway.
func (m *mailbox) Mark(ctx context.Context) (drivers.Mark, error) {
	var mark drivers.Mark
	err := m.st.read(ctx, "look at", m.name, func(c *conn) error {
		if err := c.prepare(ctx); err != nil {
			return err
		}
		sel, err := m.refresh(ctx, c, newFlight())
		if err == nil {
			mark = makeMark(sel.validity, sel.next)
		}
		return err
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
		return m.describeFrom(ctx, c, sel.validity, next, yield)
	})
}

// describeFrom yields the descriptions of all messages from a UID on.
func (m *mailbox) describeFrom(ctx context.Context, c *conn, validity, first uint32, yield func(drivers.Description) error) error {
	f, com := c.describe(validity, newRange(first), func(u uint32) bool { return u >= first }, yield)
	if err := c.fly(ctx, f); err != nil {
		return err
	}
	return com.refused()
}

// newRange returns the set of everything from a UID on.
func newRange(first uint32) string {
	return string(uidRange{first, first}.append(nil)) + ":*"
}
