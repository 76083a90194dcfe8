package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"driftless/drivers"
	"driftless/merge"
)

// still reports whether it is certain that nothing changed since the cursor.
func (b *box) still(since drivers.Cursor) bool {
	if b.srv.opt.Mode == ListOnly && !b.srv.opt.Reserves {
		return false // a plain server tells neither flag changes nor what was replaced
	}
	p, ok := parsePosition(string(since))
	return ok && b.reached(p) && p.mod == b.mod
}

// changes returns what there is to yield, and how it ends.
func (b *box) changes(since drivers.Cursor, scope drivers.Scope) ([]drivers.Entry, drivers.Observed) {
	opt := &b.srv.opt
	end := drivers.Observed{Cursor: drivers.Cursor(b.cursor()), Count: len(b.order)}
	p, known := parsePosition(string(since))
	if known && !b.reached(p) {
		// Names mean the same for ever, so a store that reserves them has nothing to reset.
		known, end.Reset = false, !opt.Reserves
	}
	if scope == drivers.Delta && b.still(since) {
		return nil, end
	}
	if !opt.Reserves {
		end.Origin = drivers.Cursor(fmt.Sprintf("m1 %d %d 0 0", b.serial, b.epoch))
		epoch, next := b.epoch, b.next
		end.Given = func(id merge.ID) bool {
			var e, uid uint32
			_, err := fmt.Sscanf(string(id), "%d:%d", &e, &uid)
			return err != nil || e != epoch || uid < next
		}
	}
	telling := opt.Mode != ListOnly
	end.All = scope != drivers.Delta || !known || !telling || opt.Mode == QResync && p.mod < b.floor
	type numbered struct {
		uid   uint32
		entry drivers.Entry
	}
	var out []numbered
	for _, m := range b.order {
		fresh := !known || !telling || scope == drivers.Full || m.mod > p.mod
		if fresh {
			out = append(out, numbered{m.uid, m.entry()})
		} else if end.All {
			e := m.entry()
			e.FlagsKnown, e.Flags = false, merge.Flags{}
			out = append(out, numbered{m.uid, e})
		}
	}
	if !end.All && opt.Mode == QResync {
		for _, t := range b.gone {
			if t.mod > p.mod {
				out = append(out, numbered{t.uid, drivers.Entry{ID: t.id, Gone: true, Size: -1}})
			}
		}
		slices.SortFunc(out, func(a, b numbered) int { return cmp.Compare(a.uid, b.uid) })
	}
	entries := make([]drivers.Entry, len(out))
	for i, n := range out {
		entries[i] = n.entry
	}
	return entries, end
}

func (m *message) entry() drivers.Entry {
	return drivers.Entry{ID: m.id, FlagsKnown: true, Flags: m.flags, Size: m.identity.Size, Date: m.date}
}

func (m *message) description() drivers.Description {
	return drivers.Description{ID: m.id, Identity: m.identity, Flags: m.flags, Size: m.identity.Size, Date: m.date}
}

// each yields items one by one; it ends with the context or with the first error of yield.
func each[T any](ctx context.Context, op, where string, items []T, yield func(T) error) error {
	for _, i := range items {
		if err := ctx.Err(); err != nil {
			return fail(op, where, drivers.ReachStore, drivers.RetryLater, err)
		}
		if err := yield(i); err != nil {
			return err
		}
	}
	return nil
}

func (m *mailbox) Changes(ctx context.Context, since drivers.Cursor, scope drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	const op = "Changes"
	b, err := m.enter(ctx, op)
	if err != nil {
		return drivers.Observed{}, err
	}
	entries, end := b.changes(since, scope)
	m.store.srv.mu.Unlock()
	if err := each(ctx, op, m.name, entries, yield); err != nil {
		return drivers.Observed{}, err
	}
	return end, nil
}

// known returns the messages with these ids, each once, nil for one that is gone. ErrStale if one of them is of another epoch.
func (b *box) known(op string, ids []merge.ID) ([]merge.ID, []*message, error) {
	b.srv.counts.Items[op] += len(ids)
	seen := map[merge.ID]bool{}
	var names []merge.ID
	var out []*message
	for _, id := range ids {
		if b.stale(id) {
			return nil, nil, fail(op, b.name, drivers.ReachMailbox, drivers.RetryNow, drivers.ErrStale)
		}
		if !seen[id] {
			seen[id] = true
			names = append(names, id)
			out = append(out, b.msgs[id])
		}
	}
	return names, out, nil
}

func (m *mailbox) Describe(ctx context.Context, ids []merge.ID, yield func(drivers.Description) error) error {
	const op = "Describe"
	b, err := m.enter(ctx, op)
	if err != nil {
		return err
	}
	_, msgs, err := b.known(op, ids)
	var out []drivers.Description
	for _, o := range msgs {
		if o != nil {
			out = append(out, o.description())
		}
	}
	m.store.srv.mu.Unlock()
	if err != nil {
		return err
	}
	return each(ctx, op, m.name, out, yield)
}

func (m *mailbox) Look(ctx context.Context, ids []merge.ID, yield func(drivers.Entry) error) error {
	const op = "Look"
	b, err := m.enter(ctx, op)
	if err != nil {
		return err
	}
	names, msgs, err := b.known(op, ids)
	var out []drivers.Entry
	for i, o := range msgs {
		if o != nil {
			out = append(out, o.entry())
		} else {
			out = append(out, drivers.Entry{ID: names[i], Gone: true, Size: -1})
		}
	}
	m.store.srv.mu.Unlock()
	if err != nil {
		return err
	}
	return each(ctx, op, m.name, out, yield)
}

// errUnreadable is what SetUnreadable leads to.
var errUnreadable = errors.New("message cannot be read")

func (m *mailbox) Fetch(ctx context.Context, ids []merge.ID, yield func(drivers.Fetched) error) error {
	const op = "Fetch"
	b, err := m.enter(ctx, op)
	if err != nil {
		return err
	}
	srv := m.store.srv
	_, msgs, err := b.known(op, ids)
	var out []message
	for _, o := range msgs {
		if o != nil {
			out = append(out, *o)
		}
	}
	srv.mu.Unlock()
	if err != nil {
		return err
	}
	return each(ctx, op, m.name, out, func(o message) error {
		f := drivers.Fetched{ID: o.id, Flags: o.flags, Date: o.date}
		if o.unreadable {
			f.Err = fail("fetch", m.name, drivers.ReachMessage, drivers.RetryLater, errUnreadable)
			return yield(f)
		}
		srv.mu.Lock()
		srv.counts.Bodies++
		srv.held++
		m.store.stats.BytesIn += int64(len(o.data))
		srv.mu.Unlock()
		f.Content = &content{Bytes: o.data, srv: srv}
		return yield(f)
	})
}

// content is a message's bytes that the server knows to be in somebody's hands.
type content struct {
	drivers.Bytes
	srv    *Server
	closed bool // guarded by srv.mu
}

func (c *content) Open() (io.ReadCloser, error) {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	if c.closed {
		return nil, fail("fetch", "", drivers.ReachMessage, drivers.RetryNever, errClosed)
	}
	return c.Bytes.Open()
}

func (c *content) Close() error {
	c.srv.mu.Lock()
	defer c.srv.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.srv.held--
	}
	return nil
}

func (m *mailbox) Mark(ctx context.Context) (drivers.Mark, error) {
	b, err := m.enter(ctx, "Mark")
	if err != nil {
		return "", err
	}
	defer m.store.srv.mu.Unlock()
	return drivers.Mark(b.cursor()), nil
}

func (m *mailbox) Since(ctx context.Context, mark drivers.Mark, yield func(drivers.Description) error) error {
	const op = "Since"
	b, err := m.enter(ctx, op)
	if err != nil {
		return err
	}
	p, ok := parsePosition(string(mark))
	ok = ok && b.reached(p)
	var out []drivers.Description
	for _, o := range b.order {
		if !ok || o.uid >= p.next {
			out = append(out, o.description())
		}
	}
	m.store.srv.mu.Unlock()
	return each(ctx, op, m.name, out, yield)
}
