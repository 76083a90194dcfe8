package main

import (
	"errors"
	"fmt"
	"strings"

	"driftless/daemon/engine"
	"driftless/merge"
)

// syncOutput shows a sync of several accounts in one of three ways: objects, lines, lines with progress bars.
type syncOutput struct {
	app  *app
	f    syncFlags
	bars *bars // nil without a terminal
}

func (a *app) newSyncOutput(f syncFlags) *syncOutput {
	o := &syncOutput{app: a, f: f}
	if a.errIsTerminal && !a.quiet && !f.json {
		o.bars = a.newBars()
	}
	return o
}

// close ends the progress bars. It is safe to call twice.
func (o *syncOutput) close() {
	if o.bars != nil {
		o.bars.close()
	}
}

// accountOutput shows one account. The engine delivers its events one at a time.
type accountOutput struct {
	out  *syncOutput
	name string
	bar  *bar
	plan plan
}

func (o *syncOutput) account(name string) *accountOutput {
	l := &accountOutput{out: o, name: name}
	if o.bars != nil {
		l.bar = o.bars.add(name)
	}
	return l
}

// eventObject is an event in JSON.
type eventObject struct {
	Type    string `json:"type"`
	Account string `json:"account"`
	Kind    string `json:"kind,omitempty"`
	Mailbox string `json:"mailbox,omitempty"`
	Side    string `json:"side,omitempty"`
	Action  string `json:"action,omitempty"`
	Count   int    `json:"count,omitempty"`
	Text    string `json:"text,omitempty"`
}

// event is the engine's observer.
func (l *accountOutput) event(e engine.Event) {
	a, f := l.out.app, l.out.f
	if l.bar != nil {
		l.bar.event(e)
	}
	switch e.Kind {
	case engine.EventAction:
		switch {
		case f.json:
			a.object(eventObject{Type: "action", Account: l.name, Mailbox: e.Mailbox, Side: e.Side.String(), Action: e.Action, Text: clean(e.Text)})
		case !f.dryRun || a.quiet:
		case a.verbose == 0:
			l.plan.add(e)
		default:
			text := e.Text
			if text == "" {
				text = e.Action
			}
			a.print("%s: %s: on %s: %s\n", l.name, clean(e.Mailbox), e.Side, clean(text))
		}
	case engine.EventRepair:
		l.tell("repair", e.Text)
	case engine.EventWaiting:
		text := e.Text
		if !f.json && !strings.HasPrefix(text, "waiting") {
			text += "; waiting up to 30 s" // the lock of the account: the default of logstate.Options.Wait
		}
		l.tell("waiting", text)
	case engine.EventStage, engine.EventTotal, engine.EventProgress, engine.EventProblem: // bars; problems come with the report
	}
}

// tell passes on a text that belongs to no mailbox.
func (l *accountOutput) tell(kind, text string) {
	if l.out.f.json {
		l.out.app.object(eventObject{Type: kind, Account: l.name, Text: clean(text)})
		return
	}
	l.out.app.note("%s: %s", l.name, clean(text))
}

var problemKinds = map[engine.ProblemKind]string{
	engine.ProblemError: "error", engine.ProblemHeld: "held", engine.ProblemConflict: "conflict",
	engine.ProblemQuarantined: "quarantined", engine.ProblemNote: "note",
}

// summary is what sync --json prints at the end for each account. Scripts rely on it.
type summary struct {
	Type        string  `json:"type"`
	Account     string  `json:"account"`
	Mailboxes   int     `json:"mailboxes"`
	Copied      perSide `json:"copied"`
	Flags       perSide `json:"flags"`
	Deleted     perSide `json:"deleted"`
	Moved       perSide `json:"moved"`
	Held        int     `json:"held"`
	Conflicts   int     `json:"conflicts"`
	Quarantined int     `json:"quarantined"`
	Errors      int     `json:"errors"`
	DurationMS  int64   `json:"duration_ms"`
	RoundTrips  int64   `json:"round_trips"`
	BytesIn     int64   `json:"bytes_in"`
	BytesOut    int64   `json:"bytes_out"`
}

// done shows the result of the account's cycle.
func (l *accountOutput) done(r engine.Report, err error) {
	a := l.out.app
	if l.bar != nil {
		l.bar.done()
	}
	var none *unmatched
	if err != nil && !interrupted(err) && !errors.As(err, &none) {
		r.Errors++
	}
	if l.out.f.json {
		l.doneJSON(r, err)
		return
	}
	for _, p := range r.Problems {
		loud := p.Kind == engine.ProblemError || p.Kind == engine.ProblemHeld || p.Kind == engine.ProblemConflict
		if loud || !a.quiet {
			a.say("%s", l.problem(p))
		}
	}
	switch {
	case err != nil && interrupted(err):
		a.say("%s: interrupted; the next sync goes on from here", l.name)
	case err != nil:
		for line := range strings.SplitSeq(err.Error(), "\n") {
			a.say("%s: %s", l.name, clean(line))
		}
	}
	if a.quiet || err != nil && (l.out.f.dryRun || !r.Changed()) {
		return
	}
	for _, line := range l.plan.lines() {
		a.print("%s: %s\n", l.name, line)
	}
	if err != nil && interrupted(err) {
		a.print("%s: %s\n", a.style(styleHead, l.name), a.interruptedLine(r))
		return
	}
	a.print("%s: %s\n", a.style(styleHead, l.name), a.reportLine(r, l.out.f.dryRun))
}

func (l *accountOutput) problem(p engine.Problem) string {
	var b strings.Builder
	b.WriteString(l.name + ": ")
	if p.Mailbox != "" {
		b.WriteString(clean(p.Mailbox) + ": ")
	}
	b.WriteString(problemKinds[p.Kind] + ": " + clean(p.Text))
	return b.String()
}

func (l *accountOutput) doneJSON(r engine.Report, err error) {
	a := l.out.app
	for _, p := range r.Problems {
		o := eventObject{Type: "problem", Account: l.name, Kind: problemKinds[p.Kind], Mailbox: p.Mailbox, Count: p.Count, Text: clean(p.Text)}
		if p.Mailbox != "" {
			o.Side = p.Side.String()
		}
		a.object(o)
	}
	if err != nil {
		kind := "error"
		if interrupted(err) {
			kind = "interrupted"
		}
		a.object(eventObject{Type: "problem", Account: l.name, Kind: kind, Text: clean(err.Error())})
		a.say("%s: %s", l.name, clean(err.Error()))
	}
	a.object(summary{
		Type: "summary", Account: l.name, Mailboxes: r.Mailboxes, Copied: sides(r.Copied), Flags: sides(r.Flags),
		Deleted: sides(r.Deleted), Moved: sides(r.Moved), Held: r.Held, Conflicts: r.Conflicts, Quarantined: r.Quarantined,
		Errors: r.Errors, DurationMS: r.Duration.Milliseconds(), RoundTrips: r.RoundTrips, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
	})
}

// interruptedLine says in one line what was done until the user ended the cycle, on both sides together.
func (a *app) interruptedLine(r engine.Report) string {
	var did []string
	for _, n := range []struct {
		count [2]int
		what  string
	}{
		{r.Copied, "copied"}, {r.Moved, "moved"}, {r.Flags, "flagged"}, {r.Deleted, "deleted"}, {r.Created, "created (mailboxes)"},
	} {
		if sum := n.count[0] + n.count[1]; sum > 0 {
			did = append(did, fmt.Sprintf("%d %s", sum, n.what))
		}
	}
	return fmt.Sprintf("%s after %s (%s)", a.style(styleMaybe, "interrupted"), strings.Join(did, ", "), took(r.Duration))
}

// reportLine says in one line what a cycle did, or would do.
func (a *app) reportLine(r engine.Report, dryRun bool) string {
	var parts []string
	for _, side := range merge.Sides {
		var did []string
		for _, n := range []struct {
			count int
			what  string
		}{
			{r.Copied[side], "copied"}, {r.Moved[side], "moved"}, {r.Flags[side], "flagged"},
			{r.Deleted[side], "deleted"}, {r.Created[side], "created (mailboxes)"},
		} {
			if n.count > 0 {
				did = append(did, fmt.Sprintf("%d %s", n.count, n.what))
			}
		}
		if len(did) > 0 {
			parts = append(parts, fmt.Sprintf("on %s %s", side, strings.Join(did, ", ")))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "nothing to do")
	}
	verdict := a.style(styleGood, mailboxes(r.Mailboxes)+" in sync")
	switch {
	case dryRun:
		verdict = mailboxes(r.Mailboxes) + " compared, nothing written; a sync would do this"
	case r.Errors > 0:
		verdict = a.style(styleBad, mailboxes(r.Mailboxes)+", "+plural(r.Errors, "error", "errors"))
	case r.Held > 0 || r.Conflicts > 0:
		verdict = a.style(styleMaybe, mailboxes(r.Mailboxes)+", all done but what is held or in conflict")
	}
	for _, n := range []struct {
		count int
		what  string
	}{
		{r.Held, "held"}, {r.Conflicts, "in conflict"}, {r.Quarantined, "quarantined"},
	} {
		if n.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n.count, n.what))
		}
	}
	return fmt.Sprintf("%s: %s (%s)", verdict, strings.Join(parts, "; "), took(r.Duration))
}
