package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// mover moves messages of a mailbox to another one of the same side. Of the two only one is open at any time, so that no handle is waited for while another
// is held.
type mover struct {
	controller
	dest *box
	mark drivers.Mark // where the destination stood before
	open handles      // of the mailbox, if it is open
}

// moveTo moves messages of a mailbox to another mailbox of the same side.
func (c *cycle) moveTo(ctx context.Context, b *box, side merge.Side, to string, actions []merge.Action) error {
	dest := c.byName(to)
	if dest == nil || dest.failed.Load() {
		b.undone.Store(true)
		return nil
	}
	m := &mover{controller: controller{c: c, b: b, side: side}, dest: dest}
	err := m.inDestination(ctx, func(d drivers.Mailbox) (err error) {
		m.mark, err = d.Mark(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark %q on the %s: %w", dest.names[side], side, err)
	}
	defer m.close()
	if err := m.reopen(ctx); err != nil {
		return err
	}
	return m.each(actions, func(actions []merge.Action) error { return m.batch(ctx, actions) })
}

// wanted says which side of a mailbox is to be opened.
func (m *mover) wanted() (want [2]bool) {
	want[m.side] = true
	return want
}

// reopen opens the mailbox unless it is open.
func (m *mover) reopen(ctx context.Context) (err error) {
	if m.open[m.side] != nil {
		return nil
	}
	m.open, err = m.c.openBox(ctx, m.b, m.wanted())
	m.target = m.open[m.side]
	return err
}

func (m *mover) close() {
	m.open.close()
	m.open = handles{}
}

// inDestination opens the destination for f.
func (m *mover) inDestination(ctx context.Context, f func(drivers.Mailbox) error) error {
	d, err := m.c.openBox(ctx, m.dest, m.wanted())
	if err != nil {
		return err
	}
	defer d.close()
	return f(d[m.side])
}

// batch moves messages as one batch of the log.
func (m *mover) batch(ctx context.Context, actions []merge.Action) error {
	if err := m.reopen(ctx); err != nil {
		return err
	}
	in := logstate.Intent{Target: m.side, Mailbox: m.b.num, Time: m.c.acc.Now().UnixMilli(), MarkTo: string(m.mark)}
	ids := make([]merge.ID, len(actions))
	for i, a := range actions {
		e := logstate.Effect{Kind: logstate.EffectMove, Old: a.Old, New: a.New, Now: a.Now, To: m.dest.num, Tries: 1}
		if a.Half != nil {
			e.HasHalf, e.HalfSide, e.HalfID = true, a.Half.Side, a.Half.ID
		}
		in.Effects = append(in.Effects, e)
		ids[i] = a.Old.ID[m.side]
	}
	m.dest.wrote[m.side].Store(true)
	m.dest.undone.Store(true) // the pair that arrives there has the base it had here: what changed since is seen in the next round
	return m.effect(ctx, in, merge.Move, func() ([]logstate.Result, int, error) {
		moved, err := m.target.Move(ctx, ids, m.dest.names[m.side])
		if err == nil {
			err = m.name(ctx, actions, moved)
		}
		results := make([]logstate.Result, len(actions))
		unnamed := 0
		for i := range results {
			results[i] = logstate.Result{Status: logstate.NotDone}
			switch {
			case i < len(moved) && moved[i].Err == nil && moved[i].ID != "":
				results[i] = logstate.Result{Status: logstate.Done, ID: moved[i].ID}
			case i < len(moved) && moved[i].Err == nil:
				unnamed++
			case i < len(moved) && errors.Is(moved[i].Err, drivers.ErrUnknown):
				err = cmp.Or(err, moved[i].Err)
			case i < len(moved) && err == nil:
				m.refused(merge.Move.String(), ids[i], moved[i].Err)
			}
		}
		return results, unnamed, err
	})
}

// name finds out what ids moved messages have in the destination where the store did not tell (no UIDPLUS), before the outcome is logged. Until a later round finds them
// by content, the state would have them where they were: if the owner of a message meanwhile moves it back, that would look as if nothing had happened here, and the move that we made
// like a move of somebody on this side.
//
// A message is known by an identity that is the only one among what arrived since the mark, and of which one only was moved. The others stay without id.
func (m *mover) name(ctx context.Context, actions []merge.Action, moved []drivers.Moved) error {
	unnamed := map[merge.Identity]int{} // effects by identity; -1 for several
	for i, r := range moved {
		id := actions[i].New.Identity
		if r.Err != nil || !id.Known() {
			continue
		}
		if _, twice := unnamed[id]; twice || r.ID != "" {
			i = -1
		}
		unnamed[id] = i
	}
	for id, i := range unnamed {
		if i < 0 {
			delete(unnamed, id)
		}
	}
	if len(unnamed) == 0 {
		return nil
	}
	m.close()
	state, err := m.c.states.State(m.dest.num)
	if err != nil {
		return fmt.Errorf("state of the destination: %w", err)
	}
	found := map[int][]merge.ID{}
	err = m.inDestination(ctx, func(d drivers.Mailbox) error {
		return d.Since(ctx, m.mark, func(d drivers.Description) error {
			i, ours := unnamed[d.Identity]
			if _, known := state.Pair(m.side, d.ID); ours && !known {
				found[i] = append(found[i], d.ID)
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("look for what was moved to %q: %w", m.dest.names[m.side], err)
	}
	for i, ids := range found {
		if len(ids) == 1 {
			moved[i].ID = ids[0]
		}
	}
	return nil
}
