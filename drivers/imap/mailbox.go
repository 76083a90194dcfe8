package imap

import (
	"context"
	"errors"
	"sync"

	"driftless/drivers"
	"driftless/merge"
)

// mailbox is a handle. It owns no connection: each call leases one, preferably one that has the mailbox selected already.
type mailbox struct {
	st   *Store
	name string
	raw  string

	mu       sync.Mutex
	status   drivers.Status
	validity uint32
}

var _ drivers.Mailbox = (*mailbox)(nil)

// Open selects the mailbox, unless that was done since the latest listing, and returns a handle.
func (st *Store) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m := &mailbox{st: st, name: name}
	if x, ok := st.opened.get(name); ok {
		if err := ctx.Err(); err != nil {
			return nil, classify("open", name, drivers.ReachStore, err)
		}
		raw, err := st.raw(name)
		if err != nil {
			return nil, err
		}
		m.raw, m.validity, m.status = raw, x.validity, x.status
		return m, nil
	}
	err := st.read(ctx, "open", name, func(c *conn) error {
		if err := c.prepare(ctx); err != nil {
			return err
		}
		raw, err := st.raw(name)
		if err != nil {
			return err
		}
		m.raw = raw
		_, err = m.refresh(ctx, c, newFlight())
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// refresh selects the mailbox anew, together with other commands.
func (m *mailbox) refresh(ctx context.Context, c *conn, f *flight) (selection, error) {
	sel, err := c.selectBox(ctx, m.name, m.raw, f)
	if err != nil {
		var ref *refusal
		if errors.Is(err, drivers.ErrNoMailbox) || errors.As(err, &ref) {
			m.st.opened.forget(m.name)
		}
		return sel, err
	}
	x := m.st.opened.keep(m.name, sel)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.validity, m.status = x.validity, x.status
	return sel, nil
}

// ask flies a question about messages of one UIDVALIDITY, the last of which is named: with a SELECT in front unless the connection has the
// mailbox selected in a view that knows them. What is told of another UIDVALIDITY does not reach the flight's handler. The question is
// the flight's last command.
func (m *mailbox) ask(ctx context.Context, c *conn, op string, validity, last uint32, f *flight) (selection, error) {
	if err := c.prepare(ctx); err != nil {
		return selection{}, err
	}
	if sel, ok := c.selected(); ok && sel.box == m.name && sel.next != 0 && sel.validity == validity && last < sel.next {
		return sel, c.fly(ctx, f)
	}
	return m.askAnew(ctx, c, op, validity, f)
}

// askAnew is ask with a SELECT in any case.
func (m *mailbox) askAnew(ctx context.Context, c *conn, op string, validity uint32, f *flight) (selection, error) {
	if err := c.prepare(ctx); err != nil {
		return selection{}, err
	}
	if inner := f.data; inner != nil {
		f.data = func(num uint32, name string, s *scanner) error {
			if sel, ok := c.selected(); !ok || sel.validity != validity {
				return nil
			}
			return inner(num, name, s)
		}
	}
	sel, err := m.refresh(ctx, c, f)
	if err == nil && sel.validity != validity {
		err = m.errStale(op)
	}
	return sel, err
}

// opens reports whether a question that failed did so before it came to the messages: its SELECT was not answered with OK, or
// every answer is there and what they tell of the mailbox does not do.
func (f *flight) opens() bool {
	n := len(f.cmds)
	return n > 1 && !f.cmds[0].ok() || f.cmds[n-1].st != nil
}

// answered returns what the server said when it did not answer a question with OK. Some servers refuse to look for messages in an empty mailbox.
func (s selection) answered(com *command) error {
	if s.atSelect == 0 && com.st != nil {
		return nil
	}
	return com.refused()
}

// oneValidity returns the UIDs of ids that all have one UIDVALIDITY, or ErrStale.
func (m *mailbox) oneValidity(op string, ids []merge.ID) (validity uint32, want []uint32, err error) {
	if len(ids) == 0 {
		return 0, nil, nil
	}
	validity, _, _ = parseID(ids[0])
	want, stale := uids(ids, validity)
	if len(stale) > 0 {
		return 0, nil, m.errStale(op)
	}
	return validity, want, nil
}

// keepable returns the flags that the mailbox keeps for good (RFC 3501, section 7.1: without PERMANENTFLAGS, all).
func (s selection) keepable() merge.Flags {
	if !s.hasPerm {
		return s.present.Union(merge.SystemFlags(merge.Seen | merge.Answered | merge.Flagged | merge.Deleted | merge.Draft))
	}
	return s.permanent
}

// ensure makes sure that the connection has the mailbox selected, in a view that knows these messages, and returns what is known of it. A connection that
// selected the mailbox before a message arrived may answer as if there were none.
func (m *mailbox) ensure(ctx context.Context, c *conn, ids ...merge.ID) (selection, error) {
	if err := c.prepare(ctx); err != nil {
		return selection{}, err
	}
	if sel, ok := c.selected(); ok && sel.box == m.name && sel.next != 0 && sel.knows(ids) {
		return sel, nil
	}
	return m.refresh(ctx, c, newFlight())
}

// knows reports whether all these messages had arrived when the mailbox was selected.
func (s selection) knows(ids []merge.ID) bool {
	for _, id := range ids {
		if v, u, ok := parseID(id); ok && (v != s.validity || u >= s.next) {
			return false
		}
	}
	return true
}

// Name returns the name that the handle was opened with.
func (m *mailbox) Name() string { return m.name }

// Status returns what the latest opening told.
func (m *mailbox) Status() drivers.Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.status
}

// Reserve returns "": the server assigns ids.
func (m *mailbox) Reserve() merge.ID { return "" }

// Close releases the handle. The connection stays in the pool.
func (m *mailbox) Close() error { return nil }

// uids sorts the ids by whether they belong to this UIDVALIDITY. stale holds the indexes of those that do not.
func uids(ids []merge.ID, validity uint32) (fresh []uint32, stale []int) {
	for i, id := range ids {
		v, u, ok := parseID(id)
		if !ok || v != validity {
			stale = append(stale, i)
			continue
		}
		fresh = append(fresh, u)
	}
	return fresh, stale
}

// errStale is ErrStale with its class.
func (m *mailbox) errStale(op string) error {
	return &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMailbox, Retry: drivers.RetryNow, Err: drivers.ErrStale}
}
