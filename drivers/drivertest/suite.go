package drivertest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"driftless/drivers"
	"driftless/merge"
)

// Traits declare what a store can do beyond what every store must do. The zero value is a plain IMAP server without UIDPLUS.
type Traits struct {
	Reserves  bool // Reserve gives ids
	StableIDs bool // a moved message keeps its id
	TellsIDs  bool // Append and Move tell the new id
	TellsGone bool // Changes in scope Delta yields what is gone, or All
	Quiet     bool // Changes in scope Delta yields nothing and not All when nothing changed
	Unchanged bool // List sets Unchanged when nothing changed
	Counts    bool // List tells Messages
	Guards    bool // Expunge tells ErrChanged

	Subscribes bool // the store has subscriptions
	// NoUIDExpunge is a server without UIDPLUS: Expunge may fail, leaving the message marked, when others are marked as deleted too.
	NoUIDExpunge bool

	Alters    bool // stored content may differ from what was given, but not in its merge.Content
	MayRefuse bool // odd messages may be refused, each with an error of its own

	// Refuses reports whether the store cannot hold a mailbox of that name; nil = it holds all. The suite then wants an error for it.
	Refuses func(name string) bool
	// MaxKeywords is how many different keywords a mailbox can hold; 0 = many.
	MaxKeywords int
}

// Hand changes mailboxes behind the driver's back, as another program does. A method that cannot do it returns errors.ErrUnsupported, and
// the suite leaves out what needs it. ids are those of the driver.
type Hand interface {
	// Deliver stores a message, in wire form, in an existing mailbox.
	Deliver(mailbox string, flags merge.Flags, date time.Time, data []byte) error
	// SetFlags replaces a message's flags.
	SetFlags(mailbox string, id merge.ID, flags merge.Flags) error
	// Remove removes a message for good.
	Remove(mailbox string, id merge.ID) error
	// Move moves a message to an existing mailbox.
	Move(mailbox string, id merge.ID, to string) error
	// BumpValidity makes all ids of a mailbox meaningless (UIDVALIDITY).
	BumpValidity(mailbox string) error
}

// Spoiler is a Hand that can make a message unreadable, although it is still there.
type Spoiler interface {
	Hand
	Spoil(mailbox string, id merge.ID) error
}

// Subject is what is tested: mailboxes of which INBOX is there and empty.
type Subject struct {
	Traits
	Open func(ctx context.Context) (drivers.Store, error)
	Hand Hand // nil: a second Store is used as the hand
}

// Factory returns a fresh Subject. What it starts it stops with t.Cleanup.
type Factory func(t *testing.T) Subject

type test struct {
	name string
	run  func(*env)
}

// Run runs the conformance suite: one subtest for each part of the contract.
func Run(t *testing.T, factory Factory) {
	var all []test
	for _, part := range [][]test{mailboxTests, contentTests, flagTests, changeTests, observeTests, effectTests, roughTests} {
		all = append(all, part...)
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			e := newEnv(t, factory)
			c.run(e)
			e.close()
		})
	}
}

// patience bounds a test that hangs. It is no expectation of speed.
const patience = 3 * time.Minute

// env is one test with its Subject and the Stores it opened.
type env struct {
	*testing.T
	ctx    context.Context
	sub    Subject
	store  drivers.Store
	hand   Hand
	before goleak.Option
	stores []drivers.Store
	boxes  []drivers.Mailbox
	closed bool
}

func newEnv(t *testing.T, factory Factory) *env {
	t.Helper()
	sub := factory(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	e := &env{T: t, ctx: ctx, sub: sub, before: goleak.IgnoreCurrent()}
	t.Cleanup(e.close) // after a Fatal
	e.store = e.open()
	e.hand = sub.Hand
	if e.hand == nil {
		e.hand = StoreHand(e.open())
	}
	return e
}

// open opens another Store on the Subject.
func (e *env) open() drivers.Store {
	e.Helper()
	s, err := e.sub.Open(e.ctx)
	e.ok("open store", err)
	e.stores = append(e.stores, s)
	return s
}

// close closes everything and looks for leaked goroutines.
func (e *env) close() {
	e.Helper()
	if e.closed {
		return
	}
	e.closed = true
	for _, b := range e.boxes {
		if err := b.Close(); err != nil {
			e.Errorf("close mailbox %q: %v", b.Name(), err)
		}
	}
	for _, s := range e.stores {
		if err := s.Close(); err != nil {
			e.Errorf("close store: %v", err)
		}
	}
	if !e.Failed() {
		goleak.VerifyNone(e.T, e.before)
	}
}

// ok ends the test if err is an error.
func (e *env) ok(what string, err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("%s: %v", what, err)
	}
}

// wantErr fails the test unless err is want.
func (e *env) wantErr(what string, err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

// byHand runs an action of the hand; the test is skipped if the hand cannot do it.
func (e *env) byHand(what string, err error) {
	e.Helper()
	if errors.Is(err, errors.ErrUnsupported) {
		e.close()
		e.Skipf("the hand cannot do this: %s", what)
	}
	e.ok("by hand: "+what, err)
}

// box opens a mailbox of the main Store; it is closed at the end.
func (e *env) box(name string) drivers.Mailbox {
	e.Helper()
	return e.boxOf(e.store, name)
}

func (e *env) boxOf(s drivers.Store, name string) drivers.Mailbox {
	e.Helper()
	b, err := s.Open(e.ctx, name)
	e.ok(fmt.Sprintf("open mailbox %q", name), err)
	e.boxes = append(e.boxes, b)
	return b
}

// made creates a mailbox and opens it.
func (e *env) made(name string) drivers.Mailbox {
	e.Helper()
	e.ok(fmt.Sprintf("create mailbox %q", name), e.store.Create(e.ctx, name))
	return e.box(name)
}
