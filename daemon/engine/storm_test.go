package engine

import (
	"context"
	"strings"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

// stormy is a store that others change all the time: its listings are never complete. Listings and looks miss hidden, and do not say what is gone.
type stormy struct {
	drivers.Store
	hidden merge.ID
}

func (s stormy) List(ctx context.Context, _ map[string]drivers.Cursor) ([]drivers.MailboxInfo, error) {
	return s.Store.List(ctx, nil)
}

func (s stormy) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	return stormyBox{m, s.hidden}, err
}

type stormyBox struct {
	drivers.Mailbox
	hidden merge.ID
}

func (b stormyBox) Changes(ctx context.Context, _ drivers.Cursor, _ drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	n := 0
	_, err := b.Mailbox.Changes(ctx, "", drivers.Full, func(e drivers.Entry) error {
		if e.ID == b.hidden {
			return nil
		}
		n++
		return yield(e)
	})
	return drivers.Observed{Cursor: "of a storm", Count: n}, err
}

func (b stormyBox) Look(ctx context.Context, ids []merge.ID, yield func(drivers.Entry) error) error {
	return b.Mailbox.Look(ctx, ids, func(e drivers.Entry) error {
		if e.Gone || e.ID == b.hidden {
			return nil
		}
		return yield(e)
	})
}

// TestStorm syncs a store that cannot tell what is gone, because others change it all the time: arrivals and flags cross, nothing is deleted, and the first sync after
// the storm finds what was.
func TestStorm(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 6 {
			w.put(l, "INBOX", n, `\Seen`)
		}
		w.sync()
		w.remove(l, "INBOX", 1)
		w.put(l, "INBOX", 50)
		w.put(r, "INBOX", 51)
		w.flag(l, "INBOX", 3, `\Flagged`)
		calm := w.acc.Open[l]
		hidden := w.find(l, "INBOX", 2)
		w.acc.Open[l] = func(ctx context.Context) (drivers.Store, error) {
			s, err := calm(ctx)
			return stormy{s, hidden}, err
		}
		for range 3 {
			if rep := w.sync(); rep.Deleted[r] > 0 {
				t.Fatalf("deleted in a storm: %+v", rep)
			}
		}
		if w.find(r, "INBOX", 1) == "" || w.find(r, "INBOX", 2) == "" || w.find(r, "INBOX", 50) == "" || w.find(l, "INBOX", 51) == "" {
			t.Errorf("after a sync in a storm:\n%s\n%s", strings.Join(w.list(l), "\n"), strings.Join(w.list(r), "\n"))
		}
		w.flags("INBOX", 3, `\Flagged`)
		if _, err := Verify(t.Context(), w.acc, VerifyRequest{}, nil); err == nil {
			t.Error("verify compares a listing that is not complete")
		}
		w.acc.Open[l] = calm
		w.settled()
		w.has("INBOX", 0, 2, 3, 4, 5, 50, 51)
	})
}

// TestStormBeginsBeforeDeletion lets the storm begin between the listing and the last look before a deletion: that look cannot say that the message is gone.
func TestStormBeginsBeforeDeletion(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 6 {
			w.put(l, "INBOX", n)
		}
		w.sync()
		w.remove(l, "INBOX", 1)
		calm := w.acc.Open[l]
		w.acc.Open[l] = func(ctx context.Context) (drivers.Store, error) {
			s, err := calm(ctx)
			return mute{s}, err
		}
		if rep := w.sync(); rep.Deleted[r] > 0 || w.find(r, "INBOX", 1) == "" {
			t.Errorf("deleted without a look that says so: %+v", rep)
		}
		w.acc.Open[l] = calm
		w.settled()
		w.has("INBOX", 0, 2, 3, 4, 5)
	})
}

// mute is a store whose looks do not say what is gone.
type mute struct{ drivers.Store }

func (s mute) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	return muteBox{m}, err
}

type muteBox struct{ drivers.Mailbox }

func (b muteBox) Look(ctx context.Context, ids []merge.ID, yield func(drivers.Entry) error) error {
	return stormyBox{b.Mailbox, ""}.Look(ctx, ids, yield)
}
