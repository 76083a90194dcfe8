package imap

import (
	"context"
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

// Open selects the mailbox, unless a connection has it selected, and returns a handle.
func (st *Store) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m := &mailbox{st: st, name: name}
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
		return sel, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.validity = sel.validity
	m.status = drivers.Status{Messages: int(sel.exists), ReadOnly: sel.readOnly, NewKeywords: sel.newKeywords, Keywords: sel.keepable()}
	return sel, nil
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
