package engine

import (
	"strings"
	"testing"

	"driftless/merge"
)

// A Maildir that mbsync made has the wire's names. Beside the server's real ones they would double everything.
func TestNamesOfTheWire(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.put(l, "Entw&APw-rfe", 1)
		w.put(r, "Entwürfe", 1)
		w.put(l, "R&D", 2)
		rep, err := w.trySync(Request{})
		if err != nil || rep.Errors != 1 || rep.Copied != want(l, 0, r, 1) || !strings.Contains(rep.Problems[0].Text, "UTF-7") {
			t.Fatalf("%v %+v", err, rep)
		}
		for _, side := range merge.Sides {
			if n := len(w.srv[side].Snapshot()); n != 3 {
				t.Errorf("%d mailboxes on the %s", n, side)
			}
		}
	})
}
