package merge

import "fmt"

// Side names one of the two stores of an account.
type Side uint8

// The two sides.
const (
	Left Side = iota
	Right
)

// Sides lists both sides in their fixed order, for loops.
var Sides = [2]Side{Left, Right}

// Other returns the opposite side.
func (s Side) Other() Side { return s ^ 1 }

// String returns "left" or "right".
func (s Side) String() string {
	switch s {
	case Left:
		return "left"
	case Right:
		return "right"
	}
	return fmt.Sprintf("side(%d)", uint8(s))
}

// ID is a side's opaque name for a message. It is unique within its mailbox for ever: IMAP uses
// UIDVALIDITY and UID, Maildir the unique part of the file name. It holds arbitrary bytes.
type ID string
