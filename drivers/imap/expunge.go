package imap

import (
	"context"
	"errors"
	"fmt"

	"driftless/drivers"
	"driftless/merge"
)

// errNotTried is the error of an effect that did not get its turn.
var errNotTried = errors.New("not tried")

// Expunge removes messages for good. First it looks at each message as it is now: one whose flags differ from those seen is left alone. Then \Deleted
// is stored, with UNCHANGEDSINCE where CONDSTORE is there (RFC 7162, section 3.1.3), and exactly these messages are expunged (UID EXPUNGE, RFC 4315);
// what is still there afterwards is reported as such.
func (m *mailbox) Expunge(ctx context.Context, removals []drivers.Removal) ([]error, error) {
	const op = "expunge from"
	res := make([]error, len(removals))
	for i := range res {
		res[i] = m.notDone(op)
	}
	c, err := m.st.pool.take(ctx, m.name)
	if err != nil {
		return res, err
	}
	defer m.st.pool.give(c)
	defer m.st.opened.forget(m.name)
	sel, err := m.ensure(ctx, c)
	if err != nil {
		return res, classify(op, m.name, drivers.ReachMailbox, err)
	}
	if sel.readOnly {
		return res, classify(op, m.name, drivers.ReachMailbox, drivers.ErrReadOnly)
	}
	index := map[uint32][]int{}
	var all []uint32
	for i, r := range removals {
		v, u, ok := parseID(r.ID)
		if !ok || v != sel.validity {
			res[i] = m.errStale(op)
			continue
		}
		index[u] = append(index[u], i)
		all = append(all, u)
	}
	set := func(u uint32, err error) {
		for _, i := range index[u] {
			res[i] = err
		}
	}
	for _, part := range newUIDSet(all).split(1000) {
		now, err := m.flagsNow(ctx, c, sel.validity, part)
		if err != nil {
			return res, classify(op, m.name, drivers.ReachMailbox, err)
		}
		ours := map[uint32]item{}
		_ = part.each(func(u uint32) error {
			it, there := now[u]
			switch {
			case !there:
				set(u, nil) // gone already
			case !it.flags.Equal(removals[index[u][0]].Seen):
				set(u, m.changed(op))
			default:
				ours[u] = it
			}
			return nil
		})
		if err := m.expunge(ctx, c, sel, op, ours, set); err != nil {
			return res, classify(op, m.name, drivers.ReachMailbox, err)
		}
	}
	return res, nil
}

func (m *mailbox) changed(op string) error {
	return &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryNow, Err: drivers.ErrChanged}
}

// markCommands returns the STOREs that mark messages as deleted, unless they changed since they were looked at.
func markCommands(sel selection, ours map[uint32]item) []*command {
	var unmarked []uint32
	var modseq uint64
	deleted := merge.SystemFlags(merge.Deleted)
	for u, it := range ours {
		modseq = max(modseq, it.modseq)
		if !it.flags.Has(deleted) {
			unmarked = append(unmarked, u)
		}
	}
	guard := ""
	if sel.modseq != 0 && modseq != 0 {
		// A later change has a larger mod-sequence than all that were seen.
		guard = fmt.Sprintf("(UNCHANGEDSINCE %d) ", modseq)
	}
	var out []*command
	for _, part := range newUIDSet(unmarked).split(0) {
		out = append(out, cmd(`UID STORE %s %s+FLAGS.SILENT (\Deleted)`, part, guard))
	}
	return out
}

// unmarkCommands returns the STOREs that take back what markCommands did.
func unmarkCommands(ours map[uint32]item) []*command {
	var marked []uint32
	for u, it := range ours {
		if !it.flags.Has(merge.SystemFlags(merge.Deleted)) {
			marked = append(marked, u)
		}
	}
	var out []*command
	for _, part := range newUIDSet(marked).split(0) {
		out = append(out, cmd(`UID STORE %s -FLAGS.SILENT (\Deleted)`, part))
	}
	return out
}

// expunge marks and expunges messages that were just seen unchanged, and reports each.
func (m *mailbox) expunge(ctx context.Context, c *conn, sel selection, op string, ours map[uint32]item, report func(uint32, error)) error {
	if len(ours) == 0 {
		return nil
	}
	list := make([]uint32, 0, len(ours))
	for u := range ours {
		list = append(list, u)
	}
	set := newUIDSet(list)
	marks := markCommands(sel, ours)
	if !c.caps.uidplus() {
		return m.expungePlain(ctx, c, sel, op, set, ours, marks, report)
	}
	f := newFlight(marks...)
	var refused error
	var expunges []*command
	for _, part := range set.split(0) {
		expunges = append(expunges, cmd("UID EXPUNGE %s", part))
	}
	f.cmds = append(f.cmds, expunges...)
	if err := c.fly(ctx, f); err != nil {
		return m.expungeLost(op, list, err, report)
	}
	for _, com := range f.cmds {
		if err := com.refused(); err != nil && refused == nil {
			refused = err
		}
	}
	if refused == nil {
		clean, err := m.expungeAgain(ctx, c, sel, set, ours)
		if err != nil {
			return err
		}
		if clean {
			return set.each(func(u uint32) error { report(u, nil); return nil })
		}
	}
	return m.checkExpunged(ctx, c, sel, op, set, ours, refused, report)
}

// expungeAgain looks what is still there and expunges what has just the mark; clean means that nothing was. It happens when another program marks the same messages at the same moment: the
// server's UID EXPUNGE, right behind the STORE, does not see the marks yet. Left alone they would look like a user's change.
func (m *mailbox) expungeAgain(ctx context.Context, c *conn, sel selection, set uidSet, ours map[uint32]item) (clean bool, err error) {
	deleted := merge.SystemFlags(merge.Deleted)
	clean = true
	for _, part := range set.split(0) {
		left, err := m.flagsNow(ctx, c, sel.validity, part)
		if err != nil {
			return false, err
		}
		clean = clean && len(left) == 0
		var marked []uint32
		for u, it := range left {
			if it.flags.Equal(ours[u].flags.Union(deleted)) {
				marked = append(marked, u)
			}
		}
		if len(marked) == 0 {
			continue
		}
		if err := c.fly(ctx, newFlight(cmd("UID EXPUNGE %s", newUIDSet(marked)))); err != nil {
			return false, err
		}
	}
	return clean, nil
}

// expungePlain is for servers without UIDPLUS: EXPUNGE removes every message marked as deleted, so it is sent only when those are exactly ours. Otherwise our marks are taken
// back: left there, the next sync would take them for a user's change, and a user's EXPUNGE for his deletion.
func (m *mailbox) expungePlain(ctx context.Context, c *conn, sel selection, op string, set uidSet, ours map[uint32]item, marks []*command, report func(uint32, error)) error {
	f := newFlight(marks...)
	search := c.searchCommand("DELETED")
	f.cmds = append(f.cmds, search)
	var deleted uidSet
	f.data = func(_ uint32, name string, s *scanner) error {
		if name != "SEARCH" && name != "ESEARCH" {
			return nil
		}
		found, err := parseSearch(name, s)
		deleted = normalize(append(deleted, found...))
		return err
	}
	list := make([]uint32, 0, len(ours))
	for u := range ours {
		list = append(list, u)
	}
	if err := c.fly(ctx, f); err != nil {
		return m.expungeLost(op, list, err, report)
	}
	for _, com := range f.cmds {
		if err := com.refused(); err != nil {
			return m.checkExpunged(ctx, c, sel, op, set, ours, err, report)
		}
	}
	if deleted.String() != set.String() {
		m.st.note(fmt.Sprintf("mailbox %q holds messages that others marked as deleted: nothing can be removed until those are gone (no UIDPLUS)", m.name))
		if unmark := unmarkCommands(ours); len(unmark) > 0 {
			if err := c.fly(ctx, newFlight(unmark...)); err != nil {
				return m.expungeLost(op, list, err, report)
			}
		}
		return m.checkExpunged(ctx, c, sel, op, set, ours, errOthersDeleted, report)
	}
	expunge := cmd("EXPUNGE")
	if err := c.fly(ctx, newFlight(expunge)); err != nil {
		return m.expungeLost(op, list, err, report)
	}
	return m.checkExpunged(ctx, c, sel, op, set, ours, expunge.refused(), report)
}

var errOthersDeleted = errors.New("the server can only expunge everything that is marked as deleted, and others have marked messages here, too")

// othersDeleted reports whether messages outside the set are marked as deleted.
func (m *mailbox) othersDeleted(ctx context.Context, c *conn, set uidSet) (bool, error) {
	f := newFlight(c.searchCommand("DELETED"))
	others := false
	f.data = func(_ uint32, name string, s *scanner) error {
		if name != "SEARCH" && name != "ESEARCH" {
			return nil
		}
		found, err := parseSearch(name, s)
		for _, r := range found {
			for u := uint64(r.first); !others && u <= uint64(r.last); u++ {
				others = !set.contains(uint32(u))
			}
		}
		return err
	}
	if _, err := m.refresh(ctx, c, f); err != nil {
		return false, err
	}
	return others, f.cmds[1].refused()
}

// checkExpunged looks which messages are still there and reports them.
func (m *mailbox) checkExpunged(ctx context.Context, c *conn, sel selection, op string, set uidSet, ours map[uint32]item, refused error, report func(uint32, error)) error {
	for _, part := range set.split(0) {
		left, err := m.flagsNow(ctx, c, sel.validity, part)
		if err != nil {
			return err
		}
		_ = part.each(func(u uint32) error {
			it, there := left[u]
			deleted := merge.SystemFlags(merge.Deleted)
			switch {
			case !there:
				report(u, nil)
			case !it.flags.Minus(deleted).Equal(ours[u].flags.Minus(deleted)):
				report(u, m.changed(op))
			case refused != nil:
				err := classify(op, m.name, drivers.ReachMessage, refused)
				var de *drivers.Error
				if errors.Is(refused, errOthersDeleted) && errors.As(err, &de) {
					de.Reach, de.Retry = drivers.ReachMessage, drivers.RetryLater
				}
				report(u, err)
			default:
				report(u, m.changed(op))
			}
			return nil
		})
	}
	return nil
}

// expungeLost reports messages whose expunge got no answer.
func (m *mailbox) expungeLost(op string, list []uint32, err error, report func(uint32, error)) error {
	for _, u := range list {
		report(u, &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryLater, Err: fmt.Errorf("%w: %v", drivers.ErrUnknown, err)})
	}
	return err
}
