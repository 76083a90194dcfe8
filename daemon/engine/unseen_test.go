package engine

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

// flawed is a store that cannot list one mailbox, or refuses to move or remove anything in one.
type flawed struct {
	drivers.Store
	blind  string
	noMove string
	keeps  string
}

func (s flawed) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	if err != nil {
		return m, err
	}
	return flawedBox{m, s}, nil
}

type flawedBox struct {
	drivers.Mailbox
	s flawed
}

func (b flawedBox) Changes(ctx context.Context, since drivers.Cursor, scope drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	if b.Name() == b.s.blind {
		return drivers.Observed{}, &drivers.Error{Op: "list", Where: b.Name(), Reach: drivers.ReachMailbox, Retry: drivers.RetryLater, Err: errors.New("NO [INUSE] mailbox is being reindexed")}
	}
	return b.Mailbox.Changes(ctx, since, scope, yield)
}

func (b flawedBox) Move(ctx context.Context, ids []merge.ID, to string) ([]drivers.Moved, error) {
	if b.Name() != b.s.noMove {
		return b.Mailbox.Move(ctx, ids, to)
	}
	out := make([]drivers.Moved, len(ids))
	for i := range out {
		out[i].Err = errNo
	}
	return out, nil
}

func (b flawedBox) Expunge(ctx context.Context, r []drivers.Removal) ([]error, error) {
	if b.Name() != b.s.keeps {
		return b.Mailbox.Expunge(ctx, r)
	}
	out := make([]error, len(r))
	for i := range out {
		out[i] = errNo
	}
	return out, nil
}

// with gives a side a flaw until heal is called.
func (w *world) with(side merge.Side, x flawed) (heal func()) {
	open := w.acc.Open[side]
	w.acc.Open[side] = func(ctx context.Context) (drivers.Store, error) {
		s, err := open(ctx)
		x.Store = s
		return x, err
	}
	return func() { w.acc.Open[side] = open }
}

// populated fills INBOX and Archive beside an empty Other, and syncs. Message 1 is in INBOX.
func (w *world) populated() {
	w.t.Helper()
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

// times counts message 1 on a side.
func (w *world) times(side merge.Side) int {
	n := 0
	for _, m := range w.srv[side].Snapshot() {
		for _, msg := range m.Messages {
			if bytes.Equal(msg.Data, mail(1)) {
				n++
			}
		}
	}
	return n
}

// inbox asks for one mailbox only.
func inbox(left string) bool { return left == "INBOX" }

// TestMoveToUnseenMailbox moves a message to a mailbox that the sync does not see, and flags it on the other side: nothing may be concluded until the mailbox is seen.
func TestMoveToUnseenMailbox(t *testing.T) {
	for _, how := range []string{"failed", "not asked for", "missing"} {
		for _, conflict := range []merge.ConflictPolicy{merge.ConflictDelete, merge.ConflictKeep} {
			t.Run(how, func(t *testing.T) {
				onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
					w.acc.Rules.Conflict = conflict
					w.populated()
					w.move(l, "INBOX", 1, "Archive")
					w.flag(r, "INBOX", 1, `\Flagged`)
					var req Request
					heal := func() {}
					switch how {
					case "failed":
						heal = w.with(l, flawed{blind: "Archive"})
					case "not asked for":
						req.Mailbox = inbox
					case "missing":
						w.must(w.srv[r].DeleteMailbox("Archive"))
						heal = func() {
							w.srv[r].CreateMailbox("Archive")
							w.put(r, "Archive", 90)
						}
					}
					for range 2 {
						rep, err := w.trySync(req)
						w.must(err)
						if len(rep.Problems) == 0 || how != "not asked for" && rep.Errors+rep.Held == 0 {
							t.Errorf("nothing is said: %+v", rep)
						}
						if w.find(r, "INBOX", 1) == "" || rep.Deleted != [2]int{} || rep.Copied != [2]int{} {
							t.Fatalf("something was concluded from what was not seen: %+v", rep)
						}
					}
					heal()
					w.settled()
					w.has("Archive", 90, 1)
					w.flags("Archive", 1, `\Flagged`)
					if w.find(l, "INBOX", 1) != "" || w.find(r, "INBOX", 1) != "" {
						t.Error("mail is doubled")
					}
				})
			})
		}
	}
}

// TestDeletionBesideUnchanged deletes in the one mailbox that is asked for, or beside one that failed; where the store proves that the others did not change, that is done at once.
func TestDeletionBesideUnchanged(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.populated()
		w.remove(l, "INBOX", 1)
		rep, err := w.trySync(Request{Mailbox: inbox})
		w.must(err)
		proves := !strings.Contains(t.Name(), "plain-mirrored") // a server without CONDSTORE proves nothing
		if gone := w.find(r, "INBOX", 1) == ""; proves && !gone {
			t.Errorf("the deletion waits for nothing: %+v", rep)
		} else if !gone && len(rep.Problems) == 0 {
			t.Error("the deletion waits, and nothing is said")
		}
		w.settled()
		if w.find(r, "INBOX", 1) != "" {
			t.Error("the deletion is lost")
		}
	})
}

func TestRefusedMoveMakesNoCopy(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.populated()
		w.move(l, "INBOX", 1, "Archive")
		heal := w.with(r, flawed{noMove: "INBOX"})
		for range 2 {
			rep, err := w.trySync(Request{})
			w.must(err)
			if rep.Errors == 0 || w.times(l) != 1 || w.times(r) != 1 {
				t.Fatalf("the mail is there %d and %d times: %+v", w.times(l), w.times(r), rep)
			}
		}
		heal()
		w.flag(r, "INBOX", 1, `\Flagged`)
		w.settled()
		w.has("Archive", 90, 1)
		w.flags("Archive", 1, `\Flagged`)
	})
}

// TestRefusedMoveToWinner refuses, once, to move a message that was moved to two places from the loser's to the winner's.
func TestRefusedMoveToWinner(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.populated()
		w.move(merge.Left, "INBOX", 1, "Archive")
		w.move(merge.Right, "INBOX", 1, "Other")
		heal := w.with(merge.Right, flawed{noMove: "Other"})
		for range 2 {
			rep, err := w.trySync(Request{})
			w.must(err)
			if rep.Errors == 0 || w.times(l) != 1 || w.times(r) != 1 {
				t.Fatalf("the mail is there %d and %d times: %+v", w.times(l), w.times(r), rep)
			}
		}
		heal()
		w.settled()
		w.has("Other")
		w.has("Archive", 90, 1)
	})
}

// TestRefusedRemovalOfMoved refuses, once, to remove a message where its owner moved it, after it was removed on the other side.
func TestRefusedRemovalOfMoved(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.populated()
		w.move(l, "INBOX", 1, "Archive")
		w.remove(r, "INBOX", 1)
		heal := w.with(l, flawed{keeps: "Archive"})
		for range 2 {
			rep, err := w.trySync(Request{})
			w.must(err)
			if rep.Errors == 0 || w.times(l) != 1 || w.times(r) != 0 {
				t.Fatalf("the mail is there %d and %d times: %+v", w.times(l), w.times(r), rep)
			}
			if len(rep.Problems) > 1 {
				t.Errorf("it was tried again and again: %+v", rep.Problems)
			}
		}
		heal()
		w.settled()
		w.has("Archive", 90)
	})
}

// TestDoubtMovedOnUnseen loses the answer to an append; what arrived is moved on by its user to a mailbox that the next sync does not see.
func TestDoubtMovedOnUnseen(t *testing.T) {
	for name, opts := range characters {
		for _, src := range merge.Sides {
			dst := src.Other()
			if opts[dst].Reserves {
				continue
			}
			for _, how := range []string{"not asked for", "failed"} {
				t.Run(name+" "+how, func(t *testing.T) {
					w := lateAppend(t, opts, src)
					w.srv[dst].CompleteLate()
					w.move(dst, "INBOX", 1, "Other")
					var req Request
					heal := func() {}
					if how == "failed" {
						heal = w.with(dst, flawed{blind: "Other"})
					} else {
						req.Mailbox = inbox
					}
					rep, err := w.trySync(req)
					w.must(err)
					if w.times(dst) != 1 || len(rep.Problems) == 0 {
						t.Errorf("the mail is there %d times: %+v", w.times(dst), rep)
					}
					heal()
					w.settled()
					w.has("INBOX", 0)
					w.has("Other", 1)
				})
			}
		}
	}
}
