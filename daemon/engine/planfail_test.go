package engine

import (
	"context"
	"errors"
	"testing"

	"driftless/drivers"
	"driftless/drivers/memory"
	"driftless/merge"
)

// muted has one mailbox that cannot be described (a protocol error in its FETCH, say): ReachMailbox, as drivers/imap classifies it.
type muted struct{ drivers.Store }

func (s muted) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	if err == nil && name == "Broken" {
		return mutedBox{m}, nil
	}
	return m, err
}

type mutedBox struct{ drivers.Mailbox }

func (mutedBox) Describe(context.Context, []merge.ID, func(drivers.Description) error) error {
	return &drivers.Error{Op: "fetch", Where: "Broken", Reach: drivers.ReachMailbox, Retry: drivers.RetryLater, Err: errors.New("malformed answer")}
}

func TestOneBrokenMailboxStopsTheAccount(t *testing.T) {
	w := newWorld(t, [2]memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}})
	w.put(merge.Left, "Broken", 1)
	w.put(merge.Right, "Broken", 2)
	for n := range 5 {
		w.put(merge.Left, "INBOX", 10+n)
	}
	open := w.acc.Open[1]
	w.acc.Open[1] = func(ctx context.Context) (drivers.Store, error) {
		s, err := open(ctx)
		return muted{s}, err
	}
	r, err := w.trySync(Request{})
	if err != nil || r.Errors != 1 || r.Copied[1] != 5 {
		t.Errorf("one mailbox is broken, and the whole account fails: %v, %d errors, copied %v", err, r.Errors, r.Copied)
	}
}
