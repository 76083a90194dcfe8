package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// baseState is the state of a mailbox as a comparison needs it.
type baseState interface {
	Count(side merge.Side) int
	Pair(side merge.Side, id merge.ID) (merge.Pair, bool)
	Half(side merge.Side, id merge.ID) (merge.Half, bool)
	Pairs(f func(merge.Pair) bool)
	Halves() []merge.Half
}

// noState is the state of a mailbox that is not known yet, or whose state is to be forgotten.
type noState struct{}

func (noState) Count(merge.Side) int                         { return 0 }
func (noState) Pair(merge.Side, merge.ID) (merge.Pair, bool) { return merge.Pair{}, false }
func (noState) Half(merge.Side, merge.ID) (merge.Half, bool) { return merge.Half{}, false }
func (noState) Pairs(func(merge.Pair) bool)                  {}
func (noState) Halves() []merge.Half                         { return nil }

// box is one mailbox of the account during a cycle.
type box struct {
	num    logstate.Mailbox // 0 in a dry run that would register it
	names  [2]string
	known  [2]bool
	state  baseState
	cursor [2]string // as committed

	look      [2]bool        // this side must be observed in the next round
	seen      [2]*sight      // what was observed in this round
	wrote     [2]atomic.Bool // something was written to this side in this round
	undone    atomic.Bool    // an action of this round was not carried out and must be planned again
	blocked   bool           // something waits for a person: cursors stay where they are
	stuck     atomic.Bool    // a store refused something for a reason that looking again does not mend; the next cycle tries again
	waiting   int            // half-pairs in doubt
	unsettled bool           // the own message of one of them is gone or changed: cursors stay where they are
	fled      [2]bool        // an arrival on this side was gone when it was looked at again or asked about
	named     [2]bool        // ids on this side are names: they survive a move
	unread    [2]int         // arrivals on this side that could not be read when they were last looked at in this cycle
	later     [2]int         // arrivals on this side that are put off in this round: they could not be read just now
	restarted bool           // its ids meant nothing: it was forgotten in this cycle
	void      bool           // so its plan of this round means nothing
	awaits    []*box         // mailboxes whose plans say what becomes of arrivals here
	failed    atomic.Bool    // it is left alone for the rest of the cycle
}

// name is the mailbox's name for people: the left one.
func (b *box) name() string { return b.names[merge.Left] }

// again reports whether the mailbox must be observed once more.
func (b *box) again() bool { return b.look[merge.Left] || b.look[merge.Right] }

func (c *cycle) selected(left string) bool {
	return c.acc.Select(left) && (c.req.Mailbox == nil || c.req.Mailbox(left))
}

func (c *cycle) byName(left string) *box {
	for _, b := range c.boxes {
		if b.name() == left {
			return b
		}
	}
	return nil
}

// fail marks a mailbox as failed and says so.
func (c *cycle) fail(b *box, err error) {
	if b.failed.Swap(true) {
		return
	}
	c.rep.problem(Problem{Kind: ProblemError, Mailbox: b.name(), Text: advise(err).Error()})
}

// row is what both listings and the logs say of one mailbox.
type row struct {
	names   [2]string
	info    [2]*drivers.MailboxInfo
	summary *logstate.Summary
}

func (r *row) exists(side merge.Side) bool { return r.info[side] != nil && !r.info[side].NoSelect }

// tabulate lists both stores, pairs the mailboxes by name, creates what is missing and decides which of them may have changed.
func (c *cycle) tabulate(ctx context.Context) error {
	summaries := c.states.Mailboxes()
	lists, err := c.list(ctx, summaries)
	if err != nil {
		return err
	}
	// Before anything is made on either side; after the listing, which tells an IMAP store's identity for nothing.
	if err := c.checkIdentity(ctx); err != nil || c.wrong {
		return err
	}
	if err := c.forgetDeleted(ctx, lists, summaries); err != nil {
		return err
	}
	rows := c.rows(lists, summaries)
	c.setAside(lists, summaries)
	c.rep.mailboxes(len(rows))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(16) // registrations share their fsyncs
	boxes := make([]*box, len(rows))
	for i, r := range rows {
		g.Go(func() error {
			b, err := c.admit(gctx, r)
			boxes[i] = b
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, b := range boxes {
		if b != nil {
			c.boxes = append(c.boxes, b)
		} else {
			c.leaveAlone(rows[i])
		}
	}
	return nil
}

// forgetDeleted forgets the mailboxes that are gone on both sides: somebody who makes one of them again makes a new one.
func (c *cycle) forgetDeleted(ctx context.Context, lists [2][]drivers.MailboxInfo, summaries []logstate.Summary) error {
	if c.logs == nil || c.hold != [2]string{} {
		return nil
	}
	var there [2]map[string]bool
	for _, side := range merge.Sides {
		there[side] = map[string]bool{}
		for _, info := range lists[side] {
			there[side][info.Name] = !info.NoSelect
		}
	}
	for i := range summaries {
		s := &summaries[i]
		if s.Known != [2]bool{true, true} || !c.selected(s.Names[merge.Left]) || there[merge.Left][s.Names[merge.Left]] || there[merge.Right][s.Names[merge.Right]] {
			continue
		}
		ops := []logstate.Op{{Kind: logstate.Clear}, {Kind: logstate.ForgottenOn, Side: merge.Left}, {Kind: logstate.ForgottenOn, Side: merge.Right}}
		if err := c.logs.Commit(ctx, s.Mailbox, ops); err != nil {
			return fmt.Errorf("forget mailbox %q: %w", s.Names[merge.Left], err)
		}
	}
	return nil
}

// list asks both stores at the same time.
func (c *cycle) list(ctx context.Context, summaries []logstate.Summary) (lists [2][]drivers.MailboxInfo, err error) {
	var g errgroup.Group
	for _, side := range merge.Sides {
		g.Go(func() error {
			seen := map[string]drivers.Cursor{}
			for _, s := range summaries {
				if s.Cursor[side] != "" && !s.Repair && !c.req.Full && c.selected(s.Names[merge.Left]) {
					seen[s.Names[side]] = drivers.Cursor(s.Cursor[side])
				}
			}
			var err error
			if lists[side], err = c.stores[side].List(ctx, seen); err != nil {
				return fmt.Errorf("%s store: %w", side, err)
			}
			return nil
		})
	}
	err = g.Wait()
	return lists, err
}

// rows joins the listings by left name, in a fixed order. Names that meet are reported and left alone.
func (c *cycle) rows(lists [2][]drivers.MailboxInfo, summaries []logstate.Summary) []*row {
	toLeft := map[string]string{}
	for l, r := range c.acc.Rename {
		toLeft[r] = l
	}
	byLeft := map[string]*row{}
	get := func(left string) *row {
		r := byLeft[left]
		if r == nil {
			right, renamed := c.acc.Rename[left]
			if !renamed {
				right = left
			}
			r = &row{names: [2]string{left, right}}
			byLeft[left] = r
		}
		return r
	}
	for i := range lists[merge.Left] {
		info := &lists[merge.Left][i]
		if !c.selected(info.Name) {
			continue
		}
		if _, renamed := c.acc.Rename[info.Name]; !renamed {
			if l, taken := toLeft[info.Name]; taken {
				c.rep.problem(Problem{Kind: ProblemError, Mailbox: info.Name, Side: merge.Left, Text: fmt.Sprintf(
					"left mailbox %q and the renamed %q would both be %q on the right; rename one of them", info.Name, l, info.Name)})
				continue
			}
		}
		get(info.Name).info[merge.Left] = info
	}
	for i := range lists[merge.Right] {
		info := &lists[merge.Right][i]
		left, renamed := toLeft[info.Name]
		if !renamed {
			left = info.Name
			if r, taken := c.acc.Rename[left]; taken {
				if c.selected(left) {
					c.rep.problem(Problem{Kind: ProblemError, Mailbox: left, Side: merge.Right, Text: fmt.Sprintf(
						"right mailbox %q has no name on the left: %q there is the right's %q; rename one of them", info.Name, left, r)})
				}
				continue
			}
		}
		if c.selected(left) {
			get(left).info[merge.Right] = info
		}
	}
	for i := range summaries {
		s := &summaries[i]
		if r := byLeft[s.Names[merge.Left]]; r != nil && r.names == s.Names {
			r.summary = s
		}
	}
	c.refuseTwins(byLeft)
	out := make([]*row, 0, len(byLeft))
	for _, name := range slices.Sorted(maps.Keys(byLeft)) {
		if r := byLeft[name]; r.exists(merge.Left) || r.exists(merge.Right) {
			out = append(out, r)
		}
	}
	return out
}

// refuseTwins takes out mailboxes that are one and the same, but under the name that IMAP gives it on the wire: mbsync keeps such names on disk. Syncing them
// would double every message and make a second mailbox on both sides.
func (c *cycle) refuseTwins(byLeft map[string]*row) {
	for _, name := range slices.Sorted(maps.Keys(byLeft)) {
		r := byLeft[name]
		plain, encoded := drivers.DecodeUTF7(name)
		twin := byLeft[plain]
		if !encoded || plain == name || twin == nil || r.summary != nil {
			continue
		}
		for _, side := range merge.Sides {
			if !r.exists(side) || r.exists(side.Other()) || !twin.exists(side.Other()) {
				continue
			}
			c.rep.problem(Problem{Kind: ProblemError, Mailbox: name, Side: side, Text: fmt.Sprintf(
				"mailbox %q on the %s is %q in modified UTF-7, as mbsync writes names, and the %s has %q: rename the one on the %s to %q (names are UTF-8 here), then sync again; nothing is done with either",
				name, side, plain, side.Other(), plain, side, plain)})
			delete(byLeft, name)
			if !twin.exists(side) {
				delete(byLeft, plain)
			}
		}
	}
}

// admit makes a box of a row: it registers and creates what is missing. nil means that the mailbox is left alone.
func (c *cycle) admit(ctx context.Context, r *row) (*box, error) {
	b := &box{names: r.names, state: noState{}, look: [2]bool{true, true}}
	if s := r.summary; s != nil {
		b.num, b.known, b.cursor = s.Mailbox, s.Known, s.Cursor
		if s.Repair {
			b.cursor = [2]string{}
		}
	}
	for _, side := range merge.Sides {
		if r.exists(side) {
			continue
		}
		if b.known[side] {
			c.rep.problem(Problem{Kind: ProblemNote, Mailbox: b.name(), Side: side, Text: fmt.Sprintf(
				"mailbox %q is missing on the %s; both sides are left alone (delete_mailboxes = \"none\"). Create it again, or delete it on the %s, too",
				b.names[side], side, side.Other())})
			return nil, nil
		}
		if !c.acc.Create[side] || c.hold[side] != "" {
			return nil, nil
		}
	}
	if c.req.DryRun {
		return b, c.admitDry(b, r)
	}
	if err := c.admitWet(ctx, b, r); err != nil {
		return nil, err
	}
	if !b.failed.Load() {
		c.decideLook(b, r)
	}
	return b, nil
}

// viewState returns the state of a mailbox to one who only reads. When a writer cut the logs meanwhile, they are read again.
func (c *cycle) viewState(m logstate.Mailbox) (*logstate.State, error) {
	c.viewing.Lock()
	defer c.viewing.Unlock()
	for range 3 {
		st, err := c.states.State(m)
		v, isView := c.states.(*logstate.View)
		if !isView || !errors.Is(err, logstate.ErrStale) {
			return st, err
		}
		if _, err := v.Refresh(); err != nil {
			return nil, err
		}
	}
	return c.states.State(m)
}

func (c *cycle) admitDry(b *box, r *row) error {
	for _, side := range merge.Sides {
		if !r.exists(side) {
			c.rep.created(b, side)
			b.look[side] = false
		}
	}
	if b.num == 0 || r.summary.Repair {
		return nil
	}
	st, err := c.viewState(b.num)
	if err != nil {
		return fmt.Errorf("state of mailbox %q: %w", b.name(), err)
	}
	b.state = st
	c.decideLook(b, r)
	for _, side := range merge.Sides {
		b.look[side] = b.look[side] && r.exists(side)
	}
	return nil
}

func (c *cycle) admitWet(ctx context.Context, b *box, r *row) error {
	if b.num == 0 {
		num, err := c.logs.Register(ctx, b.names)
		if err != nil {
			return fmt.Errorf("register mailbox %q: %w", b.name(), err)
		}
		b.num = num
	}
	if r.summary != nil && r.summary.Repair {
		c.rep.problem(Problem{Kind: ProblemNote, Mailbox: b.name(), Text: "part of what was known of this mailbox was lost with a damaged log; its messages are paired again by content"})
		if err := c.logs.Commit(ctx, b.num, []logstate.Op{{Kind: logstate.Clear}}); err != nil {
			return fmt.Errorf("forget mailbox %q: %w", b.name(), err)
		}
	}
	for _, side := range merge.Sides {
		if !r.exists(side) {
			// A mailbox that cannot be opened where it is must not leave an empty one on the other side.
			if err := c.reachable(ctx, b, side.Other()); err != nil {
				return err
			}
			if b.failed.Load() {
				return nil
			}
			if err := c.create(ctx, b, side); err != nil {
				return err
			}
			if b.failed.Load() {
				return nil
			}
		}
	}
	var ops []logstate.Op
	for _, side := range merge.Sides {
		if !b.known[side] {
			ops = append(ops, logstate.Op{Kind: logstate.KnownOn, Side: side})
		}
	}
	if len(ops) > 0 {
		if err := c.logs.Commit(ctx, b.num, ops); err != nil {
			return fmt.Errorf("commit mailbox %q: %w", b.name(), err)
		}
		b.known = [2]bool{true, true}
	}
	return nil
}

// reachable opens a mailbox once, and fails it if that does not work.
func (c *cycle) reachable(ctx context.Context, b *box, side merge.Side) error {
	m, err := c.stores[side].Open(ctx, b.names[side])
	if err == nil {
		err = m.Close()
	}
	if err != nil {
		return c.failOrEnd(ctx, b, fmt.Errorf("open mailbox %q on the %s: %w", b.names[side], side, err))
	}
	return nil
}

// failOrEnd fails the mailbox if the error concerns nothing else, and otherwise returns the error, which ends the cycle.
func (c *cycle) failOrEnd(ctx context.Context, b *box, err error) error {
	if ctx.Err() == nil && (drivers.ReachOf(err) != drivers.ReachStore || errors.Is(err, drivers.ErrNoMailbox)) {
		c.fail(b, err)
		return nil
	}
	return fmt.Errorf("mailbox %q: %w", b.name(), err)
}

// create makes a mailbox on one side, logged like every effect. A refusal fails the mailbox only.
func (c *cycle) create(ctx context.Context, b *box, side merge.Side) error {
	batch, err := c.logs.Begin(ctx, logstate.Intent{
		Target: side, Mailbox: b.num, Time: c.acc.Now().UnixMilli(),
		Effects: []logstate.Effect{{Kind: logstate.EffectCreateMailbox}},
	})
	if err != nil {
		return fmt.Errorf("log the creation of mailbox %q: %w", b.name(), err)
	}
	status := logstate.Done
	cerr := c.stores[side].Create(ctx, b.names[side])
	if cerr != nil {
		status = logstate.NotDone
	}
	out := logstate.Outcome{Time: c.acc.Now().UnixMilli(), Results: []logstate.Result{{Status: status}}}
	if err := c.logs.Finish(ctx, batch, out); err != nil {
		return fmt.Errorf("log the creation of mailbox %q: %w", b.name(), err)
	}
	if cerr != nil {
		return c.failOrEnd(ctx, b, fmt.Errorf("create mailbox %q on the %s: %w", b.names[side], side, cerr))
	}
	b.known[side] = true
	c.rep.created(b, side)
	return nil
}

// decideLook clears look for the sides that are proven to be unchanged, unless something of the mailbox is open.
func (c *cycle) decideLook(b *box, r *row) {
	if r.summary == nil || r.summary.Repair || c.req.Full {
		return
	}
	unchanged := true
	for _, side := range merge.Sides {
		b.look[side] = !(r.info[side] != nil && r.info[side].Unchanged && b.cursor[side] != "")
		unchanged = unchanged && !b.look[side]
	}
	if r.summary.Halves[merge.InDoubt] > 0 {
		b.look = [2]bool{true, true}
		return
	}
	if unchanged && r.summary.Halves[merge.Quarantined] > 0 && c.retryDue(b) {
		b.look = [2]bool{true, true}
	}
}

// retryDue reports whether a quarantined message's time to be tried again has come.
func (c *cycle) retryDue(b *box) bool {
	st, err := c.states.State(b.num)
	if err != nil {
		return true // the comparison will meet the same error and report it
	}
	now := c.acc.Now().UnixMilli()
	for _, h := range st.Halves() {
		if h.Reason == merge.Quarantined && h.Retry > 0 && h.Retry <= now {
			return true
		}
	}
	return false
}

// refold reads the states of all mailboxes again after the lock was given away, and has every mailbox compared.
func (c *cycle) refold() error {
	summaries := map[logstate.Mailbox]logstate.Summary{}
	for _, s := range c.states.Mailboxes() {
		summaries[s.Mailbox] = s
	}
	for _, b := range c.boxes {
		if b.failed.Load() {
			continue
		}
		s, ok := summaries[b.num]
		if !ok || s.Names != b.names || s.Repair {
			c.fail(b, fmt.Errorf("the state of mailbox %q was replaced by another process; sync again", b.name()))
			continue
		}
		b.cursor, b.look, b.state = s.Cursor, [2]bool{true, true}, noState{}
	}
	return nil
}
