package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// sight is what one side of a mailbox shows, reduced to what differs from the state.
type sight struct {
	arrivals []merge.Arrival
	changed  map[merge.ID]merge.Look // known messages whose look differs from their base
	cursor   string                  // covers all of it
	origin   string                  // covers nothing, in the same epoch
	began    int64                   // Unix milliseconds: what is not in it was absent then
}

// errReset says that the ids of a side mean nothing any more.
var errReset = errors.New("ids were reset")

// handles are the open mailboxes of a box, by side.
type handles [2]drivers.Mailbox

// openBox opens the wanted sides of a box, left before right, so that mailboxes never wait for each other's connections.
func (c *cycle) openBox(ctx context.Context, b *box, want [2]bool) (handles, error) {
	var h handles
	for _, side := range merge.Sides {
		if !want[side] {
			continue
		}
		m, err := c.stores[side].Open(ctx, b.names[side])
		if err != nil {
			h.close()
			return handles{}, fmt.Errorf("open mailbox %q on the %s: %w", b.names[side], side, err)
		}
		h[side] = m
	}
	return h, nil
}

// close closes what is open. A handle has nothing left to lose when it is closed: every effect was reported before.
func (h handles) close() {
	for _, m := range h {
		if m != nil {
			_ = m.Close()
		}
	}
}

// eachBox runs f for the boxes for which want says so, several at a time. An error that concerns just the mailbox fails the mailbox; any
// other ends the cycle.
func (c *cycle) eachBox(ctx context.Context, want func(*box) bool, f func(context.Context, *box) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.acc.Workers)
	for _, b := range c.boxes {
		if b.failed.Load() || !want(b) {
			continue
		}
		g.Go(func() error {
			if c.stop.Err() != nil {
				return nil
			}
			err := f(gctx, b)
			if err == nil || (c.stop.Err() != nil && errors.Is(err, context.Canceled)) {
				return nil
			}
			return c.failOrEnd(gctx, b, err)
		})
	}
	return g.Wait()
}

// observeAll observes the sides that must be looked at.
func (c *cycle) observeAll(ctx context.Context) error {
	for _, b := range c.boxes {
		b.fled, b.later = [2]bool{}, [2]int{}
	}
	if err := c.eachBox(ctx, (*box).again, c.observe); err != nil {
		return err
	}
	return c.widen(ctx)
}

// widen observes all mailboxes of a side when the source of an append in doubt has left its mailbox: where it went decides what the copy that arrived is.
func (c *cycle) widen(ctx context.Context) error {
	var wide [2]bool
	for _, b := range c.boxes {
		if b.failed.Load() {
			continue
		}
		for _, h := range b.state.Halves() {
			if s := b.seen[h.Side]; h.Reason == merge.InDoubt && s != nil && s.changed[h.ID].Gone {
				wide[h.Side] = true
			}
		}
	}
	if wide == [2]bool{} {
		return nil
	}
	for _, b := range c.boxes {
		for _, side := range merge.Sides {
			b.look[side] = b.look[side] || wide[side] && b.seen[side] == nil
		}
	}
	return c.eachBox(ctx, (*box).again, c.observe)
}

// observe compares what both sides of a mailbox show with its state.
func (c *cycle) observe(ctx context.Context, b *box) error {
	if err := c.foldState(b); err != nil {
		return err
	}
	h, err := c.openBox(ctx, b, b.look)
	if err != nil {
		return err
	}
	defer func() { h.close() }()
	err = c.compareSides(ctx, b, h)
	if errors.Is(err, errReset) || errors.Is(err, drivers.ErrStale) {
		if err = c.forget(ctx, b); err != nil {
			return err
		}
		h.close()
		b.look = [2]bool{true, true}
		if h, err = c.openBox(ctx, b, b.look); err != nil {
			return err
		}
		err = c.compareSides(ctx, b, h)
	}
	if err != nil {
		return err
	}
	for _, side := range merge.Sides {
		if h[side] != nil {
			b.named[side] = h[side].Status().Reserves
		}
	}
	b.look = [2]bool{}
	return nil
}

// foldState reads the state of a mailbox when it is needed for the first time.
func (c *cycle) foldState(b *box) error {
	if _, none := b.state.(noState); !none || b.num == 0 || c.logs == nil {
		return nil
	}
	st, err := c.logs.State(b.num)
	if err != nil {
		return fmt.Errorf("state of mailbox %q: %w", b.name(), err)
	}
	b.state = st
	return nil
}

// forget drops all that is known of a mailbox whose ids were reset: its messages will be paired again by content, and nothing is deleted.
func (c *cycle) forget(ctx context.Context, b *box) error {
	c.rep.problem(Problem{Kind: ProblemNote, Mailbox: b.name(), Text: "the server numbered this mailbox anew (UIDVALIDITY changed) or went back to an older state; its messages are paired again by content"})
	b.cursor = [2]string{}
	if c.logs == nil {
		b.state = noState{}
		return nil
	}
	ops := []logstate.Op{{Kind: logstate.Clear}}
	for _, h := range b.state.Halves() {
		// An append may still be under way. What is in doubt is found under its new id by content, like what arrives.
		if h.Reason == merge.InDoubt {
			ops = append(ops, logstate.Op{Kind: logstate.PutHalf, Half: h})
		}
	}
	if err := c.logs.Commit(ctx, b.num, ops); err != nil {
		return fmt.Errorf("forget mailbox %q: %w", b.name(), err)
	}
	return nil
}

// compareSides observes the open sides at the same time.
func (c *cycle) compareSides(ctx context.Context, b *box, h handles) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, side := range merge.Sides {
		if h[side] == nil {
			continue
		}
		b.seen[side] = nil
		g.Go(func() error {
			s, err := c.compare(gctx, b, side, h[side])
			if err != nil {
				if errors.Is(err, errReset) {
					return err
				}
				return fmt.Errorf("compare the %s with the state: %w", side, err)
			}
			b.seen[side] = s
			c.acc.Log.Debug("compared", zap.String("mailbox", b.name()), zap.Stringer("side", side), zap.Int("new", len(s.arrivals)), zap.Int("changed", len(s.changed)))
			return nil
		})
	}
	return g.Wait()
}

// compare is the controller's two-way merge: it turns what a side shows into changes of the state. When the count that state and changes
// predict is not what the store reports, it asks for more. A full listing that the store could not complete, because others change the mailbox all the time, is taken
// as it is: nothing in it is gone, and its cursor lets a later cycle find what is.
func (c *cycle) compare(ctx context.Context, b *box, side merge.Side, m drivers.Mailbox) (*sight, error) {
	scope := drivers.Delta
	since := drivers.Cursor(b.cursor[side])
	if since == "" || (c.req.Full && !c.moved) {
		scope = drivers.Full
	}
	for ; ; scope++ {
		s, predicted, obs, err := c.look(ctx, b, side, m, since, scope)
		if err != nil {
			return nil, err
		}
		if obs.Reset && since != "" {
			return nil, errReset
		}
		if obs.Given != nil {
			for id, l := range s.changed {
				if l.Gone && !obs.Given(id) {
					// The cursor is from before this message, which an interrupted sync copied: only the message can tell.
					return nil, errReset
				}
			}
		}
		if predicted == obs.Count || scope >= drivers.Full {
			return s, nil
		}
		c.acc.Log.Sugar().Debugf("%s: %s side has %d messages, %d expected: looking closer", b.name(), side, obs.Count, predicted)
	}
}

var hashSeed = maphash.MakeSeed()

// look makes one observation and returns it with the number of messages that it predicts.
func (c *cycle) look(ctx context.Context, b *box, side merge.Side, m drivers.Mailbox, since drivers.Cursor, scope drivers.Scope) (*sight, int, drivers.Observed, error) {
	s := &sight{changed: map[merge.ID]merge.Look{}, began: c.acc.Now().UnixMilli()}
	var known []uint64 // hashes of the known ids that are there, in case everything is listed
	arrived := map[merge.ID]struct{}{}
	obs, err := m.Changes(ctx, since, scope, func(e drivers.Entry) error {
		base, ok := b.base(side, e.ID)
		switch {
		case !ok && e.Gone:
		case !ok:
			if _, twice := arrived[e.ID]; twice {
				return nil
			}
			arrived[e.ID] = struct{}{}
			size := max(e.Size, 0)
			s.arrivals = append(s.arrivals, merge.Arrival{ID: e.ID, Flags: e.Flags, Identity: merge.Identity{Size: size}})
		case e.Gone:
			s.changed[e.ID] = merge.Look{Gone: true}
		default:
			known = append(known, maphash.String(hashSeed, string(e.ID)))
			if e.FlagsKnown && !e.Flags.Equal(base) {
				s.changed[e.ID] = merge.Look{Flags: e.Flags}
			} else {
				delete(s.changed, e.ID) // seen twice: the last look counts
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, obs, err
	}
	if obs.All {
		b.missing(side, known, s.changed)
	}
	predicted := b.state.Count(side) + len(s.arrivals)
	for _, l := range s.changed {
		if l.Gone {
			predicted--
		}
	}
	s.cursor, s.origin = string(obs.Cursor), string(obs.Origin)
	return s, predicted, obs, nil
}

// base returns the flags that a known message was last seen with.
func (b *box) base(side merge.Side, id merge.ID) (merge.Flags, bool) {
	if p, ok := b.state.Pair(side, id); ok {
		return p.Base[side], true
	}
	if h, ok := b.state.Half(side, id); ok {
		return h.Base, true
	}
	return merge.Flags{}, false
}

// missing marks the known messages as gone that a complete listing did not have. Hashes keep it small; a collision can only hide that a message is gone.
func (b *box) missing(side merge.Side, present []uint64, changed map[merge.ID]merge.Look) {
	slices.Sort(present)
	present = slices.Compact(present)
	if len(present) == b.state.Count(side) {
		return
	}
	gone := func(id merge.ID) {
		if _, found := slices.BinarySearch(present, maphash.String(hashSeed, string(id))); !found {
			changed[id] = merge.Look{Gone: true}
		}
	}
	b.state.Pairs(func(p merge.Pair) bool { gone(p.ID[side]); return true })
	for _, h := range b.state.Halves() {
		if h.Side == side {
			gone(h.ID)
		}
	}
}

// sortChanged puts changed pairs into a fixed order, so that equal observations give equal plans.
func sortChanged(p []merge.PairView) {
	slices.SortFunc(p, func(a, b merge.PairView) int { return cmp.Compare(a.ID[merge.Left], b.ID[merge.Left]) })
}
