package engine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
)

// world is an account of two memory servers, whose users the test plays.
type world struct {
	t   *testing.T
	srv [2]*memory.Server
	acc Account

	cut time.Time // by the account's clock, when the append of lateAppend lost its connection
}

// characters are the kinds of pairs that every scenario is played on.
var characters = map[string][2]memory.Options{
	"maildir-qresync":   {{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}},
	"maildir-condstore": {{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.CondStore}},
	"maildir-plain":     {{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.ListOnly, NoUIDPlus: true, NoUnchanged: true, NoChanged: true}},
	"imap-imap":         {{Mode: memory.QResync, SameValidity: true}, {Mode: memory.CondStore, SameValidity: true}},
	"maildir-maildir":   {{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.ListOnly, Reserves: true, StableIDs: true}},
}

// onAll plays a scenario on every pair, and mirrored.
func onAll(t *testing.T, play func(t *testing.T, w *world, l, r merge.Side)) {
	for name, opts := range characters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, newWorld(t, opts), merge.Left, merge.Right)
		})
		t.Run(name+"-mirrored", func(t *testing.T) {
			t.Parallel()
			play(t, newWorld(t, opts), merge.Right, merge.Left)
		})
	}
}

func newWorld(t *testing.T, opts [2]memory.Options) *world {
	w := &world{t: t}
	for i := range opts {
		w.srv[i] = memory.New(opts[i])
		w.srv[i].CreateMailbox("INBOX")
	}
	w.acc = Account{
		Name: "test", Dir: filepath.Join(t.TempDir(), "test"),
		Open:  [2]func(context.Context) (drivers.Store, error){w.srv[0].Open, w.srv[1].Open},
		Rules: merge.DefaultRules(), Create: merge.Both, Guard: DefaultGuard(),
		Grace: time.Millisecond,
	}
	return w
}

// sync runs a cycle that must come to its end without an error.
func (w *world) sync() Report {
	w.t.Helper()
	r, err := w.trySync(Request{})
	if err != nil {
		w.t.Fatalf("sync: %v", err)
	}
	if r.Errors > 0 {
		w.t.Fatalf("sync: %+v", r.Problems)
	}
	return r
}

func (w *world) trySync(req Request) (Report, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	return Sync(ctx, w.acc, req, nil)
}

// settled syncs and checks that both sides are equal, that the sync wrote nothing that a second one has to, and that the stores are as verify wants them.
func (w *world) settled() Report {
	w.t.Helper()
	r := w.sync()
	w.equal()
	w.idle()
	return r
}

// idle checks that a sync with nothing to do writes nothing in either store and not a byte in the logs.
func (w *world) idle() {
	w.t.Helper()
	before := w.logBytes()
	for i := range w.srv {
		w.srv[i].ResetCounts()
	}
	r := w.sync()
	if r.Changed() {
		w.t.Errorf("a second sync changed something: %+v", r)
	}
	for i, s := range w.srv {
		if n := s.Counts(); n.Writes() > 0 || n.WriteCalls() > 0 || n.Bodies > 0 {
			w.t.Errorf("a second sync did this on the %s: %+v", merge.Side(i), n)
		}
		if n := s.OpenContents() + s.OpenStores(); n > 0 {
			w.t.Errorf("%d contents or stores of the %s were left open", n, merge.Side(i))
		}
	}
	if after := w.logBytes(); before != after {
		w.t.Errorf("a second sync wrote to the logs:\n%s\nbefore:\n%s", after, before)
	}
	v, err := Verify(w.t.Context(), w.acc, VerifyRequest{Content: true}, nil)
	if err != nil || len(v.Differences) > 0 {
		w.t.Errorf("verify: %v, %+v", err, v.Differences)
	}
}

// logBytes returns name, size and content digest of every log file.
func (w *world) logBytes() string {
	w.t.Helper()
	var out strings.Builder
	err := filepath.WalkDir(w.acc.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "lock") {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&out, "%s %d %d\n", path, len(data), bytes.Count(data, []byte{0}))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.String()
}

// equal checks that both sides show the same: mailboxes, contents, flags, dates, each as often as on the other side.
func (w *world) equal() {
	w.t.Helper()
	l, r := w.list(merge.Left), w.list(merge.Right)
	if !slices.Equal(l, r) {
		w.t.Fatalf("the sides differ.\nonly on the left:\n  %s\nonly on the right:\n  %s", strings.Join(without(l, r), "\n  "), strings.Join(without(r, l), "\n  "))
	}
}

// list shows what a side has, one line per message, sorted.
func (w *world) list(side merge.Side) []string {
	var out []string
	for name, m := range w.srv[side].Snapshot() {
		out = append(out, name)
		for _, msg := range m.Messages {
			out = append(out, fmt.Sprintf("%s: %q %s %s", name, firstLine(msg.Data), msg.Flags, msg.Date.UTC().Format(time.DateTime)))
		}
	}
	slices.Sort(out)
	return out
}

func firstLine(b []byte) string {
	subject := "?"
	for line := range strings.Lines(string(b)) {
		if s, ok := strings.CutPrefix(line, "Subject: "); ok {
			subject = strings.TrimSpace(s)
		}
	}
	return fmt.Sprintf("%s %d", subject, len(b))
}

// mail is the test's message number n.
func mail(n int) []byte { return drivertest.Message(n, drivertest.MessageOptions{}) }

// put delivers message n.
func (w *world) put(side merge.Side, mailbox string, n int, flags ...string) merge.ID {
	return w.srv[side].Deliver(mailbox, merge.NewFlags(flags...), drivertest.MessageDate(n), mail(n))
}

// find returns the id of message n in a mailbox, "" if it is not there.
func (w *world) find(side merge.Side, mailbox string, n int) merge.ID {
	want := mail(n)
	for _, m := range w.srv[side].Snapshot()[mailbox].Messages {
		if bytes.Equal(m.Data, want) {
			return m.ID
		}
	}
	return ""
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// flag replaces the flags of message n.
func (w *world) flag(side merge.Side, mailbox string, n int, flags ...string) {
	w.t.Helper()
	w.must(w.srv[side].SetFlags(mailbox, w.find(side, mailbox, n), merge.NewFlags(flags...)))
}

func (w *world) remove(side merge.Side, mailbox string, n int) {
	w.t.Helper()
	w.must(w.srv[side].Remove(mailbox, w.find(side, mailbox, n)))
}

func (w *world) move(side merge.Side, mailbox string, n int, to string) {
	w.t.Helper()
	_, err := w.srv[side].Move(mailbox, w.find(side, mailbox, n), to)
	w.must(err)
}

// has checks that a mailbox of both sides has just these messages.
func (w *world) has(mailbox string, numbers ...int) {
	w.t.Helper()
	for _, side := range merge.Sides {
		if got := len(w.srv[side].Snapshot()[mailbox].Messages); got != len(numbers) {
			w.t.Errorf("%s %s has %d messages, want %d", side, mailbox, got, len(numbers))
		}
		for _, n := range numbers {
			if w.find(side, mailbox, n) == "" {
				w.t.Errorf("%s %s lacks message %d", side, mailbox, n)
			}
		}
	}
}

// flags checks the flags of message n on both sides.
func (w *world) flags(mailbox string, n int, flags ...string) {
	w.t.Helper()
	want := merge.NewFlags(flags...)
	for _, side := range merge.Sides {
		id := w.find(side, mailbox, n)
		for _, m := range w.srv[side].Snapshot()[mailbox].Messages {
			if m.ID == id && !m.Flags.Equal(want) {
				w.t.Errorf("%s %s message %d has flags %s, want %s", side, mailbox, n, m.Flags, want)
			}
		}
	}
}

// without returns the lines of a that are not in b, as often as they are missing there.
func without(a, b []string) []string {
	count := map[string]int{}
	for _, s := range b {
		count[s]++
	}
	var out []string
	for _, s := range a {
		if count[s]--; count[s] < 0 {
			out = append(out, s)
		}
	}
	return out
}
