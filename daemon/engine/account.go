package engine

import (
	"context"
	"time"

	"go.uber.org/zap"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// Account is everything a cycle needs to know of a pair of stores.
type Account struct {
	Name    string
	Dir     string                                              // where its logs are
	Open    [2]func(ctx context.Context) (drivers.Store, error) // connects to a side; index by merge.Side
	Select  func(left string) bool                              // which mailboxes, by left name; nil = all
	Rename  map[string]string                                   // left name to right name, for those that differ
	Rules   merge.Rules                                         // policies
	Create  merge.Direction                                     // on which sides missing mailboxes are created
	Guard   Guard                                               // when deletions are held
	Workers int                                                 // mailboxes worked on at the same time; default 4
	Grace   time.Duration                                       // how long an append in doubt must stay absent before it is repeated; default 5 s
	Now     func() time.Time                                    // default time.Now
	Log     *zap.Logger                                         // default: no log
	Logs    logstate.Options
}

// Guard says when deletions are too many to be meant: more than Percent of the messages and more than AtLeast of them, or more than AtMost.
type Guard struct {
	Percent float64
	AtLeast int
	AtMost  int
}

// DefaultGuard is the guard of a configuration that says nothing.
func DefaultGuard() Guard { return Guard{Percent: 25, AtLeast: 20, AtMost: 5000} }

// Request says what to sync and how.
type Request struct {
	Mailbox func(left string) bool // only these, nil = all selected
	DryRun  bool                   // plan and report, write nothing anywhere
	Full    bool                   // trust no cursor: list both sides in full
}

// EventKind says what an Event tells.
type EventKind uint8

// The kinds of event.
const (
	EventStage    EventKind = iota + 1 // Text: what the cycle does now ("connecting", "listing", ...)
	EventTotal                         // Mailbox, Side, Messages, Bytes: so much more is to be copied to Side
	EventProgress                      // Mailbox, Side, Messages, Bytes: so much more was copied to Side
	EventAction                        // Mailbox, Side, Action, Text: one planned action (dry run)
	EventRepair                        // Text: a log was repaired
	EventWaiting                       // Text: waits for a lock or for an append in doubt
	EventProblem                       // Mailbox, Side, Text: also in Report.Problems
)

// Event is something that happens during a cycle, for progress displays. Events of one cycle are delivered one at a time.
type Event struct {
	Kind     EventKind
	Mailbox  string
	Side     merge.Side
	Action   string // "copy", "move", "flags", "delete", "create mailbox"
	Messages int
	Bytes    int64
	Text     string
}

// ProblemKind says what a Problem means for the exit code.
type ProblemKind uint8

// The kinds of problem.
const (
	ProblemError       ProblemKind = iota + 1 // the mailbox or account failed
	ProblemHeld                               // deletions are held
	ProblemConflict                           // a conflict waits for a person
	ProblemQuarantined                        // a message cannot be synced
	ProblemNote                               // worth knowing; changes no exit code
)

// Problem is something a person should know about.
type Problem struct {
	Kind    ProblemKind
	Mailbox string // "" = the whole account
	Side    merge.Side
	ID      merge.ID // the message, if it is about one
	Count   int
	Text    string // what, where and what to do; no mail content
}

// Report is the result of a cycle. Per-side counts say what was written to that side.
type Report struct {
	Account     string
	Mailboxes   int // selected mailboxes, looked at
	Copied      [2]int
	Flags       [2]int
	Deleted     [2]int
	Moved       [2]int
	Created     [2]int // mailboxes
	Held        int
	Conflicts   int
	Quarantined int
	Errors      int
	Duration    time.Duration
	RoundTrips  int64
	BytesIn     int64
	BytesOut    int64
	Problems    []Problem
	Repairs     []logstate.Repair
}

// Changed reports whether the cycle wrote to a store.
func (r Report) Changed() bool {
	for s := range 2 {
		if r.Copied[s]+r.Flags[s]+r.Deleted[s]+r.Moved[s]+r.Created[s] > 0 {
			return true
		}
	}
	return false
}
