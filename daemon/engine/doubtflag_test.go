package engine

import (
	"testing"

	"driftless/drivers/memory"
	"driftless/merge"
)

// An append's answer is lost, the message was stored with its flags. Its reader changes them before the next sync.
func TestFlagOfAnAppendInDoubtFlipsBack(t *testing.T) {
	w := newWorld(t, [2]memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}})
	w.put(merge.Left, "INBOX", 1, `\Seen`)
	w.srv[1].CutAppend(0, memory.Stored)
	if _, err := w.trySync(Request{}); err == nil {
		t.Fatal("must fail")
	}
	w.flag(merge.Right, "INBOX", 1) // marked as unread
	w.sync()
	w.flags("INBOX", 1)
}
