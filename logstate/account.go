package logstate

import (
	"context"
	"time"

	"driftless/merge"
)

// Options tune an account's logs. The zero value is right for use.
type Options struct {
	SegmentSize    int                                  // bytes of a log segment; default 2 MiB
	CheckpointSize int64                                // bytes of shared log after the last checkpoint that make a new one due; default 8 MiB
	NoWait         bool                                 // fail at once when another process holds the lock
	Wait           time.Duration                        // how long to wait for the lock; default 30 s
	Waiting        func(holder string, since time.Time) // called once when the lock is busy
	Now            func() time.Time                     // default time.Now
}

// Account is the logs and the state of one account, opened for writing under the account's lock.
type Account struct{}

// Batch is an intent that is in the side log.
type Batch struct {
	Intent Intent
	Seq    uint64 // sequence in the mailbox, in the log of Intent.Target's other side
	Epoch  uint32
}

// Repair tells what was found damaged and what was done.
type Repair struct {
	Log     string // "left", "right" or "shared"
	Segment string // file name
	Offset  int64
	Index   uint64
	What    string // in words for a person
	Kept    string // the file that holds what was set aside, "" if none
	Lost    bool   // frames that had been whole are gone: Index to LostTo; each index left has a frame of kind frameLost
	LostTo  uint64 // the last index that is lost, if Lost
}

// Summary is what a cycle reads of a mailbox without folding its pairs.
type Summary struct {
	Mailbox Mailbox
	Names   [2]string
	Known   [2]bool // has been seen on that side
	Cursor  [2]string
	Count   [2]int // messages known on that side: pairs and half-pairs
	Halves  map[merge.Reason]int
	Repair  bool // its state was lost in part: pair again by content
}

// Open locks the account directory, repairs the logs and opens them.
func Open(ctx context.Context, dir string, opt Options) (*Account, error) { panic("skeleton") }

// Close stops the workers and releases the lock.
func (a *Account) Close() error { panic("skeleton") }

// Repairs returns what Open found damaged.
func (a *Account) Repairs() []Repair { panic("skeleton") }

// Register returns the number of the mailbox with these names, giving it one (durably) if it is new.
func (a *Account) Register(ctx context.Context, names [2]string) (Mailbox, error) { panic("skeleton") }

// Mailboxes returns all mailboxes, by number.
func (a *Account) Mailboxes() []Summary { panic("skeleton") }

// State returns the folded state of a mailbox. It stays live: commits show in it. It is safe for concurrent use.
func (a *Account) State(m Mailbox) (*State, error) { panic("skeleton") }

// Release drops the folded pairs of a mailbox from memory; State folds them again.
func (a *Account) Release(m Mailbox) { panic("skeleton") }

// StoreIdentity returns the recorded identity of a side's store, "" if none.
func (a *Account) StoreIdentity(side merge.Side) string { panic("skeleton") }

// SetStoreIdentity records it.
func (a *Account) SetStoreIdentity(ctx context.Context, side merge.Side, id string) error {
	panic("skeleton")
}

// Begin makes an intent durable.
func (a *Account) Begin(ctx context.Context, in Intent) (Batch, error) { panic("skeleton") }

// Finish makes the outcome of a batch durable, plays it into the shared log and acknowledges it.
func (a *Account) Finish(ctx context.Context, b Batch, out Outcome) error { panic("skeleton") }

// Unsettled returns the batches that were begun and not finished by an earlier process, oldest first.
func (a *Account) Unsettled() []Batch { panic("skeleton") }

// Commit makes ops durable in the shared log, in one entry, and applies them.
func (a *Account) Commit(ctx context.Context, m Mailbox, ops []Op) error { panic("skeleton") }

// Checkpoint writes a checkpoint and truncates the logs if one is due, or always with force.
func (a *Account) Checkpoint(ctx context.Context, force bool) error { panic("skeleton") }

// State is the folded state of one mailbox.
type State struct{}

// Count returns how many messages are known on a side: pairs and half-pairs.
func (s *State) Count(side merge.Side) int { panic("skeleton") }

// Pair returns the pair with this id on this side.
func (s *State) Pair(side merge.Side, id merge.ID) (merge.Pair, bool) { panic("skeleton") }

// Half returns the half-pair with this id on this side.
func (s *State) Half(side merge.Side, id merge.ID) (merge.Half, bool) { panic("skeleton") }

// Pairs calls f for each pair until it returns false. f must not call methods of s.
func (s *State) Pairs(f func(merge.Pair) bool) { panic("skeleton") }

// Halves returns all half-pairs.
func (s *State) Halves() []merge.Half { panic("skeleton") }

// Cursor returns the committed cursor of a side.
func (s *State) Cursor(side merge.Side) string { panic("skeleton") }

// View is a read-only view of an account's logs, for any process at any time.
type View struct{}

// OpenView reads the logs up to their known-good end without locking, renaming or writing anything.
func OpenView(dir string) (*View, error) { panic("skeleton") }

// Refresh reads what was appended since; it reports whether there was anything.
func (v *View) Refresh() (bool, error) { panic("skeleton") }

// Mailboxes returns all mailboxes, by number, as of the last Refresh.
func (v *View) Mailboxes() []Summary { panic("skeleton") }

// State returns the state of a mailbox as of the last Refresh; it does not change afterwards.
func (v *View) State(m Mailbox) (*State, error) { panic("skeleton") }

// StoreIdentity returns the recorded identity of a side's store.
func (v *View) StoreIdentity(side merge.Side) string { panic("skeleton") }

// Unsettled counts batches without an outcome, per target side.
func (v *View) Unsettled() [2]int { panic("skeleton") }

// Record is a decoded log record, for people.
type Record struct {
	Log     string    `json:"log"`
	Index   uint64    `json:"index"`
	Epoch   uint32    `json:"epoch"`
	Kind    string    `json:"kind"`
	Mailbox string    `json:"mailbox,omitempty"`
	Seq     uint64    `json:"seq,omitempty"`
	Time    time.Time `json:"time"`
	Lines   []string  `json:"lines,omitempty"` // what the record says, in words
}

// Records calls f for each record of a log ("left", "right" or "shared") from an index on, to the known-good end, and returns the next index.
func (v *View) Records(log string, from uint64, f func(Record) error) (uint64, error) {
	panic("skeleton")
}
