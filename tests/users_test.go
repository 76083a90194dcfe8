package tests

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

// userBoxes are the mailboxes in which the users work.
var userBoxes = []string{"INBOX", "Archive", "Größe/日本"}

// letter is a message that belongs to one user alone: what he did last is true, whatever was synced meanwhile.
type owned struct {
	n     int    // number of its content
	box   string // where it is
	flags []string
	gone  bool

	dir, name string // Maildir: in which directory, under which name
	fixed     bool   // Maildir: a file with its unique part is in another mailbox, so it stays in its own
	uid       uint32 // IMAP
}

// toggle adds or removes a flag.
func (o *owned) toggle(flag string) {
	if i := slices.Index(o.flags, flag); i >= 0 {
		o.flags = slices.Delete(o.flags, i, i+1)
		return
	}
	o.flags = append(o.flags, flag)
}

// throng is the users of both sides and what they have done.
type throng struct {
	t       *testing.T
	w       *world
	twins   bool // users make copies of equal content
	stop    chan struct{}
	wg      sync.WaitGroup
	once    sync.Once
	numbers atomic.Int64 // of contents
	mu      sync.Mutex
	done    map[string]int // operations by kind
	all     []*owned       // of users that have stopped
}

// user runs one user until everybody has to stop. step is called again and again, with pause in between; the messages of the user count when he has stopped.
func (c *throng) user(name string, pause time.Duration, own *[]*owned, step func(r *rand.Rand) (did string, times int)) {
	r := rand.New(rand.NewPCG(torture.Seed(c.t, 0), uint64(len(name))*1e9+uint64(c.numbers.Load())))
	c.wg.Go(func() {
		did := map[string]int{}
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			for k, n := range did {
				c.done[k] += n
			}
			if own != nil {
				c.all = append(c.all, *own...)
			}
		}()
		for {
			select {
			case <-c.stop:
				return
			default:
			}
			if c.t.Failed() {
				return
			}
			if what, n := step(r); n > 0 {
				did[what] += n
			}
			if pause > 0 {
				time.Sleep(time.Duration(r.Int64N(int64(2 * pause))))
			}
		}
	})
}

// number returns the number of a new content.
func (c *throng) number() int { return int(c.numbers.Add(1)) }

// userMail is the content with a number, with LF line ends.
func userMail(n int) []byte { return mail(1_000_000+n, 300+n%700) }

// message returns a message as it must be on both sides.
func (o *owned) message() harness.Message {
	flags := make([]string, len(o.flags))
	for i, f := range o.flags {
		if flags[i] = f; !strings.HasPrefix(f, `\`) {
			flags[i] = strings.ToLower(f)
		}
	}
	slices.Sort(flags)
	return harness.Message{Hash: harness.Digest(userMail(o.n)), Date: date(o.n), Flags: strings.Join(flags, " ")}
}

// want returns what all users together left.
func (c *throng) want() harness.Mail {
	mail := harness.Mail{}
	for _, b := range userBoxes {
		mail[b] = nil
	}
	for _, o := range c.all {
		if !o.gone {
			mail[o.box] = append(mail[o.box], o.message())
		}
	}
	return mail
}

// usersWorld is a world in which deletions are never held, with the boxes on both sides.
func usersWorld(t *testing.T, rung harness.Rung) (*world, *throng) {
	w := newWorld(t, rung, `guard = { deletions = "100%", at_least = 1000000, at_most = 1000000 }`)
	w.m.Create(userBoxes...)
	for _, b := range userBoxes {
		w.m.Deliver(b, mail(1, 300), date(1), `\Seen`, "Work")
	}
	c := &throng{t: t, w: w, stop: make(chan struct{}), done: map[string]int{}}
	t.Cleanup(c.rest)
	return w, c
}

// rest stops all users and waits for them.
func (c *throng) rest() {
	c.once.Do(func() { close(c.stop) })
	c.wg.Wait()
}

// syncs runs syncs back to back: ordinary many, in a torture run for as long as asked. Each must come to its end without an error. On a server without UIDPLUS it may
// be refused to expunge while somebody else has marked a message.
func (c *throng) syncs(ordinary int, rung harness.Rung) (n int, total harness.Summary) {
	c.t.Helper()
	for range torture.Rounds(c.t, ordinary) {
		r := c.w.p.Run("sync", "--json")
		sums, err := r.Summaries()
		if err != nil || len(sums) != 1 || r.Code != 0 && (rung != harness.Plain || r.Code != 1) {
			c.t.Fatalf("sync beside all users: %v %v", err, r)
		}
		if r.Code != 0 && !onlyForeignMarks(r) {
			c.t.Errorf("sync beside all users: %v", r)
		}
		s := sums[0]
		n++
		total.Copied.Left += s.Copied.Left
		total.Copied.Right += s.Copied.Right
		total.Flags.Left += s.Flags.Left
		total.Flags.Right += s.Flags.Right
		total.Moved.Left += s.Moved.Left
		total.Moved.Right += s.Moved.Right
		total.Deleted.Left += s.Deleted.Left
		total.Deleted.Right += s.Deleted.Right
	}
	return n, total
}

// settle stops all users; one sync, and both sides must be what the users left, verified, and the next sync has nothing to do.
func (c *throng) settle() {
	c.t.Helper()
	c.rest()
	if c.t.Failed() {
		return
	}
	c.w.p.Sync(0)
	c.w.same("after all users have stopped")
	c.w.verify()
	want := c.want()
	for _, b := range userBoxes {
		want[b] = append(want[b], harness.Message{Hash: harness.Digest(mail(1, 300)), Date: date(1), Flags: `\Seen work`})
	}
	for side, got := range map[string]harness.Mail{"left": c.w.m.All(), "right": c.w.c.All()} {
		delete(got, "Größe") // Dovecot's parent
		if diff := harness.Diff(want, got); len(diff) > 0 {
			c.t.Errorf("%s: %d messages instead of %d, %d differences (left is what the users left):\n%s", side, got.Count(), want.Count(), len(diff), few(diff))
		}
	}
	c.w.idle()
}

// report says what was done.
func (c *throng) report(began time.Time, syncs int, total harness.Summary) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var did []string
	for k, n := range c.done {
		did = append(did, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(did)
	d := time.Since(began).Seconds()
	c.t.Logf("%.1f s, %d syncs, copied %v flags %v moved %v deleted %v; %.0f flag renames/s; users did: %s", d, syncs, total.Copied, total.Flags, total.Moved, total.Deleted,
		float64(c.done["left flag"])/d, strings.Join(did, ", "))
}

// TestForeignMarks removes a message on the left while somebody has marked another one as deleted on a server without UIDPLUS. It cannot be removed there, and no mark of ours may stay: the next
// sync would take it for a user's.
func TestForeignMarks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, harness.Plain, "")
	first := w.m.Deliver("INBOX", mail(1, 300), date(1))
	w.m.Deliver("INBOX", mail(2, 300), date(2))
	w.p.Sync(0)
	second := w.c.Messages("INBOX", true)
	second = slices.DeleteFunc(second, func(m harness.Message) bool { return m.Hash != harness.Digest(mail(2, 300)) })
	w.c.Store("INBOX", []uint32{second[0].UID}, "+", `\Deleted`)
	w.m.Remove("INBOX", first)
	for range 2 {
		w.p.Sync(1)
		marked := 0
		for _, m := range w.c.Messages("INBOX", false) {
			if m.Flags == `\Deleted` {
				marked++
			}
		}
		if n := len(w.c.Messages("INBOX", false)); n != 2 || marked != 1 {
			t.Errorf("%d messages of 2 on the right, %d of them marked as deleted, one by its user", n, marked)
		}
	}
	w.c.Store("INBOX", []uint32{second[0].UID}, "-", `\Deleted`)
	w.p.Sync(0)
	w.same("after the mark has gone")
	w.idle()
}

// TestConcurrentUsers lets clients of both stores deliver, flag, move, copy, rename and remove messages as fast as they can while syncs run back to back. Each message
// belongs to one client, so that what must be there in the end is known exactly.
func TestConcurrentUsers(t *testing.T) {
	t.Parallel()
	for _, rung := range harness.Rungs {
		t.Run(rung.String(), func(t *testing.T) {
			w, c := usersWorld(t, rung)
			w.p.Sync(0)
			// Of several equal messages it is not always known which one an append or a move without an answered id has made.
			c.twins = rung != harness.Plain
			began := time.Now()
			for i := range 2 {
				c.flipper(fmt.Sprintf("flipper %d", i), 200)
			}
			for i := range 2 {
				c.maildirUser(fmt.Sprintf("maildir user %d", i))
				c.imapUser(fmt.Sprintf("imap user %d", i))
			}
			n, total := c.syncs(1, rung)
			c.settle()
			c.report(began, n, total)
		})
	}
}
