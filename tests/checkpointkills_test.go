package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

// TestKillsInCheckpoint kills syncs at the k-th write to the logs while they write a checkpoint and cut the logs. A checkpoint is due after 8 MiB of shared log; few messages make
// that much when each has 26 long keywords.
func TestKillsInCheckpoint(t *testing.T) {
	t.Parallel()
	k := maildirAndMaildir(t)
	const n = 900
	harness.NewMaildir(t, k.roots[0]).Create("INBOX")
	k.p.Sync(0) // from now on there are logs that can be watched
	w := &wordy{t: t, root: k.roots[0]}
	w.fill(n)
	k.people = newPeople(t, k.hands, 0, false)
	rng := rand.New(rand.NewPCG(torture.Seed(t, 0), 5))
	// The first sync crosses the line at its end. How many writes a checkpoint alone makes is learned from a sync that has nothing else to do.
	if !k.kill(moment{kind: "logs", nth: 3}) {
		t.Fatal("the first sync was not killed")
	}
	ended := 0
	for range torture.Rounds(t, 8) {
		writes := 40
		if k.look(nil).check {
			writes = 14 // that is all that is left to do
		}
		if !k.kill(moment{kind: "logs", nth: 1 + rng.IntN(writes)}) {
			ended++
			w.flip(n)
		}
	}
	k.p.Sync(0)
	left, right := k.hands[0].all(), k.hands[1].all()
	if diff := harness.Diff(left, right); len(diff) > 0 || left.Count() != n {
		t.Errorf("%d messages on the left, %d on the right, %d differences, %d messages delivered", left.Count(), right.Count(), len(diff), n)
	}
	if r := k.p.Run("verify", "--content"); r.Code != 0 {
		t.Errorf("verify: %v", r)
	}
	if s := k.p.Sync(0); !s.Idle() {
		t.Errorf("a second sync had something to do: %+v", s)
	}
	k.litter("after all")
	if k.tally.phases["in a checkpoint"] == 0 {
		t.Error("no kill hit a checkpoint")
	}
	t.Logf("%v\n%d syncs were quicker than their kill", &k.tally, ended)
}

// wordy is a Maildir of messages with many long keywords.
type wordy struct {
	t    *testing.T
	root string
	bare bool // they have none at the moment
}

func (w *wordy) dir() string { return filepath.Join(w.root, "INBOX") }

const allLetters = "abcdefghijklmnopqrstuvwxyz"

func (w *wordy) fill(n int) {
	m := harness.NewMaildir(w.t, w.root)
	m.Create("INBOX")
	var table strings.Builder
	for i := range len(allLetters) {
		fmt.Fprintf(&table, "%d k%02d%s\n", i, i, strings.Repeat("x", 200))
	}
	if err := os.WriteFile(filepath.Join(w.dir(), "dovecot-keywords"), []byte(table.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	for i := range n {
		name := fmt.Sprintf("%d.P1Q%d.tests:2,S%s", date(i).Unix(), i, allLetters)
		path := filepath.Join(w.dir(), "cur", name)
		if err := os.WriteFile(path, mail(i, 300), 0o600); err != nil {
			w.t.Fatal(err)
		}
		if err := os.Chtimes(path, date(i), date(i)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// flip takes all keywords from all messages, or gives them back.
func (w *wordy) flip(n int) {
	from, to := allLetters, ""
	if w.bare {
		from, to = to, from
	}
	w.bare = !w.bare
	for i := range n {
		base := filepath.Join(w.dir(), "cur", fmt.Sprintf("%d.P1Q%d.tests:2,S", date(i).Unix(), i))
		if err := os.Rename(base+from, base+to); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestKillsInRebuild kills rebuild at each thing that it does in the account's directory. The next sync pairs everything by content: nothing is copied or deleted.
func TestKillsInRebuild(t *testing.T) {
	t.Parallel()
	k := maildirAndServer(t, harness.Full)
	c := k.populate(torture.Seed(t, 0))
	hits := 0
	for nth := 1; nth <= 10 && !t.Failed(); nth++ {
		k.events.Add(k.logs)
		got, _ := k.strike(moment{kind: "account", nth: nth}, func(r *harness.Running) { r.Signal(syscall.SIGKILL) }, "rebuild", "work", "--no-wait")
		if got.Code == -1 {
			hits++
		} else if got.Code != 0 {
			t.Errorf("rebuild: %v", got)
		}
		if s := k.p.Sync(0, "--no-wait"); !s.Idle() {
			t.Errorf("after a kill at event %d the sync did something: %+v", nth, s)
		}
		c.check(fmt.Sprintf("event %d", nth))
	}
	k.quiet(c, "after all")
	if hits < 3 {
		t.Errorf("only %d kills hit a running rebuild", hits)
	}
	t.Logf("%d kills hit a running rebuild", hits)
}

// TestKillsInFirstSync kills the very first sync of two big, partly equal stores, again and again.
func TestKillsInFirstSync(t *testing.T) {
	t.Parallel()
	n := 3000
	if testing.Short() {
		n = 600
	}
	k := maildirAndServer(t, harness.Full)
	m, h := k.hands[0].(*dirHand).m, k.hands[1].(*mailHand)
	k.people = newPeople(t, k.hands, 0, false)
	m.Create("INBOX")
	both := harness.Mail{}
	// A third is on the left only, a third on the right only, a third on both sides.
	for i := range n {
		if i%3 != 1 {
			m.Deliver("INBOX", mail(i, smallMail), date(i), `\Seen`)
		}
		both["INBOX"] = append(both["INBOX"], harness.Message{Hash: harness.Digest(mail(i, smallMail)), Date: date(i), Flags: `\Seen`})
	}
	var letters []harness.Letter
	for i := range n {
		if i%3 != 0 {
			letters = append(letters, harness.Letter{Body: wire(i, smallMail), Date: date(i), Flags: []string{`\Seen`}})
		}
	}
	h.c.Append("INBOX", letters...)
	rng := rand.New(rand.NewPCG(torture.Seed(t, 0), 5))
	for i := 0; i < 14; i++ {
		m := moment{kind: "logs", nth: 1 + rng.IntN(12)}
		switch {
		case i == 0:
			m = moment{kind: "wire", nth: 30} // there are no logs yet
		case i%3 == 1:
			m = moment{kind: "files", nth: 1 + rng.IntN(150)}
		case i%3 == 2:
			m = moment{kind: "wire", nth: 10 + rng.IntN(40)}
		}
		k.kill(m)
	}
	k.p.Sync(0, "--no-wait")
	for side, hand := range k.hands {
		if diff := harness.Diff(both, hand.all()); len(diff) > 0 {
			t.Errorf("side %d has %d differences:\n%s", side, len(diff), few(diff))
		}
	}
	if r := k.p.Run("verify", "--content"); r.Code != 0 {
		t.Errorf("verify: %v", r)
	}
	k.litter("after all")
	if k.tally.hits < 7 {
		t.Errorf("only %d of 14 kills hit", k.tally.hits)
	}
	t.Logf("%d messages: %v", n, &k.tally)
}
