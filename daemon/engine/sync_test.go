package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"driftless/drivers"
	"driftless/drivers/memory"
	"driftless/merge"
)

func TestInitialCopy(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 300 {
			w.put(l, "INBOX", n, []string{`\Seen`, `\Flagged`, "work", "$Forwarded"}[:n%5]...)
		}
		w.put(l, "Grüße/Öl", 1000, `\Draft`)
		w.put(r, "Archive", 2000)
		rep := w.settled()
		if rep.Copied[r] != 301 || rep.Copied[l] != 1 {
			t.Errorf("copied %v", rep.Copied)
		}
		w.has("Grüße/Öl", 1000)
		w.has("Archive", 2000)
	})
}

func TestChangesOnBothSides(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 12 {
			w.put(l, "INBOX", n, `\Seen`)
		}
		w.settled()
		w.flag(l, "INBOX", 0, `\Seen`, `\Answered`)
		w.flag(r, "INBOX", 0, `\Flagged`) // both: left adds \Answered, right adds \Flagged and removes \Seen
		w.remove(l, "INBOX", 1)
		w.remove(r, "INBOX", 2)
		w.remove(l, "INBOX", 3)
		w.remove(r, "INBOX", 3)
		w.put(l, "INBOX", 100)
		w.put(r, "INBOX", 101, "todo")
		w.move(l, "INBOX", 4, "Left Archive")
		w.move(r, "INBOX", 5, "Right Archive")
		w.flag(l, "INBOX", 6) // \Seen removed
		w.remove(r, "INBOX", 7)
		w.flag(l, "INBOX", 7, `\Seen`, `\Flagged`) // conflict = delete
		for i := range w.srv {
			w.srv[i].ResetCounts()
		}
		rep := w.settled()
		w.has("INBOX", 0, 6, 8, 9, 10, 11, 100, 101)
		w.has("Left Archive", 4)
		w.has("Right Archive", 5)
		w.flags("INBOX", 0, `\Answered`, `\Flagged`)
		w.flags("INBOX", 6)
		w.flags("INBOX", 101, "todo")
		if rep.Moved != [2]int{1, 1} {
			t.Errorf("moved %v, copied %v: a move must not transfer a body", rep.Moved, rep.Copied)
		}
		if rep.Copied != [2]int{1, 1} {
			t.Errorf("copied %v", rep.Copied)
		}
	})
}

func TestFirstContactOfPopulatedStores(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 60 {
			w.put(l, "INBOX", n, `\Seen`)
			w.put(r, "INBOX", n, `\Flagged`)
		}
		w.put(l, "INBOX", 100, `\Deleted`)
		w.put(r, "INBOX", 100)
		w.put(l, "INBOX", 5, `\Seen`) // a second copy on one side
		w.put(r, "INBOX", 200)
		rep := w.settled()
		if rep.Copied[l] != 1 || rep.Copied[r] != 1 {
			t.Errorf("copied %v, want one each: number 200 and the second copy of 5", rep.Copied)
		}
		w.flags("INBOX", 7, `\Seen`, `\Flagged`)
	})
}

func TestResetIsPairedAgain(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 50 {
			w.put(l, "INBOX", n, `\Seen`)
		}
		w.settled()
		if err := w.srv[r].BumpValidity("INBOX"); err != nil {
			t.Fatal(err)
		}
		w.remove(l, "INBOX", 3) // cannot be told from a message that was never there: it comes back rather than being lost
		w.put(r, "INBOX", 100)
		rep := w.settled()
		if rep.Copied[r] != 0 || rep.Deleted[l]+rep.Deleted[r] > 1 {
			t.Errorf("copied %v, deleted %v", rep.Copied, rep.Deleted)
		}
	})
}

func TestGuardHoldsDeletions(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 60 {
			w.put(l, "INBOX", n)
		}
		w.settled()
		for n := range 40 {
			w.remove(l, "INBOX", n)
		}
		w.put(l, "INBOX", 100)
		rep := w.sync()
		if rep.Held != 40 || rep.Deleted != [2]int{} || rep.Copied[r] != 1 {
			t.Errorf("held %d, deleted %v, copied %v", rep.Held, rep.Deleted, rep.Copied)
		}
		before := w.logBytes()
		if rep = w.sync(); rep.Held != 40 || w.logBytes() != before {
			t.Errorf("a second sync held %d, and must write nothing", rep.Held)
		}
		w.acc.Guard.Percent = 100
		rep = w.settled()
		if rep.Deleted[r] != 40 {
			t.Errorf("deleted %v after the guard was raised", rep.Deleted)
		}
	})
}

func TestKnownMailboxThatIsMissingIsLeftAlone(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.put(l, "Box", 1)
		w.settled()
		if err := w.srv[l].DeleteMailbox("Box"); err != nil {
			t.Fatal(err)
		}
		rep := w.sync()
		if rep.Changed() || len(rep.Problems) != 1 || !strings.Contains(rep.Problems[0].Text, "missing") {
			t.Errorf("%+v", rep)
		}
		if w.find(r, "Box", 1) == "" {
			t.Error("the message is lost")
		}
	})
}

func TestOneBadMessage(t *testing.T) {
	opts := characters["maildir-qresync"]
	opts[merge.Right].MaxMessage = 50_000
	w := newWorld(t, opts)
	for n := range 20 {
		w.put(merge.Left, "INBOX", n)
	}
	big := slices.Concat(mail(500), make([]byte, 60_000))
	w.srv[merge.Left].Deliver("INBOX", merge.Flags{}, w.srv[merge.Left].Snapshot()["INBOX"].Messages[0].Date, big)
	rep := w.sync()
	if rep.Copied[merge.Right] != 20 || rep.Quarantined != 1 || rep.Errors != 0 {
		t.Fatalf("%+v", rep)
	}
	before := w.logBytes()
	if rep = w.sync(); rep.Quarantined != 1 || rep.Changed() || w.logBytes() != before {
		t.Errorf("second sync: %+v", rep)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.put(l, "INBOX", 1)
		rep, err := w.trySync(Request{DryRun: true})
		if err != nil || rep.Copied[r] != 1 {
			t.Fatalf("%v %+v", err, rep)
		}
		w.sync()
		w.put(l, "INBOX", 2)
		w.remove(r, "INBOX", 1)
		w.put(r, "New", 3)
		before := w.logBytes()
		for i := range w.srv {
			w.srv[i].ResetCounts()
		}
		rep, err = w.trySync(Request{DryRun: true})
		if err != nil || rep.Copied != want(l, 1, r, 1) || rep.Deleted != want(l, 1, r, 0) || rep.Created != want(l, 1, r, 0) {
			t.Errorf("%v %+v", err, rep)
		}
		for _, s := range w.srv {
			if s.Counts().WriteCalls() > 0 {
				t.Errorf("a dry run wrote: %+v", s.Counts())
			}
		}
		if w.logBytes() != before {
			t.Error("a dry run wrote to the logs")
		}
	})
}

func want(l merge.Side, nl int, r merge.Side, nr int) (out [2]int) {
	out[l], out[r] = nl, nr
	return out
}

// An append whose connection is lost is not repeated while it may still arrive, and not doubled when it does.
func TestLateAppend(t *testing.T) {
	for name, opts := range characters {
		if opts[merge.Right].Reserves {
			continue
		}
		for _, fate := range []memory.Fate{memory.Late, memory.Stored, memory.Lost} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t, opts)
				for n := range 10 {
					w.put(merge.Left, "INBOX", n)
				}
				w.srv[merge.Right].CutAppend(3, fate)
				if _, err := w.trySync(Request{}); err == nil {
					t.Fatal("a lost connection is an error")
				}
				w.srv[merge.Right].CompleteLate()
				w.settled()
				w.has("INBOX", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
			})
		}
	}
}

// A store that refuses for a passing reason makes the mailbox fail, without a message being set aside and without trying for ever.
func TestOverQuotaFailsTheMailbox(t *testing.T) {
	opts := characters["maildir-qresync"]
	full := true
	opts[merge.Right].Refuse = func([]byte) error {
		if !full {
			return nil
		}
		return &drivers.Error{Op: "append", Where: "INBOX", Reach: drivers.ReachMessage, Retry: drivers.RetryLater, Err: errors.New("over quota")}
	}
	w := newWorld(t, opts)
	for n := range 5 {
		w.put(merge.Left, "INBOX", n)
	}
	w.put(merge.Right, "INBOX", 100)
	rep, err := w.trySync(Request{})
	if err != nil || rep.Errors != 1 || rep.Quarantined != 0 || rep.Copied != [2]int{1, 0} {
		t.Fatalf("%v, %+v", err, rep)
	}
	if n := w.srv[merge.Right].Counts().Calls["Append"]; n != 1 {
		t.Errorf("tried %d times in one cycle", n)
	}
	full = false
	w.settled()
	w.has("INBOX", 0, 1, 2, 3, 4, 100)
}

func TestReadOnlyMailboxFailsAlone(t *testing.T) {
	opts := characters["maildir-qresync"]
	opts[merge.Right].ReadOnly = []string{"INBOX"}
	w := newWorld(t, opts)
	w.put(merge.Right, "INBOX", 1)
	w.put(merge.Left, "Other", 2)
	w.put(merge.Left, "INBOX", 3)
	rep, err := w.trySync(Request{})
	if err != nil || rep.Errors != 1 || rep.Copied[merge.Left] != 1 || rep.Copied[merge.Right] != 1 {
		t.Fatalf("%v, %+v", err, rep)
	}
}

// A store that is not the one that was synced before shows no deletions, and gets no mailboxes.
func TestAnotherStoreInTheSamePlace(t *testing.T) {
	w := newWorld(t, characters["imap-imap"])
	for n := range 5 {
		w.put(merge.Left, "INBOX", n)
	}
	w.put(merge.Left, "Box", 10)
	w.settled()
	for n := range 3 {
		w.remove(merge.Left, "INBOX", n)
	}
	w.put(merge.Right, "New", 11)
	w.srv[merge.Left].SetIdentity("another")
	rep, err := w.trySync(Request{})
	if err != nil || rep.Deleted != [2]int{} || rep.Held != 3 || rep.Created != [2]int{} {
		t.Fatalf("%v, %+v", err, rep)
	}
}
