package merge

// Pair is the two ids of one message and, for each side, the flags that side was last seen with. The two
// bases may differ, because a side may be unable to hold a keyword.
type Pair struct {
	ID       [2]ID
	Base     [2]Flags
	Identity Identity
	Content  Content
}

// Reason says why a message is known on one side only. The numbers are written to logs: never reuse one.
type Reason uint8

// The reasons of half-pairs.
const (
	InDoubt     Reason = 1 // an append to the other side was started and its fate is unknown
	Quarantined Reason = 2 // the other side refused the message or it cannot be read
	Held        Reason = 3 // its deletion waits for a person
	Policy      Reason = 4 // a direction switch or a conflict policy keeps it on this side
	Window      Reason = 5 // max_age or max_size leaves it out
)

// String returns the word that status and log show.
func (r Reason) String() string {
	switch r {
	case InDoubt:
		return "in doubt"
	case Quarantined:
		return "quarantined"
	case Held:
		return "held"
	case Policy:
		return "kept by policy"
	case Window:
		return "outside the window"
	}
	return "unknown reason"
}

// Half is a half-pair: a message known on one side only, with the reason.
type Half struct {
	Side     Side
	ID       ID
	Base     Flags
	Reason   Reason
	Identity Identity
	Content  Content
	Mark     string // InDoubt: where the other side stood before the append (a driver's mark)
	Reserved ID     // InDoubt: the id that the append had reserved on the other side, if it could
	Moved    bool   // InDoubt: the message has been moved to this mailbox since its append to another one began
	Since    int64  // Unix milliseconds of the first time it became one
	Retry    int64  // Unix milliseconds from which it may be copied again; 0 = never by itself
	Tries    int    // how often a copy was tried
	Note     string // what a person should know: the server's refusal, for instance; no mail content
	Hold     uint64 // Held: number of the hold
}

// sent reports whether an append of the message was begun, so that it may turn up on the other side by itself.
func (h *Half) sent() bool { return h.Reason == InDoubt && (h.Mark != "" || h.Reserved != "") }
