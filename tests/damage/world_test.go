package damage

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"driftless/daemon/engine"
	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/logstate"
	"driftless/merge"
)

// refused is the message that the right server does not take.
const refused = 30

// characters are the pairs of stores that the histories are played on.
var characters = map[string][2]memory.Options{
	"maildir-imap": {{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}},
	"imap-imap":    {{Mode: memory.CondStore, SameValidity: true}, {Mode: memory.ListOnly, NoUIDPlus: true, SameValidity: true}},
}

// world is an account of two memory servers, whose users the test plays.
type world struct {
	t    testing.TB
	srv  [2]*memory.Server
	dir  string
	acc  engine.Account
	plan *drivertest.Plan // of the next sync; nil = no fault
}

func newWorld(t testing.TB, opts [2]memory.Options, identity string) *world {
	w := &world{t: t, dir: filepath.Join(workDir(t), identity)}
	opts[0].Identity, opts[1].Identity = identity+"-left", identity+"-right"
	opts[1].Refuse = func(data []byte) error {
		if bytes.Contains(data, fmt.Appendf(nil, "This is message %d.", refused)) {
			return fmt.Errorf("no such thing here")
		}
		return nil
	}
	for i := range opts {
		w.srv[i] = memory.New(opts[i])
	}
	w.acc = engine.Account{
		Name: "work", Dir: w.dir, Rules: merge.DefaultRules(), Create: merge.Both, Guard: engine.DefaultGuard(), Grace: time.Millisecond,
		Logs: logstate.Options{SegmentSize: 900, NoWait: true},
	}
	for i, side := range merge.Sides {
		w.acc.Open[i] = func(ctx context.Context) (drivers.Store, error) {
			s, err := w.srv[i].Open(ctx)
			if err != nil || w.plan == nil {
				return s, err
			}
			return drivertest.FaultyNamed(s, w.plan, side.String()), nil
		}
	}
	return w
}

// sync runs a cycle; the error says why it did not come to its end.
func (w *world) sync(req engine.Request) (engine.Report, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return engine.Sync(ctx, w.acc, req, nil)
}

func (w *world) mustSync() engine.Report {
	w.t.Helper()
	r, err := w.sync(engine.Request{})
	must(w.t, err)
	if r.Errors > 0 {
		w.t.Fatalf("sync: %+v", r.Problems)
	}
	return r
}

// mail is message number n.
func mail(n int) []byte { return drivertest.Message(n, drivertest.MessageOptions{}) }

var numbered = regexp.MustCompile(`This is message (\d+)\.`)

// number returns the number of a message.
func number(data []byte) int {
	m := numbered.FindSubmatch(data)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(string(m[1]))
	if !bytes.Equal(data, mail(n)) {
		return -2
	}
	return n
}

func (w *world) put(side merge.Side, box string, n int, flags ...string) {
	w.srv[side].Deliver(box, merge.NewFlags(flags...), drivertest.MessageDate(n), mail(n))
}

// id returns the id of a message, "" if it is not there.
func (w *world) id(side merge.Side, box string, n int) merge.ID {
	for _, m := range w.srv[side].Snapshot()[box].Messages {
		if number(m.Data) == n {
			return m.ID
		}
	}
	return ""
}

func (w *world) flag(side merge.Side, box string, n int, flags ...string) {
	w.t.Helper()
	must(w.t, w.srv[side].SetFlags(box, w.id(side, box, n), merge.NewFlags(flags...)))
}

func (w *world) remove(side merge.Side, box string, n int) {
	w.t.Helper()
	must(w.t, w.srv[side].Remove(box, w.id(side, box, n)))
}

func (w *world) move(side merge.Side, box string, n int, to string) {
	w.t.Helper()
	_, err := w.srv[side].Move(box, w.id(side, box, n), to)
	must(w.t, err)
}

// copyOf is one message in one mailbox of one side.
type copyOf struct {
	box   string
	id    merge.ID
	flags merge.Flags
	date  time.Time
}

// inventory is what a side has, by message number.
type inventory map[int][]copyOf

func (w *world) inventory() [2]inventory {
	w.t.Helper()
	var out [2]inventory
	for i, s := range w.srv {
		out[i] = inventory{}
		for name, b := range s.Snapshot() {
			for _, m := range b.Messages {
				n := number(m.Data)
				if n < 0 {
					w.t.Fatalf("%s %s: a message that nobody wrote", merge.Side(i), name)
				}
				out[i][n] = append(out[i][n], copyOf{name, m.ID, m.Flags, m.Date})
			}
		}
	}
	return out
}

// places returns the mailboxes of copies, sorted, each as often as there are copies.
func places(c []copyOf) []string {
	var out []string
	for _, x := range c {
		out = append(out, x.box)
	}
	slices.Sort(out)
	return out
}

// looks returns mailboxes, flags and dates of copies, sorted.
func looks(c []copyOf) []string {
	var out []string
	for _, x := range c {
		out = append(out, fmt.Sprintf("%s %s %s", x.box, x.flags, x.date.UTC().Format(time.DateTime)))
	}
	slices.Sort(out)
	return out
}

// ids returns mailboxes and ids of copies, sorted.
func ids(c []copyOf) []string {
	var out []string
	for _, x := range c {
		out = append(out, x.box+" "+string(x.id))
	}
	slices.Sort(out)
	return out
}
