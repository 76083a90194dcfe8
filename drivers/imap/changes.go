package imap

import (
	"context"
	"fmt"
	"slices"

	"driftless/drivers"
	"driftless/merge"
)

// Changes answers from the best rung of the ladder that the server has proven: QRESYNC (changes and expunges since a mod-sequence), CONDSTORE
// (changes since; expunges by count, then by UID SEARCH), or a list of all flags.
//
// SELECT and the questions go out together, so an observation is one round trip. The cursor is made of what that SELECT told: it is never
// newer than what was yielded. Messages that arrive in between are left for the next time.
func (m *mailbox) Changes(ctx context.Context, since drivers.Cursor, scope drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	var obs drivers.Observed
	err := m.st.read(ctx, "list", m.name, func(c *conn) error {
		if err := c.prepare(ctx); err != nil {
			return err
		}
		cur, known := parseCursor(since)
		var err error
		if !known || scope == drivers.Full || cur.modseq == 0 || !c.caps.condstore() {
			obs, err = m.full(ctx, c, cur, known, yield)
			return err
		}
		obs, err = m.delta(ctx, c, cur, scope, yield)
		return err
	})
	if err != nil {
		return drivers.Observed{}, err
	}
	if now, ok := parseCursor(obs.Cursor); ok && now.next != 0 {
		obs.Given = now.given
	}
	return obs, nil
}

// given reports whether a message can have got this id before the cursor.
func (cur cursor) given(id merge.ID) bool {
	validity, uid, ok := parseID(id)
	return !ok || validity != cur.validity || uid < cur.next
}

// reset reports whether the ids from before the cursor mean nothing any more: another UIDVALIDITY, or a store that went back in time.
func (cur cursor) reset(sel selection) bool {
	return cur.validity != sel.validity || sel.next < cur.next || cur.modseq != 0 && sel.modseq != 0 && sel.modseq < cur.modseq
}

// full lists every message with its flags.
func (m *mailbox) full(ctx context.Context, c *conn, cur cursor, known bool, yield func(drivers.Entry) error) (drivers.Observed, error) {
	f := newFlight(cmd("UID FETCH 1:* (UID FLAGS)"))
	var n uint32
	var listed uidSet
	f.data = func(_ uint32, name string, s *scanner) error {
		if name != "FETCH" {
			return nil
		}
		it, err := c.parseFetch(s)
		if err != nil {
			return err
		}
		sel, ok := c.selected()
		if !ok || it.uid == 0 || !it.hasFlags || sel.next != 0 && it.uid >= sel.next || !listed.add(it.uid) {
			return nil // not an answer to our question, one that came after SELECT, or one that was answered already
		}
		n++
		return yielded(yield(drivers.Entry{ID: makeID(sel.validity, it.uid), FlagsKnown: true, Flags: it.flags, Size: it.size, Date: it.date}))
	}
	sel, err := m.refresh(ctx, c, f)
	if err != nil {
		return drivers.Observed{}, err
	}
	if err := f.cmds[1].refused(); err != nil && !(sel.atSelect == 0 && f.cmds[1].st != nil) {
		return drivers.Observed{}, err
	}
	obs := drivers.Observed{All: true, Reset: known && cur.reset(sel), Count: int(sel.exists)}
	obs.Count, err = m.settleCount(c, sel, n)
	if err != nil {
		return drivers.Observed{}, err
	}
	obs.Cursor = m.newCursor(sel, n)
	obs.Origin = drivers.Cursor(cursor{validity: sel.validity, next: 1}.String())
	return obs, nil
}

// settleCount compares a listing of all messages with what the server counted: a listing that is short of messages that nobody
// expunged is no listing.
func (m *mailbox) settleCount(c *conn, sel selection, listed uint32) (int, error) {
	now, ok := c.selected()
	if !ok {
		return 0, errNoStatus
	}
	if listed < sel.atSelect && uint64(sel.atSelect-listed) > now.expunged {
		return 0, malformed("%d messages listed where %d exist", listed, sel.atSelect)
	}
	return int(listed), nil
}

// newCursor makes the cursor of an observation that covers this selection.
func (m *mailbox) newCursor(sel selection, messages uint32) drivers.Cursor {
	return drivers.Cursor(cursor{validity: sel.validity, next: sel.next, messages: messages, modseq: sel.modseq}.String())
}

// gathered is what a delta's flight told.
type gathered struct {
	changed  map[uint32]merge.Flags
	order    []uint32
	vanished uidSet
	present  uidSet
	searched bool
	fresh    uint32 // changed messages with a UID that the cursor did not know
}

// delta asks for what changed since the cursor.
func (m *mailbox) delta(ctx context.Context, c *conn, cur cursor, scope drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	g := gathered{changed: map[uint32]merge.Flags{}}
	modifier := "CHANGEDSINCE " + fmt.Sprint(cur.modseq)
	if c.qresync {
		modifier += " VANISHED" // RFC 7162, section 3.2.6
	}
	f := newFlight(cmd("UID FETCH 1:* (FLAGS) (%s)", modifier))
	if scope == drivers.Present {
		f.cmds = append(f.cmds, c.searchCommand("UID 1:*"))
	}
	f.data = func(_ uint32, name string, s *scanner) error { return g.data(c, cur, name, s) }
	sel, err := m.refresh(ctx, c, f)
	if err != nil {
		return drivers.Observed{}, err
	}
	if cur.reset(sel) || sel.modseq == 0 || !f.cmds[1].ok() || scope == drivers.Present && !f.cmds[2].ok() {
		// A replaced mailbox, one without mod-sequences, or a server that promised more than it does.
		return m.full(ctx, c, cur, true, yield)
	}
	now, ok := c.selected()
	if !ok {
		return drivers.Observed{}, errNoStatus
	}
	if scope == drivers.Delta && !g.provesExpunges(c, cur, sel, now) {
		s := newFlight(c.searchCommand("UID 1:*"))
		s.data = f.data
		g.present = nil
		if err := c.fly(ctx, s); err != nil {
			return drivers.Observed{}, err
		}
		if err := s.cmds[0].refused(); err != nil {
			return drivers.Observed{}, err
		}
		if now, ok = c.selected(); !ok {
			return drivers.Observed{}, errNoStatus
		}
		g.searched = true
	}
	if scope == drivers.Present || g.searched {
		return m.yieldPresent(g, sel, now, yield)
	}
	return m.yieldDelta(g, cur, sel, now, yield)
}

// data collects the answers of a delta.
func (g *gathered) data(c *conn, cur cursor, name string, s *scanner) error {
	switch name {
	case "FETCH":
		it, err := c.parseFetch(s)
		if err != nil {
			return err
		}
		sel, _ := c.selected()
		if it.uid == 0 || !it.hasFlags || it.uid >= sel.next && sel.next != 0 {
			return nil
		}
		if _, dup := g.changed[it.uid]; !dup {
			g.order = append(g.order, it.uid)
			if it.uid >= cur.next {
				g.fresh++
			}
		}
		g.changed[it.uid] = it.flags
	case "VANISHED":
		set, _, err := parseVanished(s)
		if err != nil {
			return err
		}
		g.vanished = normalize(append(g.vanished, set...))
	case "SEARCH", "ESEARCH":
		set, err := parseSearch(name, s)
		if err != nil {
			return err
		}
		g.present = normalize(append(g.present, set...))
	}
	return nil
}

// provesExpunges reports whether the flight proves which messages of the cursor are gone.
func (g *gathered) provesExpunges(c *conn, cur cursor, sel, now selection) bool {
	if c.qresync {
		// A server without memory names every UID that does not exist. Then a listing is cheaper than the names.
		return g.vanished.below(cur.next).count() <= uint64(max(cur.messages, 1000))
	}
	// UIDs under the cursor's UIDNEXT are never given again: an equal count means equal messages.
	return now.expunged == 0 && uint64(sel.atSelect) == uint64(cur.messages)+uint64(g.fresh)
}

// yieldDelta yields changes and expunges in UID order.
func (m *mailbox) yieldDelta(g gathered, cur cursor, sel, now selection, yield func(drivers.Entry) error) (drivers.Observed, error) {
	limit := min(cur.next, sel.next)
	gone := g.vanished.below(limit)
	all := g.order
	_ = gone.each(func(u uint32) error {
		if _, changed := g.changed[u]; !changed {
			all = append(all, u)
		}
		return nil
	})
	slices.Sort(all)
	for _, u := range all {
		e := drivers.Entry{ID: makeID(sel.validity, u), Size: -1}
		if g.vanished.contains(u) {
			e.Gone = true
		} else {
			e.FlagsKnown, e.Flags = true, g.changed[u]
		}
		if e.Gone && u >= cur.next {
			continue
		}
		if err := yield(e); err != nil {
			return drivers.Observed{}, err
		}
	}
	count := sel.atSelect - uint32(min(now.expunged, uint64(sel.atSelect)))
	return drivers.Observed{Cursor: m.newCursor(sel, count), Count: int(count)}, nil
}

// yieldPresent yields every message that is there, with flags where they may have changed.
func (m *mailbox) yieldPresent(g gathered, sel, now selection, yield func(drivers.Entry) error) (drivers.Observed, error) {
	present := g.present.below(sel.next)
	if present.count() > uint64(sel.atSelect) {
		return drivers.Observed{}, malformed("%d messages found where %d exist", present.count(), sel.atSelect)
	}
	if short := uint64(sel.atSelect) - present.count(); short > now.expunged {
		return drivers.Observed{}, malformed("%d messages found where %d exist", present.count(), sel.atSelect)
	}
	var n uint32
	err := present.each(func(u uint32) error {
		if g.vanished.contains(u) {
			return nil
		}
		n++
		e := drivers.Entry{ID: makeID(sel.validity, u), Size: -1}
		e.Flags, e.FlagsKnown = g.changed[u]
		return yield(e)
	})
	if err != nil {
		return drivers.Observed{}, err
	}
	return drivers.Observed{All: true, Cursor: m.newCursor(sel, n), Count: int(n)}, nil
}

// searchCommand returns a UID SEARCH whose answer is as short as the server can make it (ESEARCH, RFC 4731).
func (c *conn) searchCommand(criteria string) *command {
	if c.caps.has("ESEARCH") {
		return cmd("UID SEARCH RETURN (ALL) %s", criteria)
	}
	return cmd("UID SEARCH %s", criteria)
}

// parseSearch parses the rest of a SEARCH or ESEARCH response.
func parseSearch(name string, s *scanner) (uidSet, error) {
	var out []uidRange
	if name == "SEARCH" {
		for s.spaces(); !s.end(); s.spaces() {
			if s.peek() == '(' { // (MODSEQ n), RFC 7162, section 3.1.5
				if err := s.skip(); err != nil {
					return nil, err
				}
				continue
			}
			u, err := s.number32()
			if err != nil {
				return nil, err
			}
			if u == 0 {
				return nil, malformed("UID 0")
			}
			if n := len(out); n > 0 && out[n-1].last+1 == u {
				out[n-1].last = u
				continue
			}
			out = append(out, uidRange{u, u})
		}
		return normalize(out), nil
	}
	if s.peek() == '(' { // the correlator
		if err := s.skip(); err != nil {
			return nil, err
		}
		s.spaces()
	}
	for !s.end() {
		w, err := s.word()
		if err != nil {
			return nil, err
		}
		s.spaces()
		switch {
		case equalFold(w, "UID"):
		case equalFold(w, "ALL"):
			set, err := s.word()
			if err != nil {
				return nil, err
			}
			ranges, err := parseOrdered(set)
			if err != nil {
				return nil, malformed("ESEARCH: %v", err)
			}
			out = append(out, ranges...)
		default:
			if err := s.skip(); err != nil {
				return nil, err
			}
		}
		s.spaces()
	}
	return normalize(out), nil
}
