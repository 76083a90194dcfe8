package engine

import (
	"testing"

	"driftless/drivers/memory"
)

// A first sync is interrupted, and the server is restored from a backup from before it: no cursor tells that it went back in time. Its owner deleted nothing.
func TestRestoredAfterAnInterruptedSync(t *testing.T) {
	for name, opts := range characters {
		if opts[1].Reserves {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, opts)
			w.put(0, "INBOX", 1)
			w.put(0, "INBOX", 2)
			w.put(0, "INBOX", 3)
			backup := w.srv[1].Backup()
			w.srv[1].CutAppend(2, memory.Lost)
			if _, err := w.trySync(Request{}); err == nil {
				t.Fatal("the connection died: the sync must fail")
			}
			w.srv[1].Restore(backup)
			w.settled()
			w.has("INBOX", 1, 2, 3)
		})
	}
}
