package engine

import (
	"context"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

// filled gives a world some mail, which is in sync.
func (w *world) filled() {
	for _, s := range merge.Sides {
		w.srv[s].CreateMailbox("Archive")
		w.srv[s].CreateMailbox("Other")
	}
	for n := range 30 {
		w.put(merge.Left, "INBOX", 100+n)
	}
	w.put(merge.Left, "INBOX", 1)
	w.put(merge.Left, "Archive", 90)
	w.settled()
}

// omits is a store that leaves message 1 out of its next n answers to a question.
type omits struct {
	drivers.Store
	op string
	n  *int
}

func (s omits) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	if err == nil && name == "INBOX" {
		return omitsBox{m, s}, nil
	}
	return m, err
}

type omitsBox struct {
	drivers.Mailbox
	s omits
}

func identityOf(n int) merge.Identity {
	d := merge.NewDigest()
	_, _ = d.Write(mail(n)) // it never fails
	id, _ := d.Sum()
	return id
}

func (b omitsBox) Describe(ctx context.Context, ids []merge.ID, yield func(drivers.Description) error) error {
	return b.Mailbox.Describe(ctx, ids, func(x drivers.Description) error {
		if b.s.op == "Describe" && x.Identity == identityOf(1) && *b.s.n > 0 {
			*b.s.n--
			return nil
		}
		return yield(x)
	})
}

func (b omitsBox) Fetch(ctx context.Context, ids []merge.ID, yield func(drivers.Fetched) error) error {
	return b.Mailbox.Fetch(ctx, ids, func(f drivers.Fetched) error {
		if b.s.op == "Fetch" && f.Content != nil && *b.s.n > 0 {
			if id, _, _ := digest(f.Content); id == identityOf(1) {
				*b.s.n--
				return f.Content.Close()
			}
		}
		return yield(f)
	})
}

// A store that leaves a message out of one answer: the sync asks again. One that does so for ever: the sync does not claim to be done.
func TestMessageLeftOutOfAnAnswer(t *testing.T) {
	for _, op := range []string{"Describe", "Fetch"} {
		for _, times := range []int{1, 1 << 20} {
			onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
				w.filled()
				if op == "Fetch" {
					w.remove(l, "INBOX", 1)
					w.remove(r, "INBOX", 1)
					w.settled()
				}
				w.put(r, "INBOX", 1)
				if op == "Fetch" {
					w.put(r, "INBOX", 1)
					w.put(l, "INBOX", 1)
				}
				w.put(l, "INBOX", 2)
				w.put(r, "INBOX", 2)
				left := times
				open := w.acc.Open[r]
				w.acc.Open[r] = func(ctx context.Context) (drivers.Store, error) {
					s, err := open(ctx)
					return omits{s, op, &left}, err
				}
				for range 3 {
					rep, err := w.trySync(Request{})
					a, b := len(w.srv[l].Snapshot()["INBOX"].Messages), len(w.srv[r].Snapshot()["INBOX"].Messages)
					if err == nil && rep.Errors == 0 && a != b {
						t.Errorf("%s, %d times: %d on one side, %d on the other, and no error", op, times, a, b)
					}
				}
				w.acc.Open[r] = open
				w.settled()
			})
		}
	}
}
