package merge

// Want says what a question asks for.
type Want uint8

// What can be asked about a message.
const (
	WantIdentity Want = iota + 1 // header fields and size; cheap
	WantContent                  // digest of the whole message
)

// Question asks the caller for something about a message that the rules need. It is answered by setting
// the Identity or Content of the Arrival, PairView or HalfView with this id and building the plan again. A message that
// has meanwhile gone is answered by removing it from the view (arrival) or marking it Gone.
// One that cannot be read is answered with Unreadable.
type Question struct {
	Mailbox string
	Side    Side
	ID      ID
	Want    Want
}

// Kind is what an action does. The numbers are written to logs: never reuse one.
type Kind uint8

// The kinds of action.
const (
	Copy     Kind = 1 // append a copy of the other side's message
	Move     Kind = 2 // move a message to another mailbox of its side
	SetFlags Kind = 3 // add and remove flags
	Delete   Kind = 4 // expunge a message
)

// String returns the verb that output shows.
func (k Kind) String() string {
	switch k {
	case Copy:
		return "copy"
	case Move:
		return "move"
	case SetFlags:
		return "flags"
	case Delete:
		return "delete"
	}
	return "unknown action"
}

// Action is one thing to do to one side's store: the target, the side in whose list it stands. The other
// side is the source, whose change causes it.
type Action struct {
	Kind Kind
	// Old is the pair as the state has it after the plan's commit (Move, SetFlags, Delete; zero for Copy). It has only the id of the target side for a
	// half-pair whose other half was found in another mailbox (Move), and for a message that one side moved and the other removed (Delete).
	Old Pair
	// New is the pair as it will be once the action is done, but for what only the target can tell: its id for the copied or
	// moved message (empty in New) and which flags it could hold. Both bases of a Copy are the flags to create it with. Of a Delete, the pair that
	// goes away in the mailbox To when it is done, if To is not empty.
	New Pair
	// Now is what the target shows before the action (Move, SetFlags, Delete).
	Now Flags
	// Add and Remove are the flags to change on the target (SetFlags; Move, when flags change with it). When done they are also
	// true of the source's base: the source has shown them already.
	Add, Remove Flags
	// To is the destination mailbox by its left name (Move). New.ID of the source side is the source's id there. Of a Delete it is the mailbox, by its left name,
	// from which the message had been moved before its other half was removed there.
	To string
	// Half is the half-pair that this action completes or retries; it goes away when the action is done.
	Half *Half
}

// Commit is a change of the state that needs no effect in a store. A message that was moved may be put in one mailbox and dropped in another: so the commits of all
// mailboxes are made durable as a whole. Where they are too many for that, Drop of all mailboxes comes before the rest of any, because a process may die in
// between: a message that is forgotten is paired again, one that is known twice might be taken for removed.
type Commit struct {
	Put      []Pair   // pairs to write: found by pairing, with new bases, or with a new id on one side; each replaces what has one of its ids
	Drop     []Pair   // pairs whose message is gone on both sides, or which Put has under other ids
	PutHalf  []Half   // half-pairs to write
	DropHalf []Half   // half-pairs that are completed or gone
	Orphan   []Orphan // pairs that become a half-pair: the other side's message stays, by policy
}

// Orphan replaces a pair by a half-pair.
type Orphan struct {
	Pair Pair
	Half Half
}

// Empty reports whether there is nothing to commit.
func (c Commit) Empty() bool {
	return len(c.Put)+len(c.Drop)+len(c.PutHalf)+len(c.DropHalf)+len(c.Orphan) == 0
}

// Conflict is a message that one side removed or moved while the other side changed it, with the facts that a person
// needs to decide.
type Conflict struct {
	Pair   Pair
	Now    [2]Look
	MoveTo [2]string // where a side moved it, "" if it did not
	// Resolution is what the policy made of it; Unresolved leaves both sides alone.
	Resolution Resolution
}

// Resolution is the outcome of a conflict.
type Resolution uint8

// The resolutions of a conflict.
const (
	Unresolved  Resolution = iota // asks a person, or fails the mailbox
	DeletedBoth                   // the deletion won
	CopiedBack                    // the surviving message was copied back
	LeftWon
	RightWon
)

// MailboxPlan is what to do in one mailbox.
type MailboxPlan struct {
	Name      string
	Commit    Commit      // to commit before anything is applied
	Actions   [2][]Action // what to do to each side, in the order copies, moves, flags, deletions
	Conflicts []Conflict
	Waiting   int    // half-pairs in doubt that wait for their grace time
	Unsettled int    // of these, the ones whose own message is gone or changed: the cursors must not pass what showed that
	Late      int    // messages about which nothing was decided because they were seen too late; look again
	Unseen    [2]int // messages about which nothing was decided because View.Blind is set for that side; the cursors must not pass what showed them
	Failed    bool   // conflict = "fail" and there is a conflict: apply nothing here
	// Awaits names the other mailboxes whose plans say what becomes of arrivals of this one (the other ends of moves), or of what is gone here. The cursors here
	// must not pass these before those plans are carried out.
	Awaits []string
}

// Empty reports whether nothing is to be done or committed in the mailbox.
func (p MailboxPlan) Empty() bool {
	return p.Commit.Empty() && len(p.Actions[0]) == 0 && len(p.Actions[1]) == 0
}

// Plan is what a cycle has to do, per mailbox, in the order of the view.
type Plan struct {
	Mailboxes []MailboxPlan
}

// ConflictPolicy says what happens to a message that is gone on one side and changed on the other.
type ConflictPolicy uint8

// The conflict policies, as in the configuration.
const (
	ConflictDelete ConflictPolicy = iota // it goes
	ConflictKeep                         // it is copied back
	ConflictLeft                         // the left side wins
	ConflictRight                        // the right side wins
	ConflictAsk                          // nothing happens until a person decides
	ConflictFail                         // the mailbox fails until then
)

// Direction says to which sides a kind of change is propagated: Direction[Left] is true when changes may be made to the left side.
type Direction [2]bool

// Both propagates to both sides.
var Both = Direction{true, true}

// Rules is the policy of an account, as far as the merge needs it.
type Rules struct {
	Conflict  ConflictPolicy
	New       Direction
	Flags     Direction
	Deletions Direction
}

// DefaultRules propagates everything; a deletion beats a flag change.
func DefaultRules() Rules {
	return Rules{Conflict: ConflictDelete, New: Both, Flags: Both, Deletions: Both}
}
