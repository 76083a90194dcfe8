package tests

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"driftless/tests/harness"
)

// TestUsage has the exit code of what is said wrong on the command line: 2, with a hint on stderr and nothing on stdout.
func TestUsage(t *testing.T) {
	t.Parallel()
	p := harness.NewProgram(t)
	good := harness.NewProgram(t)
	good.WriteConfig(harness.Account("work", "", harness.MaildirSide(good.Home+"/Mail"), harness.IMAPSide(1, "u")))
	for _, c := range []struct {
		p    *harness.Program
		args []string
		want string
	}{
		{p, []string{"sync"}, p.Config},
		{p, []string{"sink"}, "sink"},
		{p, []string{"sync", "--nonsense"}, "nonsense"},
		{good, []string{"sync", "wrk"}, "wrk"},
		{good, []string{"sync", "--mailbox", `a\`}, "mailbox"},
		{good, []string{"status", "wrk"}, "wrk"},
		{good, []string{"log", "wrk"}, "wrk"},
		{good, []string{"verify", "wrk"}, "wrk"},
		{good, []string{"sync", "-q", "-v"}, "-q"},
		{good, []string{"sync", "--log-format", "xml"}, "xml"},
	} {
		r := c.p.Run(c.args...)
		if r.Code != 2 || r.Stdout != "" || !strings.Contains(r.Stderr, c.want) {
			t.Errorf("want exit code 2, %q on stderr and nothing on stdout: %v", c.want, r)
		}
	}
	for _, args := range [][]string{{"version"}, {"--help"}, {"sync", "--help"}, {"completion", "bash"}, {"completion", "fish"}, {"man"}} {
		if r := p.Run(args...); r.Code != 0 || r.Stdout == "" || r.Stderr != "" {
			t.Errorf("want exit code 0 and something on stdout only: %v", r)
		}
	}
}

// TestDemo runs the demonstration on an empty home, without any server.
func TestDemo(t *testing.T) {
	t.Parallel()
	p := harness.NewProgram(t)
	temp := t.TempDir()
	p.Env = []string{"TMPDIR=" + temp}
	r := p.Run("demo")
	if r.Code != 0 || r.Stdout == "" {
		t.Errorf("%v", r)
	}
	for _, dir := range []string{temp, p.State} {
		if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
			t.Errorf("it leaves %v in %s", left, dir)
		}
	}
}

// TestSummaryFormat holds what scripts rely on: one object per line, one summary per account at the end, with just these keys.
func TestSummaryFormat(t *testing.T) {
	t.Parallel()
	d := harness.StartDovecot(t, harness.Options{})
	a, b := onServer(t, d, "a", ""), onServer(t, d, "b", "")
	a.p.WriteConfig(
		harness.Account("one", "", harness.MaildirSide(a.m.Root), harness.IMAPSide(d.Port(), "a")),
		harness.Account("two", "", harness.IMAPSide(d.Port(), "b"), harness.MaildirSide(b.m.Root)),
	)
	a.c.Append("INBOX", letters(0, 3, 300)...)
	b.c.Append("INBOX", letters(0, 2, 300)...)
	b.m.Deliver("INBOX", mail(9, 300), date(9))
	r := a.p.Run("sync", "--json")
	if r.Code != 0 || r.Stderr != "" {
		t.Fatalf("%v", r)
	}
	wantKeys := []string{"account", "bytes_in", "bytes_out", "conflicts", "copied", "deleted", "duration_ms", "errors", "flags", "held", "mailboxes", "moved", "quarantined", "round_trips", "type"}
	lines := bufio.NewScanner(strings.NewReader(r.Stdout))
	for lines.Scan() {
		var o map[string]any
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			t.Fatalf("%q: %v", lines.Text(), err)
		}
		if o["type"] != "summary" {
			continue
		}
		if keys := slices.Sorted(maps.Keys(o)); !slices.Equal(keys, wantKeys) {
			t.Errorf("keys %v, want %v", keys, wantKeys)
		}
		for _, k := range []string{"copied", "flags", "deleted", "moved"} {
			sides, ok := o[k].(map[string]any)
			if !ok || !slices.Equal(slices.Sorted(maps.Keys(sides)), []string{"left", "right"}) {
				t.Errorf("%s is %v", k, o[k])
			}
		}
	}
	got := map[string]harness.PerSide{}
	all, err := r.Summaries()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		got[s.Account] = s.Copied
		if s.Mailboxes != 1 || s.RoundTrips == 0 || s.BytesIn == 0 || s.BytesOut == 0 {
			t.Errorf("%+v", s)
		}
	}
	if want := map[string]harness.PerSide{"one": {Left: 3}, "two": {Left: 1, Right: 2}}; !maps.Equal(got, want) {
		t.Errorf("copied %+v, want %+v", got, want)
	}
	// Without a terminal: one plain line per account, nothing with -q.
	if r := a.p.Run("sync"); r.Code != 0 || strings.Count(r.Stdout, "\n") != 2 || r.Stderr != "" || strings.Contains(r.Stdout, "\x1b") {
		t.Errorf("want two plain lines: %v", r)
	}
	if r := a.p.Run("sync", "-q"); r.Code != 0 || r.Stdout+r.Stderr != "" {
		t.Errorf("want silence: %v", r)
	}
	if r := a.p.Run("sync", "two", "--json"); r.Code != 0 || strings.Contains(r.Stdout, `"one"`) {
		t.Errorf("want one account only: %v", r)
	}
}

// TestOneAccountFails wants the other one done, and exit code 1.
func TestOneAccountFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	w.c.Append("INBOX", letters(0, 3, 300)...)
	w.p.WriteConfig(
		harness.Account("bad", "", harness.MaildirSide(w.m.Root+".bad"), harness.IMAPSide(1, "u")),
		harness.Account("work", "", harness.MaildirSide(w.m.Root), harness.IMAPSide(w.d.Port(), "u")),
	)
	if r := w.p.Run("sync"); r.Code != 1 || !strings.Contains(r.Stderr, "bad") {
		t.Errorf("want exit code 1 and the account's name: %v", r)
	}
	w.same("the other account")
}

// TestDryRun wants the plan on stdout and not a byte written anywhere: not before the first sync, and not after changes.
func TestDryRun(t *testing.T) {
	t.Parallel()
	for _, rung := range harness.Rungs {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, rung, "")
			w.c.Create("only right")
			w.c.Append("INBOX", letters(0, 5, 300, `\Seen`)...)
			w.m.Deliver("only left", mail(10, 300), date(10), "work")
			dry := func(want ...string) {
				t.Helper()
				home, right := harness.Tree(t, w.p.Home, true), w.c.ModSeqs()
				r := w.p.Run("sync", "--dry-run")
				if r.Code != 0 {
					t.Errorf("%v", r)
				}
				for _, word := range want {
					if !strings.Contains(r.Stdout, word) {
						t.Errorf("no %q in the plan: %v", word, r)
					}
				}
				if diff := harness.TreeDiff(home, harness.Tree(t, w.p.Home, true)); len(diff) > 0 {
					t.Errorf("a dry run wrote:\n%s", few(diff))
				}
				if now := w.c.ModSeqs(); now != right {
					t.Errorf("a dry run changed the server:\nwas\n%s\nis\n%s", right, now)
				}
			}
			dry("INBOX", "only left", "only right")
			if s := w.p.Sync(0); s.Copied != (harness.PerSide{Left: 5, Right: 1}) {
				t.Fatalf("%+v", s)
			}
			w.c.Store("INBOX", []uint32{1}, "+", `\Flagged`)
			w.c.Expunge("INBOX", []uint32{2})
			w.m.Deliver("INBOX", mail(11, 300), date(11))
			dry("INBOX")
			s := w.p.Sync(0)
			if s.Copied.Right != 1 || s.Flags.Left != 1 || s.Deleted.Left != 1 {
				t.Errorf("after the dry run: %+v", s)
			}
			w.same("after the sync")
		})
	}
}

// TestMailboxFlag wants only the named mailboxes synced, and the others in the next sync.
func TestMailboxFlag(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	w.c.Create("a/one", "a/two", "b")
	for i, box := range []string{"INBOX", "a/one", "a/two", "b"} {
		w.c.Append(box, letters(i*10, 2, 300)...)
	}
	if s := w.p.Sync(0, "--mailbox", "a/*"); s.Copied.Left != 4 {
		t.Errorf("%+v", s)
	}
	if s := w.p.Sync(0); s.Copied.Left != 4 {
		t.Errorf("%+v", s)
	}
	w.same("after both")
}

// TestSelectionAndRename wants excluded mailboxes left alone on both sides, and renamed ones under their two names.
func TestSelectionAndRename(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	w.p.WriteConfig(harness.Account("work", `mailboxes = ["*", "!Spam", "!Archive/20*"]`, harness.MaildirSide(w.m.Root), harness.IMAPSide(w.d.Port(), "u")) +
		"[accounts.work.rename]\n\"Gesendet\" = \"Sent Mail\"\n")
	w.c.Create("Spam", "Archive/2001", "Archive/1999", "Sent Mail")
	for i, box := range []string{"Spam", "Archive/2001", "Archive/1999", "Sent Mail"} {
		w.c.Append(box, letters(i*10, 1, 300)...)
	}
	w.m.Deliver("Archive/2002", mail(90, 300), date(90))
	w.m.Deliver("Gesendet", mail(91, 300), date(91), `\Seen`)
	w.p.Sync(0)
	left, right := w.m.All(), w.c.All()
	if _, ok := left["Spam"]; ok || len(left["Archive/2001"]) > 0 || len(right["Archive/2002"]) > 0 {
		t.Errorf("excluded mailboxes were synced: %v, %v", w.m.List(), w.c.List())
	}
	if _, ok := right["Gesendet"]; ok || len(left["Gesendet"]) != 2 || len(right["Sent Mail"]) != 2 || len(left["Archive/1999"]) != 1 {
		t.Errorf("left %v, right %v", w.m.List(), w.c.List())
	}
}

// TestStatusLogVerify wants answers from the logs with both stores away, and a verdict on stores that differ.
func TestStatusLogVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	if r := w.p.Run("status"); r.Code != 0 || !strings.Contains(r.Stdout, "work") {
		t.Errorf("status before the first sync: %v", r)
	}
	w.c.Append("INBOX", letters(0, 7, 300, `\Seen`)...)
	w.p.Sync(0)
	w.verify()
	w.d.Stop()
	if err := os.Rename(w.m.Root, w.m.Root+".away"); err != nil {
		t.Fatal(err)
	}
	before := logFiles(t, w.p.State)
	for args, want := range map[string][]string{"status": {"work", "7"}, "log": {"INBOX"}, "status --json": {`"work"`}, "log --json": {`"INBOX"`}} {
		r := w.p.Run(strings.Fields(args)...)
		if r.Code != 0 {
			t.Errorf("%v", r)
		}
		for _, word := range want {
			if !strings.Contains(r.Stdout, word) {
				t.Errorf("no %q: %v", word, r)
			}
		}
		if !strings.HasSuffix(args, "--json") {
			continue
		}
		for line := range strings.Lines(r.Stdout) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%s: not JSON: %q", args, line)
			}
		}
	}
	if diff := harness.TreeDiff(before, logFiles(t, w.p.State)); len(diff) > 0 {
		t.Errorf("reading the logs wrote to them:\n%s", few(diff))
	}
	if err := os.Rename(w.m.Root+".away", w.m.Root); err != nil {
		t.Fatal(err)
	}
	w.d.Start()
	w.c = w.d.Client("u")

	// One difference of each kind; verify finds it and changes nothing.
	files := w.m.Messages("INBOX")
	for name, change := range map[string]func(){
		"flags":   func() { w.c.Store("INBOX", []uint32{1}, "+", `\Flagged`) },
		"gone":    func() { w.m.Remove("INBOX", files[6].Name) },
		"new":     func() { w.c.Append("INBOX", letters(50, 1, 300)...) },
		"mailbox": func() { w.c.Create("more") },
	} {
		change()
		if r := w.p.Run("verify"); r.Code != 1 || !strings.Contains(r.Stdout, "INBOX") && !strings.Contains(r.Stdout, "more") {
			t.Errorf("verify with a difference in %s: %v", name, r)
		}
		w.p.Sync(0)
		w.verify()
	}
	// Bytes that changed under driftless: only --content can see it.
	files = w.m.Messages("INBOX")
	path := filepath.Join(w.m.Path("INBOX"), "cur", files[0].Name)
	if files[0].New {
		path = filepath.Join(w.m.Path("INBOX"), "new", files[0].Name)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-3] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := w.p.Run("verify", "--content"); r.Code != 1 || !strings.Contains(r.Stdout, "INBOX") {
		t.Errorf("verify --content with a flipped bit: %v", r)
	}
}

// TestCheck wants to know what the server offers and what is used, and which mailboxes make pairs, with nothing written.
func TestCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	w.c.Create("Größe")
	home := harness.Tree(t, w.p.Home, true)
	r := w.p.Run("check")
	if r.Code != 0 {
		t.Errorf("%v", r)
	}
	for _, want := range []string{"work", "QRESYNC", "LIST-STATUS", "INBOX", "Größe", "127.0.0.1"} {
		if !strings.Contains(r.Stdout, want) {
			t.Errorf("no %q: %v", want, r)
		}
	}
	if diff := harness.TreeDiff(home, harness.Tree(t, w.p.Home, true)); len(diff) > 0 {
		t.Errorf("check wrote:\n%s", few(diff))
	}
}

// TestSignals wants exit code 4 after SIGINT and SIGTERM, also while a server says nothing.
func TestSignals(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := harness.NewProgram(t)
	p.WriteConfig(harness.Account("work", "", harness.MaildirSide(p.Home+"/Mail"), harness.IMAPSide(l.Addr().(*net.TCPAddr).Port, "u")))
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		run := p.Start("sync")
		c, err := l.Accept() // it is connected and waits for the greeting
		if err != nil {
			t.Fatal(err)
		}
		run.Signal(sig)
		if r := run.Wait(); r.Code != 4 {
			t.Errorf("%v: want exit code 4: %v", sig, r)
		}
		_ = c.Close() // the program is gone
	}
}

// TestLock wants a second sync to wait for the first one, and --no-wait to fail at once saying why.
func TestLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	w.c.Append("INBOX", letters(0, 50, 300)...)
	w.p.Sync(0)
	w.proxy.Stall()
	first := w.p.Start("sync", "--json")
	seen := w.proxy.Counts().Connections
	harness.Eventually(t, func() error {
		if w.proxy.Counts().Connections == seen {
			return fmt.Errorf("the first sync has not connected")
		}
		return nil
	})
	r := w.p.Run("sync", "--no-wait")
	if r.Code != 1 || !strings.Contains(r.Stderr, "work") {
		t.Errorf("want exit code 1 and a word on who holds the lock: %v", r)
	}
	second := w.p.Start("sync", "--json")
	w.proxy.Resume()
	for _, run := range []*harness.Running{first, second} {
		if r := run.Wait(); r.Code != 0 {
			t.Errorf("%v", r)
		}
	}
	w.same("after three syncs at once")
}
