package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"driftless/daemon/config"
	"driftless/daemon/engine"
	"driftless/drivers"
	"driftless/merge"
)

func testApp(out, errs io.Writer) *app {
	return &app{stdout: &lockedWriter{w: out}, stderr: &lockedWriter{w: errs}, env: map[string]string{}}
}

func TestReportLine(t *testing.T) {
	a := testApp(io.Discard, io.Discard)
	base := engine.Report{Mailboxes: 3, Duration: 1234 * time.Millisecond}
	with := func(f func(*engine.Report)) engine.Report { r := base; f(&r); return r }
	rows := []struct {
		r    engine.Report
		dry  bool
		want string
	}{
		{base, false, "3 mailboxes in sync: nothing to do (1.2s)"},
		{with(func(r *engine.Report) { r.Copied = [2]int{5, 1}; r.Deleted[1] = 2; r.Mailboxes = 1 }), false, "1 mailbox in sync: on left 5 copied; on right 1 copied, 2 deleted (1.2s)"},
		{with(func(r *engine.Report) { r.Moved[0], r.Flags[0], r.Created[0] = 1, 2, 3 }), false, "3 mailboxes in sync: on left 1 moved, 2 flagged, 3 created (mailboxes) (1.2s)"},
		{with(func(r *engine.Report) { r.Held, r.Quarantined = 7, 1 }), false, "3 mailboxes, all done but what is held or in conflict: nothing to do; 7 held; 1 quarantined (1.2s)"},
		{with(func(r *engine.Report) { r.Errors = 1 }), false, "3 mailboxes, 1 error: nothing to do (1.2s)"},
		{with(func(r *engine.Report) { r.Copied[1] = 1 }), true, "3 mailboxes compared, nothing written; a sync would do this: on right 1 copied (1.2s)"},
	}
	for _, r := range rows {
		if got := a.reportLine(r.r, r.dry); got != r.want {
			t.Errorf("got  %s\nwant %s", got, r.want)
		}
	}
}

// TestNeverInSync: what was cut off, failed or is held must not be called in sync.
func TestNeverInSync(t *testing.T) {
	for _, c := range []struct {
		r    engine.Report
		err  error
		want string
	}{
		{engine.Report{Mailboxes: 1, Copied: [2]int{4400, 33}, Flags: [2]int{0, 2}}, context.Canceled, "big: interrupted after 4433 copied, 2 flagged (0s)\n"},
		{engine.Report{Mailboxes: 1}, context.Canceled, ""},
		{engine.Report{Mailboxes: 1, Copied: [2]int{1, 0}}, errors.New("disk full"), "big: 1 mailbox, 1 error: on left 1 copied (0s)\n"},
		{engine.Report{Mailboxes: 1, Errors: 2}, nil, "big: 1 mailbox, 2 errors: nothing to do (0s)\n"},
		{engine.Report{Mailboxes: 1, Held: 2}, nil, "big: 1 mailbox, all done but what is held or in conflict: nothing to do; 2 held (0s)\n"},
		{engine.Report{Mailboxes: 1, Conflicts: 2}, nil, "big: 1 mailbox, all done but what is held or in conflict: nothing to do; 2 in conflict (0s)\n"},
	} {
		var out bytes.Buffer
		testApp(&out, io.Discard).newSyncOutput(syncFlags{}).account("big").done(c.r, c.err)
		if out.String() != c.want {
			t.Errorf("%+v, %v:\ngot  %q\nwant %q", c.r, c.err, out.String(), c.want)
		}
	}
}

func TestPlanForPeople(t *testing.T) {
	var out bytes.Buffer
	l := testApp(&out, io.Discard).newSyncOutput(syncFlags{dryRun: true}).account("a")
	for i := range 190 {
		l.event(engine.Event{Kind: engine.EventAction, Mailbox: "INBOX", Side: merge.Left, Action: "copy", Text: fmt.Sprint(i)})
	}
	for range 3 {
		l.event(engine.Event{Kind: engine.EventAction, Mailbox: "INBOX", Side: merge.Right, Action: "flags"})
	}
	l.event(engine.Event{Kind: engine.EventAction, Mailbox: "Archive\x1b", Side: merge.Right, Action: "delete"})
	l.event(engine.Event{Kind: engine.EventAction, Mailbox: "Archive\x1b", Side: merge.Right, Action: "create mailbox"})
	l.done(engine.Report{Mailboxes: 2, Copied: [2]int{190, 0}}, nil)
	want := "a: Archive?: create it on right, delete 1 on right\na: INBOX: copy 190 to left, 3 flag changes on right\n"
	if !strings.HasPrefix(out.String(), want) || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestWaitingSaysHowLong(t *testing.T) {
	var errs bytes.Buffer
	l := testApp(io.Discard, &errs).newSyncOutput(syncFlags{}).account("a")
	l.event(engine.Event{Kind: engine.EventWaiting, Text: "the account is in use by pid 7 since 12:00:00"})
	l.event(engine.Event{Kind: engine.EventWaiting, Text: "waiting 5s for appends whose fate is unknown"})
	want := "driftless: a: the account is in use by pid 7 since 12:00:00; waiting up to 30 s\ndriftless: a: waiting 5s for appends whose fate is unknown\n"
	if errs.String() != want {
		t.Errorf("got %q", errs.String())
	}
}

func TestColourOnlyOnTerminals(t *testing.T) {
	a := testApp(io.Discard, io.Discard)
	if got := a.style(styleGood, "x"); got != "x" {
		t.Errorf("without a terminal: %q", got)
	}
	a.outIsTerminal = true
	if got := a.style(styleGood, "x"); got != "\x1b[32mx\x1b[0m" {
		t.Errorf("on a terminal: %q", got)
	}
	a.env["NO_COLOR"] = "1"
	if got := a.style(styleGood, "x"); got != "x" {
		t.Errorf("with NO_COLOR: %q", got)
	}
}

func TestWords(t *testing.T) {
	if got := clean("a\x1b[31mb\r\nc\x00\u0085é"); got != "a?[31mb??c??é" {
		t.Errorf("clean: %q", got)
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 2500000: "2.5 MB", 7.25e9: "7.25 GB"} {
		if got := byteCount(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
	now := time.Unix(1e9, 0)
	for d, want := range map[time.Duration]string{0: "just now", time.Minute: "1 minute ago", 5 * time.Hour: "5 hours ago", 72 * time.Hour: "3 days ago", -time.Hour: "in the future"} {
		if got := since(now, now.Add(-d)); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}

// TestProgress draws to something that is not a terminal after all, to see that lines pass, that the engine is never blocked, and that the
// end comes, also for an account whose work was cut off.
func TestProgress(t *testing.T) {
	var out, errs bytes.Buffer
	a := testApp(&out, &errs)
	a.outIsTerminal, a.errIsTerminal = true, true
	o := a.newSyncOutput(syncFlags{})
	if o.bars == nil {
		t.Fatal("no bars on a terminal")
	}
	line := o.account("work")
	o.account("cut off")
	line.event(engine.Event{Kind: engine.EventStage, Text: "listing"})
	if got := line.bar.where(); got != "listing" {
		t.Errorf("where: %q", got)
	}
	line.event(engine.Event{Kind: engine.EventTotal, Mailbox: "INBOX", Messages: 400, Bytes: 4e6})
	for range 100 {
		line.event(engine.Event{Kind: engine.EventProgress, Mailbox: "INBOX", Messages: 2, Bytes: 2e4})
	}
	line.event(engine.Event{Kind: engine.EventRepair, Text: "shared log repaired"})
	if got := line.bar.where(); got != "INBOX" {
		t.Errorf("where: %q", got)
	}
	if got := line.bar.numbers(line.bar.began.Add(2 * time.Second)); got != " 200/400  2.0 MB  1.0 MB/s  2s left" {
		t.Errorf("numbers: %q", got)
	}
	line.event(engine.Event{Kind: engine.EventStage, Text: "a very long name of a mailbox: Ünïcode/und/mehr"})
	if got := []rune(line.bar.where()); len(got) != 22 {
		t.Errorf("a long name takes %d columns", len(got))
	}
	line.done(engine.Report{Mailboxes: 2, Copied: [2]int{200, 0}}, nil)
	o.close()
	o.close()
	a.say("afterwards")
	if !strings.Contains(errs.String(), "driftless: work: shared log repaired\n") || !strings.HasSuffix(errs.String(), "driftless: afterwards\n") {
		t.Errorf("stderr: %q", errs.String())
	}
	if all := out.String() + errs.String(); !strings.Contains(all, "on left 200 copied") {
		t.Errorf("the result is not shown: %q", all)
	}
}

func TestNoBarsWithoutTerminal(t *testing.T) {
	for _, change := range []func(*app, *syncFlags){
		func(a *app, _ *syncFlags) { a.errIsTerminal = false },
		func(a *app, _ *syncFlags) { a.quiet = true },
		func(_ *app, f *syncFlags) { f.json = true },
	} {
		a, f := testApp(io.Discard, io.Discard), syncFlags{}
		a.errIsTerminal = true
		change(a, &f)
		if o := a.newSyncOutput(f); o.bars != nil {
			t.Errorf("bars with %+v", f)
		}
	}
}

func TestPairMailboxes(t *testing.T) {
	globs, err := config.ParseGlobs("*", "!Spam")
	if err != nil {
		t.Fatal(err)
	}
	acc := config.Account{Name: "a", Mailboxes: globs, CreateMailboxes: merge.Direction{false, true}, Rename: map[string]string{"Sent": "[Gmail]/Sent Mail"}}
	box := func(name string) drivers.MailboxInfo { return drivers.MailboxInfo{Name: name, Messages: 1} }
	got := pairMailboxes(acc,
		[]drivers.MailboxInfo{box("INBOX"), box("Sent"), box("Mine"), box("Spam")},
		[]drivers.MailboxInfo{box("INBOX"), box("[Gmail]/Sent Mail"), {Name: "[Gmail]", NoSelect: true}, box("Theirs")})
	var lines []string
	for _, p := range got {
		lines = append(lines, fmt.Sprintf("%s = %s: %s %v", p.Left, p.Right, p.State, p.Counts))
	}
	want := []string{
		"INBOX = INBOX: paired [1 1]", "Mine = Mine: new on right [1 -1]", "Sent = [Gmail]/Sent Mail: paired [1 1]",
		"Spam = Spam: not selected [1 -1]", "Theirs = Theirs: only on right [-1 1]",
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestManPage(t *testing.T) {
	a := testApp(io.Discard, io.Discard)
	page := manPage(a.root())
	for _, c := range a.root().Commands() {
		if !c.Hidden && c.Name() != "help" && !strings.Contains(page, "\n.SS "+c.Name()) {
			t.Errorf("the page has no section on %s", c.Name())
		}
	}
	for i, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "'") || strings.Contains(line, "\t") {
			t.Errorf("line %d is a request by accident: %q", i+1, line)
		}
	}
}
