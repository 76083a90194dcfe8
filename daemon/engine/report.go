package engine

import (
	"fmt"
	"sync"
	"time"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

// reporter collects the report of a cycle and passes its events on, one at a time.
type reporter struct {
	mu     sync.Mutex
	report Report
	notify func(Event)
}

func newReporter(account string, notify func(Event)) *reporter {
	if notify == nil {
		notify = func(Event) {}
	}
	return &reporter{report: Report{Account: account}, notify: notify}
}

func (r *reporter) event(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notify(e)
}

func (r *reporter) stage(name string) { r.event(Event{Kind: EventStage, Text: name}) }

func (r *reporter) problem(p Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch p.Kind {
	case ProblemError:
		r.report.Errors++
	case ProblemHeld:
		r.report.Held += p.Count
	case ProblemConflict:
		r.report.Conflicts += p.Count
	case ProblemQuarantined, ProblemNote:
	}
	r.report.Problems = append(r.report.Problems, p)
	r.notify(Event{Kind: EventProblem, Mailbox: p.Mailbox, Side: p.Side, Text: p.Text})
}

func (r *reporter) repaired(rep logstate.Repair) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Repairs = append(r.report.Repairs, rep)
	text := fmt.Sprintf("%s log repaired: %s", rep.Log, rep.What)
	if rep.Segment != "" {
		text = fmt.Sprintf("%s log repaired at entry %d (%s, offset %d): %s", rep.Log, rep.Index, rep.Segment, rep.Offset, rep.What)
	}
	if rep.Kept != "" {
		text += "; what was damaged is kept in " + rep.Kept
	}
	r.notify(Event{Kind: EventRepair, Text: text})
}

// did counts effects that are done.
func (r *reporter) did(b *box, side merge.Side, kind merge.Kind, messages int, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch kind {
	case merge.Copy:
		r.report.Copied[side] += messages
	case merge.Move:
		r.report.Moved[side] += messages
	case merge.SetFlags:
		r.report.Flags[side] += messages
	case merge.Delete:
		r.report.Deleted[side] += messages
	}
	if kind == merge.Copy && (messages > 0 || bytes > 0) {
		r.notify(Event{Kind: EventProgress, Mailbox: b.name(), Side: side, Messages: messages, Bytes: bytes})
	}
}

func (r *reporter) created(b *box, side merge.Side) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Created[side]++
	r.notify(Event{Kind: EventAction, Mailbox: b.name(), Side: side, Action: "create mailbox"})
}

// failures returns how many errors were reported.
func (r *reporter) failures() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.report.Errors
}

func (r *reporter) mailboxes(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Mailboxes = n
}

func (r *reporter) quarantined(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Quarantined = n
}

func (r *reporter) traffic(stores [2]drivers.Store) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range stores {
		if s == nil {
			continue
		}
		st := s.Stats()
		r.report.RoundTrips += st.RoundTrips
		r.report.BytesIn += st.BytesIn
		r.report.BytesOut += st.BytesOut
	}
}

func (r *reporter) finish(d time.Duration) Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Duration = d
	return r.report
}

// describe reports the actions of a dry run as if they had been done.
func (r *reporter) describe(p merge.Plan, c *cycle) {
	for _, m := range p.Mailboxes {
		b := c.byName(m.Name)
		for _, side := range merge.Sides {
			for _, a := range m.Actions[side] {
				r.did(b, side, a.Kind, 1, 0)
				r.event(Event{Kind: EventAction, Mailbox: m.Name, Side: side, Action: a.Kind.String(), Text: actionText(side, a)})
			}
		}
	}
}

// actionText says what an action would do, without mail content.
func actionText(side merge.Side, a merge.Action) string {
	switch a.Kind {
	case merge.Copy:
		return fmt.Sprintf("copy %s message %s %s", side.Other(), a.New.ID[side.Other()], a.New.Base[side])
	case merge.Move:
		return fmt.Sprintf("move %s to %s", a.Old.ID[side], a.To)
	case merge.SetFlags:
		return fmt.Sprintf("flags of %s: add %s, remove %s", a.Old.ID[side], a.Add, a.Remove)
	case merge.Delete:
		return fmt.Sprintf("delete %s (gone on %s)", a.Old.ID[side], side.Other())
	}
	return a.Kind.String()
}
