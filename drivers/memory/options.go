package memory

import (
	"time"

	"driftless/merge"
)

// Mode is how a store answers a request for what changed.
type Mode uint8

const (
	// QResync tells flag changes and what is gone (RFC 7162, section 3.2).
	QResync Mode = iota
	// CondStore tells flag changes and arrivals, but what is gone only in scope Present and Full (RFC 7162, section 3.1).
	CondStore
	// ListOnly lists everything. A store that also Reserves (a Maildir) notices that nothing at all changed.
	ListOnly
)

// Options choose the character of a Server. The zero value is a generous IMAP server with QRESYNC and UIDPLUS.
type Options struct {
	Mode Mode

	// Reserves makes ids names that the client chooses, as in a Maildir. Otherwise the server assigns UIDVALIDITY:UID.
	Reserves bool
	// StableIDs keeps the id of a message that is moved. It needs Reserves.
	StableIDs bool
	// NoUIDPlus tells the id neither of an appended nor of a moved message (no RFC 4315). It has no effect with Reserves.
	NoUIDPlus bool
	// NoUnchanged never sets MailboxInfo.Unchanged.
	NoUnchanged bool
	// NoCounts leaves MailboxInfo.Messages at -1.
	NoCounts bool
	// NoChanged removes a message although its flags are not those the caller saw (no UNCHANGEDSINCE).
	NoChanged bool
	// SameValidity gives new mailboxes one and the same UIDVALIDITY, so that ids of different mailboxes are equal, as on servers
	// that take it from the clock.
	SameValidity bool
	// RenameBumps changes UIDVALIDITY in a rename, as Courier does.
	RenameBumps bool
	// FoldCase treats mailbox names that differ in ASCII case only as one mailbox. INBOX is always folded.
	FoldCase bool

	// FixedKeywords allows just Keywords; others are silently not stored.
	FixedKeywords bool
	Keywords      []string
	// MaxKeywords limits the different keywords of one mailbox; 0 = no limit. What is beyond is silently not stored.
	MaxKeywords int

	// MaxMessage is the largest message accepted, in bytes; 0 = no limit.
	MaxMessage int64
	// ReadOnly lists mailboxes that cannot be changed by a Store.
	ReadOnly []string
	// SpecialUse gives mailboxes their attribute (RFC 6154) by name.
	SpecialUse map[string]string

	// Alter changes what is stored, as some servers do; nil = nothing is altered. It gets a copy.
	Alter func([]byte) []byte
	// Refuse refuses a message with an error, as some servers do; nil = none is refused.
	Refuse func([]byte) error

	// Identity is what Store.Identity returns; default "memory".
	Identity string
	// Now is the clock for messages without a date; default time.Now.
	Now func() time.Time
}

// allSystem is every flag that has no name of its own to store.
const allSystem = merge.Seen | merge.Answered | merge.Flagged | merge.Deleted | merge.Draft
