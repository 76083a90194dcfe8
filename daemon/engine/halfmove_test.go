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

// onHalfMoves plays on servers on which a move was cut off between its halves: the copy is in the destination, the original is still there, perhaps marked as deleted.
func onHalfMoves(t *testing.T, after func(w *world)) {
	for _, name := range []string{"maildir-plain", "maildir-condstore", "maildir-qresync", "imap-imap"} {
		for _, marked := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, characters[name])
				for n := range 4 {
					w.put(merge.Left, "Box", n)
					w.put(merge.Left, "INBOX", 10+n)
				}
				w.settled()
				w.move(merge.Left, "Box", 1, "INBOX")
				w.dieAt(merge.Right, "right Move Box 1.1", drivertest.DieBefore)
				w.put(merge.Right, "INBOX", 1)
				if marked {
					w.flag(merge.Right, "Box", 1, `\Deleted`)
				}
				after(w)
			})
		}
	}
}

// TestHalfMove: the other half is done. The message is where it was moved to, once, and nobody's flag.
func TestHalfMove(t *testing.T) {
	onHalfMoves(t, func(w *world) {
		w.sync()
		w.has("Box", 0, 2, 3)
		w.has("INBOX", 1, 10, 11, 12, 13)
		w.flags("INBOX", 1)
		w.idle()
	})
}

// TestHalfMoveThenDeleted: its owner deleted the message meanwhile. The copy was taken for new mail and brought it back.
func TestHalfMoveThenDeleted(t *testing.T) {
	onHalfMoves(t, func(w *world) {
		w.remove(merge.Left, "INBOX", 1)
		w.sync()
		w.has("Box", 0, 2, 3)
		w.has("INBOX", 10, 11, 12, 13)
		w.idle()
	})
}

// TestHalfMoveFlagged: its owner changed flags of either half meanwhile. Those of the original went with it.
func TestHalfMoveFlagged(t *testing.T) {
	for _, half := range []string{"Box", "INBOX"} {
		for _, flags := range [][]string{{`\Seen`, `\Flagged`}, {`\Flagged`}, {}, {`\Seen`, "work"}} {
			for _, name := range []string{"maildir-plain", "maildir-condstore", "maildir-qresync", "imap-imap"} {
				t.Run(fmt.Sprintf("%s %q %s", half, flags, name), func(t *testing.T) {
					w := newWorld(t, characters[name])
					for n := range 4 {
						w.put(merge.Left, "Box", n, `\Seen`)
						w.put(merge.Left, "INBOX", 10+n)
					}
					w.settled()
					w.move(merge.Left, "Box", 1, "INBOX")
					w.dieAt(merge.Right, "right Move Box 1.1", drivertest.DieBefore)
					w.put(merge.Right, "INBOX", 1, `\Seen`)
					w.flag(merge.Right, half, 1, flags...)
					w.settled()
					w.has("Box", 0, 2, 3)
					w.has("INBOX", 1, 10, 11, 12, 13)
					w.flags("INBOX", 1, flags...)
				})
			}
		}
	}
}

// TestHalfMoveFlaggedRefused: the flags of the original cannot be carried over. Then it stays, with them, until they can.
func TestHalfMoveFlaggedRefused(t *testing.T) {
	w := newWorld(t, characters["maildir-plain"])
	w.put(merge.Left, "Box", 1)
	w.put(merge.Left, "INBOX", 10)
	w.settled()
	w.move(merge.Left, "Box", 1, "INBOX")
	w.dieAt(merge.Right, "right Move Box 1.1", drivertest.DieBefore)
	w.put(merge.Right, "INBOX", 1)
	w.flag(merge.Right, "Box", 1, `\Flagged`)
	off := w.wrap(merge.Right, func(s drivers.Store) drivers.Store { return flagless{s} })
	r, err := w.trySync(Request{})
	if err != nil || r.Errors != 2 || w.find(merge.Right, "Box", 1) == "" {
		t.Fatalf("both mailboxes have to wait, and the original to stay: %v, %+v", err, r.Problems)
	}
	off()
	w.settled()
	w.has("Box")
	w.has("INBOX", 1, 10)
	w.flags("INBOX", 1, `\Flagged`)
}

// flagless is a store that refuses to change flags.
type flagless struct{ drivers.Store }

func (s flagless) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	return flaglessBox{m}, err
}

type flaglessBox struct{ drivers.Mailbox }

func (b flaglessBox) SetFlags(_ context.Context, changes []drivers.FlagChange) ([]drivers.FlagResult, error) {
	out := make([]drivers.FlagResult, len(changes))
	for i := range out {
		out[i].Err = &drivers.Error{Op: "set flags in", Where: b.Name(), Reach: drivers.ReachMessage, Retry: drivers.RetryLater, Err: errors.New("NO [INUSE] try again")}
	}
	return out, nil
}

// TestHalfMoveOfTwins: what arrived may be somebody's own; nothing is removed that is not there twice.
func TestHalfMoveOfTwins(t *testing.T) {
	w := newWorld(t, characters["maildir-plain"])
	w.put(merge.Left, "Box", 1)
	w.put(merge.Left, "INBOX", 10)
	w.settled()
	w.move(merge.Left, "Box", 1, "INBOX")
	w.dieAt(merge.Right, "right Move Box 1.1", drivertest.DieBefore)
	w.put(merge.Right, "INBOX", 1)
	w.put(merge.Right, "INBOX", 1)
	w.sync()
	w.sync()
	w.has("Box")
	w.has("INBOX", 1, 1, 10)
	w.idle()
}

// halfMoves is a store whose moves stop between the copy and the removal, as where EXPUNGE would have taken others' messages along.
type halfMoves struct {
	drivers.Store
	copied func(ids []merge.ID, to string)
}

func (s halfMoves) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	return halfMoveBox{m, s}, err
}

type halfMoveBox struct {
	drivers.Mailbox
	s halfMoves
}

func (b halfMoveBox) Move(_ context.Context, ids []merge.ID, to string) ([]drivers.Moved, error) {
	b.s.copied(ids, to)
	out := make([]drivers.Moved, len(ids))
	for i := range out {
		out[i].Err = &drivers.Error{Op: "move from", Where: b.Name(), Reach: drivers.ReachMessage, Retry: drivers.RetryNow, Err: drivers.ErrUnknown}
	}
	return out, nil
}

// TestHalfMoveInALivingSync: the move stops halfway and the sync goes on with other mailboxes, while the owner of the message deletes it or leaves it. The copy was taken
// for new mail at once, before the next sync learned what it was.
func TestHalfMoveInALivingSync(t *testing.T) {
	for _, deleted := range []bool{false, true} {
		w := newWorld(t, characters["maildir-plain"])
		w.put(merge.Left, "Box", 1)
		w.put(merge.Left, "INBOX", 10)
		w.settled()
		w.move(merge.Left, "Box", 1, "INBOX")
		open, times := w.acc.Open[merge.Right], 0
		w.acc.Open[merge.Right] = func(ctx context.Context) (drivers.Store, error) {
			s, err := open(ctx)
			return halfMoves{s, func([]merge.ID, string) {
				times++
				w.put(merge.Right, "INBOX", 1)
				if deleted {
					w.remove(merge.Left, "INBOX", 1)
				}
			}}, err
		}
		r, err := w.trySync(Request{})
		w.acc.Open[merge.Right] = open
		if err != nil || r.Errors != 2 || times != 1 {
			t.Fatalf("both mailboxes have to wait after %d moves: %v %+v", times, err, r.Problems)
		}
		w.sync()
		w.has("Box")
		if deleted {
			w.has("INBOX", 10)
		} else {
			w.has("INBOX", 1, 10)
		}
		w.idle()
	}
}
