package logstate

import "fmt"

// The kinds of record. The numbers are written to logs: never reuse one. 0 and 255 (frameLost) are taken by the frame layer.
const (
	kindRegister        frameKind = 1  // both: a mailbox gets its number
	kindStoreIdentity   frameKind = 2  // shared: the identity of a store
	kindCommit          frameKind = 3  // shared: a change of the state
	kindIntent          frameKind = 4  // side: a batch of effects is about to begin
	kindOutcome         frameKind = 5  // side: what became of it
	kindMark            frameKind = 6  // side: what the dropped front of the log had said
	kindEpoch           frameKind = 7  // side: a new epoch begins, because the log was lost or too old
	kindCheckpointBegin frameKind = 8  // shared
	kindCheckpointBoxes frameKind = 9  // shared: cursors and counts of mailboxes
	kindCheckpointPairs frameKind = 10 // shared: pairs of one mailbox
	kindCheckpointHalfs frameKind = 11 // shared: half-pairs of one mailbox
	kindCheckpointEnd   frameKind = 12 // shared: only now does the checkpoint count
)

var kindNames = map[frameKind]string{
	kindRegister:        "register",
	kindStoreIdentity:   "store-identity",
	kindCommit:          "commit",
	kindIntent:          "intent",
	kindOutcome:         "outcome",
	kindMark:            "mark",
	kindEpoch:           "epoch",
	kindCheckpointBegin: "checkpoint-begin",
	kindCheckpointBoxes: "checkpoint-mailboxes",
	kindCheckpointPairs: "checkpoint-pairs",
	kindCheckpointHalfs: "checkpoint-halves",
	kindCheckpointEnd:   "checkpoint-end",
	frameLost:           "lost",
}

// kindName returns the name of a kind of record as output shows it.
func kindName(k frameKind) string {
	if n, ok := kindNames[k]; ok {
		return n
	}
	return fmt.Sprintf("kind-%d", k)
}
