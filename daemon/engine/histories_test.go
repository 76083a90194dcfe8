package engine

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/merge"
)

// owned is a message that only one side's user touches.
type owned struct {
	n     int
	side  merge.Side
	box   string
	flags []string
	gone  bool
}

type fuzz struct {
	w     *world
	mu    sync.Mutex
	rnd   *rand.Rand
	all   []*owned
	next  int
	trace []string
}

var fuzzBoxes = []string{"INBOX", "A", "B"}

func (f *fuzz) where(side merge.Side, n int) (string, merge.ID) {
	want := mail(n)
	for name, m := range f.w.srv[side].Snapshot() {
		for _, x := range m.Messages {
			if bytes.Equal(x.Data, want) {
				return name, x.ID
			}
		}
	}
	return "", ""
}

func (f *fuzz) op(tag string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	srv := f.w.srv
	if len(f.all) < 3 || f.rnd.Intn(5) == 0 {
		o := &owned{n: f.next, side: merge.Side(f.rnd.Intn(2)), box: fuzzBoxes[f.rnd.Intn(3)]}
		f.next++
		f.all = append(f.all, o)
		srv[o.side].Deliver(o.box, merge.Flags{}, drivertest.MessageDate(o.n), mail(o.n))
		f.trace = append(f.trace, fmt.Sprintf("%s new %d on %s %s", tag, o.n, o.side, o.box))
		return
	}
	o := f.all[f.rnd.Intn(len(f.all))]
	if o.gone {
		return
	}
	box, id := f.where(o.side, o.n)
	if box == "" || box != o.box {
		f.trace = append(f.trace, fmt.Sprintf("%s !!! %d is in %q not in %q on its own side %s", tag, o.n, box, o.box, o.side))
		f.w.t.Errorf("message %d is in %q, its owner (%s) put it into %q", o.n, box, o.side, o.box)
		return
	}
	switch f.rnd.Intn(6) {
	case 0:
		f.trace = append(f.trace, fmt.Sprintf("%s delete %d on %s %s", tag, o.n, o.side, box))
		f.w.must(srv[o.side].Remove(box, id))
		o.gone = true
	case 1, 2:
		to := fuzzBoxes[f.rnd.Intn(3)]
		if to == box {
			return
		}
		f.trace = append(f.trace, fmt.Sprintf("%s move %d on %s %s to %s", tag, o.n, o.side, box, to))
		_, err := srv[o.side].Move(box, id, to)
		f.w.must(err)
		o.box = to
	default:
		fl := []string{`\Seen`, `\Flagged`, "work"}[f.rnd.Intn(3)]
		if i := slices.Index(o.flags, fl); i >= 0 {
			o.flags = slices.Delete(slices.Clone(o.flags), i, i+1)
		} else {
			o.flags = append(slices.Clone(o.flags), fl)
		}
		f.trace = append(f.trace, fmt.Sprintf("%s flags %d on %s %v", tag, o.n, o.side, o.flags))
		f.w.must(srv[o.side].SetFlags(box, id, merge.NewFlags(o.flags...)))
	}
}

func (f *fuzz) cycle(faulty, mid bool) {
	w := f.w
	plan := &drivertest.Plan{}
	if faulty {
		plan.At, plan.Fault = 1+f.rnd.Intn(60), []drivertest.Fault{drivertest.FailBefore, drivertest.UnknownBefore, drivertest.UnknownAfter, drivertest.DieBefore, drivertest.DieAfter}[f.rnd.Intn(5)]
	}
	var saved string
	plan.OnHit = func(where string) {
		f.mu.Lock()
		f.trace = append(f.trace, "  fault "+plan.Fault.String()+" at "+where)
		f.mu.Unlock()
		if plan.Fault.Dies() {
			saved, _ = os.MkdirTemp("", "adv")
			w.must(os.CopyFS(saved, os.DirFS(w.acc.Dir)))
		}
	}
	open := w.acc.Open
	if faulty {
		for _, side := range merge.Sides {
			w.acc.Open[side] = func(ctx context.Context) (drivers.Store, error) {
				s, err := open[side](ctx)
				if err != nil {
					return nil, err
				}
				return drivertest.FaultyNamed(s, plan, side.String()), nil
			}
		}
	}
	if mid {
		var in sync.Mutex
		calls := 0
		when := map[int]bool{f.rnd.Intn(60): true, f.rnd.Intn(60): true}
		for _, side := range merge.Sides {
			w.srv[side].OnCall(func(op, mailbox string) {
				in.Lock()
				calls++
				now := when[calls]
				in.Unlock()
				if now {
					f.op(fmt.Sprintf("  mid(%s %s %s)", side, op, mailbox))
				}
			})
		}
	}
	r, err := w.trySync(Request{})
	for _, s := range w.srv {
		s.OnCall(nil)
	}
	w.acc.Open = open
	if saved != "" {
		w.must(os.RemoveAll(w.acc.Dir))
		w.must(os.CopyFS(w.acc.Dir, os.DirFS(saved)))
		os.RemoveAll(saved)
	}
	f.trace = append(f.trace, fmt.Sprintf("cycle %v copied %v flags %v moved %v deleted %v errs %d err %v", faulty, r.Copied, r.Flags, r.Moved, r.Deleted, r.Errors, err))
	if !faulty && !mid && (err != nil || r.Errors > 0) {
		w.t.Errorf("clean cycle: %v %+v", err, r.Problems)
	}
}

func TestOwnersHistories(t *testing.T) {
	runs, _ := strconv.Atoi(os.Getenv("DRIFTLESS_RUNS"))
	if runs == 0 {
		runs = 20
	}
	base, _ := strconv.ParseInt(os.Getenv("DRIFTLESS_SEED"), 10, 64)
	names := []string{"maildir-qresync", "imap-imap", "imap-imap", "maildir-condstore", "maildir-maildir"}
	faulty, mid := os.Getenv("DRIFTLESS_FAULTS") != "0", os.Getenv("DRIFTLESS_MID") != "0"
	bad := 0
	for run := range runs {
		seed := base + int64(run)
		name := names[seed%5]
		ok := t.Run(fmt.Sprintf("%d-%s", seed, name), func(t *testing.T) {
			w := newWorld(t, characters[name])
			w.acc.Guard = Guard{Percent: 100, AtLeast: 1e9, AtMost: 1e9}
			f := &fuzz{w: w, rnd: rand.New(rand.NewSource(seed))}
			for _, b := range fuzzBoxes {
				w.srv[0].CreateMailbox(b)
				w.srv[1].CreateMailbox(b)
			}
			f.cycle(false, false)
			for round := range 6 {
				_ = round
				for range f.rnd.Intn(5) {
					f.op("")
				}
				f.cycle(faulty && f.rnd.Intn(3) > 0, mid && f.rnd.Intn(2) > 0)
			}
			f.cycle(false, false)
			f.cycle(false, false)
			var want []string
			for _, o := range f.all {
				if !o.gone {
					want = append(want, fmt.Sprintf("%s: %q %s", o.box, firstLine(mail(o.n)), merge.NewFlags(o.flags...)))
				}
			}
			slices.Sort(want)
			for _, side := range merge.Sides {
				var got []string
				for name, m := range w.srv[side].Snapshot() {
					for _, msg := range m.Messages {
						if slices.ContainsFunc(f.all, func(o *owned) bool { return o.gone && bytes.Equal(mail(o.n), msg.Data) }) {
							continue // came back: the safe mistake
						}
						got = append(got, fmt.Sprintf("%s: %q %s", name, firstLine(msg.Data), msg.Flags))
					}
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("%s: missing %v, too much %v", side, without(want, got), without(got, want))
				}
			}
			if t.Failed() {
				for _, l := range f.trace {
					t.Log(l)
				}
			}
		})
		if !ok {
			bad++
			if bad >= 8 {
				t.Fatal("enough")
			}
		}
	}
}
