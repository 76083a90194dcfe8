package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// apply carries out a plan: first what needs no effect, then copies, moves and flags, last the deletions; at the end it commits
// the cursors of what is finished.
func (c *cycle) apply(ctx context.Context, p merge.Plan) error {
	work := map[*box]*merge.MailboxPlan{}
	for i := range p.Mailboxes {
		work[c.byName(p.Mailboxes[i].Name)] = &p.Mailboxes[i]
	}
	c.announce(work)
	for _, b := range c.boxes {
		b.undone.Store(false)
		b.void = false
		b.wrote[merge.Left].Store(false)
		b.wrote[merge.Right].Store(false)
		// A message that the store did not tell about when it was asked is asked for once more, and never passed by a cursor.
		if b.fled != [2]bool{} {
			b.undone.Store(true)
		}
		// What a conflict was settled to is looked at once more, in both its mailboxes.
		if p := work[b]; p != nil && p.Late > 0 {
			b.undone.Store(true)
		} else if p != nil && slices.ContainsFunc(p.Conflicts, func(c merge.Conflict) bool { return c.Resolution != merge.Unresolved }) {
			b.undone.Store(true)
		}
	}
	planned := func(b *box) bool { return work[b] != nil }
	c.applying = c.acc.Now()
	c.begun.Store(false)
	if err := c.eachBox(ctx, planned, c.commitOrigins); err != nil {
		return err
	}
	if err := c.commitFindings(ctx, work); err != nil {
		return err
	}
	steps := []struct {
		kinds []merge.Kind
		run   func(context.Context, *box, *merge.MailboxPlan) error
	}{
		{[]merge.Kind{merge.Copy, merge.SetFlags}, c.copyAndFlag},
		{[]merge.Kind{merge.Move}, c.moveAll},
		{[]merge.Kind{merge.Delete}, c.deleteAll},
	}
	for _, step := range steps {
		concerned := func(b *box) bool { return planned(b) && !b.void && hasKind(work[b], step.kinds) }
		err := c.eachBox(ctx, concerned, func(ctx context.Context, b *box) error {
			err := step.run(ctx, b, work[b])
			if errors.Is(err, drivers.ErrStale) && !b.restarted {
				return c.startOver(ctx, b)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if c.stop.Err() != nil {
		return nil
	}
	return c.commitCursors(ctx)
}

// startOver forgets a mailbox whose ids turn out to mean nothing any more only when they are used: a cursor would have told, but none was left (the shared log was
// lost). The rest of its plan is void, and it is looked at again, once in a cycle.
func (c *cycle) startOver(ctx context.Context, b *box) error {
	b.void, b.restarted = true, true
	b.undone.Store(true)
	return c.forget(ctx, b)
}

func hasKind(p *merge.MailboxPlan, kinds []merge.Kind) bool {
	for _, side := range merge.Sides {
		for _, k := range kinds {
			if len(actionsOf(p.Actions[side], k)) > 0 {
				return true
			}
		}
	}
	return false
}

// actionsOf returns the run of actions of one kind; they stand together.
func actionsOf(actions []merge.Action, kind merge.Kind) []merge.Action {
	first := -1
	for i, a := range actions {
		if a.Kind == kind && first < 0 {
			first = i
		}
		if a.Kind != kind && first >= 0 {
			return actions[first:i]
		}
	}
	if first < 0 {
		return nil
	}
	return actions[first:]
}

// announce tells how much is to be copied.
func (c *cycle) announce(work map[*box]*merge.MailboxPlan) {
	for _, b := range c.boxes {
		p := work[b]
		if p == nil {
			continue
		}
		for _, side := range merge.Sides {
			copies := actionsOf(p.Actions[side], merge.Copy)
			if len(copies) == 0 {
				continue
			}
			var bytes int64
			for _, a := range copies {
				bytes += a.New.Identity.Size
			}
			c.rep.event(Event{Kind: EventTotal, Mailbox: b.name(), Side: side, Messages: len(copies), Bytes: bytes})
		}
	}
}

// commitOrigins records the epoch of the ids of a mailbox that has no cursor yet, before the first pair with such an id is written: so that a server that numbers
// the mailbox anew is noticed even if no sync has come to its end.
func (c *cycle) commitOrigins(ctx context.Context, b *box) error {
	var ops []logstate.Op
	for _, side := range merge.Sides {
		if s := b.seen[side]; s != nil && s.origin != "" && b.cursor[side] == "" {
			ops = append(ops, logstate.Op{Kind: logstate.SetCursor, Side: side, Cursor: s.origin})
			b.cursor[side] = s.origin
		}
	}
	return c.commitOps(ctx, b, ops)
}

// commitFindings commits what a plan found out without any effect: all mailboxes at once, since what leaves one may be what another gets. Where that is too much for
// one record, what is dropped is dropped in all mailboxes before anything else: a pair that is forgotten too early costs a comparison by
// content, one that is known twice could delete one of two equal messages.
func (c *cycle) commitFindings(ctx context.Context, work map[*box]*merge.MailboxPlan) error {
	passes := []func(merge.Commit) []logstate.Op{drops, c.puts}
	all, n, related := map[logstate.Mailbox][]logstate.Op{}, 0, false
	for b, p := range work {
		if b.failed.Load() {
			continue
		}
		// Pairs that replace nothing, as on first contact, have nothing to do with each other.
		related = related || len(p.Commit.Drop)+len(p.Commit.DropHalf)+len(p.Commit.Orphan) > 0
		for _, pass := range passes {
			if ops := pass(p.Commit); len(ops) > 0 {
				all[b.num] = append(all[b.num], ops...)
				n += len(ops)
			}
		}
	}
	if n <= maxCommitOps || related && n <= maxRelatedOps {
		if err := c.logs.CommitAll(ctx, all); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	}
	for _, pass := range passes {
		planned := func(b *box) bool { return work[b] != nil }
		err := c.eachBox(ctx, planned, func(ctx context.Context, b *box) error { return c.commitOps(ctx, b, pass(work[b].Commit)) })
		if err != nil {
			return err
		}
	}
	return nil
}

// drops returns the ops for the pairs that a plan drops.
func drops(p merge.Commit) []logstate.Op {
	var ops []logstate.Op
	for _, pair := range p.Drop {
		ops = append(ops, logstate.Op{Kind: logstate.DropPair, Pair: pair})
	}
	return ops
}

// puts returns the ops for everything else that a plan found out without any effect.
func (c *cycle) puts(p merge.Commit) []logstate.Op {
	var ops []logstate.Op
	for _, o := range p.Orphan {
		ops = append(ops, logstate.Op{Kind: logstate.DropPair, Pair: o.Pair}, logstate.Op{Kind: logstate.PutHalf, Half: c.stamp(o.Half)})
	}
	for _, h := range p.DropHalf {
		ops = append(ops, logstate.Op{Kind: logstate.DropHalf, Half: h})
	}
	for _, pair := range p.Put {
		ops = append(ops, logstate.Op{Kind: logstate.PutPair, Pair: pair})
	}
	for _, h := range p.PutHalf {
		ops = append(ops, logstate.Op{Kind: logstate.PutHalf, Half: c.stamp(h)})
	}
	return ops
}

// commitOps commits ops of a mailbox in records that are small enough to be read and written at once. An orphan's two ops stay together.
func (c *cycle) commitOps(ctx context.Context, b *box, ops []logstate.Op) error {
	for len(ops) > 0 {
		n := min(len(ops), maxCommitOps)
		if err := c.logs.Commit(ctx, b.num, ops[:n]); err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		ops = ops[n:]
	}
	return nil
}

// maxCommitOps bounds the record that one commit makes. It is even, so that the two ops of an orphan, which come first, are never separated.
const maxCommitOps = 2000

// maxRelatedOps bounds the record of findings that belong together.
const maxRelatedOps = 50_000

func (c *cycle) stamp(h merge.Half) merge.Half {
	if h.Since == 0 {
		h.Since = c.acc.Now().UnixMilli()
	}
	return h
}

// both runs the two controllers on one mailbox at the same time.
func (c *cycle) both(ctx context.Context, b *box, want [2]bool, f func(context.Context, controller) error) error {
	h, err := c.openBox(ctx, b, want)
	if err != nil {
		return err
	}
	defer h.close()
	g, gctx := errgroup.WithContext(ctx)
	for _, side := range merge.Sides {
		g.Go(func() error {
			return f(gctx, controller{c: c, b: b, side: side, target: h[side], source: h[side.Other()]})
		})
	}
	return g.Wait()
}

// copyAndFlag runs both controllers on the copies and flag changes of a mailbox.
func (c *cycle) copyAndFlag(ctx context.Context, b *box, p *merge.MailboxPlan) error {
	var want [2]bool
	for _, side := range merge.Sides {
		if len(actionsOf(p.Actions[side], merge.Copy)) > 0 {
			want = [2]bool{true, true}
		}
		if len(actionsOf(p.Actions[side], merge.SetFlags)) > 0 {
			want[side] = true
		}
	}
	return c.both(ctx, b, want, func(ctx context.Context, k controller) error {
		if err := k.copies(ctx, actionsOf(p.Actions[k.side], merge.Copy)); err != nil {
			return err
		}
		return k.flags(ctx, actionsOf(p.Actions[k.side], merge.SetFlags))
	})
}

// moveAll moves a mailbox's messages, one side after the other. The destination is opened before and closed again, so that no handle is waited for while another is held.
func (c *cycle) moveAll(ctx context.Context, b *box, p *merge.MailboxPlan) error {
	for _, side := range merge.Sides {
		byTarget := map[string][]merge.Action{}
		var order []string
		for _, a := range actionsOf(p.Actions[side], merge.Move) {
			if byTarget[a.To] == nil {
				order = append(order, a.To)
			}
			byTarget[a.To] = append(byTarget[a.To], a)
		}
		for _, to := range order {
			if err := c.moveTo(ctx, b, side, to, byTarget[to]); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteAll deletes a mailbox's messages, both sides at the same time.
func (c *cycle) deleteAll(ctx context.Context, b *box, p *merge.MailboxPlan) error {
	return c.both(ctx, b, [2]bool{true, true}, func(ctx context.Context, k controller) error {
		return k.deletions(ctx, actionsOf(p.Actions[k.side], merge.Delete))
	})
}

// commitCursors commits the cursors of the observed sides whose every change is applied or recorded. A side that was written to must be
// looked at again first: what others changed meanwhile must not be skipped.
func (c *cycle) commitCursors(ctx context.Context) error {
	hung, parked := c.hung()
	return c.eachBox(ctx, func(*box) bool { return true }, func(ctx context.Context, b *box) error {
		var ops []logstate.Op
		for _, side := range merge.Sides {
			s := b.seen[side]
			b.seen[side] = nil
			switch {
			case parked[b]:
			case b.undone.Load():
				b.look = [2]bool{true, true}
			case b.wrote[side].Load():
				b.look[side] = true
			case s == nil || hung[b] || b.blocked || b.unsettled || s.cursor == "" || s.cursor == b.cursor[side]:
			default:
				ops = append(ops, logstate.Op{Kind: logstate.SetCursor, Side: side, Cursor: s.cursor})
				b.cursor[side] = s.cursor
			}
		}
		if len(ops) == 0 {
			return nil
		}
		if err := c.logs.Commit(ctx, b.num, ops); err != nil {
			return fmt.Errorf("commit cursors: %w", err)
		}
		return nil
	})
}
