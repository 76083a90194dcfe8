package engine

import (
	"bytes"
	"strings"
	"testing"

	"driftless/drivers/drivertest"
	"driftless/merge"
	"driftless/tests/torture"
)

// TestDeliveredOnBothSides delivers a mail on the one side and, at each moment of the sync that sees it, on the other, as two delivery paths do. With equal content it is one message, or, where our copy
// was already on its way, two; with another Received line it is two messages. Later syncs never make more of them.
func TestDeliveredOnBothSides(t *testing.T) {
	other := bytes.Replace(mail(concerned), []byte("Received: from"), []byte("Received: by"), 1)
	tried, paired, apart := 0, 0, 0
	for name := range characters {
		for _, mirrored := range []bool{false, true} {
			d := deeds[0]
			w, _, _ := momentWorld(t, name, mirrored, d)
			h := &hand{}
			away := w.hands(h)
			w.sync()
			away()
			moments := h.all()
			for i := range torture.Points(t, 2*len(moments), 25) {
				w, l, r := momentWorld(t, name, mirrored, d)
				differ := tried%2 == 1
				data := mail(concerned)
				if differ {
					data = other
				}
				h := &hand{at: moments[i/2], act: func() { w.srv[r].Deliver("INBOX", merge.Flags{}, drivertest.MessageDate(concerned), data) }}
				away := w.hands(h)
				w.sync()
				away()
				tried++
				for range 2 {
					w.sync()
				}
				w.equal()
				n := len(strings.Fields(w.copies(l, concerned)))
				total := len(w.srv[l].Snapshot()["INBOX"].Messages) - 1 // one is not concerned
				switch {
				case !h.acted:
					continue
				case differ && (n != 1 || total != 2):
					t.Errorf("%s at %q: other Received lines: %d and %d messages of both", name, h.at, n, total)
				case !differ && (n != total || n < 1 || n > 2):
					t.Errorf("%s at %q: equal content: %d messages", name, h.at, n)
				case !differ && n == 1:
					paired++
				case differ:
					apart++
				}
				w.idle()
			}
		}
	}
	t.Logf("%d moments tried, %d times one message was made of two of equal content, %d times two of two that differ", tried, paired, apart)
	if paired == 0 || apart == 0 {
		t.Error("two deliveries of equal content were never paired, or two that differ never tried")
	}
}
