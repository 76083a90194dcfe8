package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

const (
	// maxRounds bounds how often one cycle looks again while somebody keeps changing a mailbox; the rest is left to the next cycle.
	maxRounds = 10
	// lockHold is how long a cycle keeps the account's lock before it gives others a chance.
	lockHold = 30 * time.Second
	// finishGrace is how long a running batch may go on after the cycle was interrupted.
	finishGrace = 10 * time.Second
	// storeLockWait is how long a busy local store is waited for, as the account's lock is.
	storeLockWait = 30 * time.Second
)

// states is what a cycle reads of the logs: an Account, or a View when nothing may be written.
type states interface {
	Mailboxes() []logstate.Summary
	State(m logstate.Mailbox) (*logstate.State, error)
	StoreIdentity(side merge.Side) string
}

// cycle is one run of Sync. Its fields are set in order by run and then only read, but for boxes, each of which is worked on by one
// goroutine at a time.
type cycle struct {
	acc      Account
	req      Request
	rep      *reporter
	stop     context.Context   // cancelled when the cycle is to end at the next batch boundary
	logs     *logstate.Account // nil in a dry run
	states   states
	stores   [2]drivers.Store
	boxes    []*box
	aside    []aside              // mailboxes that are left alone in this cycle, and may hold what is gone from others
	calm     [2]map[string]string // by mailbox of that side: the cursor since which it is proven not to have changed in this round
	viewing  sync.Mutex           // guards states while it is a View
	unlock   func()               // releases the local stores
	began    time.Time            // when the lock was taken
	hold     [2]string            // why deletions on a side's account are held in this cycle, "" if they are not; indexed by the side that shows them
	applying time.Time            // when the present round began to apply
	begun    atomic.Bool          // it has had an effect
	missing  missing              // messages that are listed and not shown
	waited   bool                 // appends in doubt have been given their grace time
	moved    bool                 // the first round is over
	round    int                  // number of the round
	paused   atomic.Bool          // applying was paused in this round, for others may wait for the lock
	left     atomic.Bool          // an intent was left open

	unsettled map[logstate.Mailbox]error // why mailboxes cannot be worked on: an earlier effect is still open
	withheld  [2]bool                    // deletions that this side seems to show were held because it is not the recorded store
	wrong     bool                       // a local store is not the recorded one: nothing is done
	identity  [2]string                  // of a server that is not the recorded one, to be recorded once nothing is held any more
	said      map[saidKey]bool
}

// Sync runs one cycle. The error is nil when the cycle came to its end, whatever is in Report.Problems; otherwise it says why the account
// could not be synced at all, or wraps context.Canceled when it was interrupted. The report is valid either way.
func Sync(ctx context.Context, acc Account, req Request, observe func(Event)) (Report, error) {
	acc = acc.withDefaults()
	c := &cycle{acc: acc, req: req, rep: newReporter(acc.Name, observe), stop: ctx}
	start := acc.Now()

	// A batch that runs when the cycle is interrupted is finished, within bounds: what is half done costs a settlement later.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	unhook := context.AfterFunc(ctx, func() {
		t := time.NewTimer(finishGrace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-work.Done():
		}
	})
	defer unhook()

	err := c.run(work)
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
	c.rep.traffic(c.stores)
	for _, s := range c.stores {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	if c.logs != nil {
		err = errors.Join(err, c.logs.Close())
	}
	err = advise(err)
	report := c.rep.finish(acc.Now().Sub(start))
	if err != nil {
		acc.Log.Debug("cycle ended with an error", zap.String("account", acc.Name), zap.Error(err))
	}
	return report, err
}

func (a Account) withDefaults() Account {
	if a.Workers <= 0 {
		a.Workers = 4
	}
	if a.Grace <= 0 {
		a.Grace = 5 * time.Second
	}
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.Log == nil {
		a.Log = zap.NewNop()
	}
	if a.Select == nil {
		a.Select = func(string) bool { return true }
	}
	return a
}

// run is the whole cycle, in the order of DESIGN's section 4.
func (c *cycle) run(ctx context.Context) error {
	if err := c.openLogs(); err != nil {
		return err
	}
	c.rep.stage("connecting")
	if err := c.connect(); err != nil {
		return err
	}
	if err := c.lockStores(); err != nil {
		return err
	}
	defer func() { c.unlock() }()

	if err := c.settle(ctx); err != nil {
		return err
	}
	c.rep.stage("listing")
	if err := c.tabulate(ctx); err != nil || c.wrong {
		return err
	}
	c.failUnsettled()
	if err := c.rounds(ctx); err != nil || c.wrong {
		return err
	}
	return c.conclude(ctx)
}

// rounds observes, plans and applies until an observation leaves nothing to do. A round in which there was more to apply than time to hold the lock does not count: it goes on as
// long as there is something to do. All others do, however long they take, or a cycle beside people who never stop would never end.
func (c *cycle) rounds(ctx context.Context) error {
	for round := 1; ; round++ {
		c.round = round
		if c.stop.Err() != nil {
			return nil
		}
		if c.expired() {
			if err := c.giveWay(ctx); err != nil {
				return err
			}
		}
		c.rep.stage("comparing")
		if err := c.observeAll(ctx); err != nil {
			return err
		}
		if err := c.confirm(ctx); err != nil {
			return err
		}
		if err := c.stillThere(ctx); err != nil || c.wrong {
			return err
		}
		plan, err := c.plan(ctx)
		if err != nil {
			return err
		}
		if c.req.DryRun {
			c.rep.describe(plan, c)
			return nil
		}
		c.rep.stage("syncing")
		if err := c.apply(ctx, plan); err != nil {
			return err
		}
		c.moved = true
		open, wait := c.open()
		paused := c.paused.Swap(false)
		if paused {
			round--
		}
		switch {
		case open > 0 && round >= maxRounds && !paused:
			c.unfinished(open)
			return nil
		case open > 0:
		case wait > 0:
			c.waitForDoubt(wait) // an interruption ends the next round before it begins
		default:
			return nil
		}
	}
}

// open returns how many mailboxes must be looked at again, and how long to wait for appends in doubt if there are none.
func (c *cycle) open() (boxes int, wait time.Duration) {
	for _, b := range c.boxes {
		if b.failed.Load() {
			continue
		}
		if b.again() {
			boxes++
		}
		if b.waiting > 0 {
			wait = max(wait, c.acc.Grace)
		}
	}
	return boxes, wait
}

// waitForDoubt waits until every append in doubt has been absent for its grace time, or the cycle is to end.
func (c *cycle) waitForDoubt(d time.Duration) {
	c.rep.event(Event{Kind: EventWaiting, Text: fmt.Sprintf("waiting %v for appends whose fate is unknown", d)})
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.stop.Done():
		return
	}
	c.waited = true
	var arrives [2]bool // sides where an append may have arrived, in any mailbox: its source may have been moved, or somebody moved it
	for _, b := range c.boxes {
		if b.waiting == 0 || b.failed.Load() {
			continue
		}
		b.look = [2]bool{true, true}
		for _, h := range b.state.Halves() {
			if h.Reason == merge.InDoubt {
				arrives[h.Side.Other()] = true
			}
		}
	}
	for _, b := range c.boxes {
		for _, side := range merge.Sides {
			b.look[side] = b.look[side] || arrives[side]
		}
	}
}

// tired reports whether applying has gone on for so long that others should get a chance. Every round applies something, however long it takes to observe or to
// open mailboxes.
func (c *cycle) tired() bool {
	return c.logs != nil && c.begun.Load() && c.acc.Now().Sub(c.applying) > lockHold
}

// expired reports whether the lock has been held for long enough.
func (c *cycle) expired() bool {
	return c.logs != nil && c.acc.Now().Sub(c.began) > lockHold
}

// giveWay releases the lock and takes it again when it has been held for long: somebody else may wait. What another process did meanwhile is found like
// anybody's change, since the states are folded again and every mailbox is compared again.
func (c *cycle) giveWay(ctx context.Context) error {
	c.unlock()
	err := c.logs.Close()
	c.logs = nil
	if err != nil {
		return fmt.Errorf("close logs of account %s: %w", c.acc.Name, err)
	}
	if err := c.openLogs(); err != nil {
		return err
	}
	if err := c.lockStores(); err != nil {
		return err
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	if err := c.refold(); err != nil {
		return err
	}
	c.failUnsettled()
	return nil
}

func (c *cycle) openLogs() error {
	if c.req.DryRun {
		v, err := logstate.OpenView(c.acc.Dir)
		if err != nil {
			return logstate.Explain(c.acc.Name, fmt.Errorf("read logs of account %s: %w", c.acc.Name, err))
		}
		c.states = v
		if n := v.Unsettled(); n[0]+n[1] > 0 {
			c.rep.problem(Problem{Kind: ProblemNote, Text: "an earlier sync was interrupted; a sync would first find out what became of its last steps"})
		}
		return nil
	}
	opt := c.acc.Logs
	opt.Now = c.acc.Now
	waiting := opt.Waiting
	opt.Waiting = func(holder string, since time.Time) {
		c.rep.event(Event{Kind: EventWaiting, Text: (&logstate.LockedError{Holder: holder, Since: since}).Error()})
		if waiting != nil {
			waiting(holder, since)
		}
	}
	logs, err := logstate.Open(c.stop, c.acc.Dir, opt)
	if err != nil {
		return logstate.Explain(c.acc.Name, fmt.Errorf("account %s: %w", c.acc.Name, err))
	}
	c.logs, c.states, c.began = logs, logs, c.acc.Now()
	for _, r := range logs.Repairs() {
		c.rep.repaired(r)
		// Logs that are of different times may have been played into a state that is newer than they are: then neither a cursor nor a count proves anything.
		c.req.Full = c.req.Full || r.Lost || r.Segment == ""
	}
	return nil
}

// connect opens both stores at the same time.
func (c *cycle) connect() error {
	var g errgroup.Group
	for _, side := range merge.Sides {
		g.Go(func() error {
			s, err := c.acc.Open[side](c.stop)
			if err != nil {
				return fmt.Errorf("%s store: %w", side, err)
			}
			c.stores[side] = s
			return nil
		})
	}
	return g.Wait()
}

// locker is what a local store offers, so that two programs of ours never meet on one Maildir.
type locker interface {
	Lock(ctx context.Context) (unlock func(), err error)
}

// lockStores locks the local stores, always after the account's lock and always left before right, so that nobody waits in a circle.
func (c *cycle) lockStores() error {
	c.unlock = func() {}
	if c.req.DryRun {
		return nil
	}
	var unlocks []func()
	release := func() {
		for _, u := range unlocks {
			u()
		}
		unlocks = nil
	}
	wait := c.acc.Logs.Wait
	switch {
	case c.acc.Logs.NoWait:
		wait = 0
	case wait == 0:
		wait = storeLockWait
	}
	ctx, cancel := context.WithTimeout(c.stop, wait)
	defer cancel()
	for _, side := range merge.Sides {
		l, ok := c.stores[side].(locker)
		if !ok {
			continue
		}
		unlock, err := l.Lock(ctx)
		if err != nil {
			release()
			return fmt.Errorf("%s store: %w", side, err)
		}
		unlocks = append(unlocks, unlock)
	}
	c.unlock = release
	return nil
}

// conclude writes a checkpoint when one is due and sums up.
func (c *cycle) conclude(ctx context.Context) error {
	if c.logs != nil {
		if err := c.acknowledge(ctx); err != nil {
			return err
		}
		if !c.left.Load() { // an open intent must stay in its log
			if err := c.logs.Checkpoint(ctx, false); err != nil {
				return fmt.Errorf("checkpoint of account %s: %w", c.acc.Name, err)
			}
		}
	}
	halves := 0
	for _, s := range c.states.Mailboxes() {
		if c.selected(s.Names[merge.Left]) {
			halves += s.Halves[merge.Quarantined]
		}
	}
	c.rep.quarantined(halves)
	return nil
}
