package engine

import (
	"context"
	"fmt"

	"driftless/merge"
)

// identifier is what a local store offers: a marker that tells it from another directory at the same place.
type identifier interface {
	EnsureIdentity(ctx context.Context) (string, error)
}

// checkIdentity compares the stores with the recorded ones.
//
// A local store that is another one (its disk is not mounted, it was replaced) gets nothing and shows nothing: the cycle ends. A server that says it is
// another one may be right: each mailbox that was numbered anew is paired again by content, but no deletion that the store seems to show is carried out
// until a cycle without such deletions has come to its end.
func (c *cycle) checkIdentity(ctx context.Context) error {
	for _, side := range merge.Sides {
		store := c.stores[side]
		now, err := store.Identity(ctx)
		if err != nil {
			return fmt.Errorf("%s store: identity: %w", side, err)
		}
		recorded := c.states.StoreIdentity(side)
		local, isLocal := store.(identifier)
		switch {
		case recorded == "" && c.req.DryRun:
		case recorded == "":
			if isLocal {
				if now, err = local.EnsureIdentity(ctx); err != nil {
					return fmt.Errorf("%s store: identity: %w", side, err)
				}
			}
			if now == "" {
				continue
			}
			if err := c.logs.SetStoreIdentity(ctx, side, now); err != nil {
				return fmt.Errorf("%s store: record identity: %w", side, err)
			}
		case now == recorded && isLocal && !c.req.DryRun:
			// The store learns that it may write: it mends what only a writer may mend (two files with one unique part).
			if _, err := local.EnsureIdentity(ctx); err != nil {
				return fmt.Errorf("%s store: identity: %w", side, err)
			}
		case now == recorded || (now == "" && !isLocal):
		case isLocal:
			c.refuseStore(side)
		default:
			c.identity[side] = now
			c.hold[side] = fmt.Sprintf("the %s store (%s) is not the one that was synced before", side, store.Info().Address)
			c.rep.problem(Problem{Kind: ProblemNote, Side: side, Text: c.hold[side] +
				": it is compared with the other side by content; what seems deleted there is not deleted on the other side, and no mailbox is made there"})
		}
	}
	return nil
}

// refuseStore ends the cycle, for a local store is not the recorded one.
func (c *cycle) refuseStore(side merge.Side) {
	c.wrong = true
	c.rep.problem(Problem{Kind: ProblemHeld, Side: side, Count: 1, Text: fmt.Sprintf(
		"the %s store (%s) is not the one that was synced before: its marker is missing or another one. Nothing is done. Is its disk mounted? "+
			"If it is meant to be another store, `driftless rebuild %s` pairs both sides anew", side, c.stores[side].Info().Address, c.acc.Name)})
}

// stillThere asks the local stores once more after they were listed: a disk that goes away during a listing looks like a deletion of everything.
func (c *cycle) stillThere(ctx context.Context) error {
	for _, side := range merge.Sides {
		if _, isLocal := c.stores[side].(identifier); !isLocal {
			continue
		}
		recorded := c.states.StoreIdentity(side)
		now, err := c.stores[side].Identity(ctx)
		if err != nil {
			return fmt.Errorf("%s store: identity: %w", side, err)
		}
		if recorded != "" && now != recorded {
			c.refuseStore(side)
			return nil
		}
	}
	return nil
}

// acknowledge records the new identity of a server once a cycle has come to its end without holding anything for it.
func (c *cycle) acknowledge(ctx context.Context) error {
	for _, side := range merge.Sides {
		if c.identity[side] == "" || c.withheld[side] || c.rep.failures() > 0 {
			continue
		}
		if err := c.logs.SetStoreIdentity(ctx, side, c.identity[side]); err != nil {
			return fmt.Errorf("%s store: record identity: %w", side, err)
		}
	}
	return nil
}
