package memory

import (
	"context"
	"errors"
	"fmt"
	"io"

	"driftless/drivers"
	"driftless/merge"
)

// mailbox is a handle. It finds its mailbox by name in each call, as a server does.
type mailbox struct {
	store  *store
	name   string
	status drivers.Status
	closed bool // guarded by the server's mutex
}

func (m *mailbox) Name() string           { return m.name }
func (m *mailbox) Status() drivers.Status { return m.status }

func (m *mailbox) Close() error {
	m.store.srv.mu.Lock()
	defer m.store.srv.mu.Unlock()
	m.closed = true
	return nil
}

// enter counts a call and returns the mailbox with the server's mutex taken, unless there is an error.
func (m *mailbox) enter(ctx context.Context, op string) (*box, error) {
	if err := m.store.enter(ctx, op, m.name); err != nil {
		return nil, err
	}
	var err error
	b := m.store.srv.box(m.name)
	switch {
	case m.closed:
		err = fail(op, m.name, drivers.ReachMailbox, drivers.RetryNever, errClosed)
	case b == nil || b.noSelect:
		err = noMailbox(op, m.name)
	}
	if err != nil {
		m.store.srv.mu.Unlock()
	}
	return b, err
}

// enterToWrite is enter for what changes the mailbox. n is how many messages the call names.
func (m *mailbox) enterToWrite(ctx context.Context, op string, n int) (*box, error) {
	b, err := m.enter(ctx, op)
	if err != nil {
		return nil, err
	}
	m.store.srv.counts.Items[op] += n
	if b.readOnly {
		m.store.srv.mu.Unlock()
		return nil, fail(op, m.name, drivers.ReachMailbox, drivers.RetryNever, drivers.ErrReadOnly)
	}
	return b, nil
}

func (m *mailbox) Reserve() merge.ID {
	s := m.store.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.opt.Reserves {
		return ""
	}
	s.counts.Calls["Reserve"]++
	return s.reserve()
}

// perMessage is an error of one message. What has its class already (Options.Refuse) keeps it.
func (m *mailbox) perMessage(op string, retry drivers.Retry, err error) error {
	var classified *drivers.Error
	if errors.As(err, &classified) {
		return err
	}
	return fail(op, m.name, drivers.ReachMessage, retry, err)
}

// missing returns why there is no message with this id.
func (m *mailbox) missing(op string, b *box, id merge.ID) error {
	if b.stale(id) {
		return fail(op, m.name, drivers.ReachMailbox, drivers.RetryNow, drivers.ErrStale)
	}
	return m.perMessage(op, drivers.RetryNow, drivers.ErrGone)
}

// read returns the bytes of a content.
func read(c drivers.Content) ([]byte, error) {
	r, err := c.Open()
	if err != nil {
		return nil, fmt.Errorf("open content: %w", err)
	}
	data, err := io.ReadAll(r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("read content: %w", err)
	}
	if int64(len(data)) != c.Size() {
		return nil, fmt.Errorf("content has %d bytes, %d were promised", len(data), c.Size())
	}
	return data, nil
}

func (m *mailbox) Append(ctx context.Context, msgs []drivers.Append) ([]drivers.Appended, error) {
	const op = "Append"
	out := make([]drivers.Appended, len(msgs))
	b, err := m.enterToWrite(ctx, op, len(msgs))
	if err != nil {
		for i := range out {
			out[i].Err = err
		}
		return out, err
	}
	m.store.srv.mu.Unlock()
	for i := range msgs {
		if err != nil {
			out[i].Err = err
			continue
		}
		if cerr := ctx.Err(); cerr != nil {
			err = fail(op, m.name, drivers.ReachStore, drivers.RetryLater, cerr)
			out[i].Err = err
			continue
		}
		// The content is the caller's code: it is read without the lock.
		data, rerr := read(msgs[i].Content)
		if rerr != nil {
			out[i].Err = m.perMessage(op, drivers.RetryLater, rerr)
			continue
		}
		out[i], err = m.appendOne(op, b, msgs[i], data)
	}
	return out, err
}

// appendOne stores one message. The error concerns all that follow.
func (m *mailbox) appendOne(op string, b *box, a drivers.Append, data []byte) (drivers.Appended, error) {
	s := m.store.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.store.dead || m.store.closed || s.box(m.name) != b {
		err := lost(op, m.name)
		if s.box(m.name) != b {
			err = noMailbox(op, m.name)
		}
		return drivers.Appended{Err: err}, err
	}
	opt := &s.opt
	m.store.stats.BytesOut += int64(len(data))
	if opt.MaxMessage > 0 && int64(len(data)) > opt.MaxMessage {
		return drivers.Appended{Err: m.perMessage(op, drivers.RetryNever, drivers.ErrTooBig)}, nil
	}
	if opt.Refuse != nil {
		if err := opt.Refuse(data); err != nil {
			return drivers.Appended{Err: m.perMessage(op, drivers.RetryNever, err)}, nil
		}
	}
	reserved := a.Reserved
	if !opt.Reserves {
		reserved = ""
	}
	if reserved != "" {
		if have := b.msgs[reserved]; have != nil {
			return drivers.Appended{ID: have.id, Flags: have.flags}, nil
		}
	}
	if opt.Alter != nil {
		data = opt.Alter(data)
	}
	msg := s.message(a.Flags, a.Date, data)
	fate, dies := s.cutHere()
	if dies && fate == Late {
		s.late = append(s.late, lateAppend{m.name, msg, reserved})
	}
	if !dies || fate == Stored {
		msg.flags = b.keep(msg.flags)
		b.add(msg, reserved)
		s.counts.Effects["append"]++
	}
	if dies {
		m.store.dead = true
		unknown := fail(op, m.name, drivers.ReachStore, drivers.RetryLater, fmt.Errorf("%w: %w", drivers.ErrUnknown, errCut))
		return drivers.Appended{Err: unknown}, lost(op, m.name)
	}
	done := drivers.Appended{ID: msg.id, Flags: msg.flags}
	if opt.NoUIDPlus && !opt.Reserves {
		done.ID = ""
	}
	return done, nil
}

func (m *mailbox) SetFlags(ctx context.Context, changes []drivers.FlagChange) ([]drivers.FlagResult, error) {
	const op = "SetFlags"
	out := make([]drivers.FlagResult, len(changes))
	b, err := m.enterToWrite(ctx, op, len(changes))
	if err != nil {
		for i := range out {
			out[i].Err = err
		}
		return out, err
	}
	defer m.store.srv.mu.Unlock()
	for i, c := range changes {
		o := b.msgs[c.ID]
		if o == nil {
			out[i].Err = m.missing(op, b, c.ID)
			continue
		}
		if b.setFlags(o, o.flags.Minus(c.Remove).Union(c.Add)) {
			m.store.srv.counts.Effects["flags"]++
		}
		out[i].Flags = o.flags
	}
	return out, nil
}

func (m *mailbox) Expunge(ctx context.Context, removals []drivers.Removal) ([]error, error) {
	const op = "Expunge"
	out := make([]error, len(removals))
	b, err := m.enterToWrite(ctx, op, len(removals))
	if err != nil {
		for i := range out {
			out[i] = err
		}
		return out, err
	}
	defer m.store.srv.mu.Unlock()
	for i, r := range removals {
		o := b.msgs[r.ID]
		switch {
		case o == nil && b.stale(r.ID):
			out[i] = m.missing(op, b, r.ID)
		case o == nil:
		case !m.store.srv.opt.NoChanged && !o.flags.Equal(r.Seen):
			out[i] = m.perMessage(op, drivers.RetryNow, drivers.ErrChanged)
		default:
			b.take(o)
			m.store.srv.counts.Effects["expunge"]++
		}
	}
	return out, nil
}

func (m *mailbox) Move(ctx context.Context, ids []merge.ID, to string) ([]drivers.Moved, error) {
	const op = "Move"
	out := make([]drivers.Moved, len(ids))
	refuse := func(err error) ([]drivers.Moved, error) {
		for i := range out {
			out[i].Err = err
		}
		return out, err
	}
	b, err := m.enterToWrite(ctx, op, len(ids))
	if err != nil {
		return refuse(err)
	}
	s := m.store.srv
	defer s.mu.Unlock()
	d := s.box(to)
	if d == nil || d.noSelect {
		return refuse(noMailbox(op, to))
	}
	if d.readOnly {
		return refuse(fail(op, to, drivers.ReachMailbox, drivers.RetryNever, drivers.ErrReadOnly))
	}
	for i, id := range ids {
		o := b.msgs[id]
		if o == nil {
			out[i].Err = m.missing(op, b, id)
			continue
		}
		moved := s.move(b, o, d)
		s.counts.Effects["move"]++
		if !s.opt.NoUIDPlus || s.opt.Reserves {
			out[i].ID = moved
		}
	}
	return out, nil
}
