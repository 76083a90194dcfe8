package drivertest

import (
	"strings"

	"driftless/drivers"
)

// Fault is what happens at a point.
type Fault uint8

// The faults. All but FailAfter keep the drivers contract. The first six concern the whole store, as where its connection is lost; those of a mailbox or of a
// message are answers of a store that goes on.
const (
	FailBefore        Fault = iota + 1 // nothing is done; the call fails with a connection error
	UnknownBefore                      // nothing is done; ErrUnknown
	UnknownAfter                       // it is done; ErrUnknown
	FailAfter                          // it is done, but reported as failed with a plain connection error
	DieBefore                          // the process dies before it is done: this call and all later ones fail
	DieAfter                           // the process dies after it was done: this call and all later ones fail
	BoxFailBefore                      // nothing is done; the call fails for its mailbox
	BoxUnknownBefore                   // nothing is done; ErrUnknown for the mailbox
	BoxUnknownAfter                    // it is done; ErrUnknown for the mailbox
	MailFailBefore                     // nothing is done with one message, the others go on
	MailUnknownBefore                  // nothing is done with one message; ErrUnknown for it, the others go on
	MailUnknownAfter                   // it is done; ErrUnknown for one message, the others go on
)

// Faults lists the faults of the whole store.
var Faults = []Fault{FailBefore, UnknownBefore, UnknownAfter, FailAfter, DieBefore, DieAfter}

// Refusals lists the faults of a mailbox or of a message.
var Refusals = []Fault{BoxFailBefore, BoxUnknownBefore, BoxUnknownAfter, MailFailBefore, MailUnknownBefore, MailUnknownAfter}

// String returns a word for test names.
func (f Fault) String() string {
	words := [...]string{
		"NoFault", "FailBefore", "UnknownBefore", "UnknownAfter", "FailAfter", "DieBefore", "DieAfter",
		"BoxFailBefore", "BoxUnknownBefore", "BoxUnknownAfter", "MailFailBefore", "MailUnknownBefore", "MailUnknownAfter",
	}
	if int(f) >= len(words) {
		f = 0
	}
	return words[f]
}

// Applies reports whether the effect happens.
func (f Fault) Applies() bool {
	return f == UnknownAfter || f == FailAfter || f == DieAfter || f == BoxUnknownAfter || f == MailUnknownAfter
}

// Dies reports whether the process dies.
func (f Fault) Dies() bool { return f == DieBefore || f == DieAfter }

// Reach returns how much the error concerns.
func (f Fault) Reach() drivers.Reach {
	switch f {
	case BoxFailBefore, BoxUnknownBefore, BoxUnknownAfter:
		return drivers.ReachMailbox
	case MailFailBefore, MailUnknownBefore, MailUnknownAfter:
		return drivers.ReachMessage
	}
	return drivers.ReachStore
}

// unknown reports whether the fate of an effect is reported as unknown. For one who dies it does not matter what is reported.
func (f Fault) unknown() bool {
	return f != FailBefore && f != FailAfter && f != BoxFailBefore && f != MailFailBefore
}

// Suits reports whether a store may answer in this way at a point of that name: what concerns no mailbox cannot fail for one, only what deals with messages one by one can
// fail for one of them, and the outcome of a question is never unknown. Faults of the whole store happen anywhere.
func (f Fault) Suits(point string) bool {
	reach := f.Reach()
	if reach == drivers.ReachStore {
		return true
	}
	for i, word := range strings.Fields(point) {
		if i > 1 {
			break // a label and the method come first
		}
		switch word {
		case "Append", "SetFlags", "Expunge", "Move":
			return true
		case "Fetch":
			return !f.unknown()
		case "Create", "Rename", "Delete":
			return reach == drivers.ReachMailbox
		case "Open", "Changes", "Describe", "Look", "Since", "Mark":
			return reach == drivers.ReachMailbox && !f.unknown()
		}
	}
	return false
}
