package engine

import (
	"context"
	"errors"
	"fmt"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// settle finds out what became of the effects that an earlier process began and did not conclude. Each kind has one question that
// is asked of the target:
//
//	copy            Is there a message under the reserved name?   yes: done
//	                                                              no, or no name was reserved: in doubt. The half-pair is completed by an
//	                                                              arrival with equal content anywhere in the target, or copied again
//	                                                              once it stayed absent for the grace time
//	move            Is the message still where it was?            yes: not done; but if ids are names and the destination has it under the same
//	                                                              one, half of the move survived a power cut: it is done again; and if ids are
//	                                                              numbers and its copy is there, too: the rest is done now (see finishCopies)
//	                                                              no: done if the destination has it since the mark, else not done
//	flags           Does the message show the whole change?       yes: done; no: not done, and planned again against the old base
//	delete          Is the message gone?                          yes: done; no: not done
//	create mailbox  Does the mailbox exist?                       yes: done, and what is missing of it is made; no: not done
//
// "Not done" is always safe: the next observation sees what is there. "Done" keeps our own effects from looking like somebody's changes.
//
// A mailbox that cannot be asked keeps its question: the intent stays open, the mailboxes that it concerns are left alone in this cycle, and all others are synced.
func (c *cycle) settle(ctx context.Context) error {
	if c.logs == nil {
		return nil
	}
	open := c.logs.Unsettled()
	if len(open) == 0 {
		return nil
	}
	c.rep.stage("settling")
	names := map[logstate.Mailbox][2]string{}
	for _, s := range c.states.Mailboxes() {
		names[s.Mailbox] = s.Names
	}
	c.unsettled = map[logstate.Mailbox]error{}
	for _, batch := range open {
		if c.stop.Err() != nil {
			return nil
		}
		results, stays, err := c.ask(ctx, batch.Intent, names)
		if err != nil && ctx.Err() == nil && (drivers.ReachOf(err) != drivers.ReachStore || errors.Is(err, drivers.ErrNoMailbox)) {
			stays, err = fmt.Errorf("find out what became of an interrupted sync: %w", err), nil
		}
		if err != nil {
			return fmt.Errorf("find out what became of an interrupted sync: %w", err)
		}
		if stays != nil {
			c.left.Store(true)
			for _, e := range batch.Intent.Effects {
				c.unsettled[e.To] = stays
			}
			c.unsettled[batch.Intent.Mailbox] = stays
			continue
		}
		out := logstate.Outcome{Time: c.acc.Now().UnixMilli(), Results: results}
		if err := c.logs.Finish(ctx, batch, out); err != nil {
			return fmt.Errorf("log what became of an interrupted sync: %w", err)
		}
	}
	return nil
}

// ask answers the questions of one batch. stays says why it has to stay open nevertheless.
func (c *cycle) ask(ctx context.Context, in logstate.Intent, names map[logstate.Mailbox][2]string) (results []logstate.Result, stays, err error) {
	results = make([]logstate.Result, len(in.Effects))
	for i, e := range in.Effects {
		results[i].Status = logstate.NotDone
		if e.Kind == logstate.EffectCopy {
			results[i].Status = logstate.Doubt
		}
	}
	name := names[in.Mailbox][in.Target]
	m, err := c.stores[in.Target].Open(ctx, name)
	if errors.Is(err, drivers.ErrNoMailbox) {
		return results, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	looks := map[merge.ID]drivers.Entry{}
	var ids []merge.ID
	for _, e := range in.Effects {
		if id := askedID(in.Target, e); id != "" {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		err = m.Look(ctx, ids, func(e drivers.Entry) error {
			looks[e.ID] = e
			return nil
		})
	}
	if cerr := m.Close(); err == nil {
		err = cerr
	}
	if errors.Is(err, drivers.ErrStale) {
		return results, nil, nil // the mailbox was numbered anew: the comparison notices, and pairs by content
	}
	if err != nil {
		return nil, nil, fmt.Errorf("mailbox %q: %w", name, err)
	}
	for i, e := range in.Effects {
		look, seen := looks[askedID(in.Target, e)]
		switch e.Kind {
		case logstate.EffectCopy:
			if seen && !look.Gone {
				results[i] = logstate.Result{Status: logstate.Done, ID: look.ID, Flags: stored(e.New.Base[in.Target], look)}
			}
		case logstate.EffectFlags:
			if seen && !look.Gone && look.FlagsKnown && look.Flags.Has(e.Add) && look.Flags.Intersect(e.Remove).Empty() {
				results[i] = logstate.Result{Status: logstate.Done, Flags: look.Flags}
			}
		case logstate.EffectDelete:
			if seen && look.Gone {
				results[i].Status = logstate.Done
			}
		case logstate.EffectCreateMailbox:
			// It is there, but perhaps not all of it (a Maildir is three directories), and whether a power cut would leave it there is not known before
			// the store has made sure of it.
			if err := c.stores[in.Target].Create(ctx, name); err != nil {
				return nil, nil, fmt.Errorf("create mailbox %q: %w", name, err)
			}
			results[i].Status = logstate.Done
		case logstate.EffectMove:
		}
	}
	if err := c.finishMoves(ctx, in, names, looks, results); err != nil {
		return nil, nil, err
	}
	if err := c.askMoves(ctx, in, names, looks, results); err != nil {
		return nil, nil, err
	}
	stays, err = c.finishCopies(ctx, in, names, looks, results)
	return results, stays, err
}

// finishMoves moves once more what is both where it was and where it was to go. That is only known where ids are names; the store recognises its own half-done
// move by them.
func (c *cycle) finishMoves(ctx context.Context, in logstate.Intent, names map[logstate.Mailbox][2]string, looks map[merge.ID]drivers.Entry, results []logstate.Result) error {
	places := map[logstate.Mailbox][]int{}
	for i, e := range in.Effects {
		if l, seen := looks[askedID(in.Target, e)]; e.Kind == logstate.EffectMove && seen && !l.Gone {
			places[e.To] = append(places[e.To], i)
		}
	}
	for to, effects := range places {
		there, err := c.presentIn(ctx, in, names[to][in.Target], effects)
		if err != nil {
			return err
		}
		if len(there) == 0 {
			continue
		}
		m, err := c.stores[in.Target].Open(ctx, names[in.Mailbox][in.Target])
		if err != nil {
			return err
		}
		ids := make([]merge.ID, len(there))
		for n, i := range there {
			ids[n] = askedID(in.Target, in.Effects[i])
		}
		moved, err := m.Move(ctx, ids, names[to][in.Target])
		if err = errors.Join(err, m.Close()); err != nil {
			return fmt.Errorf("mailbox %q: %w", names[in.Mailbox][in.Target], err)
		}
		for n, i := range there {
			if moved[n].Err == nil && moved[n].ID != "" {
				results[i] = logstate.Result{Status: logstate.Done, ID: moved[n].ID}
			}
		}
	}
	return nil
}

// presentIn returns which of the effects' messages a mailbox has under the very ids that they had elsewhere, none where ids are not names.
func (c *cycle) presentIn(ctx context.Context, in logstate.Intent, name string, effects []int) (there []int, err error) {
	m, err := c.stores[in.Target].Open(ctx, name)
	if errors.Is(err, drivers.ErrNoMailbox) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if !m.Status().Reserves {
		return nil, nil
	}
	at := map[merge.ID]int{}
	ids := make([]merge.ID, len(effects))
	for n, i := range effects {
		ids[n] = askedID(in.Target, in.Effects[i])
		at[ids[n]] = i
	}
	err = m.Look(ctx, ids, func(e drivers.Entry) error {
		if !e.Gone {
			there = append(there, at[e.ID])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("mailbox %q: %w", name, err)
	}
	return there, nil
}

// askedID is the id on the target that the question about an effect is about, "" if there is none.
func askedID(target merge.Side, e logstate.Effect) merge.ID {
	switch e.Kind {
	case logstate.EffectCopy:
		return e.Reserved
	case logstate.EffectMove, logstate.EffectFlags, logstate.EffectDelete:
		return e.Old.ID[target]
	case logstate.EffectCreateMailbox:
	}
	return ""
}

// stored guesses which flags an append stored: the system flags it was given, and of the keywords those that are there, since a store may be unable to
// hold one. What a person changed since then is found by the comparison.
func stored(given merge.Flags, look drivers.Entry) merge.Flags {
	system := merge.SystemFlags(given.System())
	if !look.FlagsKnown {
		return given
	}
	return system.Union(given.Minus(system).Intersect(look.Flags))
}

// askMoves looks in the destination for messages that have left their place.
func (c *cycle) askMoves(ctx context.Context, in logstate.Intent, names map[logstate.Mailbox][2]string, looks map[merge.ID]drivers.Entry, results []logstate.Result) error {
	left := map[int]logstate.Effect{}
	for i, e := range in.Effects {
		if l, seen := looks[askedID(in.Target, e)]; e.Kind == logstate.EffectMove && seen && l.Gone {
			left[i] = e
		}
	}
	for len(left) > 0 {
		var to logstate.Mailbox
		for _, e := range left {
			to = e.To
		}
		if err := c.findMoved(ctx, in, names[to][in.Target], to, left, results); err != nil {
			return err
		}
		for i, e := range left {
			if e.To == to {
				delete(left, i)
			}
		}
	}
	return nil
}

// findMoved finds moved messages in one destination: by the same id where ids survive a move, else by an identity that is unique there.
func (c *cycle) findMoved(ctx context.Context, in logstate.Intent, name string, to logstate.Mailbox, left map[int]logstate.Effect, results []logstate.Result) error {
	m, err := c.stores[in.Target].Open(ctx, name)
	if errors.Is(err, drivers.ErrNoMailbox) {
		return nil
	}
	if err != nil {
		return err
	}
	byIdentity := map[merge.Identity][]merge.ID{}
	err = m.Since(ctx, drivers.Mark(in.MarkTo), func(d drivers.Description) error {
		byIdentity[d.Identity] = append(byIdentity[d.Identity], d.ID)
		return nil
	})
	if cerr := m.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("mailbox %q: %w", name, err)
	}
	wanted := map[merge.Identity]int{}
	for _, e := range left {
		wanted[e.New.Identity]++
	}
	for i, e := range left {
		found := byIdentity[e.New.Identity]
		if e.To != to || !e.New.Identity.Known() || wanted[e.New.Identity] != 1 || len(found) != 1 {
			continue // the next observation pairs it by content
		}
		results[i] = logstate.Result{Status: logstate.Done, ID: found[0]}
	}
	return nil
}
