package tests

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"driftless/daemon/engine"
	"driftless/drivers"
	"driftless/drivers/maildir"
	"driftless/logstate"
	"driftless/merge"
	"driftless/tests/harness"
	"driftless/tests/torture"
)

// TestTwentyProcesses lets twenty processes work on one account at once, while mail arrives: some sync, some only look. Without a rebuild among them every reader must
// succeed; with one, a reader may find the logs gone and say so.
func TestTwentyProcesses(t *testing.T) {
	t.Parallel()
	for _, rebuild := range []bool{false, true} {
		t.Run(fmt.Sprintf("rebuild=%v", rebuild), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, harness.Full, "")
			rounds := 0
			const each = 60
			for range torture.Rounds(t, 1) {
				w.twenty(rounds*each, each, rebuild)
				rounds++
			}
			w.p.Sync(0)
			w.same("after all of them")
			if n := w.m.All().Count(); n != 2*rounds*each {
				t.Errorf("there are %d messages, not %d", n, 2*rounds*each)
			}
			w.verify()
			w.idle()
			t.Logf("%d rounds of 20 processes", rounds)
		})
	}
}

// twenty is one round, in which n messages arrive on each side.
func (w *world) twenty(first, n int, rebuild bool) {
	w.t.Helper()
	type process struct {
		run   *harness.Running
		check func(harness.Result)
	}
	var all []process
	start := func(check func(harness.Result), args ...string) {
		all = append(all, process{w.p.Start(args...), check})
	}
	most := 2 * (first + n)
	deliver := func(from, to int) {
		for k := from; k < to; k++ {
			w.m.Deliver("INBOX", mail(1_000_000+first+k, 400), date(k), `\Seen`)
		}
		w.c.Append("INBOX", letters(2_000_000+first+from, to-from, 400)...)
	}
	deliver(0, n/2)
	if first == 0 {
		w.p.Sync(0) // so that there is something to read
	}
	sync := func(r harness.Result) {
		// A machine that is slow enough lets one wait in vain for 30 s.
		if s, err := r.Summaries(); err != nil || len(s) != 1 || r.Code != 0 && (r.Code != 1 || !strings.Contains(r.Stderr, "is in use by driftless (pid ")) {
			w.t.Errorf("%v", r)
		}
	}
	reader := func(check func(line map[string]any) error) func(harness.Result) {
		return func(r harness.Result) {
			if r.Code != 0 && (!rebuild || r.Code != 1 || r.Stderr == "") {
				w.t.Errorf("%v", r)
			}
			if err := eachObject(r.Stdout, check); err != nil {
				w.t.Errorf("%v: %v", err, r)
			}
		}
	}
	status := reader(func(o map[string]any) error { return plausible(o, most) })
	log := func() func(harness.Result) {
		r := &sequence{restarts: rebuild}
		return reader(r.next)
	}
	follow := func() func(harness.Result) {
		s := &sequence{restarts: rebuild}
		return func(r harness.Result) {
			if r.Code != 4 {
				w.t.Errorf("want exit code 4: %v", r)
			}
			if err := eachObject(r.Stdout, s.next); err != nil || s.records == 0 {
				w.t.Errorf("%d records, %v: %v", s.records, err, r)
			}
		}
	}
	verify := func(r harness.Result) {
		// While mail arrives there are differences, and they are told.
		if r.Code != 0 && r.Code != 1 || r.Code == 1 && r.Stdout == "" && r.Stderr == "" {
			w.t.Errorf("%v", r)
		}
	}
	var followers []*harness.Running
	for i := range 4 {
		start(sync, "sync", "--json")
		start(status, "status", "--json")
		if i < 2 {
			start(log(), "log", "--json")
			start(verify, "verify")
			start(reader(func(map[string]any) error { return nil }), "check", "--json")
		}
		if i < 3 {
			start(follow(), "log", "--follow", "--json")
			followers = append(followers, all[len(all)-1].run)
		}
	}
	last := func(r harness.Result) {
		if r.Code != 0 && r.Code != 1 {
			w.t.Errorf("%v", r)
		}
	}
	for range 2 {
		if rebuild {
			start(last, "rebuild", "work")
		} else {
			start(sync, "sync", "--json")
		}
	}
	start(log(), "log", "--log", "shared", "--json")
	if len(all) != 20 {
		w.t.Fatalf("%d processes", len(all))
	}
	deliver(n/2, n)
	for _, p := range all {
		if !contains(followers, p.run) {
			p.check(p.run.Wait())
		}
	}
	for _, p := range all {
		if contains(followers, p.run) {
			p.run.Signal(syscall.SIGTERM)
			p.check(p.run.Wait())
		}
	}
}

func contains[T comparable](list []T, x T) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

// eachObject calls f with each line of JSON.
func eachObject(text string, f func(map[string]any) error) error {
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var o map[string]any
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		if err := f(o); err != nil {
			return err
		}
	}
	return lines.Err()
}

// plausible checks an object of status --json: never more messages than there are.
func plausible(o map[string]any, most int) error {
	m, ok := o["messages"].(map[string]any)
	if !ok {
		return fmt.Errorf("no counts in %v", o)
	}
	for side, n := range m {
		if x, ok := n.(float64); !ok || x < 0 || int(x) > most {
			return fmt.Errorf("%v messages on the %s, there are at most %d", n, side, most)
		}
	}
	return nil
}

// sequence checks that the records of each log come without gaps and without repetition. After a rebuild they begin anew.
type sequence struct {
	restarts bool
	at       map[string]float64
	records  int
}

func (s *sequence) next(o map[string]any) error {
	if s.at == nil {
		s.at = map[string]float64{}
	}
	s.records++
	log, _ := o["log"].(string)
	index, ok := o["index"].(float64)
	if !ok || log == "" {
		return fmt.Errorf("not a record: %v", o)
	}
	if want := s.at[log] + 1; index != want && (!s.restarts || index != 1) {
		return fmt.Errorf("%s log: record %v in the place of %v", log, index, want)
	}
	s.at[log] = index
	return nil
}

// stalled returns a sync that holds the account and cannot go on.
func (w *world) stalled() *harness.Running {
	w.t.Helper()
	seen := w.proxy.Counts().Connections
	w.proxy.Stall()
	run := w.p.Start("sync", "--json")
	harness.Eventually(w.t, func() error {
		if w.proxy.Counts().Connections == seen {
			return fmt.Errorf("the sync has not connected")
		}
		return nil
	})
	return run
}

// TestHolderIsNamed wants to know who holds an account and since when, also when the holder sleeps; and nothing of it when it was killed.
func TestHolderIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	w.c.Append("INBOX", letters(0, 20, 300)...)
	w.p.Sync(0)
	holder := w.stalled()
	who := fmt.Sprintf("is in use by driftless (pid %d) since %d-", holder.Pid(), time.Now().UTC().Year())
	for _, sig := range []syscall.Signal{0, syscall.SIGSTOP} {
		if sig != 0 {
			holder.Signal(sig)
		}
		for _, args := range [][]string{{"sync", "--no-wait"}, {"sync", "--no-wait", "--json"}, {"rebuild", "work", "--no-wait"}} {
			if r := w.p.Run(args...); r.Code != 1 || !strings.Contains(r.Stderr, who) {
				t.Errorf("after signal %d: want exit code 1 and %q: %v", sig, who, r)
			}
		}
		// Whoever only looks does not mind.
		if r := w.p.Run("status"); r.Code != 0 || !strings.Contains(r.Stdout, "20 messages") ||
			!strings.Contains(r.Stdout, fmt.Sprintf("driftless (pid %d) is at work since", holder.Pid())) || strings.Contains(r.Stdout, "interrupted") {
			t.Errorf("%v", r)
		}
	}
	// One that waits says for whom, and goes on as soon as the holder is dead.
	waiter := w.p.Start("sync")
	harness.Eventually(t, func() error {
		if !strings.Contains(waiter.Stderr(), fmt.Sprintf("in use by driftless (pid %d)", holder.Pid())) {
			return fmt.Errorf("it does not say for whom it waits: %q", waiter.Stderr())
		}
		return nil
	})
	w.proxy.Resume()
	holder.Signal(syscall.SIGKILL)
	holder.Wait()
	if r := waiter.Wait(); r.Code != 0 {
		t.Errorf("%v", r)
	}
	holder = w.stalled()
	holder.Signal(syscall.SIGKILL)
	holder.Wait()
	w.proxy.Resume()
	if r := w.p.Run("status"); r.Code != 0 || strings.Contains(r.Stdout, "at work") {
		t.Errorf("a killed process still works: %v", r)
	}
	if r := w.p.Run("sync", "--no-wait"); r.Code != 0 {
		t.Errorf("a killed process still holds the account: %v", r)
	}
	w.idle()
}

// TestOneMaildirTwoAccounts syncs one Maildir with two servers, from two state directories, at the same time. The accounts know nothing of each other but the lock on the root.
func TestOneMaildirTwoAccounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	other := onServer(t, w.d, "v", "")
	other.p.WriteConfig(harness.Account("work", "", harness.MaildirSide(w.m.Root), harness.IMAPSide(other.proxy.Port(), "v")))
	const n = 40
	for k := range n {
		w.m.Deliver("INBOX", mail(k, 300), date(k), `\Seen`)
	}
	w.c.Append("INBOX", letters(n, n, 300)...)
	other.c.Append("INBOX", letters(2*n, n, 300)...)
	for range 4 {
		a, b := w.p.Start("sync"), other.p.Start("sync")
		for _, r := range []harness.Result{a.Wait(), b.Wait()} {
			if r.Code != 0 {
				t.Errorf("%v", r)
			}
		}
	}
	w.p.Sync(0)
	other.p.Sync(0)
	left, first, second := w.m.All(), w.c.All(), other.c.All()
	for name, right := range map[string]harness.Mail{"first": first, "second": second} {
		if diff := harness.Diff(left, right); len(diff) > 0 || right.Count() != 3*n {
			t.Errorf("the %s server has %d of %d messages:\n%s", name, right.Count(), 3*n, few(diff))
		}
	}
	// Somebody holds the root: who is said.
	f, err := os.Open(w.m.Root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("(process %d)", os.Getpid())
	if r := other.p.Run("sync", "--no-wait"); r.Code != 1 || !strings.Contains(r.Stderr, want) || !strings.Contains(r.Stderr, w.m.Root) {
		t.Errorf("want exit code 1 and %q: %v", want, r)
	}
}

// TestChildrenDoNotKeepTheLock lets a password command leave a child behind. It has none of our files, and the next sync is not kept from its work.
func TestChildrenDoNotKeepTheLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Full, "")
	w.c.Append("INBOX", letters(0, 5, 300)...)
	open := filepath.Join(w.p.Home, "open")
	script := filepath.Join(w.p.Home, "password.sh")
	// The sleeping child keeps every descriptor that it was given, but for the pipes, for which driftless would wait.
	text := fmt.Sprintf("#!/bin/sh\nls -l /proc/$$/fd >> %s\nsleep 300 </dev/null >/dev/null 2>&1 &\necho $! >> %s.pid\nprintf '%%s\\n' '%s'\n", open, open, harness.Password)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		pids, _ := os.ReadFile(open + ".pid") // missing: nothing was started
		for pid := range strings.FieldsSeq(string(pids)) {
			var n int
			if _, err := fmt.Sscan(pid, &n); err == nil && n > 1 {
				_ = syscall.Kill(n, syscall.SIGKILL) // it may have ended
			}
		}
	})
	w.p.WriteConfig(harness.Account("work", "", harness.MaildirSide(w.m.Root), harness.IMAPSide(w.proxy.Port(), "u", fmt.Sprintf("password_command = [%q]", script))))
	w.p.Sync(0)
	for range 2 {
		if r := w.p.Run("sync", "--no-wait"); r.Code != 0 {
			t.Errorf("a child of a process that has ended keeps the account: %v", r)
		}
	}
	list, err := os.ReadFile(open)
	if err != nil || !strings.Contains(string(list), " 1 -> ") {
		t.Fatalf("the password command was not run: %q, %v", list, err)
	}
	for line := range strings.Lines(string(list)) {
		if strings.Contains(line, w.p.State) || strings.Contains(line, w.m.Root) || strings.Contains(line, "socket:") {
			t.Errorf("the password command has got %s", line)
		}
	}
}

// TestTurnsWithAnotherProcess has a process that lives on, as the daemon does, and syncs again and again, and the program that syncs in between. Each finds what the other wrote.
func TestTurnsWithAnotherProcess(t *testing.T) {
	t.Parallel()
	p := harness.NewProgram(t)
	roots := [2]string{p.Home + "/left", p.Home + "/right"}
	m := [2]*harness.Maildir{harness.NewMaildir(t, roots[0]), harness.NewMaildir(t, roots[1])}
	p.WriteConfig(harness.Account("work", "", harness.MaildirSide(roots[0]), harness.MaildirSide(roots[1])))
	acc := engine.Account{
		Name: "work", Dir: filepath.Join(p.State, "work"), Rules: merge.DefaultRules(), Create: merge.Both, Guard: engine.DefaultGuard(),
		Logs: logstate.Options{SegmentSize: 2000, CheckpointSize: 4000},
	}
	for i, root := range roots {
		acc.Open[i] = func(ctx context.Context) (drivers.Store, error) {
			return maildir.Open(ctx, maildir.Options{Path: root, Layout: maildir.FS, Create: true})
		}
	}
	m[0].Deliver("INBOX", mail(0, 200), date(0))
	p.Sync(0)
	view, err := logstate.OpenView(acc.Dir)
	if err != nil {
		t.Fatal(err)
	}
	total := 1
	for round := range torture.Rounds(t, 8) {
		for side := range m {
			for k := range 3 {
				m[side].Deliver("INBOX", mail(1+round*10+side*3+k, 200), date(k), `\Seen`)
				total++
			}
		}
		var done chan error
		if round%4 == 3 { // both at once
			done = make(chan error, 1)
			go func() {
				_, err := engine.Sync(context.Background(), acc, engine.Request{}, nil)
				done <- err
			}()
		}
		if round%2 == 1 {
			p.Sync(0)
		} else if r, err := engine.Sync(t.Context(), acc, engine.Request{}, nil); err != nil || r.Errors > 0 || len(r.Repairs) > 0 {
			t.Errorf("round %d: %v, %+v", round, err, r)
		}
		if done != nil {
			if err := <-done; err != nil {
				t.Errorf("round %d, at once: %v", round, err)
			}
		}
		left, right := m[0].All(), m[1].All()
		if diff := harness.Diff(left, right); len(diff) > 0 || left.Count() != total {
			t.Fatalf("round %d: %d of %d messages:\n%s", round, left.Count(), total, few(diff))
		}
		// A reader that lives on sees it, too.
		if _, err := view.Refresh(); err != nil {
			t.Fatal(err)
		}
		if s := view.Mailboxes(); len(s) != 1 || s[0].Count != [2]int{total, total} {
			t.Errorf("round %d: the view shows %+v, there are %d", round, s, total)
		}
		// What the other has done leaves nothing to do.
		if r, err := engine.Sync(t.Context(), acc, engine.Request{}, nil); err != nil || r.Changed() || len(r.Repairs) > 0 {
			t.Errorf("round %d: %v, %+v", round, err, r)
		}
		if s := p.Sync(0); !s.Idle() {
			t.Errorf("round %d: %+v", round, s)
		}
	}
	if r := p.Run("verify", "--content"); r.Code != 0 {
		t.Errorf("%v", r)
	}
}
