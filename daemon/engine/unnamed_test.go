package engine

import (
	"testing"

	"driftless/merge"
)

// TestMovedBackUnnamed: a server that tells no ids (no UIDPLUS); while a message is moved there, its owner moves it back. The state still had it where it was, so our own move was taken for
// somebody's on the server, and the owner's was undone.
func TestMovedBackUnnamed(t *testing.T) {
	for _, at := range []string{"right Move Box 1 before", "right Move Box 1 after", "right Since INBOX 1 before", "right Since INBOX 1 after"} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t, characters["maildir-plain"])
			w.put(merge.Left, "INBOX", 0)
			w.put(merge.Left, "Box", 1)
			w.put(merge.Left, "Box", 2)
			w.settled()
			w.move(merge.Left, "Box", 2, "INBOX")
			h := &hand{at: at, act: func() { w.move(merge.Left, "INBOX", 2, "Box") }}
			away := w.hands(h)
			w.sync()
			away()
			if !h.acted {
				t.Fatalf("this moment did not come; there were %q", h.all())
			}
			w.has("INBOX", 0)
			w.has("Box", 1, 2)
			w.idle()
		})
	}
}

// TestCopyRenumberedBeforeItWasFound: the copy got no id, and while it is asked about, somebody on the server puts another one in its place, as some mail programs do to change a message. The arrival
// had vanished, and the copy was made again.
func TestCopyRenumberedBeforeItWasFound(t *testing.T) {
	w, _, _ := momentWorld(t, "maildir-plain", false, deeds[0])
	w.acc.Grace = 1 // an append in doubt is due at once
	h := &hand{at: "right Describe INBOX 1 before", act: func() {
		id := w.find(merge.Right, "INBOX", concerned)
		w.put(merge.Right, "INBOX", concerned, `\Seen`)
		w.must(w.srv[merge.Right].Remove("INBOX", id))
	}}
	away := w.hands(h)
	w.sync()
	away()
	if !h.acted {
		t.Fatalf("this moment did not come; there were %q", h.all())
	}
	w.settled()
	for _, side := range merge.Sides {
		if got := w.copies(side, concerned); got != "INBOX[S]" {
			t.Errorf("on the %s it is %s", side, got)
		}
	}
}

// TestCopyMovedWhileLookedAtAgain: the copy got no id and was seen; before an append in doubt is repeated all mailboxes are looked at again, and somebody moves it then to one where that has been done. It was
// copied again.
func TestCopyMovedWhileLookedAtAgain(t *testing.T) {
	w, _, _ := momentWorld(t, "maildir-plain", false, deeds[0])
	w.acc.Grace = 1 // an append in doubt is due at once
	w.acc.Workers = 1
	h := &hand{at: "right Changes INBOX 3 before", act: func() { w.move(merge.Right, "INBOX", concerned, "A") }}
	away := w.hands(h)
	w.sync()
	away()
	if !h.acted {
		t.Fatalf("this moment did not come; there were %q", h.all())
	}
	w.settled()
	for _, side := range merge.Sides {
		if got := w.copies(side, concerned); got != "A[S]" {
			t.Errorf("on the %s it is %s", side, got)
		}
	}
}
