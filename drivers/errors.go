package drivers

import (
	"errors"
	"fmt"
	"time"
)

// Reach says how much an error concerns.
type Reach uint8

// The reaches of an error.
const (
	ReachMessage Reach = iota + 1 // one message; the others go on
	ReachMailbox                  // the mailbox; other mailboxes go on
	ReachStore                    // the whole store
)

// Retry says when trying again makes sense.
type Retry uint8

// The retry classes of an error.
const (
	RetryNow   Retry = iota + 1 // look again and plan again at once
	RetryLater                  // the cause may go away by itself
	RetryNever                  // not before somebody changes something
)

// Errors that callers tell apart with errors.Is.
var (
	ErrNoMailbox = errors.New("mailbox does not exist")
	ErrExists    = errors.New("mailbox exists already")
	ErrGone      = errors.New("message is gone")
	ErrChanged   = errors.New("message changed meanwhile")
	ErrStale     = errors.New("mailbox was replaced (UIDVALIDITY changed)")
	ErrUnknown   = errors.New("outcome unknown")
	ErrReadOnly  = errors.New("mailbox is read-only")
	ErrTooBig    = errors.New("message is too big for the store")
	ErrQuota     = errors.New("the quota is used up")
	ErrLogin     = errors.New("login refused")
)

// Error is an error of a store with its reach and retry class.
type Error struct {
	Op    string // what was tried, in words a user knows: "append", "list mailboxes"
	Where string // mailbox or address; no secret
	Reach Reach
	Retry Retry
	After time.Duration // RetryLater: what the server suggested; 0 if nothing
	Err   error
}

// Error says what, where and why.
func (e *Error) Error() string {
	if e.Where == "" {
		return fmt.Sprintf("%s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Where, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ReachOf returns how much err concerns; an unclassified error concerns the store.
func ReachOf(err error) Reach {
	var e *Error
	if errors.As(err, &e) && e.Reach != 0 {
		return e.Reach
	}
	return ReachStore
}

// RetryOf returns when trying again makes sense; for an unclassified error, later.
func RetryOf(err error) Retry {
	var e *Error
	if errors.As(err, &e) && e.Retry != 0 {
		return e.Retry
	}
	return RetryLater
}
