package tests

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"driftless/daemon/engine"
	"driftless/drivers"
	"driftless/drivers/maildir"
	"driftless/drivers/memory"
	"driftless/logstate"
	"driftless/merge"
	"driftless/tests/faultfs"
	"driftless/tests/harness"
)

// faultWorld is an account whose logs and left Maildir are on a file system with faults; the right side is a server in memory, which never fails.
type faultWorld struct {
	t    *testing.T
	f    *faultfs.FS
	root string // where logs and Maildir are: on the file system, or on what a power cut left of it
	srv  *memory.Server
	want harness.Mail // what both sides must have in the end

	later time.Duration // how far the clock is ahead: quarantined messages are tried again only after a while
}

// newFaultWorld makes the file system anew: both sides have had a sync, all of that is durable, and then there was something to do in either direction,
// of every kind.
func newFaultWorld(t *testing.T, f *faultfs.FS) *faultWorld {
	t.Helper()
	w := &faultWorld{t: t, f: f, root: f.Dir(), srv: memory.New(memory.Options{}), want: harness.Mail{}}
	ok(t, f.Reset())
	w.srv.CreateMailbox("INBOX")
	m := w.maildir()
	files := map[int]string{}
	for _, n := range []int{1, 2, 3} {
		files[n] = m.Deliver("INBOX", mail(n, 400), date(n), `\Seen`)
	}
	for _, n := range []int{7, 8} {
		m.Deliver("Archive", mail(n, 400), date(n), `\Seen`)
	}
	for _, n := range []int{4, 5, 6} {
		w.srv.Deliver("INBOX", merge.NewFlags(`\Seen`), date(n), wire(n, 400))
	}
	if r, err := w.sync(); err != nil || r.Errors > 0 {
		t.Fatalf("first sync: %v, %+v", err, r)
	}
	m.SetFlags("INBOX", files[1], `\Seen`, `\Answered`)
	m.Remove("INBOX", files[2])
	m.Move("INBOX", files[3], "Archive")
	m.Deliver("INBOX", mail(10, 400), date(10))
	m.Deliver("INBOX", mail(11, 400), date(11), `\Flagged`, "work")
	m.Deliver("Left", mail(12, 400), date(12), `\Seen`)
	ok(t, w.srv.SetFlags("INBOX", w.find("INBOX", 4), merge.NewFlags(`\Flagged`)))
	ok(t, w.srv.Remove("INBOX", w.find("INBOX", 5)))
	_, err := w.srv.Move("INBOX", w.find("INBOX", 6), "Archive")
	ok(t, err)
	w.srv.Deliver("INBOX", merge.Flags{}, date(20), wire(20, 400))
	w.srv.Deliver("INBOX", merge.NewFlags(`\Seen`, "work"), date(21), wire(21, 400))
	w.srv.Deliver("INBOX", merge.NewFlags(`\Seen`), date(22), wire(22, 300_000))
	w.srv.CreateMailbox("Right")
	w.srv.Deliver("Right", merge.NewFlags(`\Seen`), date(23), wire(23, 400))
	for box, msgs := range map[string]map[int]string{
		"INBOX":   {1: `\Answered \Seen`, 4: `\Flagged`, 10: "", 11: `\Flagged work`, 20: "", 21: `\Seen work`, 22: `\Seen`},
		"Archive": {3: `\Seen`, 6: `\Seen`, 7: `\Seen`, 8: `\Seen`},
		"Left":    {12: `\Seen`},
		"Right":   {23: `\Seen`},
	} {
		for n, flags := range msgs {
			size := 400
			if n == 22 {
				size = 300_000
			}
			w.want[box] = append(w.want[box], harness.Message{Flags: flags, Date: date(n), Hash: harness.Digest(mail(n, size))})
		}
	}
	ok(t, f.Mark())
	return w
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *faultWorld) maildir() *harness.Maildir {
	return harness.NewMaildir(w.t, filepath.Join(w.root, "Mail"))
}

func (w *faultWorld) find(mailbox string, n int) merge.ID {
	for _, m := range w.srv.Snapshot()[mailbox].Messages {
		if strings.Contains(string(m.Data), fmt.Sprintf("Subject: message %d\r\n", n)) {
			return m.ID
		}
	}
	w.t.Fatalf("no message %d in %s", n, mailbox)
	return ""
}

func (w *faultWorld) account() engine.Account {
	dir, mail := filepath.Join(w.root, "state", "work"), filepath.Join(w.root, "Mail")
	return engine.Account{
		Name: "work", Dir: dir, Rules: merge.DefaultRules(), Create: merge.Both, Guard: engine.DefaultGuard(), Grace: time.Millisecond, Now: func() time.Time { return time.Now().Add(w.later) },
		Open: [2]func(context.Context) (drivers.Store, error){func(ctx context.Context) (drivers.Store, error) {
			known := false
			if v, err := logstate.OpenView(dir); err == nil {
				known = v.StoreIdentity(merge.Left) != ""
			}
			return maildir.Open(ctx, maildir.Options{Path: mail, Create: !known})
		}, w.srv.Open},
	}
}

// sync runs a cycle. An error of the account and problems of mailboxes are both failures to who waits for the sync.
func (w *faultWorld) sync() (engine.Report, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
	defer cancel()
	r, err := engine.Sync(ctx, w.account(), engine.Request{}, nil)
	if errors.Is(err, context.DeadlineExceeded) {
		w.t.Fatalf("the sync hangs: %v", err)
	}
	return r, err
}

// complaint returns what a failed sync said, all in one.
func complaint(r engine.Report, err error) string {
	var out []string
	if err != nil {
		out = append(out, err.Error())
	}
	for _, p := range r.Problems {
		if p.Kind == engine.ProblemError {
			out = append(out, p.Mailbox+": "+p.Text)
		}
	}
	return strings.Join(out, "\n")
}

// right returns what the server has.
func (w *faultWorld) right() harness.Mail {
	out := harness.Mail{}
	for name, box := range w.srv.Snapshot() {
		msgs := []harness.Message{}
		for _, m := range box.Messages {
			flags := strings.Fields(strings.Trim(m.Flags.String(), "()"))
			slices.Sort(flags)
			msgs = append(msgs, harness.Message{Flags: strings.Join(flags, " "), Date: m.Date, Hash: harness.Digest(m.Data)})
		}
		out[name] = msgs
	}
	return out
}

// complete checks that a sync completes at once, that both sides are as they must be, and that a further sync has nothing to do.
func (w *faultWorld) complete(what string) {
	w.t.Helper()
	if r, err := w.sync(); err != nil || r.Errors > 0 || r.Held > 0 {
		w.t.Errorf("%s: the sync does not complete: held %d, %s", what, r.Held, complaint(r, err))
		return
	}
	w.asWanted(what)
	r, err := w.sync()
	if err != nil || r.Errors > 0 || r.Changed() {
		w.t.Errorf("%s: a further sync: %v, %+v", what, err, r)
	}
	v, err := engine.Verify(w.t.Context(), w.account(), engine.VerifyRequest{Content: true}, nil)
	if err != nil || len(v.Differences) > 0 {
		w.t.Errorf("%s: verify: %v, %+v", what, err, v.Differences)
	}
}

// asWanted checks both sides.
func (w *faultWorld) asWanted(what string) {
	w.t.Helper()
	for side, got := range map[string]harness.Mail{"left": w.maildir().All(), "right": w.right()} {
		if diff := harness.Diff(w.want, got); len(diff) > 0 {
			w.t.Errorf("%s: wanted (left) and %s (right) differ:\n%s", what, side, few(diff))
		}
	}
}

// after calls f in the world that a power cut at this moment leaves: the server is on another machine and stays as it is. Afterwards the server is again as it was.
func (w *faultWorld) after(loss faultfs.Loss, f func(*faultWorld)) {
	w.t.Helper()
	dst := w.f.Scratch()
	ok(w.t, w.f.Image(dst, len(w.f.Trace()), loss))
	backup := w.srv.Backup()
	defer w.srv.Restore(backup)
	later := *w
	later.root = dst
	f(&later)
}

// inLogs reports whether a path is one of the logs'.
func inLogs(path string) bool { return path == "state" || strings.HasPrefix(path, "state/") }

// once returns a hook that gives the verdict to the nth effect that is wanted, and a function that says which that was.
func once(n int64, wanted func(faultfs.Op) bool, v faultfs.Verdict) (hook func(faultfs.Op) faultfs.Verdict, hit func() *faultfs.Op) {
	left, found := n, make(chan faultfs.Op, 1)
	return func(op faultfs.Op) faultfs.Verdict { // the file system calls it for one effect at a time
			if wanted(op) {
				if left--; left == 0 {
					found <- op
					return v
				}
			}
			return faultfs.Verdict{}
		}, func() *faultfs.Op {
			select {
			case op := <-found:
				return &op
			default:
				return nil
			}
		}
}
