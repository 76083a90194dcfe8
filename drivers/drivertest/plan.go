package drivertest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"driftless/drivers"
)

// ErrInjected is what every injected error is.
var ErrInjected = errors.New("injected fault")

// Plan says at which point which fault happens, and notes all points that were passed. One Plan may be given to several Stores: then the points of all of them
// are numbered together, and when the process dies it dies for all.
//
// A point is one call of a driver's method or, in Append, SetFlags, Expunge and Move, one item of it. Points are numbered from 1 in the order in which they are passed. Their names are
// like "left Append INBOX 2.3": the third item of the second Append to INBOX. When several goroutines work at once the
// numbers may differ from run to run, the names of what one goroutine does in one mailbox do not. A fault does not happen at a point that it does not suit.
//
// The exported fields must not be changed once a Store uses the Plan. The zero value injects nothing.
type Plan struct {
	At         int                    // number of the point; 0 = none
	AtName     string                 // name of the point; "" = none
	When       func(name string) bool // called at each point, one at a time; the first for which it is true is the point. nil = none
	Fault      Fault
	Err        error        // cause of the injected errors beside ErrInjected
	EveryYield bool         // each yield of Changes, Describe, Look, Fetch and Since is a point of its own, too
	OnHit      func(string) // called with the name of the point when the fault happens, without any lock held; After faults: once the effect is done

	// Watch, if set, is called without any lock held before and after each call of a method, with the method's name; of Append, SetFlags, Expunge and Move
	// before and after each item, which are then done one by one. A call that the fault keeps from being made is not told.
	Watch func(label, op string, done bool)

	mu     sync.Mutex
	points []string
	calls  map[string]int
	hit    string
	dead   bool
}

// Points returns the names of all points that were passed, in order.
func (p *Plan) Points() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.points)
}

// Hit returns the name of the point where the fault happened, "" if it has not.
func (p *Plan) Hit() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hit
}

// Dead reports whether the process is dead.
func (p *Plan) Dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// enter passes the points of a call of n items, or of a call as a whole with n = 0, and returns the number of the item at which
// the fault happens, -1 if none. base names the call. The error is that of a dead process.
func (p *Plan) enter(label, op, where string, n int) (item int, base string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	base = join(label, op, where)
	if p.dead {
		return -1, base, p.error(op, where, false)
	}
	if p.calls == nil {
		p.calls = map[string]int{}
	}
	p.calls[base]++
	base = fmt.Sprintf("%s %d", base, p.calls[base])
	item = -1
	if n == 0 {
		if p.pass(base) {
			item = 0
		}
		return item, base, nil
	}
	for i := range n {
		if p.pass(fmt.Sprintf("%s.%d", base, i+1)) {
			item = i
			break // what follows is not reached
		}
	}
	return item, base, nil
}

// enterYield passes the point of a yield.
func (p *Plan) enterYield(base string, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.EveryYield && !p.dead && p.pass(fmt.Sprintf("%s yield %d", base, n))
}

// pass notes a point and reports whether the fault happens there. The caller holds the mutex.
func (p *Plan) pass(name string) bool {
	p.points = append(p.points, name)
	when := p.When != nil && p.When(name)
	if p.Fault == 0 || p.hit != "" || !p.Fault.Suits(name) || !when && len(p.points) != p.At && (p.AtName == "" || name != p.AtName) {
		return false
	}
	p.hit = name
	if p.Fault.Dies() && !p.Fault.Applies() {
		p.dead = true
	}
	return true
}

// watched makes a call, or what is done for one item of it, and tells Watch.
func (p *Plan) watched(label, op string, do func() error) error {
	if p.Watch == nil {
		return do()
	}
	p.Watch(label, op, false)
	defer p.Watch(label, op, true)
	return do()
}

// strike lets the fault take place, after the effect if there is one, and returns the error of the call.
func (p *Plan) strike(op, where string) error {
	p.mu.Lock()
	if p.Fault.Dies() {
		p.dead = true
	}
	hit, err := p.hit, p.error(op, where, p.Fault.unknown())
	p.mu.Unlock()
	if p.OnHit != nil {
		p.OnHit(hit)
	}
	return err
}

func (p *Plan) error(op, where string, unknown bool) error {
	err := ErrInjected
	if p.Err != nil {
		err = fmt.Errorf("%w: %w", err, p.Err)
	}
	if unknown {
		err = fmt.Errorf("%w: %w", drivers.ErrUnknown, err)
	}
	return &drivers.Error{Op: op, Where: where, Reach: p.Fault.Reach(), Retry: drivers.RetryLater, Err: err}
}

func join(words ...string) string {
	out := ""
	for _, w := range words {
		if w != "" && out != "" {
			out += " "
		}
		out += w
	}
	return out
}

// Explore runs a test once without a fault, to learn its points, and then once as a subtest for each point and each of the faults that suits it. run must begin from the same
// start each time. It gets a fresh Plan, with EveryYield as given.
func Explore(t *testing.T, faults []Fault, everyYield bool, run func(t *testing.T, p *Plan)) {
	t.Helper()
	first := &Plan{EveryYield: everyYield}
	if !t.Run("NoFault", func(t *testing.T) { run(t, first) }) {
		return
	}
	if len(first.Points()) == 0 {
		t.Error("the test passes no point")
	}
	for _, name := range first.Points() {
		for _, f := range faults {
			if !f.Suits(name) {
				continue
			}
			t.Run(fmt.Sprintf("%s %s", f, name), func(t *testing.T) {
				p := &Plan{AtName: name, Fault: f, EveryYield: everyYield}
				run(t, p)
				if p.Hit() == "" {
					t.Errorf("the point %q was not reached this time", name)
				}
			})
		}
	}
}
