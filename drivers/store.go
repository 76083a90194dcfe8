package drivers

import (
	"context"
	"time"

	"driftless/merge"
)

// Cursor is a driver's opaque note of how far a mailbox has been observed. An empty cursor means "never". Cursors are
// written to logs: a driver versions its format and treats one that it cannot read as empty.
type Cursor string

// Mark is a driver's opaque note of where a mailbox stood before an append, so that an append whose fate is unknown
// can be looked for among what arrived since. It is written to logs.
type Mark string

// Store is an open mail store: one side of an account.
type Store interface {
	// Info describes the store for people: what it is, what it offers and which of that is used.
	Info() Info

	// Identity returns what tells this store from another one at the same place: a local store's marker, for IMAP the UIDVALIDITY of INBOX.
	// It never changes for one store. It is empty when the store cannot tell (yet).
	Identity(ctx context.Context) (string, error)

	// List returns all mailboxes, by name in no particular order. seen has the cursor of each mailbox as it was committed; a driver sets
	// Unchanged where it can prove, cheaply, that Changes with that cursor would yield nothing. A listing that is incomplete is an error.
	List(ctx context.Context, seen map[string]Cursor) ([]MailboxInfo, error)

	// Create makes a mailbox, parents included, and subscribes to it where that exists. It succeeds when the mailbox exists already.
	Create(ctx context.Context, name string) error

	// Rename renames a mailbox; its messages keep their order. It fails when the destination exists.
	Rename(ctx context.Context, from, to string) error

	// Delete removes an empty or non-empty mailbox with what is in it, but not its children.
	Delete(ctx context.Context, name string) error

	// Open returns a handle on a mailbox. ErrNoMailbox if it does not exist. The handle must be closed.
	Open(ctx context.Context, name string) (Mailbox, error)

	// Stats returns counts since the store was opened.
	Stats() Stats

	// Close releases everything. Handles must have been closed.
	Close() error
}

// Info describes a store for people.
type Info struct {
	Kind       string   // "imap", "maildir", "memory"
	Address    string   // host and port, or path; no secret
	Server     string   // what the server calls itself, if it does
	Offered    []string // extensions as advertised
	Used       []string // those that are used
	Notes      []string // what a person should know, such as "no UIDPLUS: expunge only when ..."
	Namespace  string   // personal namespace prefix
	Delimiter  string
	MaxMessage int64 // largest message the store accepts, bytes; 0 = unknown
}

// Stats are counts since a store was opened. Round trips are waits for a server, bytes are those on the wire; a local store has neither.
type Stats struct {
	RoundTrips, BytesIn, BytesOut int64
}

// MailboxInfo is one line of a listing.
type MailboxInfo struct {
	Name       string
	NoSelect   bool   // a mere parent; it holds no messages
	SpecialUse string // `\Sent` and so on (RFC 6154), "" if none
	Subscribed bool
	Messages   int  // -1 when not told by the listing
	Unchanged  bool // proven: nothing changed since the cursor given to List
}

// Status is what opening a mailbox tells.
type Status struct {
	Messages    int
	ReadOnly    bool
	NewKeywords bool        // keywords that the mailbox does not have yet can be created
	Keywords    merge.Flags // flags that can be stored for good, when NewKeywords is false
	Reserves    bool        // Reserve gives ids, so that a lost append can be looked for by name
}

// Entry is one message of an observation.
type Entry struct {
	ID         merge.ID
	Gone       bool        // it was there at the cursor and is verifiably not there now
	FlagsKnown bool        // false: it is present, and its flags are those at the cursor
	Flags      merge.Flags // without \Recent
	Size       int64       // in wire form; -1 unknown
	Date       time.Time   // INTERNALDATE; zero unknown
}

// Scope says how much an observation must cover.
type Scope uint8

const (
	// Delta asks for what changed since the cursor. A driver that cannot tell lists everything and says so.
	Delta Scope = iota
	// Present asks for every message that is there; flags only where they may have changed since the cursor. It finds lost expunges.
	Present
	// Full asks for every message with its flags, trusting nothing but the store.
	Full
)

// Observed is the end of an observation.
type Observed struct {
	// All: every message that is there was yielded; what was not is gone. In the scopes Present and Full it is false only if the store could not verify what is
	// missing, because others changed the mailbox all the time: what was yielded is true, nothing may be concluded about what was not, and Cursor never
	// proves Unchanged, so that a later Changes finds what is gone. Count is then the number of messages yielded.
	All    bool
	Reset  bool   // ids from before the cursor mean nothing any more (UIDVALIDITY changed, or the store went back in time); implies All
	Cursor Cursor // covers everything yielded
	// Origin is a cursor of the same epoch that covers nothing: Changes since it yields every message, and Reset once the epoch is over. It is told with
	// All; it is empty where ids have no epoch. It is what to commit before the first effect in a mailbox.
	Origin Cursor
	Count  int // messages in the mailbox, as the store counts at that moment
	// Given, if not nil, reports whether the store can have given an id by that moment (IMAP: a UID under UIDNEXT). One that it cannot have given, but did, shows that it went back in time.
	Given func(merge.ID) bool
}

// Mailbox is a handle on one mailbox of a store.
type Mailbox interface {
	Name() string
	Status() Status

	// Changes yields what is different since the cursor, each message once, in UID or listing order. Yielding stops at the first error of yield, which is returned.
	Changes(ctx context.Context, since Cursor, scope Scope, yield func(Entry) error) (Observed, error)

	// Describe yields size, date and identity of messages without transferring bodies where the store can. What is gone is not yielded.
	Describe(ctx context.Context, ids []merge.ID, yield func(Description) error) error

	// Look yields the present state of just these messages, Gone included: each id is yielded once. Gone is as reliable as in Changes. An id of which the store
	// cannot verify now whether it is there, because others change the mailbox all the time, is not yielded: the caller concludes nothing.
	Look(ctx context.Context, ids []merge.ID, yield func(Entry) error) error

	// Fetch yields the messages with their content, in any order. One that is gone or not found now is not yielded; one that cannot be read is yielded with Err. The callee
	// keeps at most a small bounded number of contents open; yield owns what it is given and must Close it, later if it likes.
	Fetch(ctx context.Context, ids []merge.ID, yield func(Fetched) error) error

	// Mark returns where the mailbox stands, for Since.
	Mark(ctx context.Context) (Mark, error)

	// Since yields the messages that may have arrived since the mark. When the mark's epoch is over it yields every message.
	Since(ctx context.Context, mark Mark, yield func(Description) error) error

	// Reserve returns an id that no message has or will have unless an Append names it, or "" when the store assigns ids itself.
	Reserve() merge.ID

	// Append stores messages. The answer has one result per message, in order; the error is for what concerned all of them (the results that are
	// done stay done). A message whose Reserved id already exists is reported as done.
	Append(ctx context.Context, msgs []Append) ([]Appended, error)

	// SetFlags changes flags. One result per change, in order.
	SetFlags(ctx context.Context, changes []FlagChange) ([]FlagResult, error)

	// Expunge removes messages for good. One result per id; one that is already gone is done.
	Expunge(ctx context.Context, removals []Removal) ([]error, error)

	// Move moves messages to another mailbox of the store. One result per id, in order.
	Move(ctx context.Context, ids []merge.ID, to string) ([]Moved, error)

	// Close releases the handle.
	Close() error
}

// Description is a message without its body.
type Description struct {
	ID       merge.ID
	Identity merge.Identity
	Flags    merge.Flags
	Size     int64 // in wire form
	Date     time.Time
}

// Fetched is a message with its content.
type Fetched struct {
	ID      merge.ID
	Flags   merge.Flags
	Date    time.Time
	Content Content // nil with Err
	Err     error   // scope message
}

// Append is a message to store.
type Append struct {
	Reserved merge.ID // from Reserve, or ""
	Flags    merge.Flags
	Date     time.Time // zero: now
	Content  Content   // stays the caller's
}

// Appended is what became of an Append.
type Appended struct {
	ID    merge.ID    // "" when the store did not tell; the message is there all the same if Err is nil
	Flags merge.Flags // as stored, \Recent left out
	Err   error       // nil: durable. ErrUnknown: its fate is unknown. Otherwise it was not stored
}

// FlagChange adds and removes flags of one message.
type FlagChange struct {
	ID          merge.ID
	Add, Remove merge.Flags
}

// FlagResult is what became of a FlagChange.
type FlagResult struct {
	Flags merge.Flags // the message's flags afterwards
	Err   error       // ErrGone if the message is not there
}

// Removal names a message to expunge and the flags it was last seen with: a message whose flags changed since is not removed but reported with
// ErrChanged, where the store can tell.
type Removal struct {
	ID   merge.ID
	Seen merge.Flags
}

// Moved is what became of a message that was to be moved.
type Moved struct {
	ID  merge.ID // in the destination; "" when the store did not tell
	Err error    // ErrGone, ErrUnknown, ...
}
