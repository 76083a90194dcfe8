package tests

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

// hands are what a user does on the side from which a message is copied.
type hands interface {
	put(box string, n int, body []byte)
	move(box string, body []byte, to string)
	flag(box string, body []byte)
	remove(box string, body []byte)
	all() harness.Mail
}

// maildirHands work in a Maildir.
type maildirHands struct{ w *world }

func (h maildirHands) file(box string, body []byte) string {
	h.w.t.Helper()
	return h.w.fileWith(box, harness.Digest(body))
}
func (h maildirHands) put(box string, n int, body []byte) {
	h.w.m.Deliver(box, body, date(n), `\Seen`)
}
func (h maildirHands) move(box string, body []byte, to string) {
	h.w.m.Move(box, h.file(box, body), to)
}
func (h maildirHands) flag(box string, body []byte) {
	h.w.m.SetFlags(box, h.file(box, body), `\Seen`, `\Flagged`, "later")
}
func (h maildirHands) remove(box string, body []byte) { h.w.m.Remove(box, h.file(box, body)) }
func (h maildirHands) all() harness.Mail              { return h.w.m.All() }

// imapHands work on a server.
type imapHands struct{ c *harness.Client }

func (h imapHands) uid(box string, body []byte) []uint32 {
	hash := harness.Digest(body)
	for _, m := range h.c.Messages(box, true) {
		if m.Hash == hash {
			return []uint32{m.UID}
		}
	}
	return nil
}
func (h imapHands) put(box string, n int, body []byte) {
	h.c.Append(box, harness.Letter{Body: harness.ToCRLF(body), Date: date(n), Flags: []string{`\Seen`}})
}
func (h imapHands) move(box string, body []byte, to string) { h.c.Move(box, h.uid(box, body), to) }
func (h imapHands) flag(box string, body []byte) {
	h.c.Store(box, h.uid(box, body), "+", `\Flagged`, "later")
}
func (h imapHands) remove(box string, body []byte) { h.c.Expunge(box, h.uid(box, body)) }
func (h imapHands) all() harness.Mail              { return h.c.All() }

// meanwhile is what happens between the moment when a sync is killed that had sent a message, and the next sync.
type meanwhile struct {
	name   string
	bodies int                        // how many messages are sent; 0 = 1
	same   bool                       // they are all equal
	size   int                        // of each; 0 = 200,000
	source func(h hands, body []byte) // what the user does to the first of the sent messages
	copied func(h hands, body []byte) // and to its copy on the server, if that has landed before the next sync
	killed int                        // how many syncs more are killed while they wait for it
	reset  bool                       // the first sync is not killed, but sees its connection reset, and goes on by itself
	box    []string                   // where the message may be in the end, on both sides; default Box
	gone   bool                       // in the end it is nowhere
}

var meanwhiles = []meanwhile{
	{name: "nothing"},
	{name: "flagged", source: func(h hands, b []byte) { h.flag("Box", b) }},
	{name: "moved", source: func(h hands, b []byte) { h.move("Box", b, "Other") }, box: []string{"Other"}},
	// What lands when nobody waits for it any more comes back; before, it goes where its original went.
	{name: "deleted", source: func(h hands, b []byte) { h.remove("Box", b) }, gone: true},
	{name: "copy moved", copied: func(h hands, b []byte) { h.move("Box", b, "Third") }, box: []string{"Third"}},
	{name: "copy flagged", copied: func(h hands, b []byte) { h.flag("Box", b) }},
	{name: "both moved", source: func(h hands, b []byte) { h.move("Box", b, "Other") }, copied: func(h hands, b []byte) { h.move("Box", b, "Third") }, box: []string{"Other", "Third"}},
	{name: "both moved alike", source: func(h hands, b []byte) { h.move("Box", b, "Other") }, copied: func(h hands, b []byte) { h.move("Box", b, "Other") }, box: []string{"Other"}},
	{name: "moved, copy flagged", source: func(h hands, b []byte) { h.move("Box", b, "Other") }, copied: func(h hands, b []byte) { h.flag("Box", b) }, box: []string{"Other"}},
	{name: "two alike", bodies: 2, same: true},
	{name: "two alike, one moved", bodies: 2, same: true, source: func(h hands, b []byte) { h.move("Box", b, "Other") }},
	{name: "many", bodies: 30, size: 20_000},
	{name: "killed twice more", killed: 2},
	{name: "reset", reset: true},
	{name: "big", size: 30 << 20},
}

// landing is when the append that was under way arrives.
type landing string

const (
	before landing = "before" // before the next sync
	during landing = "during" // while the next sync waits, to see whether it arrives
	after  landing = "after"  // after the next sync has waited for it and sent the message again
)

// stage is where a late append is played: a source on the left, a server on the right behind a proxy.
type stage struct {
	*world
	left hands
}

// maildirStage has a Maildir on the left.
func maildirStage(t *testing.T, d *harness.Dovecot, user string) stage {
	w := onServer(t, d, user, "")
	return stage{w, maildirHands{w}}
}

// imapStage has another server on the left.
func imapStage(t *testing.T, d *harness.Dovecot, user string) stage {
	w := onServer(t, d, user, "")
	w.p.WriteConfig(harness.Account("work", "", harness.IMAPSide(d.Port(), user+"left"), harness.IMAPSide(w.proxy.Port(), user)))
	return stage{w, imapHands{d.Client(user + "left")}}
}

// TestLateAppend kills a sync that has sent a message to a server, which gets the last of it only later: before, while or after the next sync looks for it. Meanwhile its owner
// may do things to it. In the end it is there once; but twice, on both sides, if it lands after it was sent again.
func TestLateAppend(t *testing.T) {
	t.Parallel()
	type play struct {
		rung  harness.Rung
		what  meanwhile
		when  landing
		stage func(*testing.T, *harness.Dovecot, string) stage
		from  string
	}
	var plays []play
	for _, what := range meanwhiles {
		for _, when := range []landing{before, during, after} {
			for _, rung := range harness.Rungs {
				if when != before && (what.copied != nil || what.reset) || what.size > 1<<20 && rung == harness.Condstore {
					continue // there is no copy yet
				}
				plays = append(plays, play{rung, what, when, maildirStage, "maildir"})
				if rung != harness.Condstore && what.size < 1<<20 {
					plays = append(plays, play{rung, what, when, imapStage, "imap"})
				}
			}
		}
	}
	servers := map[harness.Rung]*harness.Dovecot{}
	for _, rung := range harness.Rungs {
		servers[rung] = harness.StartDovecot(t, harness.Options{Rung: rung})
	}
	var tried atomic.Int64
	name := func(i int) string {
		p := plays[i]
		return fmt.Sprintf("%s-%s/%s/%s", p.from, p.rung, p.what.name, p.when)
	}
	crowd(t, 10, torture.Points(t, len(plays), 30), name, func(t *testing.T, i int) {
		p := plays[i]
		tried.Add(1)
		p.stage(t, servers[p.rung], fmt.Sprintf("u%d", i)).late(p.what, p.when)
	})
	t.Logf("%d late appends of %d kinds", tried.Load(), len(plays))
}

// late plays one late append.
func (s stage) late(what meanwhile, when landing) {
	t := s.t
	if what.bodies == 0 {
		what.bodies = 1
	}
	if what.size == 0 {
		what.size = 200_000
	}
	s.c.Create("Box", "Other", "Third")
	s.c.Append("Box", letters(900, 2, 400)...)
	s.p.Sync(0)
	var bodies [][]byte
	for n := range what.bodies {
		if what.same {
			n = 0
		}
		body := mail(n, what.size)
		bodies = append(bodies, body)
		s.left.put("Box", n, body)
	}
	known := s.left.all().Count() // the messages to be, on both sides

	sent := what.size
	if s.d.Opts.Rung == harness.Full {
		sent *= what.bodies // all at once; without LITERAL+ one is sent after the other
	}
	s.hold(int64(sent), what.reset)
	if what.reset {
		s.landed(bodies, func() {})
		s.p.Sync(0)
		s.judge(what, when, known, bodies)
		return
	}
	if when == before {
		s.landed(bodies, s.proxy.Release)
	}
	if what.source != nil {
		what.source(s.left, bodies[0])
	}
	if what.copied != nil {
		what.copied(imapHands{s.c}, bodies[0])
	}
	for range what.killed {
		run := s.p.Start("sync")
		s.quiet()
		run.Signal(syscall.SIGKILL)
		run.Wait()
	}
	switch when {
	case before:
	case during:
		run := s.p.Start("sync", "--json")
		s.quiet()
		s.landed(bodies, s.proxy.Release)
		if r := run.Wait(); r.Code != 0 {
			t.Errorf("the sync during which it landed: %v", r)
		}
	case after:
		s.p.Sync(0)
		s.landed(bodies, s.proxy.Release)
	}
	s.p.Sync(0)
	s.judge(what, when, known, bodies)
}

// hold runs a sync until it has sent size bytes and waits for the answer, and kills it. The server has got the first of it only. With reset the
// sync lives, sees its connection reset, and comes to its end while the server gets what was sent.
func (s stage) hold(size int64, reset bool) {
	s.t.Helper()
	const first = 8000 // logged in, and within the message
	struck := s.proxy.Strike(harness.Fault{Kind: harness.Hold, Up: true, At: first})
	run := s.p.Start("sync")
	select {
	case <-struck:
	case <-run.Done():
		s.t.Fatalf("the sync ended before it had sent anything: %v", run.Wait())
	}
	harness.Eventually(s.t, func() error {
		if n := s.proxy.Waiting(); n < size-first {
			return fmt.Errorf("%d bytes of %d were sent", n, size)
		}
		return nil
	})
	s.quiet()
	if !reset {
		run.Signal(syscall.SIGKILL)
		run.Wait()
		return
	}
	s.proxy.Drop(true)
	s.quiet()
	s.proxy.Release()
	if r := run.Wait(); r.Code != 0 && r.Code != 1 {
		s.t.Errorf("the sync whose connection was reset: %v", r)
	}
}

// quiet waits until nothing has been sent for a while.
func (s stage) quiet() {
	type traffic struct {
		harness.Counts
		waiting int64
	}
	last, since := traffic{}, time.Now()
	for time.Since(since) < 700*time.Millisecond {
		if now := (traffic{s.proxy.Counts(), s.proxy.Waiting()}); now != last {
			last, since = now, time.Now()
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// landed lets an append arrive and waits until the server has finished with it.
func (s stage) landed(bodies [][]byte, release func()) {
	s.t.Helper()
	had := s.copies(s.c.All(), bodies[0])
	release()
	harness.Eventually(s.t, func() error {
		if got := s.copies(s.c.All(), bodies[0]); got == 0 || s.proxy.Waiting() > 0 || release != nil && s.held() {
			return fmt.Errorf("it has not landed: %d copies, were %d", got, had)
		}
		return nil
	})
}

// held reports whether a connection is left that outlived its client.
func (s stage) held() bool { return s.proxy.Outlived() > 0 }

// copies counts the messages with a body.
func (s stage) copies(m harness.Mail, body []byte) int {
	hash, n := harness.Digest(body), 0
	for _, msgs := range m {
		for _, msg := range msgs {
			if msg.Hash == hash {
				n++
			}
		}
	}
	return n
}

// judge looks whether everything is there once, where it must be, and stays so.
func (s stage) judge(what meanwhile, when landing, known int, bodies [][]byte) {
	t := s.t
	left, right := s.left.all(), s.c.All()
	if diff := harness.Diff(left, right); len(diff) > 0 {
		t.Errorf("the sides differ: %s", few(diff))
	}
	want := 1
	if what.same {
		want = what.bodies
	}
	if what.gone && when != after {
		want = 0
	}
	doubled := 0
	for i, b := range bodies {
		got := s.copies(right, b)
		switch {
		case got == want:
		case when == after && got > want && got <= 2*want:
			// To us it is a message like any other that somebody put there (docs/decisions/0005): it is not lost, and the sides are equal and stay so.
			doubled++
		default:
			t.Errorf("message %d is there %d times, want %d", i, got, want)
		}
	}
	if total := right.Count(); !what.gone && doubled == 0 && total != known {
		t.Errorf("%d messages, want %d", total, known)
	}
	if what.box != nil && doubled == 0 {
		found := ""
		for box, msgs := range right {
			if s.copies(harness.Mail{box: msgs}, bodies[0]) > 0 {
				found = box
			}
		}
		ok := false
		for _, b := range what.box {
			ok = ok || b == found
		}
		if !ok {
			t.Errorf("the message is in %q, want one of %q", found, what.box)
		}
	}
	s.verify()
	again := s.p.Sync(0)
	if !again.Idle() || harness.Diff(right, s.c.All()) != nil || harness.Diff(left, s.left.all()) != nil {
		t.Errorf("the next sync did something: %+v", again)
	}
	if t.Failed() {
		t.Logf("%v", s.p.Run("log", "work"))
	}
	if doubled > 0 {
		t.Logf("%d of %d messages are there twice, as they must: who waits no longer cannot know", doubled, len(bodies))
	}
}
