package logstate

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

var logNames = []string{"left", "right", "shared"}

// copyTree copies an account's directory.
func copyTree(t tester, from, to string) {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(from)))
}

// logSize returns the bytes of a log's only segment.
func logSize(t tester, dir, log string) int64 {
	t.Helper()
	info, err := os.Stat(onlySegment(t, filepath.Join(dir, log)))
	if os.IsNotExist(err) {
		return 0
	}
	must(t, err)
	return info.Size()
}

func onlySegment(t tester, dir string) string {
	t.Helper()
	var found string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && found == "" {
			found = path
		}
		return err
	}))
	if found == "" {
		return filepath.Join(dir, "none")
	}
	return found
}

// cut makes a log as long as a crash left it.
func cut(t tester, dir, log string, size int64) {
	t.Helper()
	if p := onlySegment(t, filepath.Join(dir, log)); filepath.Base(p) != "none" {
		must(t, os.Truncate(p, size))
	}
}

// spy sits between a worker and its log.
type spy struct {
	appender
	mu       *sync.Mutex
	before   func(op string) error // "append" or "truncate"
	appended func()
}

func (s *spy) Append(f []frame) (uint64, error) {
	if s.before != nil {
		if err := s.before("append"); err != nil {
			return 0, err
		}
	}
	first, err := s.appender.Append(f)
	if err == nil && s.appended != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.appended()
	}
	return first, err
}

func (s *spy) TruncateFront(first uint64) error {
	if s.before != nil {
		if err := s.before("truncate"); err != nil {
			return err
		}
	}
	return s.appender.TruncateFront(first)
}

// moment is what was true after an operation of a script.
type moment struct {
	events int // appends until then
	models map[Mailbox]*model
	open   []Batch
}

// event is an append: how long the logs were after it.
type event struct {
	log   string
	sizes map[string]int64
}

// script runs random operations and records every append.
type script struct {
	t       *rapid.T
	dir     string
	a       *Account
	boxes   []Mailbox
	models  map[Mailbox]*model
	open    []Batch
	events  []event
	moments []moment
	clock   int64
	used    map[string]bool // epoch and sequence of every batch, per log and mailbox; true once it is finished
}

func newScript(t *rapid.T, dir string) *script {
	s := &script{t: t, dir: dir, models: map[Mailbox]*model{}, used: map[string]bool{}}
	s.start()
	s.boxes = registerTest(t, s.a, 3)
	for _, m := range s.boxes {
		s.models[m] = newModel()
	}
	s.note()
	return s
}

func (s *script) start() {
	a, err := openWith(ctx, s.dir, Options{}, func(name string, log appender) appender {
		return &spy{appender: log, mu: new(sync.Mutex), appended: func() {
			e := event{log: name, sizes: map[string]int64{}}
			for _, n := range logNames {
				e.sizes[n] = logSize(s.t, s.dir, n)
			}
			s.events = append(s.events, e)
		}}
	})
	must(s.t, err)
	s.a = a
}

func (s *script) note() {
	m := moment{events: len(s.events), models: map[Mailbox]*model{}, open: append([]Batch(nil), s.open...)}
	for k, v := range s.models {
		m.models[k] = v.clone()
	}
	s.moments = append(s.moments, m)
}

func (s *script) step() {
	t := s.t
	s.clock++
	m := rapid.SampledFrom(s.boxes).Draw(t, "mailbox")
	switch op := rapid.IntRange(0, 3).Draw(t, "step"); {
	case op == 0:
		var ops []Op
		for range rapid.IntRange(1, 3).Draw(t, "ops") {
			op := genOp(t)
			ops = append(ops, op)
			s.models[m].apply(op)
		}
		must(t, s.a.Commit(ctx, m, ops))
	case op == 1 || len(s.open) == 0:
		in := genIntent(t, m, s.boxes)
		in.Time = s.clock
		b, err := s.a.Begin(ctx, in)
		must(t, err)
		if _, ok := s.used[batchName(b)]; ok {
			t.Fatalf("batch %s was used before", batchName(b))
		}
		s.used[batchName(b)] = false
		s.open = append(s.open, b)
	default:
		i := rapid.IntRange(0, len(s.open)-1).Draw(t, "batch")
		b := s.open[i]
		s.open = append(s.open[:i:i], s.open[i+1:]...)
		s.finish(b)
	}
	s.note()
}

func (s *script) finish(b Batch) {
	out := genOutcome(s.t, b.Intent)
	s.clock++
	out.Time = s.clock
	must(s.t, s.a.Finish(ctx, b, out))
	s.used[batchName(b)] = true
	play(s.models, b.Intent, out)
}

func batchName(b Batch) string {
	return fmt.Sprint(b.Intent.Target.Other(), b.Intent.Mailbox, b.Epoch, b.Seq)
}

// sameBatches compares without regard to order.
func sameBatches(a, b []Batch) bool {
	key := func(b Batch) string { return fmt.Sprintf("%+v", b) }
	n := map[string]int{}
	for _, x := range a {
		n[key(x)]++
	}
	for _, x := range b {
		n[key(x)]--
	}
	for _, v := range n {
		if v != 0 {
			return false
		}
	}
	return true
}

// A crash at any byte leaves the state before or after the operation that was going on, and the batches that were not finished are known. The
// account then goes on.
func TestCrashAtAnyByte(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		base := t.TempDir()
		s := newScript(rt, filepath.Join(base, "a"))
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			s.step()
		}
		must(rt, s.a.Close())

		first := s.moments[0].events
		if len(s.events) == first {
			return
		}
		// The event that the crash interrupts, and how much of it was written.
		e := rapid.IntRange(first, len(s.events)-1).Draw(rt, "event")
		was, is := s.events[e-1].sizes, s.events[e].sizes
		log := s.events[e].log
		part := rapid.Int64Range(was[log], is[log]-1).Draw(rt, "size")
		at := 0
		for s.moments[at+1].events <= e {
			at++
		}
		before, after := s.moments[at], s.moments[at+1]

		crashed := filepath.Join(base, "crashed")
		copyTree(rt, s.dir, crashed)
		for _, n := range logNames {
			cut(rt, crashed, n, was[n])
		}
		// Redo the part of the interrupted append from the whole log.
		whole, err := os.ReadFile(onlySegment(rt, filepath.Join(s.dir, log)))
		must(rt, err)
		tail := append([]byte(nil), whole[:part]...)
		if rapid.Bool().Draw(rt, "zero-filled") {
			filled := append(tail, make([]byte, is[log]-part)...)
			if !bytes.Equal(filled, whole[:is[log]]) { // a record that ends in zeroes would be whole again
				tail = filled
			}
		}
		must(rt, os.WriteFile(onlySegment(rt, filepath.Join(crashed, log)), tail, 0o600))

		want := before
		if e > before.events {
			want = after // the outcome was durable: it is played
		}
		a, err := Open(ctx, crashed, Options{})
		must(rt, err)
		checkModels(rt, a, want.models, true)
		if !sameBatches(a.Unsettled(), want.open) {
			rt.Fatalf("unsettled %+v, want %+v", a.Unsettled(), want.open)
		}
		s.a, s.dir, s.open, s.models = a, crashed, a.Unsettled(), want.models
		s.used = map[string]bool{}
		for _, b := range s.open {
			s.finish(b)
		}
		s.open = nil
		checkModels(rt, a, s.models, true)
		must(rt, a.Close())
		a, err = Open(ctx, crashed, Options{})
		must(rt, err)
		checkModels(rt, a, s.models, true)
		if len(a.Unsettled()) != 0 || len(a.Repairs()) != 0 {
			rt.Fatalf("unsettled %v, repairs %v", a.Unsettled(), a.Repairs())
		}
		must(rt, a.Close())
		must(rt, os.RemoveAll(base))
	})
}

// history has every state that a mailbox ever had.
type history map[Mailbox][]*model

func (h history) add(models map[Mailbox]*model) {
	for m, x := range models {
		h[m] = append(h[m], x.clone())
	}
}

func (h history) had(m Mailbox, s *State, sum Summary) bool {
	for _, old := range h[m] {
		old := old.clone()
		// Cursors and where a mailbox is known may lag behind: older ones only make the drivers tell more.
		old.cursor, old.known = sum.Cursor, sum.Known
		if old.differs(s, sum) == "" {
			return true
		}
	}
	return false
}

// Whatever combination of present, old and deleted logs there is: a mailbox has a state that it had once, or it is marked to be paired again; no batch
// number comes back; and once the marked ones are cleared, everything goes on as ever.
func TestAnyCombinationOfOldLogs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		base := t.TempDir()
		s := newScript(rt, filepath.Join(base, "a"))
		hist := history{}
		steps := func(n int) {
			for range rapid.IntRange(0, n).Draw(rt, "steps") {
				s.step()
				hist.add(s.models)
				if rapid.IntRange(0, 7).Draw(rt, "checkpoint") == 0 {
					must(rt, s.a.Checkpoint(ctx, true))
				}
			}
		}
		reopen := func() {
			must(rt, s.a.Close())
			s.start()
			s.open = s.a.Unsettled()
		}
		hist.add(s.models)
		steps(10)
		must(rt, s.a.Close())
		old := filepath.Join(base, "old")
		copyTree(rt, s.dir, old)
		s.start()
		s.open = s.a.Unsettled()
		steps(10)
		reopen()
		steps(3)
		must(rt, s.a.Close())

		touched := false
		kept := map[string]bool{}
		for _, log := range logNames {
			kept[log] = true
			switch rapid.SampledFrom([]string{"present", "old", "deleted"}).Draw(rt, log) {
			case "old":
				touched, kept[log] = true, false
				must(rt, os.RemoveAll(filepath.Join(s.dir, log)))
				copyTree(rt, filepath.Join(old, log), filepath.Join(s.dir, log))
			case "deleted":
				touched, kept[log] = true, false
				must(rt, os.RemoveAll(filepath.Join(s.dir, log)))
			}
		}
		s.start()
		if !touched {
			checkModels(rt, s.a, s.models, true)
		}
		for _, m := range s.boxes {
			got, err := s.a.Register(ctx, names(int(m)-1))
			must(rt, err)
			if got != m {
				// All that told the number is gone; then so is all that used it.
				for _, x := range s.a.Mailboxes() {
					if x.Mailbox == m && x.Names != names(int(m)-1) && s.a.driver.fold.boxes[m].counts != (counts{}) {
						rt.Fatalf("mailbox %d has become %v", m, x.Names)
					}
				}
			}
		}
		fresh := map[Mailbox]*model{}
		for _, sum := range s.a.Mailboxes() {
			st, err := s.a.State(sum.Mailbox)
			must(rt, err)
			empty := sum.Count == [2]int{} && len(sum.Halves) == 0
			if !sum.Repair && !empty && !hist.had(sum.Mailbox, st, sum) {
				rt.Fatalf("mailbox %d has a state that it never had, and is not marked", sum.Mailbox)
			}
			fresh[sum.Mailbox] = modelOf(st, sum)
		}
		// The engine clears what is marked, settles what is open and goes on.
		for _, sum := range s.a.Mailboxes() {
			if sum.Repair {
				must(rt, s.a.Commit(ctx, sum.Mailbox, []Op{{Kind: Clear}}))
				fresh[sum.Mailbox].apply(Op{Kind: Clear})
			}
		}
		s.models, s.boxes = fresh, sortedKeys(fresh)
		for key, finished := range s.used {
			// A number that no log can know any more may come back.
			if !kept[strings.Fields(key)[0]] && !(finished && kept["shared"]) {
				delete(s.used, key)
			}
		}
		for _, b := range s.a.Unsettled() {
			s.finish(b)
		}
		s.open = nil
		checkModels(rt, s.a, s.models, true)
		hist = history{}
		steps(5)
		reopen()
		if len(s.a.Repairs()) != 0 {
			rt.Fatalf("still repairing: %+v", s.a.Repairs())
		}
		checkModels(rt, s.a, s.models, true)
		must(rt, s.a.Close())
		must(rt, os.RemoveAll(base))
	})
}

func modelOf(s *State, sum Summary) *model {
	m := newModel()
	m.pairs, m.halves = content(s)
	m.cursor, m.known = sum.Cursor, sum.Known
	return m
}
