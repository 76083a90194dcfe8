package memory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"driftless/drivers"
)

// store is one open connection to a Server. Its fields are guarded by the server's mutex.
type store struct {
	srv    *Server
	closed bool
	dead   bool // the connection was lost
	stats  drivers.Stats
}

// errInbox is why INBOX stays.
var errInbox = errors.New("INBOX cannot be deleted")

// fail returns an error with its reach and retry class.
func fail(op, where string, reach drivers.Reach, retry drivers.Retry, err error) error {
	return &drivers.Error{Op: op, Where: where, Reach: reach, Retry: retry, Err: err}
}

func noMailbox(op, name string) error {
	return fail(op, name, drivers.ReachMailbox, drivers.RetryNow, drivers.ErrNoMailbox)
}

// enter counts a call and takes the server's mutex; the caller releases it unless there is an error.
func (s *store) enter(ctx context.Context, op, where string) error {
	if err := ctx.Err(); err != nil {
		return fail(op, where, drivers.ReachStore, drivers.RetryLater, err)
	}
	s.srv.mu.Lock()
	hook := s.srv.hook
	s.srv.counts.Calls[op]++
	if hook != nil {
		s.srv.mu.Unlock()
		hook(op, where)
		s.srv.mu.Lock()
	}
	s.stats.RoundTrips++
	var err error
	switch {
	case s.closed:
		err = fail(op, where, drivers.ReachStore, drivers.RetryNever, errClosed)
	case s.dead:
		err = lost(op, where)
	case ctx.Err() != nil:
		err = fail(op, where, drivers.ReachStore, drivers.RetryLater, ctx.Err())
	}
	if err != nil {
		s.srv.mu.Unlock()
	}
	return err
}

func (s *store) Info() drivers.Info {
	opt := &s.srv.opt
	i := drivers.Info{Kind: "memory", Address: "memory", Server: "memory", Delimiter: "/", MaxMessage: opt.MaxMessage}
	switch opt.Mode {
	case QResync:
		i.Offered = []string{"QRESYNC", "CONDSTORE"}
	case CondStore:
		i.Offered = []string{"CONDSTORE"}
	}
	if !opt.NoUIDPlus && !opt.Reserves {
		i.Offered = append(i.Offered, "UIDPLUS")
	}
	i.Used = i.Offered
	return i
}

func (s *store) Identity(ctx context.Context) (string, error) {
	if err := s.enter(ctx, "Identity", ""); err != nil {
		return "", err
	}
	defer s.srv.mu.Unlock()
	return s.srv.identity, nil
}

func (s *store) List(ctx context.Context, seen map[string]drivers.Cursor) ([]drivers.MailboxInfo, error) {
	if err := s.enter(ctx, "List", ""); err != nil {
		return nil, err
	}
	defer s.srv.mu.Unlock()
	opt := &s.srv.opt
	var out []drivers.MailboxInfo
	for _, b := range s.srv.sorted() {
		i := drivers.MailboxInfo{Name: b.name, NoSelect: b.noSelect, SpecialUse: b.specialUse, Subscribed: b.subscribed, Messages: len(b.order)}
		if opt.NoCounts {
			i.Messages = -1
		}
		i.Unchanged = !opt.NoUnchanged && !b.noSelect && b.still(seen[b.name])
		out = append(out, i)
	}
	return out, nil
}

func (s *store) Create(ctx context.Context, name string) error {
	if err := s.enter(ctx, "Create", name); err != nil {
		return err
	}
	defer s.srv.mu.Unlock()
	if err := checkName(name); err != nil {
		return fail("create mailbox", name, drivers.ReachMailbox, drivers.RetryNever, err)
	}
	if b := s.srv.box(name); b != nil && !b.noSelect {
		b.subscribed = true
		return nil
	}
	b := s.srv.create(name)
	b.noSelect, b.subscribed = false, true
	s.srv.counts.Effects["create"]++
	return nil
}

func (s *store) Rename(ctx context.Context, from, to string) error {
	const op = "rename mailbox"
	if err := s.enter(ctx, "Rename", from); err != nil {
		return err
	}
	defer s.srv.mu.Unlock()
	if err := checkName(to); err != nil {
		return fail(op, to, drivers.ReachMailbox, drivers.RetryNever, err)
	}
	b := s.srv.box(from)
	if b == nil {
		return noMailbox(op, from)
	}
	if s.srv.box(to) != nil {
		return fail(op, to, drivers.ReachMailbox, drivers.RetryNever, drivers.ErrExists)
	}
	if strings.HasPrefix(s.srv.key(to), s.srv.key(from)+"/") && b.name != inbox {
		return fail(op, to, drivers.ReachMailbox, drivers.RetryNever, fmt.Errorf("is inside of %s", from))
	}
	s.srv.rename(b, to)
	s.srv.counts.Effects["rename"]++
	return nil
}

func (s *store) Delete(ctx context.Context, name string) error {
	const op = "delete mailbox"
	if err := s.enter(ctx, "Delete", name); err != nil {
		return err
	}
	defer s.srv.mu.Unlock()
	b := s.srv.box(name)
	if b == nil {
		return noMailbox(op, name)
	}
	if b.readOnly {
		return fail(op, name, drivers.ReachMailbox, drivers.RetryNever, drivers.ErrReadOnly)
	}
	if b.name == inbox { // RFC 9051, section 6.3.5
		return fail(op, name, drivers.ReachMailbox, drivers.RetryNever, errInbox)
	}
	s.srv.remove(b)
	s.srv.counts.Effects["delete"]++
	return nil
}

func (s *store) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	if err := s.enter(ctx, "Open", name); err != nil {
		return nil, err
	}
	defer s.srv.mu.Unlock()
	b := s.srv.box(name)
	if b == nil || b.noSelect {
		return nil, noMailbox("open mailbox", name)
	}
	st := drivers.Status{Messages: len(b.order), ReadOnly: b.readOnly, Reserves: s.srv.opt.Reserves}
	st.NewKeywords, st.Keywords = b.keywords()
	return &mailbox{store: s, name: b.name, status: st}, nil
}

func (s *store) Stats() drivers.Stats {
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	return s.stats
}

func (s *store) Close() error {
	s.srv.mu.Lock()
	defer s.srv.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.srv.open--
	}
	return nil
}
