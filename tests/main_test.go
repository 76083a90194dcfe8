package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"driftless/tests/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// world is a Maildir on the left, a server on the right, a network between, and other people's mail clients on both.
type world struct {
	t     testing.TB
	p     *harness.Program
	d     *harness.Dovecot
	proxy *harness.Proxy
	m     *harness.Maildir
	c     *harness.Client
	user  string // of the account on the server
}

// newWorld starts a world on a rung. The account is called "work"; own are lines for it.
func newWorld(t testing.TB, rung harness.Rung, own string) *world {
	t.Helper()
	d := harness.StartDovecot(t, harness.Options{Rung: rung})
	return onServer(t, d, "u", own)
}

// onServer makes a world on a server that is there already.
func onServer(t testing.TB, d *harness.Dovecot, user, own string) *world {
	t.Helper()
	p := harness.NewProgram(t)
	w := &world{t: t, p: p, d: d, proxy: harness.StartProxy(t, d.Addr()), m: harness.NewMaildir(t, p.Home+"/Mail"), c: d.Client(user), user: user}
	w.p.WriteConfig(harness.Account("work", own, harness.MaildirSide(w.m.Root), harness.IMAPSide(w.proxy.Port(), user)))
	return w
}

// same fails the test where the two sides differ.
func (w *world) same(what string) {
	w.t.Helper()
	left, right := w.m.All(), w.c.All()
	if diff := harness.Diff(left, right); len(diff) > 0 {
		w.t.Errorf("%s: %d differences, %d messages left, %d right:\n%s", what, len(diff), left.Count(), right.Count(), few(diff))
	}
}

func few(lines []string) string {
	if len(lines) > 20 {
		lines = append(append([]string{}, lines[:20]...), fmt.Sprintf("... and %d more", len(lines)-20))
	}
	return strings.Join(lines, "\n")
}

// idle runs a sync in which nothing may happen: nothing copied, no file touched, no MODSEQ moved, no byte in the logs changed.
func (w *world) idle() harness.Summary {
	w.t.Helper()
	left, right, logs := harness.Tree(w.t, w.m.Root, true), w.c.ModSeqs(), logFiles(w.t, w.p.State)
	s := w.p.Sync(0)
	if !s.Idle() || s.Errors != 0 {
		w.t.Errorf("a sync with nothing to do did something: %+v", s)
	}
	if diff := harness.TreeDiff(left, harness.Tree(w.t, w.m.Root, true)); len(diff) > 0 {
		w.t.Errorf("a sync with nothing to do touched the Maildir:\n%s", few(diff))
	}
	if now := w.c.ModSeqs(); now != right {
		w.t.Errorf("a sync with nothing to do changed the server:\nwas\n%s\nis\n%s", right, now)
	}
	if diff := harness.TreeDiff(logs, logFiles(w.t, w.p.State)); len(diff) > 0 {
		w.t.Errorf("a sync with nothing to do wrote to the logs:\n%s", few(diff))
	}
	return s
}

// logFiles returns every file below the state directory with its size and content, except for lock files: their time says when a sync ran.
func logFiles(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for path, line := range harness.Tree(t, dir, true) {
		if strings.HasPrefix(line, "d") || strings.Contains(path, "lock") {
			continue
		}
		out[path] = line[strings.LastIndex(line, " ")+1:]
	}
	return out
}

// verify wants the program's own verdict.
func (w *world) verify() {
	w.t.Helper()
	if r := w.p.Run("verify", "--content"); r.Code != 0 {
		w.t.Errorf("verify: %v", r)
	}
}

// rng returns a random source that is the same in every run, and different for every test.
func rng(t testing.TB) *rand.Rand {
	seed := uint64(14695981039346656037)
	for _, c := range t.Name() {
		seed = (seed ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, 1))
}

// mail makes a small message with LF line ends; n makes it unlike any other.
func mail(n, size int) []byte {
	head := fmt.Sprintf("From: a%d@example.org\nTo: b@example.org\nSubject: message %d\nMessage-ID: <%d.x@example.org>\nDate: Sat, 3 Feb 2001 04:05:06 +0000\n\n", n, n, n)
	line := fmt.Sprintf("this is line of message %d\n", n)
	return []byte(head + strings.Repeat(line, max(1, (size-len(head))/len(line))))
}

// wire makes the same message with CRLF line ends.
func wire(n, size int) []byte { return harness.ToCRLF(mail(n, size)) }

var epoch = time.Date(2003, 4, 5, 6, 7, 8, 0, time.UTC)

// date returns a date that is different for every n.
func date(n int) time.Time { return epoch.Add(time.Duration(n) * 7919 * time.Second) }

// letters makes n messages for the server, numbered from first.
func letters(first, n, size int, flags ...string) []harness.Letter {
	out := make([]harness.Letter, n)
	for i := range out {
		out[i] = harness.Letter{Body: wire(first+i, size), Date: date(first + i), Flags: flags}
	}
	return out
}
