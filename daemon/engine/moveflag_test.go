package engine

import (
	"testing"

	"driftless/merge"
)

func TestMoveAndFlagAtOnce(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 5 {
			w.put(l, "INBOX", n)
			w.put(l, "Box", 100+n)
		}
		w.settled()
		w.flag(l, "INBOX", 1, `\Seen`)
		w.move(l, "INBOX", 1, "Box")
		w.sync()
		w.sync()
		w.flags("Box", 1, `\Seen`)
	})
}

func TestMoveAndFlagOnBoth(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 5 {
			w.put(l, "INBOX", n, `\Answered`)
			w.put(l, "Box", 100+n)
		}
		w.settled()
		w.flag(l, "INBOX", 1, `\Seen`, `\Answered`)
		w.move(l, "INBOX", 1, "Box")
		w.flag(r, "INBOX", 1, `\Flagged`)
		w.sync()
		w.sync()
		w.flags("Box", 1, `\Seen`, `\Flagged`)
	})
}
