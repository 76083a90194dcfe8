package imap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"

	"driftless/drivers"
	"driftless/merge"
)

// fetchAtOnce is how many messages one command asks for.
const fetchAtOnce = 500

// Fetch streams messages: each goes to memory or, beyond 1 MiB, straight to a spool file, and is yielded as soon as it is complete. A command
// asks for many messages, so there is one round trip per 500. yield must not use this store: the connection waits for it.
func (m *mailbox) Fetch(ctx context.Context, ids []merge.ID, yield func(drivers.Fetched) error) error {
	validity, want, err := m.oneValidity("fetch from", ids)
	if err != nil {
		return err
	}
	f := &fetching{m: m, validity: validity, want: newUIDSet(want), got: map[uint32]bool{}, yield: yield}
	for _, set := range f.want.split(fetchAtOnce) {
		if err := f.set(ctx, set); err != nil {
			return err
		}
	}
	return nil
}

// fetchLeased is fetchOnce on a connection of its own. Trouble with the connection or the mailbox is a *drivers.Error, trouble with the
// messages is not.
func (m *mailbox) fetchLeased(ctx context.Context, validity uint32, set uidSet, got map[uint32]bool, yield func(drivers.Fetched) error) error {
	c, err := m.st.pool.take(ctx, m.name)
	if err != nil {
		return err
	}
	defer m.st.pool.give(c)
	return m.fetchOnce(ctx, c, validity, set, got, yield)
}

// unreadable classifies the error of a single message.
func unreadable(box string, err error) error {
	retry := drivers.RetryLater
	var le *literalError
	if errors.As(err, &le) {
		retry, err = drivers.RetryNever, fmt.Errorf("%w: %v", drivers.ErrTooBig, err)
	}
	return &drivers.Error{Op: "fetch a message from", Where: box, Reach: drivers.ReachMessage, Retry: retry, Err: err}
}

// fetchOnce sends one UID FETCH and yields what comes. got has the messages that were yielded.
func (m *mailbox) fetchOnce(ctx context.Context, c *conn, validity uint32, set uidSet, got map[uint32]bool, yield func(drivers.Fetched) error) error {
	f := newFlight(cmd("UID FETCH %s (UID FLAGS INTERNALDATE BODY.PEEK[])", set))
	var empty []uint32 // no content: gone in between, or damaged
	var content drivers.Content
	var spoolErr error
	discard := func() {
		if content != nil {
			_ = content.Close() // it was never used
			content = nil
		}
	}
	f.body = func(r *bufio.Reader, size int64) (err error) {
		discard()
		content, spoolErr, err = receive(r, size, m.st.opt.SpoolDir)
		return err
	}
	f.data = func(_ uint32, name string, s *scanner) error {
		if name != "FETCH" {
			return nil
		}
		it, err := c.parseFetch(s)
		if err != nil {
			return err
		}
		if !it.sunk {
			discard() // a literal that came before, in something else
		}
		if !it.hasBody || it.uid == 0 || got[it.uid] || !set.contains(it.uid) {
			discard()
			return nil
		}
		out := drivers.Fetched{ID: makeID(validity, it.uid), Flags: it.flags, Date: it.date, Content: content}
		switch {
		case spoolErr != nil:
			// A full disk here is not the message's fault.
			return &drivers.Error{Op: "fetch from", Where: m.name, Reach: drivers.ReachStore, Retry: drivers.RetryLater, Err: spoolErr}
		case content == nil && it.body != nil:
			out.Content = drivers.Bytes(slices.Clone(it.body))
		case content == nil:
			empty = append(empty, it.uid)
			return nil
		}
		content = nil
		got[it.uid] = true
		return yielded(yield(out))
	}
	com := f.cmds[0]
	sel, err := m.ask(ctx, c, "fetch from", validity, set[len(set)-1].last, f)
	discard()
	if err != nil {
		if f.opens() {
			return classify("fetch from", m.name, drivers.ReachMailbox, err)
		}
		return err
	}
	if err := m.checkEmpty(ctx, c, validity, empty, got, yield); err != nil {
		return err
	}
	return sel.answered(com)
}

// checkEmpty yields messages that came without content as unreadable, unless they are gone.
func (m *mailbox) checkEmpty(ctx context.Context, c *conn, validity uint32, empty []uint32, got map[uint32]bool, yield func(drivers.Fetched) error) error {
	if len(empty) == 0 {
		return nil
	}
	set := newUIDSet(empty)
	left, err := m.flagsNow(ctx, c, validity, set)
	if err != nil {
		return err
	}
	return set.each(func(u uint32) error {
		if got[u] {
			return nil
		}
		got[u] = true
		if _, there := left[u]; !there {
			return nil
		}
		return yielded(yield(drivers.Fetched{ID: makeID(validity, u), Err: unreadable(m.name, errors.New("server has no content for this message"))}))
	})
}

// Describe yields sizes, dates, flags and identities. Of the message only the header fields of the identity are transferred.
func (m *mailbox) Describe(ctx context.Context, ids []merge.ID, yield func(drivers.Description) error) error {
	const op = "describe messages of"
	validity, want, err := m.oneValidity(op, ids)
	if err != nil {
		return err
	}
	return m.st.read(ctx, op, m.name, func(c *conn) error {
		for _, set := range newUIDSet(want).split(0) {
			f, com := c.describe(validity, set.String(), set.contains, yield)
			sel, err := m.ask(ctx, c, op, validity, set[len(set)-1].last, f)
			if err == nil {
				err = sel.answered(com)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// describe returns a flight that yields the descriptions of a set in protocol form, of UIDs that want accepts.
func (c *conn) describe(validity uint32, set string, want func(uint32) bool, yield func(drivers.Description) error) (*flight, *command) {
	f := newFlight(cmd("UID FETCH %s (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (%s)])", set, identityFields))
	var got uidSet
	f.data = func(_ uint32, name string, s *scanner) error {
		if name != "FETCH" {
			return nil
		}
		it, err := c.parseFetch(s)
		if err != nil {
			return err
		}
		if !it.hasHead || it.uid == 0 || !want(it.uid) || !got.add(it.uid) {
			return nil
		}
		return yielded(yield(drivers.Description{ID: makeID(validity, it.uid), Flags: it.flags, Size: it.size, Date: it.date,
			Identity: merge.Identity{Header: merge.HeaderIdentity(it.header), Size: it.size}}))
	}
	return f, f.cmds[0]
}

// Look yields the present state of these messages. The mailbox is selected anew with each question, so what the server does not list is gone.
func (m *mailbox) Look(ctx context.Context, ids []merge.ID, yield func(drivers.Entry) error) error {
	const op = "look at messages of"
	validity, want, err := m.oneValidity(op, ids)
	if err != nil {
		return err
	}
	return m.st.read(ctx, op, m.name, func(c *conn) error {
		for _, set := range newUIDSet(want).split(0) {
			now, err := m.flagsNow(ctx, c, validity, set)
			if err != nil {
				return err
			}
			err = set.each(func(u uint32) error {
				it, there := now[u]
				return yielded(yield(drivers.Entry{ID: makeID(validity, u), Gone: !there, FlagsKnown: there, Flags: it.flags, Size: -1}))
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// flagsNow returns flags and mod-sequences of a set of messages as they are now: a message that is not in the answer does not exist. For that the
// mailbox is selected anew. NOOP would not do: servers may put off telling what it finds until they have no command left to work on.
func (m *mailbox) flagsNow(ctx context.Context, c *conn, validity uint32, set uidSet) (map[uint32]item, error) {
	items := "UID FLAGS"
	if sel, ok := c.selected(); ok && sel.box == m.name && sel.modseq != 0 {
		items += " MODSEQ"
	}
	f := newFlight(cmd("UID FETCH %s (%s)", set, items))
	com := f.cmds[0]
	out := map[uint32]item{}
	f.data = c.collectFlags(set, out)
	sel, err := m.askAnew(ctx, c, "look at messages of", validity, f)
	if err != nil {
		return nil, err
	}
	if err := sel.answered(com); err != nil {
		return nil, err
	}
	return out, nil
}

// collectFlags returns a handler that keeps the flags of the set's messages. An expunge that is announced by UID takes them out again.
func (c *conn) collectFlags(set uidSet, out map[uint32]item) func(uint32, string, *scanner) error {
	return func(_ uint32, name string, s *scanner) error {
		switch name {
		case "FETCH":
			it, err := c.parseFetch(s)
			if err != nil {
				return err
			}
			if it.uid != 0 && it.hasFlags && set.contains(it.uid) {
				it.header = nil
				out[it.uid] = it
			}
		case "VANISHED":
			gone, _, err := parseVanished(s)
			if err != nil {
				return err
			}
			for u := range out {
				if gone.contains(u) {
					delete(out, u)
				}
			}
		}
		return nil
	}
}
