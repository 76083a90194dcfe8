package engine

import (
	"testing"

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
