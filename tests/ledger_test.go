package tests

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"driftless/tests/harness"
)

// role says what people do with a message. It is chosen so that the end is certain whatever a server does when two of its clients meet
// on one message:
//
//   - A mover is moved, flagged and deleted at home only, on the side where it was delivered. (Many servers copy a message and then expunge it when it is moved, even with MOVE: a flag that
//     another client sets in between is lost, by the server.)
//   - A stayer is flagged on both sides, each side with flags of its own, and deleted at home.
//   - A twin is one of two messages without any difference. It is deleted at home only.
//   - A wanderer is moved on both sides at the same time, nothing else. Only in Maildirs, for the reason above. It may end anywhere, once.
//
// A deletion is final: with the default conflict policy it wins over a change of flags on the other side.
type role int

const (
	mover role = iota
	stayer
	twin
	wanderer
)

// letter is a message in the ledger.
type letter struct {
	n     int
	role  role
	home  int
	box   string
	ref   string // at home
	flags map[string]bool
	gone  bool
	moved [2]int64 // the sync during which each side moved it for the last time
	refs  []string // all that it had, for its history
}

// flagsOn are the flags that are changed on each side.
var flagsOn = [2][]string{{`\Seen`, `\Flagged`}, {`\Answered`, "Work"}}

// people are those who work on both sides, with the ledger of what they did.
type people struct {
	t     testing.TB
	hands [2]hand
	rng   [2]*rand.Rand
	live  int  // how many messages each side tries to have delivered and not deleted
	still bool // what was delivered on the left is not moved there
	cross bool // both stores can be trusted with changes of one message by two at the same time

	pace atomic.Int64 // up to how long somebody waits after a change, in nanoseconds
	era  atomic.Int64 // counts syncs

	mu      sync.Mutex // one change at a time: the ledger is exact
	letters []*letter
	boxes   [2][]string // mailboxes in which a side acts
	next    int
	done    map[string]int
	history func(refs []string) string // what the logs say of messages
}

func newPeople(t testing.TB, hands [2]hand, seed uint64, cross bool) *people {
	c := &people{t: t, hands: hands, live: 25, cross: cross, done: map[string]int{}}
	c.era.Store(1)
	for side := range c.rng {
		c.rng[side] = rand.New(rand.NewPCG(seed, uint64(side)))
	}
	return c
}

// create makes a mailbox on one side; both sides will use it as soon as it is there.
func (c *people) create(side int, box string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hands[side].create(box)
	c.boxes[side] = append(c.boxes[side], box)
}

// share lets the other sides use all mailboxes, which must have been synced.
func (c *people) share() {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := append(slices.Clone(c.boxes[0]), c.boxes[1]...)
	slices.Sort(all)
	all = slices.Compact(all)
	c.boxes = [2][]string{all, slices.Clone(all)}
}

// start lets both sides work until stop is called, which waits for them.
func (c *people) start() (stop func()) {
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for side := range c.hands {
		wg.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				c.step(side)
				time.Sleep(time.Duration(c.rng[side].Int64N(max(c.pace.Load(), int64(5*time.Millisecond)))))
			}
		})
	}
	return func() { close(quit); wg.Wait() }
}

// step does one thing on one side.
func (c *people) step(side int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rng[side]
	mine := c.pick(side, func(l *letter) bool { return l.home == side && !l.gone })
	switch k := r.IntN(100); {
	case len(mine) < c.live/2 || k < 30 && len(mine) < c.live:
		c.deliver(side)
	case k < 50:
		c.remove(side, mine[r.IntN(len(mine))])
	case k < 70:
		if l := c.one(side, func(l *letter) bool {
			return l.home == side && l.role == mover && !(c.still && side == 0) || l.role == wanderer
		}); l != nil {
			c.move(side, l)
		}
	default:
		l := c.one(side, func(l *letter) bool {
			return l.role == stayer || l.role == mover && (l.home == side || c.cross)
		})
		if l != nil {
			c.flag(side, l)
		}
	}
}

func (c *people) pick(side int, f func(*letter) bool) []*letter {
	var out []*letter
	for _, l := range c.letters {
		if !l.gone && slices.Contains(c.boxes[side], l.box) && f(l) {
			out = append(out, l)
		}
	}
	return out
}

func (c *people) one(side int, f func(*letter) bool) *letter {
	all := c.pick(side, f)
	if len(all) == 0 {
		return nil
	}
	return all[c.rng[side].IntN(len(all))]
}

func (c *people) deliver(side int) {
	r := c.rng[side]
	box := c.boxes[side][r.IntN(len(c.boxes[side]))]
	c.next++
	kind, copies := mover, 1
	switch k := r.IntN(10); {
	case k < 4:
		kind = stayer
	case k == 4:
		kind, copies = twin, 2
	case k == 5 && c.cross:
		kind = wanderer
	}
	flags := map[string]bool{}
	for _, f := range flagsOn[side] {
		_, maildir := c.hands[side].(*dirHand)
		if keyword := f[0] != '\\'; maildir && keyword {
			continue // it may have no letter in this mailbox yet
		}
		if r.IntN(3) == 0 && kind != twin {
			flags[f] = true
		}
	}
	for range copies {
		l := &letter{n: c.next, role: kind, home: side, box: box, flags: flags}
		l.ref = c.hands[side].deliver(box, l.n, slices.Sorted(maps.Keys(flags)))
		l.refs = []string{l.ref}
		c.letters = append(c.letters, l)
		c.done["delivered"]++
	}
}

// ref returns how a side finds a message, if it is there already.
func (c *people) ref(side int, l *letter) (string, bool) {
	if l.home == side {
		return l.ref, true
	}
	return c.hands[side].find(l.box, l.n)
}

// place returns where a side has a message, and how it finds it there.
func (c *people) place(side int, l *letter) (box, ref string, ok bool) {
	if l.role != wanderer {
		ref, ok = c.ref(side, l)
		return l.box, ref, ok
	}
	for _, b := range c.boxes[side] {
		if ref, ok := c.hands[side].find(b, l.n); ok {
			return b, ref, true
		}
	}
	return "", "", false
}

// must reports whether a change of a message at home was carried out; nobody else takes it away from there.
func (c *people) must(side int, l *letter, what string, ok bool) bool {
	if ok {
		c.done[what]++
	} else if l.home == side && l.role != wanderer {
		c.t.Errorf("%s: message %d is not in %q on its own side (%d) any more", what, l.n, l.box, side)
		l.gone = true // once is enough
	}
	return ok
}

func (c *people) remove(side int, l *letter) {
	if l.role != wanderer && c.must(side, l, "deleted", c.hands[side].remove(l.box, l.ref)) {
		l.gone = true
	}
}

func (c *people) move(side int, l *letter) {
	to := c.boxes[side][c.rng[side].IntN(len(c.boxes[side]))]
	// What is moved twice while a sync looks may be seen nowhere, and then be deleted and copied (docs/decisions/0013). That matters where the other side
	// changes the same message.
	if c.cross && l.moved[side] == c.era.Load() {
		return
	}
	from, ref, ok := c.place(side, l)
	if to == from || !ok {
		return
	}
	newRef, ok := c.hands[side].move(from, ref, to)
	if _, maildir := c.hands[side].(*dirHand); !ok && maildir && l.home == side {
		return // a keyword has no letter in the destination yet
	}
	if c.must(side, l, "moved", ok) {
		l.box, l.ref, l.moved[side] = to, newRef, c.era.Load()
		l.refs = append(l.refs, l.ref)
	}
}

func (c *people) flag(side int, l *letter) {
	f := flagsOn[side][c.rng[side].IntN(len(flagsOn[side]))]
	ref, ok := c.ref(side, l)
	if !ok {
		return
	}
	on := !l.flags[f]
	ok = c.hands[side].flag(l.box, ref, f, on)
	if _, maildir := c.hands[side].(*dirHand); !ok && maildir {
		return // no letter for a keyword yet
	}
	if c.must(side, l, "flagged", ok) {
		l.flags = maps.Clone(l.flags)
		delete(l.flags, f)
		if on {
			l.flags[f] = true
		}
	}
}

// expected returns what must be in both stores. With it come the wanderers by their content, each of which must be somewhere.
func (c *people) expected() (harness.Mail, map[string]*letter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out, free := harness.Mail{}, map[string]*letter{}
	for _, boxes := range c.boxes {
		for _, b := range boxes {
			out[b] = nil
		}
	}
	for _, l := range c.letters {
		if l.gone {
			continue
		}
		m := harness.Message{Hash: harness.Digest(mail(l.n, smallMail)), Date: date(l.n), Flags: flagString(l.flags)}
		if l.role == wanderer {
			free[m.Hash] = l
			continue
		}
		out[l.box] = append(out[l.box], m)
	}
	return out, free
}

// flagString writes flags as harness.Message has them.
func flagString(flags map[string]bool) string {
	var out []string
	for f := range flags {
		if !strings.HasPrefix(f, `\`) {
			f = strings.ToLower(f)
		}
		out = append(out, f)
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// check compares both stores with the ledger.
func (c *people) check(what string) {
	c.t.Helper()
	want, free := c.expected()
	var place [2]map[string][]string
	for side, name := range []string{"left", "right"} {
		got := c.hands[side].all()
		place[side] = map[string][]string{}
		for box, msgs := range got {
			got[box] = slices.DeleteFunc(msgs, func(m harness.Message) bool {
				if free[m.Hash] == nil {
					return false
				}
				place[side][m.Hash] = append(place[side][m.Hash], box)
				return true
			})
		}
		if diff := harness.Diff(want, got); len(diff) > 0 {
			c.t.Errorf("%s: %s is not as the ledger says (\"left\" is the ledger), %d differences:\n%s\n%s", what, name, len(diff), few(diff), c.about(diff))
		}
	}
	for hash, l := range free {
		left, right := place[0][hash], place[1][hash]
		if len(left) != 1 || !slices.Equal(left, right) {
			c.t.Errorf("%s: message %d, moved on both sides, is in %q on the left and in %q on the right\n%s", what, l.n, left, right, c.about([]string{hash}))
		}
		if len(left) == 1 {
			l.box = left[0]
		}
	}
}

// about tells what the ledger knows of the messages in a list of differences.
func (c *people) about(diff []string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out, refs []string
	for _, l := range c.letters {
		hash := harness.Digest(mail(l.n, smallMail))
		if slices.ContainsFunc(diff, func(d string) bool { return strings.Contains(d, hash) }) {
			out = append(out, fmt.Sprintf("%s is message %d, role %d, home %d, in %q as %s, flags %q, deleted %v", hash, l.n, l.role, l.home, l.box, l.ref, flagString(l.flags), l.gone))
			refs = append(refs, l.refs...)
		}
	}
	if c.history != nil && len(refs) > 0 {
		out = append(out, c.history(refs))
	}
	return strings.Join(out, "\n")
}

// counts returns what was done, in words.
func (c *people) counts() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, k := range slices.Sorted(maps.Keys(c.done)) {
		out = append(out, fmt.Sprintf("%s %d", k, c.done[k]))
	}
	return strings.Join(out, ", ")
}

// trimmed forgets what is deleted, so that a long run does not slow down.
func (c *people) trimmed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.letters = slices.DeleteFunc(c.letters, func(l *letter) bool { return l.gone })
}
