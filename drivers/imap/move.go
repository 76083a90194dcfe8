package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"driftless/drivers"
	"driftless/merge"
)

// Move moves messages: MOVE (RFC 6851), or COPY and then an expunge of what was copied. COPYUID (RFC 4315) tells the new ids.
func (m *mailbox) Move(ctx context.Context, ids []merge.ID, to string) ([]drivers.Moved, error) {
	const op = "move from"
	res := make([]drivers.Moved, len(ids))
	for i := range res {
		res[i].Err = m.notDone(op)
	}
	c, err := m.st.pool.take(ctx, m.name)
	if err != nil {
		return res, err
	}
	defer m.st.pool.give(c)
	defer m.st.opened.forget(m.name)
	defer m.st.opened.forget(to)
	sel, err := m.ensure(ctx, c)
	if err != nil {
		return res, classify(op, m.name, drivers.ReachMailbox, err)
	}
	dest, err := m.st.raw(to)
	if err != nil {
		return res, err
	}
	if sel.readOnly {
		return res, classify(op, m.name, drivers.ReachMailbox, drivers.ErrReadOnly)
	}
	index := map[uint32]int{}
	var all []uint32
	for i, id := range ids {
		v, u, ok := parseID(id)
		if !ok || v != sel.validity {
			res[i].Err = m.errStale(op)
			continue
		}
		index[u] = i
		all = append(all, u)
	}
	for _, part := range newUIDSet(all).split(500) {
		for tries := 1; ; tries++ {
			err := m.movePart(ctx, c, sel, op, part, dest, func(u uint32, r drivers.Moved) { res[index[u]] = r })
			var ref *refusal
			if errors.As(err, &ref) && ref.st.code == "EXPUNGEISSUED" && tries < 4 {
				continue // some went away in between and nothing was done (RFC 5530): look again
			}
			if err != nil {
				return res, classify(op, m.name, drivers.ReachMailbox, err)
			}
			break
		}
	}
	return res, nil
}

// movePart looks which messages are there and moves those.
func (m *mailbox) movePart(ctx context.Context, c *conn, sel selection, op string, part uidSet, dest string, report func(uint32, drivers.Moved)) error {
	now, err := m.flagsNow(ctx, c, sel.validity, part)
	if err != nil {
		return err
	}
	var there []uint32
	_ = part.each(func(u uint32) error {
		if _, ok := now[u]; ok {
			there = append(there, u)
		} else {
			report(u, drivers.Moved{Err: &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryNow, Err: drivers.ErrGone}})
		}
		return nil
	})
	if len(there) == 0 {
		return nil
	}
	if c.caps.has("MOVE") {
		return m.move(ctx, c, sel, op, newUIDSet(there), dest, report)
	}
	return m.copyAndExpunge(ctx, c, sel, op, newUIDSet(there), now, dest, report)
}

// transfer flies UID MOVE or UID COPY and returns the new ids by old UID, as far as COPYUID tells them: in the tagged answer of a
// COPY, in an untagged OK of a MOVE, possibly in several.
func (m *mailbox) transfer(ctx context.Context, c *conn, verb string, set uidSet, dest string) (com *command, ids map[uint32]merge.ID, err error) {
	com = &command{}
	com.text("UID " + verb + " " + set.String() + " ")
	com.mailbox(c, dest)
	f := newFlight(com)
	ids = map[uint32]merge.ID{}
	note := func(st *status) {
		if err := copyUIDs(st, set, ids); err != nil {
			m.st.note(fmt.Sprintf("server's COPYUID is of no use: %v", err))
		}
	}
	f.status = note
	if err := c.fly(ctx, f); err != nil && com.st == nil {
		return com, ids, err
	}
	note(com.st)
	return com, ids, nil
}

// copyUIDs adds the ids of a COPYUID code.
func copyUIDs(st *status, set uidSet, ids map[uint32]merge.ID) error {
	if st.code != "COPYUID" {
		return nil
	}
	f := strings.Fields(string(st.args))
	if len(f) != 3 {
		return errBadSet
	}
	v, ok := canonical(f[0])
	if !ok {
		return errBadSet
	}
	pairs, err := pairSets([]byte(f[1]), []byte(f[2]), int(set.count()))
	if err != nil {
		return err
	}
	for from, to := range pairs {
		if set.contains(from) {
			ids[from] = makeID(v, to)
		}
	}
	return nil
}

// move uses UID MOVE. What is not in the mailbox any more although it was just there has been moved.
func (m *mailbox) move(ctx context.Context, c *conn, sel selection, op string, set uidSet, dest string, report func(uint32, drivers.Moved)) error {
	com, ids, err := m.transfer(ctx, c, "MOVE", set, dest)
	if err != nil {
		return m.moveLost(op, set, err, report)
	}
	refused := com.refused()
	if refused != nil && len(ids) == 0 {
		return refused
	}
	if uint64(len(ids)) == set.count() && refused == nil {
		return set.each(func(u uint32) error { report(u, drivers.Moved{ID: ids[u]}); return nil })
	}
	left, err := m.flagsNow(ctx, c, sel.validity, set)
	if err != nil {
		return m.moveLost(op, set, err, report)
	}
	return set.each(func(u uint32) error {
		_, still := left[u]
		switch {
		case ids[u] != "" && !still:
			report(u, drivers.Moved{ID: ids[u]})
		case still && refused != nil:
			report(u, drivers.Moved{Err: classify(op, m.name, drivers.ReachMessage, refused)})
		case still:
			report(u, drivers.Moved{Err: m.notDone(op)})
		case len(ids) > 0:
			// The server named others and not this one: it went another way at the same moment.
			report(u, drivers.Moved{Err: &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryNow, Err: drivers.ErrGone}})
		default:
			report(u, drivers.Moved{})
		}
		return nil
	})
}

// copyAndExpunge is for servers without MOVE. A message that changes between copy and expunge keeps its original; it is reported as unknown, for it is in
// both mailboxes.
func (m *mailbox) copyAndExpunge(ctx context.Context, c *conn, sel selection, op string, set uidSet, now map[uint32]item, dest string, report func(uint32, drivers.Moved)) error {
	if !c.caps.uidplus() {
		// The originals will have to go with EXPUNGE. If that would take others' messages along, better not begin.
		others, err := m.othersDeleted(ctx, c, set)
		if err != nil {
			return err
		}
		if others {
			return set.each(func(u uint32) error {
				report(u, drivers.Moved{Err: &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryLater, Err: errOthersDeleted}})
				return nil
			})
		}
	}
	com, ids, err := m.transfer(ctx, c, "COPY", set, dest)
	if err != nil {
		return m.moveLost(op, set, err, report)
	}
	if err := com.refused(); err != nil {
		return err
	}
	copied := map[uint32]item{}
	_ = set.each(func(u uint32) error {
		if len(ids) > 0 && ids[u] == "" {
			report(u, drivers.Moved{Err: &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryNow, Err: drivers.ErrGone}})
			return nil
		}
		copied[u] = now[u]
		return nil
	})
	return m.expunge(ctx, c, sel, op, copied, func(u uint32, err error) {
		if err == nil {
			report(u, drivers.Moved{ID: ids[u]})
			return
		}
		if errors.Is(err, drivers.ErrUnknown) {
			report(u, drivers.Moved{ID: ids[u], Err: err})
			return
		}
		report(u, drivers.Moved{ID: ids[u], Err: &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryNow,
			Err: fmt.Errorf("%w: copied, but the original could not be removed: %v", drivers.ErrUnknown, err)}})
	})
}

// moveLost reports messages whose move got no answer.
func (m *mailbox) moveLost(op string, set uidSet, err error, report func(uint32, drivers.Moved)) error {
	_ = set.each(func(u uint32) error {
		report(u, drivers.Moved{Err: &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryLater, Err: fmt.Errorf("%w: %v", drivers.ErrUnknown, err)}})
		return nil
	})
	return err
}
