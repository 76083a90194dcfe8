package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/merge"
)

// unreadableStore is a store that does not give out message 1 in one mailbox, perhaps not even its header.
type unreadableStore struct {
	drivers.Store
	mailbox string
	retry   drivers.Retry
	headers bool
}

func (s unreadableStore) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	if err == nil && name == s.mailbox {
		return unreadableBox{m, s}, nil
	}
	return m, err
}

type unreadableBox struct {
	drivers.Mailbox
	s unreadableStore
}

func (b unreadableBox) Fetch(ctx context.Context, ids []merge.ID, yield func(drivers.Fetched) error) error {
	want, _, err := digest(drivers.Bytes(mail(1)))
	if err != nil {
		return err
	}
	return b.Mailbox.Fetch(ctx, ids, func(f drivers.Fetched) error {
		if f.Content != nil {
			id, _, err := digest(f.Content)
			if err != nil {
				return err
			}
			if id == want {
				err = f.Content.Close()
				f.Content = nil
				f.Err = &drivers.Error{Op: "fetch", Where: b.s.mailbox, Reach: drivers.ReachMessage, Retry: b.s.retry, Err: errors.Join(errors.New("NO [SERVERBUG] corrupt"), err)}
			}
		}
		return yield(f)
	})
}

func (b unreadableBox) Describe(ctx context.Context, ids []merge.ID, yield func(drivers.Description) error) error {
	want, _, err := digest(drivers.Bytes(mail(1)))
	if err != nil {
		return err
	}
	return b.Mailbox.Describe(ctx, ids, func(d drivers.Description) error {
		if !b.s.headers && d.Identity == want {
			d.Identity = merge.Identity{Size: d.Identity.Size}
		}
		return yield(d)
	})
}

// wrap puts something between the cycle and the store of a side until it is taken off again.
func (w *world) wrap(side merge.Side, with func(drivers.Store) drivers.Store) (off func()) {
	open := w.acc.Open[side]
	w.acc.Open[side] = func(ctx context.Context) (drivers.Store, error) {
		s, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return with(s), nil
	}
	return func() { w.acc.Open[side] = open }
}

// threeBoxes is a world of three mailboxes with message 1 in INBOX, among others.
func (w *world) threeBoxes() {
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

// TestUnreadableMoved: a message cannot be read any more where its owner moved it. However often that is synced, and whatever fails beside it, the good copy on the other side stays;
// what else is deleted where ids tell the two apart is not held up.
func TestUnreadableMoved(t *testing.T) {
	for _, retry := range []drivers.Retry{drivers.RetryNever, drivers.RetryLater} {
		for _, headers := range []bool{true, false} {
			t.Run(fmt.Sprintf("retry %d, headers %v", retry, headers), func(t *testing.T) {
				onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
					w.threeBoxes()
					w.move(r, "INBOX", 1, "Archive")
					heal := w.wrap(r, func(s drivers.Store) drivers.Store { return unreadableStore{s, "Archive", retry, headers} })
					lost := func() bool { return w.find(l, "INBOX", 1) == "" && w.find(l, "Archive", 1) == "" } // a unique header may say that it was moved
					for i := range 4 {
						if i == 2 {
							w.put(r, "INBOX", 200) // so that more than one round is made
							w.put(l, "INBOX", 201)
						}
						if _, err := w.trySync(Request{}); err != nil {
							t.Fatal(err)
						}
						if lost() {
							t.Fatalf("sync %d deleted the good copy", i)
						}
					}
					if retry == drivers.RetryNever { // else nothing of it was recorded
						off := w.wrap(r, func(s drivers.Store) drivers.Store { return shutStore{s, "Archive"} })
						if _, err := w.trySync(Request{}); err != nil || lost() {
							t.Fatalf("with Archive shut: %v, or the good copy was deleted", err)
						}
						off()
					}
					heal()
					w.remove(r, "Archive", 1)
					w.sync() // the first one learns that nothing unreadable is left
					w.sync()
					if !lost() {
						t.Error("what its owner deleted is still held")
					}
				})
			})
		}
	}
}

// shutStore is a store one mailbox of which cannot be opened.
type shutStore struct {
	drivers.Store
	mailbox string
}

func (s shutStore) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	if name == s.mailbox {
		return nil, &drivers.Error{Op: "open", Where: name, Reach: drivers.ReachMailbox, Retry: drivers.RetryNever, Err: errors.New("NO [NOPERM] permission denied")}
	}
	return s.Store.Open(ctx, name)
}

// TestShutMailboxWithOpenQuestion: what became of an effect in a mailbox is not known, and the mailbox cannot be opened any more. It alone fails, until it can.
func TestShutMailboxWithOpenQuestion(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.threeBoxes()
		w.flag(l, "Archive", 90, `\Flagged`)
		w.dieAt(r, r.String()+" SetFlags Archive 1.1", drivertest.UnknownBefore)
		open := w.wrap(r, func(s drivers.Store) drivers.Store { return shutStore{s, "Archive"} })
		for i := range 2 {
			w.put(l, "INBOX", 55+i)
			rep, err := w.trySync(Request{})
			if err != nil || rep.Errors != 1 {
				t.Fatalf("sync %d: one mailbox has to fail, and nothing else: %v, %+v", i, err, rep.Problems)
			}
			if w.find(r, "INBOX", 55+i) == "" {
				t.Fatalf("sync %d: one mailbox that cannot be opened stops the account", i)
			}
		}
		open()
		w.settled()
		w.flags("Archive", 90, `\Flagged`)
	})
}

// TestUnreadableTwinOnce: the same message, without an id of its own, arrives on both sides, and one of the two cannot be read when they are compared. That they differ must not
// be concluded from that.
func TestUnreadableTwinOnce(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.threeBoxes()
		twin := drivertest.Message(1, drivertest.MessageOptions{NoMessageID: true})
		for _, s := range merge.Sides {
			w.srv[s].Deliver("INBOX", merge.Flags{}, drivertest.MessageDate(1), twin)
		}
		plan := &drivertest.Plan{AtName: "Fetch INBOX 1", Fault: drivertest.MailFailBefore}
		off := w.wrap(r, func(s drivers.Store) drivers.Store { return drivertest.Faulty(s, plan) })
		rep, err := w.trySync(Request{})
		if err != nil || rep.Errors != 1 || rep.Copied != [2]int{} || plan.Hit() == "" {
			t.Errorf("the two have to wait: %v, %+v; hit %q", err, rep, plan.Hit())
		}
		off()
		w.settled()
		if n := len(w.srv[l].Snapshot()["INBOX"].Messages); n != 32 {
			t.Errorf("%d messages, want 32", n)
		}
	})
}

// TestMoveWithOneEndShut: one end of a move cannot be looked at once, while its message was flagged on the other side.
func TestMoveWithOneEndShut(t *testing.T) {
	t.Skip("not kept yet: arrivals do not wait for a mailbox that failed, from which they may come, so that the flags that the other side changed stay behind with the original")
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.threeBoxes()
		w.move(l, "INBOX", 1, "Archive")
		w.flag(r, "INBOX", 1, `\Flagged`)
		off := w.wrap(l, func(s drivers.Store) drivers.Store { return shutStore{s, "INBOX"} })
		if rep, err := w.trySync(Request{}); err != nil || rep.Errors == 0 {
			t.Fatalf("a mailbox has to fail: %v, %+v", err, rep)
		}
		off()
		w.settled()
		w.flags("Archive", 1, `\Flagged`)
	})
}
