package engine

import (
	"context"
	"errors"
	"fmt"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// finishCopies ends moves that were cut off between their two halves: the message stands in the destination and still where it was. A server without MOVE makes that of any move that
// is interrupted, one with it may when it is killed. Neither "done" nor "not done" would be true: the one would make the original a new message, the other the copy. So the original is removed, as
// was intended, and the move is done. A copy counts as ours when it arrived since the mark in the intent, no pair has it, and its content is that of the original; so what is removed is there
// once more, with the flags that it has by now. Stores without marks move at one stroke.
//
// The error says why an original could not be removed now; then the intent has to stay open.
func (c *cycle) finishCopies(ctx context.Context, in logstate.Intent, names map[logstate.Mailbox][2]string, looks map[merge.ID]drivers.Entry, results []logstate.Result) (stays error, err error) {
	halves := map[merge.Identity]int{} // effects by identity; -1 for several
	var to logstate.Mailbox
	for i, e := range in.Effects {
		if l, seen := looks[askedID(in.Target, e)]; e.Kind != logstate.EffectMove || in.MarkTo == "" || !seen || l.Gone || !e.New.Identity.Known() {
			continue
		}
		to = e.To // the same for all of a batch
		if _, twice := halves[e.New.Identity]; twice {
			i = -1
		}
		halves[e.New.Identity] = i
	}
	if len(halves) == 0 {
		return nil, nil
	}
	dest, err := c.stores[in.Target].Open(ctx, names[to][in.Target])
	if errors.Is(err, drivers.ErrNoMailbox) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	copies, err := c.copiesSince(ctx, dest, in, to, halves)
	if cerr := dest.Close(); err == nil {
		err = cerr
	}
	if err != nil || len(copies) == 0 {
		return nil, err
	}
	if copies, err = c.sameContent(ctx, in, names[in.Mailbox][in.Target], copies); err != nil {
		return nil, err
	}
	stays, err = c.carryFlags(ctx, in, names[to][in.Target], looks, copies)
	if err != nil || stays != nil {
		return stays, err
	}
	return c.removeOriginals(ctx, in, names[in.Mailbox][in.Target], looks, copies, results)
}

// arrivedCopy is a message in the destination that may be the copy of a half-done move.
type arrivedCopy struct {
	id      merge.ID
	content merge.Content
}

// copiesSince returns, by effect, what arrived in the destination since the move began and is the only one with that identity.
func (c *cycle) copiesSince(ctx context.Context, dest drivers.Mailbox, in logstate.Intent, to logstate.Mailbox, halves map[merge.Identity]int) (map[int]arrivedCopy, error) {
	state, err := c.states.State(to)
	if err != nil {
		return nil, fmt.Errorf("state of the destination: %w", err)
	}
	found := map[int][]merge.ID{}
	err = dest.Since(ctx, drivers.Mark(in.MarkTo), func(d drivers.Description) error {
		i, ok := halves[d.Identity]
		_, paired := state.Pair(in.Target, d.ID)
		if ok && i >= 0 && !paired {
			found[i] = append(found[i], d.ID)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("mailbox %q: %w", dest.Name(), err)
	}
	var ids []merge.ID
	for _, f := range found {
		if len(f) == 1 {
			ids = append(ids, f[0])
		}
	}
	facts := map[merge.ID]fact{}
	if err := c.learn(ctx, dest, merge.WantContent, ids, facts); err != nil {
		return nil, fmt.Errorf("mailbox %q: %w", dest.Name(), err)
	}
	copies := map[int]arrivedCopy{}
	for i, f := range found {
		if k, ok := facts[f[0]]; ok && len(f) == 1 && k.content != merge.Unreadable {
			copies[i] = arrivedCopy{f[0], k.content}
		}
	}
	return copies, nil
}

// sameContent returns the copies whose content is that of their original.
func (c *cycle) sameContent(ctx context.Context, in logstate.Intent, name string, copies map[int]arrivedCopy) (_ map[int]arrivedCopy, err error) {
	m, err := c.stores[in.Target].Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	ids := make([]merge.ID, 0, len(copies))
	for i := range copies {
		ids = append(ids, in.Effects[i].Old.ID[in.Target])
	}
	facts := map[merge.ID]fact{}
	if err := c.learn(ctx, m, merge.WantContent, ids, facts); err != nil {
		return nil, fmt.Errorf("mailbox %q: %w", name, err)
	}
	same := map[int]arrivedCopy{}
	for i, arrived := range copies {
		if k, ok := facts[in.Effects[i].Old.ID[in.Target]]; ok && k.content.Same(arrived.content) {
			same[i] = arrived
		}
	}
	return same, nil
}

// carryFlags gives the copies what their owner changed on the originals since the move began, which goes with them otherwise. \Deleted is not carried over: the move itself marks with it what it has
// copied. The error in stays says why that was not possible now; then the originals have to stay.
func (c *cycle) carryFlags(ctx context.Context, in logstate.Intent, name string, looks map[merge.ID]drivers.Entry, copies map[int]arrivedCopy) (stays, err error) {
	deleted := merge.SystemFlags(merge.Deleted)
	var changes []drivers.FlagChange
	for i, arrived := range copies {
		e := in.Effects[i]
		look := looks[e.Old.ID[in.Target]]
		if !look.FlagsKnown {
			continue
		}
		change := drivers.FlagChange{ID: arrived.id, Add: look.Flags.Minus(e.Now).Minus(deleted), Remove: e.Now.Minus(look.Flags).Minus(deleted)}
		if !change.Add.Empty() || !change.Remove.Empty() {
			changes = append(changes, change)
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	m, err := c.stores[in.Target].Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	done, err := m.SetFlags(ctx, changes)
	if err != nil {
		return nil, fmt.Errorf("mailbox %q: %w", name, err)
	}
	for _, d := range done {
		switch {
		case d.Err == nil:
		case drivers.ReachOf(d.Err) == drivers.ReachStore:
			return nil, fmt.Errorf("mailbox %q: %w", name, d.Err)
		default:
			stays = fmt.Errorf("finish a move that was cut off: keep the flags of the original: %w", d.Err)
		}
	}
	return stays, nil
}

// removeOriginals removes the messages that have an equal copy in the destination, and notes them as moved.
func (c *cycle) removeOriginals(ctx context.Context, in logstate.Intent, name string, looks map[merge.ID]drivers.Entry, copies map[int]arrivedCopy, results []logstate.Result) (stays error, err error) {
	m, err := c.stores[in.Target].Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := m.Close(); err == nil {
			err = cerr
		}
	}()
	for i, arrived := range copies {
		id := in.Effects[i].Old.ID[in.Target]
		errs, err := m.Expunge(ctx, []drivers.Removal{{ID: id, Seen: looks[id].Flags}})
		if len(errs) == 1 && errs[0] != nil {
			err = errs[0]
		}
		if err != nil && !errors.Is(err, drivers.ErrGone) {
			if drivers.ReachOf(err) == drivers.ReachStore {
				return nil, fmt.Errorf("mailbox %q: %w", name, err)
			}
			stays = fmt.Errorf("finish a move that was cut off: %w", err)
			continue
		}
		results[i] = logstate.Result{Status: logstate.Done, ID: arrived.id}
	}
	return stays, nil
}

// failUnsettled fails the mailboxes of which an earlier effect could not be settled: what is seen of them cannot be told from what we did.
func (c *cycle) failUnsettled() {
	for _, b := range c.boxes {
		if err := c.unsettled[b.num]; b.num != 0 && err != nil {
			c.fail(b, err)
		}
	}
}
