package engine

import (
	"strings"
	"testing"

	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
)

// knownHistories are histories that went wrong once, as short as they could be made.
var knownHistories = []struct {
	name     string
	kinds    []string
	chapters [][]step
}{
	{
		// The half-pair forgot which flags the append had been given: what arrived with them seemed to have been flagged by somebody.
		"the source of an append in doubt is unflagged before it arrives", []string{"maildir-qresync", "maildir-plain", "imap-imap"},
		[][]step{{
			{what: "deed", deed: userAct{what: "deliver", side: merge.Left, letter: 0, box: "A", flags: `\Flagged work`}},
			{what: "cut", side: merge.Right, fate: memory.Late},
			{what: "deed", deed: userAct{what: "flag", side: merge.Left, flags: `\Flagged`}},
			{what: "sync", fault: drivertest.DieBefore, at: point{merge.Right, "Changes", 2}},
			{what: "sync"},
		}},
	},
	{
		// What came back under a name that the server had not told was taken for the new name of an equal message, which had been moved during the listing.
		"an equal message is moved during a sync that brings another one", []string{"maildir-plain"},
		[][]step{
			{{what: "deed", deed: userAct{what: "deliver", side: merge.Left, letter: 6, box: "A"}}},
			{
				{what: "deed", deed: userAct{what: "deliver", side: merge.Left, letter: 6, box: "A"}},
				{what: "sync", mid: []interruption{{point{merge.Right, "Changes", 2}, userAct{what: "move", side: merge.Right, box: "INBOX"}}}},
			},
		},
	},
	{
		"moved on one side, removed on the other, after a sync that failed", []string{"mirrored-maildir-condstore", "mirrored-maildir-qresync", "mirrored-maildir-plain", "imap-imap", "maildir-maildir"},
		[][]step{
			{{what: "deed", deed: userAct{what: "deliver", side: merge.Left, letter: 1, box: "A"}}},
			{
				{what: "deed", deed: userAct{what: "deliver", side: merge.Right, letter: 0, box: "INBOX"}},
				{what: "deed", deed: userAct{what: "move", side: merge.Left, box: "B"}},
				{what: "sync", fault: drivertest.FailBefore, at: point{merge.Left, "", 19}, mid: []interruption{{point{merge.Left, "", 1}, userAct{what: "delete", side: merge.Right}}}},
			},
		},
	},
	{
		// Without a cursor nothing told that the ids were of another epoch, and the deletions that they seemed to be failed for ever.
		"new ids while the shared log is lost", []string{"imap-imap", "mirrored-maildir-qresync", "mirrored-maildir-plain"},
		[][]step{
			{
				{what: "deed", deed: userAct{what: "deliver", side: merge.Left, letter: 1, box: "A"}},
				{what: "deed", deed: userAct{what: "deliver", side: merge.Right, letter: 2, box: "A"}},
			},
			{
				{what: "lose", logs: [3]bool{false, false, true}},
				{what: "deed", deed: userAct{what: "delete", side: merge.Left}},
				{what: "bump", side: merge.Left, box: "A"},
			},
		},
	},
	{
		// An old batch was played into a newer state. What it put there and what it took away were as many, and the cursors said that nothing had changed.
		"side logs of an older time than the shared log", []string{"maildir-maildir", "maildir-qresync", "imap-imap"},
		[][]step{
			{{what: "deed", deed: userAct{what: "deliver", side: merge.Right, letter: 2, box: "INBOX"}}},
			{{what: "deed", deed: userAct{what: "deliver", side: merge.Right, letter: 2, box: "INBOX"}}},
			{
				{what: "save"},
				{what: "deed", deed: userAct{what: "delete", side: merge.Right}},
				{what: "lose", logs: [3]bool{false, true, true}},
				{what: "deed", deed: userAct{what: "deliver", side: merge.Right, letter: 0, box: "INBOX"}},
			},
			{{what: "deed", deed: userAct{what: "deliver", side: merge.Left, letter: 7, box: "INBOX"}}},
			{{what: "revert", logs: [3]bool{true, true, false}}},
		},
	},
}

// TestKnownHistories plays what once went wrong.
func TestKnownHistories(t *testing.T) {
	dir := scratch(t)
	for _, h := range knownHistories {
		for _, name := range h.kinds {
			t.Run(h.name+"/"+name, func(t *testing.T) {
				if m, err := playIn(dir, kinds()[name], &machineStats{}, h.chapters); err != nil {
					t.Errorf("%v\nhistory:\n  %s", err, strings.Join(m.trace, "\n  "))
				}
			})
		}
	}
}
