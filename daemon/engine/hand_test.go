package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"driftless/drivers"
	"driftless/merge"
)

// hand is a user who acts at one exact moment of a sync: just before or just after a call of a driver, or when a call that yields has yielded its first item. The moments are
// named like "left Fetch INBOX 1 after": what one goroutine does in one mailbox has the same names in every run.
type hand struct {
	at  string // the moment at which the user acts; "" = never
	act func()
	// every, if it is set, is called at each moment.
	every func(moment string)

	mu      sync.Mutex
	calls   map[string]int
	moments []string
	acted   bool
}

// pass is called at each moment, without any lock of a store held.
func (h *hand) pass(name string) {
	h.mu.Lock()
	h.moments = append(h.moments, name)
	now := name == h.at && !h.acted
	h.acted = h.acted || now
	h.mu.Unlock()
	if now {
		h.act()
	}
	if h.every != nil {
		h.every(name)
	}
}

// call makes a call between its two moments.
func (h *hand) call(side merge.Side, op, where string, do func(name string)) {
	name := fmt.Sprintf("%s %s %s", side, op, where)
	h.mu.Lock()
	if h.calls == nil {
		h.calls = map[string]int{}
	}
	h.calls[name]++
	name = fmt.Sprintf("%s %d", name, h.calls[name])
	h.mu.Unlock()
	h.pass(name + " before")
	do(name)
	h.pass(name + " after")
}

// all returns the moments that were passed, each once, in a fixed order.
func (h *hand) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := slices.Clone(h.moments)
	slices.Sort(out)
	return slices.Compact(out)
}

// hands puts the hand between the engine and both stores; the function that it returns takes it away again.
func (w *world) hands(h *hand) (away func()) {
	open := w.acc.Open
	for _, side := range merge.Sides {
		w.acc.Open[side] = func(ctx context.Context) (drivers.Store, error) {
			s, err := open[side](ctx)
			return handStore{s, h, side}, err
		}
	}
	return func() { w.acc.Open = open }
}

type handStore struct {
	drivers.Store
	h    *hand
	side merge.Side
}

func (s handStore) List(ctx context.Context, seen map[string]drivers.Cursor) (l []drivers.MailboxInfo, err error) {
	s.h.call(s.side, "List", "", func(string) { l, err = s.Store.List(ctx, seen) })
	return l, err
}

func (s handStore) Create(ctx context.Context, name string) (err error) {
	s.h.call(s.side, "Create", name, func(string) { err = s.Store.Create(ctx, name) })
	return err
}

func (s handStore) Open(ctx context.Context, name string) (m drivers.Mailbox, err error) {
	s.h.call(s.side, "Open", name, func(string) { m, err = s.Store.Open(ctx, name) })
	return handBox{m, s.h, s.side}, err
}

type handBox struct {
	drivers.Mailbox
	h    *hand
	side merge.Side
}

// first wraps yield so that the moment after the first item is passed.
func first[T any](h *hand, name string, yield func(T) error) func(T) error {
	n := 0
	return func(x T) error {
		err := yield(x)
		if n++; n == 1 {
			h.pass(name + " within")
		}
		return err
	}
}

func (b handBox) Changes(ctx context.Context, since drivers.Cursor, scope drivers.Scope, yield func(drivers.Entry) error) (o drivers.Observed, err error) {
	b.h.call(b.side, "Changes", b.Name(), func(name string) { o, err = b.Mailbox.Changes(ctx, since, scope, first(b.h, name, yield)) })
	return o, err
}

func (b handBox) Describe(ctx context.Context, ids []merge.ID, yield func(drivers.Description) error) (err error) {
	b.h.call(b.side, "Describe", b.Name(), func(name string) { err = b.Mailbox.Describe(ctx, ids, first(b.h, name, yield)) })
	return err
}

func (b handBox) Look(ctx context.Context, ids []merge.ID, yield func(drivers.Entry) error) (err error) {
	b.h.call(b.side, "Look", b.Name(), func(name string) { err = b.Mailbox.Look(ctx, ids, first(b.h, name, yield)) })
	return err
}

func (b handBox) Fetch(ctx context.Context, ids []merge.ID, yield func(drivers.Fetched) error) (err error) {
	b.h.call(b.side, "Fetch", b.Name(), func(name string) { err = b.Mailbox.Fetch(ctx, ids, first(b.h, name, yield)) })
	return err
}

func (b handBox) Mark(ctx context.Context) (m drivers.Mark, err error) {
	b.h.call(b.side, "Mark", b.Name(), func(string) { m, err = b.Mailbox.Mark(ctx) })
	return m, err
}

func (b handBox) Since(ctx context.Context, mark drivers.Mark, yield func(drivers.Description) error) (err error) {
	b.h.call(b.side, "Since", b.Name(), func(name string) { err = b.Mailbox.Since(ctx, mark, first(b.h, name, yield)) })
	return err
}

func (b handBox) Append(ctx context.Context, msgs []drivers.Append) (out []drivers.Appended, err error) {
	b.h.call(b.side, "Append", b.Name(), func(string) { out, err = b.Mailbox.Append(ctx, msgs) })
	return out, err
}

func (b handBox) SetFlags(ctx context.Context, changes []drivers.FlagChange) (out []drivers.FlagResult, err error) {
	b.h.call(b.side, "SetFlags", b.Name(), func(string) { out, err = b.Mailbox.SetFlags(ctx, changes) })
	return out, err
}

func (b handBox) Expunge(ctx context.Context, removals []drivers.Removal) (out []error, err error) {
	b.h.call(b.side, "Expunge", b.Name(), func(string) { out, err = b.Mailbox.Expunge(ctx, removals) })
	return out, err
}

func (b handBox) Move(ctx context.Context, ids []merge.ID, to string) (out []drivers.Moved, err error) {
	b.h.call(b.side, "Move", b.Name(), func(string) { out, err = b.Mailbox.Move(ctx, ids, to) })
	return out, err
}
