package everystep

import (
	"context"
	"testing"

	"driftless/daemon/engine"
	"driftless/drivers/memory"
)

// scenario is something that happened to two stores that were in sync, and what a sync must make of it. It calls the stores near and far, so that it
// can be played both ways round.
type scenario struct {
	name string

	before  string             // what both sides have, in sync; "" means that they were never synced
	history func(h hand)       // instead of before: ends with both in sync
	change  func(h hand)       // what happens then; the sync that is interrupted comes next
	want    string             // what both must have in the end
	wantFar string             // what far must have, if it is something else
	or      []string           // what both may have instead after an interruption; a comment must say why
	reverse string             // want when the world is mirrored (far is the left side), if it is something else
	run     func(*world) error // what is interrupted, if it is more than a sync; it ends with one

	tune    func(*engine.Account)                // the account
	options func(o *memory.Options, near bool)   // of memory servers
	only    func(near, far *memory.Options) bool // which kinds of stores it is for; nil = all. An option that is nil means a Maildir
}

// wanted returns what near and far must have in the end: one of these.
func (s scenario) wanted(mirrored, interrupted bool) [][2]string {
	near, far := s.want, s.want
	if s.wantFar != "" {
		far = s.wantFar
	}
	if mirrored && s.reverse != "" {
		near, far = s.reverse, s.reverse
	}
	out := [][2]string{{near, far}}
	if interrupted {
		for _, w := range s.or {
			out = append(out, [2]string{w, w})
		}
	}
	return out
}

// hand is the hand of a scenario's users.
type hand struct {
	w         *world
	near, far user
}

func (w *world) hand() hand {
	n := w.near()
	return hand{w, user{w.t, w.store(n)}, user{w.t, w.store(n.Other())}}
}

// sync syncs in the middle of a history.
func (h hand) sync() {
	h.w.t.Helper()
	if _, err := h.w.syncs(); err != nil {
		h.w.t.Fatalf("a sync that belongs to the scenario: %v", err)
	}
}

// user is one side's user.
type user struct {
	t testing.TB
	store
}

// put delivers messages, in the notation of parse.
func (u user) put(spec string) {
	u.t.Helper()
	for box, items := range parse(u.t, spec) {
		u.create(box)
		for _, it := range items {
			u.deliver(box, it.name, it.flags)
		}
	}
}

// flag replaces the flags of messages.
func (u user) flag(box, flags string, names ...string) {
	u.t.Helper()
	for _, n := range names {
		u.setFlags(box, n, parseFlags(u.t, flags))
	}
}

// drop deletes messages.
func (u user) drop(box string, names ...string) {
	u.t.Helper()
	for _, n := range names {
		u.remove(box, n)
	}
}

// take moves messages to another mailbox, which is made if need be.
func (u user) take(box, to string, names ...string) {
	u.t.Helper()
	u.create(to)
	for _, n := range names {
		u.move(box, n, to)
	}
}

// prepare returns a world in which the scenario has come to the sync that is to be interrupted.
func prepare(t testing.TB, s setup, dir string) *world {
	t.Helper()
	w := emptyWorld(t, s, dir)
	h := w.hand()
	switch {
	case s.scenario.history != nil:
		s.scenario.history(h)
	case s.scenario.before != "":
		h.near.put(s.scenario.before)
		h.sync()
	}
	if s.scenario.change != nil {
		s.scenario.change(h)
	}
	return w
}

// perform runs what is to be interrupted. Whether it fails is nobody's concern; what it leaves behind is.
func (w *world) perform(ctx context.Context) error {
	if w.scenario.run != nil {
		return w.scenario.run(w)
	}
	_, err := w.sync(ctx)
	return err
}
