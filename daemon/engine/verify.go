package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// VerifyRequest says what to compare.
type VerifyRequest struct {
	Mailbox func(left string) bool
	Content bool // compare bodies by digest, too
}

// Difference is one thing that is not equal on both sides or not as the state has it.
type Difference struct {
	Mailbox string    `json:"mailbox"`
	Side    string    `json:"side,omitempty"` // the side that lacks it or differs
	ID      [2]string `json:"ids"`
	What    string    `json:"what"` // "missing on right", "flags differ", "content differs", "not in the state", ...
	Detail  string    `json:"detail,omitempty"`
}

// VerifyReport is the result of a comparison.
type VerifyReport struct {
	Account     string
	Mailboxes   int
	Messages    [2]int // seen on each side
	Pairs       int    // found on both sides and equal
	Known       int    // half-pairs: on one side only, and known why
	Compared    int    // bodies compared
	Differences []Difference
}

// Verify lists both sides in full and compares them with each other and with the state. It writes nothing. The error says why the comparison could not be
// made; differences are not errors.
func Verify(ctx context.Context, acc Account, req VerifyRequest, observe func(Event)) (VerifyReport, error) {
	acc = acc.withDefaults()
	c := &cycle{acc: acc, req: Request{Mailbox: req.Mailbox, DryRun: true, Full: true}, rep: newReporter(acc.Name, observe), stop: ctx}
	v := &verifier{c: c, req: req, report: VerifyReport{Account: acc.Name}}
	err := v.run(ctx)
	for _, s := range c.stores {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return v.report, err
}

type verifier struct {
	c      *cycle
	req    VerifyRequest
	report VerifyReport
}

func (v *verifier) run(ctx context.Context) error {
	if _, err := os.Stat(v.c.acc.Dir); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("account %s has never been synced: there is nothing to verify", v.c.acc.Name)
	}
	if err := v.c.openLogs(); err != nil {
		return err
	}
	if err := v.c.connect(); err != nil {
		return err
	}
	summaries := v.c.states.Mailboxes()
	lists, err := v.c.list(ctx, summaries)
	if err != nil {
		return err
	}
	for _, r := range v.c.rows(lists, summaries) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := v.mailbox(ctx, r); err != nil {
			return fmt.Errorf("mailbox %q: %w", r.names[merge.Left], err)
		}
	}
	return nil
}

func (v *verifier) differ(d Difference) { v.report.Differences = append(v.report.Differences, d) }

// mailbox compares one mailbox.
func (v *verifier) mailbox(ctx context.Context, r *row) error {
	v.report.Mailboxes++
	b := &box{names: r.names, state: noState{}}
	if r.summary != nil {
		st, err := v.c.viewState(r.summary.Mailbox)
		if err != nil {
			return err
		}
		b.state, b.num = st, r.summary.Mailbox
	}
	v.c.rep.event(Event{Kind: EventStage, Mailbox: b.name(), Text: "verifying"})
	for _, side := range merge.Sides {
		if !r.exists(side) {
			v.differ(Difference{Mailbox: b.name(), Side: side.String(), What: "mailbox missing on " + side.String()})
			return nil
		}
	}
	h, err := v.c.openBox(ctx, b, [2]bool{true, true})
	if err != nil {
		return err
	}
	defer h.close()
	var seen [2]map[merge.ID]merge.Flags
	g, gctx := errgroup.WithContext(ctx)
	for _, side := range merge.Sides {
		seen[side] = map[merge.ID]merge.Flags{}
		g.Go(func() error {
			obs, err := h[side].Changes(gctx, "", drivers.Full, func(e drivers.Entry) error {
				if !e.Gone {
					seen[side][e.ID] = e.Flags
				}
				return nil
			})
			if err == nil && !obs.All {
				err = fmt.Errorf("the %s changes all the time and cannot be listed completely; try again", side)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	v.report.Messages[0] += len(seen[0])
	v.report.Messages[1] += len(seen[1])
	pairs := v.pairs(b, seen)
	v.strays(b, seen)
	if v.req.Content && len(pairs) > 0 {
		return v.contents(ctx, b, h, pairs)
	}
	return nil
}

// pairs checks each pair of the state against both sides, takes its messages out of seen and returns the pairs that are on both sides.
func (v *verifier) pairs(b *box, seen [2]map[merge.ID]merge.Flags) []merge.Pair {
	var both []merge.Pair
	b.state.Pairs(func(p merge.Pair) bool {
		d := Difference{Mailbox: b.name(), ID: [2]string{string(p.ID[0]), string(p.ID[1])}}
		var now [2]merge.Flags
		missing := 0
		for _, side := range merge.Sides {
			f, ok := seen[side][p.ID[side]]
			now[side] = f
			delete(seen[side], p.ID[side])
			if !ok {
				missing++
				d.Side, d.What = side.String(), "missing on "+side.String()
			}
		}
		switch {
		case missing == 2:
			d.Side, d.What = "", "gone on both sides, still in the state"
			v.differ(d)
			return true
		case missing == 1:
			v.differ(d)
			return true
		}
		both = append(both, p)
		equal := true
		// A side that cannot hold a keyword has a base without it: equal is what each side would show after a sync.
		for _, side := range merge.Sides {
			if !now[side].Equal(p.Base[side]) {
				equal = false
				d.Side, d.What = side.String(), "flags differ from the last sync"
				d.Detail = fmt.Sprintf("%s %s, at the last sync %s", side, now[side], p.Base[side])
				v.differ(d)
			}
		}
		if equal {
			v.report.Pairs++
		}
		return true
	})
	return both
}

// strays reports what is left in seen: half-pairs, and what the state does not know.
func (v *verifier) strays(b *box, seen [2]map[merge.ID]merge.Flags) {
	for _, side := range merge.Sides {
		ids := make([]merge.ID, 0, len(seen[side]))
		for id := range seen[side] {
			ids = append(ids, id)
		}
		slices.Sort(ids)
		for _, id := range ids {
			d := Difference{Mailbox: b.name(), Side: side.Other().String()}
			d.ID[side] = string(id)
			if h, ok := b.state.Half(side, id); ok {
				if h.Reason == merge.InDoubt {
					d.What, d.Detail = "in doubt", "an append to the "+side.Other().String()+" was interrupted; the next sync finds out"
					v.differ(d)
				} else {
					v.report.Known++
				}
				continue
			}
			d.What, d.Detail = "missing on "+side.Other().String(), "new on the "+side.String()+" since the last sync"
			v.differ(d)
		}
	}
}

// contents compares the bodies of pairs, a batch at a time.
func (v *verifier) contents(ctx context.Context, b *box, h handles, pairs []merge.Pair) error {
	for batch := range slices.Chunk(pairs, batchMessages) {
		var sums [2]map[merge.ID]fact
		g, gctx := errgroup.WithContext(ctx)
		for _, side := range merge.Sides {
			sums[side] = map[merge.ID]fact{}
			ids := make([]merge.ID, len(batch))
			for i, p := range batch {
				ids[i] = p.ID[side]
			}
			g.Go(func() error { return v.c.learn(gctx, h[side], merge.WantContent, ids, sums[side]) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for _, p := range batch {
			l, okL := sums[merge.Left][p.ID[merge.Left]]
			r, okR := sums[merge.Right][p.ID[merge.Right]]
			if !okL || !okR {
				continue // gone since the listing
			}
			v.report.Compared++
			if !l.content.Same(r.content) {
				v.differ(Difference{Mailbox: b.name(), ID: [2]string{string(p.ID[0]), string(p.ID[1])}, What: "content differs"})
			}
		}
	}
	return nil
}

var _ states = (*logstate.View)(nil)
