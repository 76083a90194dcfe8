package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// maxAnswers bounds how often the rules may ask about messages before a plan is given up; they ask twice at the most.
const maxAnswers = 6

// plan builds the plan of a round: it answers what the rules ask and holds deletions that look wrong.
func (c *cycle) plan(ctx context.Context) (merge.Plan, error) {
	view := merge.View{}
	for _, b := range c.boxes {
		b.awaits = nil
		if b.failed.Load() || (b.seen[0] == nil && b.seen[1] == nil) {
			continue
		}
		if mv, any := c.view(b); any {
			view.Mailboxes = append(view.Mailboxes, mv)
		}
	}
	for range maxAnswers {
		c.hesitate(&view)
		for _, side := range merge.Sides {
			blind, _ := c.unseen(side)
			view.Blind[side] = blind != ""
		}
		p, questions := merge.Build(view, c.acc.Rules)
		if len(questions) == 0 {
			if err := c.spare(&p, view); err != nil {
				return merge.Plan{}, err
			}
			c.review(&p)
			return p, nil
		}
		c.rep.stage("pairing")
		if err := c.answer(ctx, &view, questions); err != nil {
			return merge.Plan{}, err
		}
		if c.stop.Err() != nil {
			return merge.Plan{}, c.stop.Err()
		}
		view.Mailboxes = slices.DeleteFunc(view.Mailboxes, func(m merge.MailboxView) bool { return c.byName(m.Name).failed.Load() })
	}
	return merge.Plan{}, errors.New("the merge rules keep asking; this is a defect of driftless")
}

// view reduces what was seen of a mailbox to what differs; any is false when nothing does.
func (c *cycle) view(b *box) (mv merge.MailboxView, any bool) {
	mv.Name = b.name()
	index := map[merge.ID]int{} // by left id
	halves := map[[2]string]merge.Look{}
	began := c.acc.Now().UnixMilli()
	for _, side := range merge.Sides {
		s := b.seen[side]
		if s == nil {
			continue
		}
		began = min(began, s.began)
		mv.New[side] = s.arrivals
		for id, look := range s.changed {
			if h, ok := b.state.Half(side, id); ok {
				halves[[2]string{side.String(), string(h.ID)}] = look
				continue
			}
			p, ok := b.state.Pair(side, id)
			if !ok {
				continue
			}
			i, ok := index[p.ID[merge.Left]]
			if !ok {
				i = len(mv.Changed)
				index[p.ID[merge.Left]] = i
				mv.Changed = append(mv.Changed, merge.PairView{Pair: p, Now: [2]merge.Look{{Flags: p.Base[0]}, {Flags: p.Base[1]}}})
			}
			mv.Changed[i].Now[side] = look
		}
	}
	sortChanged(mv.Changed)
	for _, h := range b.state.Halves() {
		look, changed := halves[[2]string{h.Side.String(), string(h.ID)}]
		if !changed {
			look = merge.Look{Flags: h.Base}
		}
		due := c.due(b, h, began)
		if changed || due || h.Reason == merge.InDoubt || len(mv.New[h.Side.Other()]) > 0 {
			mv.Halves = append(mv.Halves, merge.HalfView{Half: h, Now: look, Due: due})
		}
	}
	return mv, len(mv.Changed)+len(mv.New[0])+len(mv.New[1])+len(mv.Halves) > 0
}

// due reports whether a half-pair may be copied again: a quarantined message when its time has come, an append in doubt when it stayed absent for the grace time,
// or at once where the store would have it under the very name that was reserved.
func (c *cycle) due(b *box, h merge.Half, began int64) bool {
	switch h.Reason {
	case merge.Quarantined:
		return h.Retry > 0 && h.Retry <= began
	case merge.InDoubt:
		return b.seen[h.Side.Other()] != nil && (h.Reserved != "" || (h.Retry > 0 && h.Retry <= began) || began-h.Since >= c.acc.Grace.Milliseconds() || (h.Since > began && c.waited))
	case merge.Held, merge.Policy, merge.Window:
	}
	return false
}

// ask is the questions about one side of one mailbox.
type ask struct {
	mailbox string
	side    merge.Side
	want    merge.Want
}

// answer fills in what the rules want to know.
func (c *cycle) answer(ctx context.Context, view *merge.View, questions []merge.Question) error {
	asks := map[ask][]merge.ID{}
	wants := map[*box]map[ask]bool{}
	for _, q := range questions {
		k := ask{q.Mailbox, q.Side, q.Want}
		asks[k] = append(asks[k], q.ID)
		b := c.byName(q.Mailbox)
		if wants[b] == nil {
			wants[b] = map[ask]bool{}
		}
		wants[b][k] = true
	}
	return c.eachBox(ctx, func(b *box) bool { return wants[b] != nil }, func(ctx context.Context, b *box) error {
		mv := viewOf(view, b.name())
		if mv == nil {
			return fmt.Errorf("question about mailbox %q, which is not in the view", b.name())
		}
		var want [2]bool
		for k := range wants[b] {
			want[k.side] = true
		}
		h, err := c.openBox(ctx, b, want)
		if err != nil {
			return err
		}
		defer h.close()
		g, gctx := errgroup.WithContext(ctx)
		facts := map[ask]map[merge.ID]fact{}
		for k := range wants[b] {
			known := make(map[merge.ID]fact, len(asks[k]))
			facts[k] = known
			g.Go(func() error { return c.learn(gctx, h[k.side], k.want, asks[k], known) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for k, known := range facts {
			for _, id := range record(mv, k, asks[k], known) {
				b.fled[k.side] = true
				c.missing.note(b, k.side, id)
			}
		}
		for k, known := range facts {
			c.putOff(b, mv, k.side, known)
		}
		return nil
	})
}

// fact is the answer about one message.
type fact struct {
	identity merge.Identity
	content  merge.Content
	later    error // it could not be read, for a reason that may pass
}

// learn asks a store about messages.
func (c *cycle) learn(ctx context.Context, m drivers.Mailbox, want merge.Want, ids []merge.ID, facts map[merge.ID]fact) error {
	if want == merge.WantIdentity {
		return m.Describe(ctx, ids, func(d drivers.Description) error {
			facts[d.ID] = fact{identity: d.Identity}
			return nil
		})
	}
	return m.Fetch(ctx, ids, func(f drivers.Fetched) error {
		if f.Err != nil {
			unread := fact{content: merge.Unreadable}
			if drivers.RetryOf(f.Err) != drivers.RetryNever {
				unread.later = f.Err
			}
			facts[f.ID] = unread
			return nil
		}
		id, content, err := digest(f.Content)
		if cerr := f.Content.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("read message %s: %w", f.ID, err)
		}
		facts[f.ID] = fact{identity: id, content: content}
		return nil
	})
}

// digest reads a message once and returns its identity and content.
func digest(content drivers.Content) (merge.Identity, merge.Content, error) {
	r, err := content.Open()
	if err != nil {
		return merge.Identity{}, merge.Content{}, err
	}
	d := merge.NewDigest()
	_, err = io.Copy(d, r)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return merge.Identity{}, merge.Content{}, err
	}
	id, sum := d.Sum()
	return id, sum, nil
}

func viewOf(v *merge.View, name string) *merge.MailboxView {
	for i := range v.Mailboxes {
		if v.Mailboxes[i].Name == name {
			return &v.Mailboxes[i]
		}
	}
	return nil
}

// record puts the answers into the view. A message about which nothing was learned has gone meanwhile: an arrival leaves the view (the next round sees what became of
// it; fled tells which), a message of a pair or a half-pair is marked as gone, though where it went was not looked at since.
func record(mv *merge.MailboxView, k ask, asked []merge.ID, facts map[merge.ID]fact) (fled []merge.ID) {
	want := make(map[merge.ID]bool, len(asked))
	for _, id := range asked {
		want[id] = true
	}
	kept := mv.New[k.side][:0]
	for _, a := range mv.New[k.side] {
		if want[a.ID] {
			f, ok := facts[a.ID]
			if !ok {
				fled = append(fled, a.ID)
				continue
			}
			f.put(k.want, &a.Identity, &a.Content)
		}
		kept = append(kept, a)
	}
	mv.New[k.side] = kept
	for i := range mv.Changed {
		p := &mv.Changed[i]
		if !want[p.ID[k.side]] {
			continue
		}
		if f, ok := facts[p.ID[k.side]]; ok {
			f.put(k.want, &p.Identity, &p.Content)
		} else {
			p.Now[k.side] = merge.Look{Gone: true, Late: true}
		}
	}
	for i := range mv.Halves {
		h := &mv.Halves[i]
		if h.Side != k.side || !want[h.ID] {
			continue
		}
		if f, ok := facts[h.ID]; ok {
			f.put(k.want, &h.Identity, &h.Content)
		} else {
			h.Now = merge.Look{Gone: true, Late: true}
		}
	}
	return fled
}

func (f fact) put(want merge.Want, id *merge.Identity, content *merge.Content) {
	if want == merge.WantIdentity {
		*id = f.identity
		if !id.Known() { // the store could not read as much as its header
			*content = merge.Unreadable
		}
		return
	}
	if f.content.Known() && !id.Known() {
		*id = f.identity
	}
	*content = f.content
}

// review takes out of a plan what must not be carried out: deletions that a guard or a wrong store holds. What is left open
// keeps its mailbox's cursors where they are, so that it is found again.
func (c *cycle) review(p *merge.Plan) {
	guard := merge.Guard{Percent: c.acc.Guard.Percent, AtLeast: c.acc.Guard.AtLeast, AtMost: c.acc.Guard.AtMost}
	counts := map[logstate.Mailbox][2]int{}
	for _, s := range c.states.Mailboxes() {
		counts[s.Mailbox] = s.Count
	}
	var deletions, messages int
	var known, gone [2]int // on a side
	for _, b := range c.boxes {
		n := counts[b.num]
		messages += max(n[merge.Left], n[merge.Right])
		for _, side := range merge.Sides {
			known[side] += n[side]
		}
	}
	for _, m := range p.Mailboxes {
		deletions += countDeletions(m)
		for _, side := range merge.Sides {
			gone[side] += len(actionsOf(m.Actions[side.Other()], merge.Delete))
		}
	}
	whole := guard.Holds(deletions, messages)
	for i := range p.Mailboxes {
		m := &p.Mailboxes[i]
		b := c.byName(m.Name)
		b.waiting = m.Waiting
		b.unsettled = m.Unsettled > 0
		c.sayUnseen(b, m)
		for _, name := range m.Awaits {
			b.awaits = append(b.awaits, c.byName(name))
		}
		for _, conflict := range m.Conflicts {
			if conflict.Resolution == merge.Unresolved {
				b.blocked = true
				if c.once(b, merge.Left, string(conflict.Pair.ID[merge.Left])) {
					c.rep.problem(Problem{Kind: ProblemConflict, Mailbox: m.Name, ID: conflict.Pair.ID[merge.Left], Count: 1, Text: "gone on one side and changed on the other; both are left alone"})
				}
			}
		}
		if m.Failed {
			c.fail(b, errors.New("a message is gone on one side and changed on the other (conflict = \"fail\")"))
			continue
		}
		n := countDeletions(*m)
		if n == 0 {
			continue
		}
		inBox := max(counts[b.num][merge.Left], counts[b.num][merge.Right])
		for _, side := range merge.Sides {
			from := side.Other()
			why := c.hold[from]
			if why != "" && len(actionsOf(m.Actions[side], merge.Delete)) > 0 {
				c.withheld[from] = true
			}
			if why == "" && gone[from] >= emptied && gone[from] >= known[from] {
				why = fmt.Sprintf("every mailbox of the %s store is empty", from)
			}
			if why == "" && (whole || guard.Holds(n, inBox)) {
				why = fmt.Sprintf("%d of %d messages would be deleted, which is more than the guard allows", n, inBox)
				if whole {
					why = fmt.Sprintf("%d of the account's %d messages would be deleted, which is more than the guard allows", deletions, messages)
				}
			}
			if why != "" {
				c.withhold(b, m, side, why+". If they are meant, raise guard.deletions, guard.at_least or guard.at_most in the configuration for one sync; if not, restore the messages")
			}
		}
	}
}

// emptied is how many messages a store must have had for its being empty to be suspicious. Somebody may well empty a small INBOX.
const emptied = 10

func countDeletions(m merge.MailboxPlan) int {
	n := 0
	for _, side := range merge.Sides {
		for _, a := range m.Actions[side] {
			if a.Kind == merge.Delete {
				n++
			}
		}
	}
	return n
}

// withhold takes the deletions on one side out of a mailbox's plan.
func (c *cycle) withhold(b *box, m *merge.MailboxPlan, side merge.Side, why string) {
	kept := m.Actions[side][:0]
	held := 0
	for _, a := range m.Actions[side] {
		if a.Kind == merge.Delete {
			held++
			continue
		}
		kept = append(kept, a)
	}
	m.Actions[side] = kept
	if held == 0 {
		return
	}
	b.blocked = true
	if !c.once(b, side, "deletions") {
		return
	}
	c.rep.problem(Problem{Kind: ProblemHeld, Mailbox: m.Name, Side: side, Count: held, Text: fmt.Sprintf("%d deletions on the %s are held: %s", held, side, why)})
}

// saidKey names something that is reported once in a cycle, though every round meets it again.
type saidKey struct {
	mailbox string
	side    merge.Side
	what    string
}

// once reports whether this is said for the first time in the cycle.
func (c *cycle) once(b *box, side merge.Side, what string) bool {
	k := saidKey{b.name(), side, what}
	if c.said[k] {
		return false
	}
	if c.said == nil {
		c.said = map[saidKey]bool{}
	}
	c.said[k] = true
	return true
}
