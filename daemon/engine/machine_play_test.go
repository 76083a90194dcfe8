package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/logstate"
	"driftless/merge"
)

// machine is an account whose users, stores, logs and clock the test plays. Play returns what went wrong; Trace tells the history.
type machine struct {
	acc     Account
	user    [2]userStore
	srv     [2]*memory.Server // nil for a real Maildir
	reserve [2]bool           // ids are names that stay: a real Maildir, or a memory server like one
	unnamed [2]bool           // the store does not tell the ids of what is appended or moved
	clock   atomic.Int64      // Unix milliseconds
	stats   *machineStats

	mu      sync.Mutex // guards what follows against users who act during a sync
	tallies []*tally
	trace   []string
	failed  error // what a user found wrong during a sync

	saved   logFiles // an older copy of the logs
	backups [2]*memory.Backup
	dropped map[string]bool // mailboxes that were deleted or renamed on one side since the last rest
	undone  bool            // a store was restored since then: a mailbox of both sides may be missing there
}

// machineStats counts what was tried.
type machineStats struct {
	histories, steps, syncs, faults, cuts, interruptions, rests, hazards, crashes atomic.Int64
}

func (s *machineStats) String() string {
	return fmt.Sprintf("%d histories: %d steps, %d syncs, %d faults (%d of them crashes), %d cut connections, %d deeds during syncs, %d hazards to logs, ids, clock and stores, %d rests",
		s.histories.Load(), s.steps.Load(), s.syncs.Load(), s.faults.Load(), s.crashes.Load(), s.cuts.Load(), s.interruptions.Load(), s.hazards.Load(), s.rests.Load())
}

// newMachine makes an account below dir.
func newMachine(dir string, k kind, stats *machineStats) (*machine, error) {
	m := &machine{stats: stats, dropped: map[string]bool{}}
	m.clock.Store(time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC).UnixMilli())
	for i, opts := range k.opts {
		m.srv[i] = memory.New(opts)
		m.user[i], m.reserve[i], m.unnamed[i] = memoryUser{m.srv[i]}, opts.Reserves, opts.NoUIDPlus
	}
	if k.real {
		u, err := newMaildirUser(dir)
		if err != nil {
			return nil, err
		}
		m.user[merge.Left], m.srv[merge.Left], m.reserve[merge.Left], m.unnamed[merge.Left] = u, nil, true, false
	}
	m.acc = Account{
		Name: "machine", Dir: filepath.Join(dir, "logs"),
		Open:  [2]func(context.Context) (drivers.Store, error){m.user[0].open, m.user[1].open},
		Rules: merge.DefaultRules(), Create: merge.Both, Guard: Guard{Percent: 100, AtLeast: 1e9, AtMost: 1e9},
		Grace: time.Millisecond, Workers: 1,
		Now:  func() time.Time { return time.UnixMilli(m.clock.Load()) },
		Logs: logstate.Options{SegmentSize: 2 << 10, CheckpointSize: 8 << 10},
	}
	for range mails {
		m.tallies = append(m.tallies, newTally(nil, 0))
	}
	for _, u := range m.user {
		for _, box := range userBoxes {
			if err := u.create(box); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

func (m *machine) close() error {
	if u, ok := m.user[merge.Left].(*maildirUser); ok {
		return u.close()
	}
	return nil
}

func (m *machine) note(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

// play plays a history; after each of its chapters it lets it come to rest.
func (m *machine) play(history [][]step) error {
	m.stats.histories.Add(1)
	for _, chapter := range history {
		for _, s := range append(slices.Clone(chapter), step{what: "rest"}) {
			m.note("%s", s)
			m.stats.steps.Add(1)
			if err := m.do(s); err != nil {
				return fmt.Errorf("after %q: %w", s.String(), err)
			}
			if err := m.calm(); err != nil {
				return fmt.Errorf("after %q: %w", s.String(), err)
			}
		}
	}
	return nil
}

func (m *machine) do(s step) error {
	switch s.what {
	case "deed":
		return m.act(s.deed, false)
	case "sync", "cut":
		return m.disturbedSync(s)
	case "rest":
		return m.rest()
	}
	m.stats.hazards.Add(1)
	return m.hazard(s)
}

// places returns where a side has the messages of each content.
func (m *machine) places(side merge.Side) ([][]place, error) {
	mail, err := m.user[side].mail()
	if err != nil {
		return nil, err
	}
	out := make([][]place, len(mails))
	for _, s := range mail {
		l, err := mailOf(s)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", side, err)
		}
		out[l] = append(out[l], place{s.box, strings.Join(s.flags.Names(), " ")})
	}
	for _, p := range out {
		slices.SortFunc(p, func(a, b place) int { return cmp.Or(cmp.Compare(a.box, b.box), cmp.Compare(a.flags, b.flags)) })
	}
	return out, nil
}

// calm checks both sides against what must hold at any moment.
func (m *machine) calm() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed != nil {
		return m.failed
	}
	for _, side := range merge.Sides {
		now, err := m.places(side)
		if err != nil {
			return err
		}
		for i, t := range m.tallies {
			if err := t.during(side, now[i]); err != nil {
				return fmt.Errorf("%s on the %s: %w", mails[i].name, side, err)
			}
		}
	}
	return nil
}

// mostMail is how many messages a user keeps at most: a store with ten that is emptied is suspicious.
const mostMail = 9

// act lets a user do something, perhaps during a sync. What is moved then may be seen only where it arrives, and be copied.
func (m *machine) act(d userAct, during bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch d.what {
	case "create", "drop", "rename":
		return m.actOnBox(d)
	}
	u := m.user[d.side]
	mail, err := u.mail()
	if err != nil {
		return err
	}
	if d.what == "deliver" || d.what == "copy" {
		if len(mail) >= mostMail {
			return nil
		}
	}
	if d.what == "deliver" {
		t := m.tallies[d.letter]
		t.touched[d.side], t.fresh = true, true
		t.made[d.side][d.box]++
		t.ever[d.box]++
		if err := u.deliver(d.box, merge.NewFlags(strings.Fields(d.flags)...), mailDate(d.letter), []byte(mails[d.letter].data)); err != nil {
			return err
		}
		t.mixed = t.mixed || m.unnamed[d.side.Other()] && total(t.moved[d.side]) > 0
		return m.learn(d.side, d.letter)
	}
	if len(mail) == 0 {
		return nil
	}
	msg := mail[d.pick%len(mail)]
	l, err := mailOf(msg)
	if err != nil {
		return err
	}
	if d.what == "move" && d.box == msg.box {
		return nil
	}
	m.note("      (%s in %s, %s)", mails[l].name, msg.box, msg.id)
	t := m.tallies[l]
	t.touched[d.side] = true
	switch d.what {
	case "copy":
		t.fresh = true
		t.made[d.side][d.box]++
		t.ever[d.box]++
		err = u.deliver(d.box, msg.flags, mailDate(l), []byte(msg.data))
	case "move":
		t.fresh, t.raced = t.fresh || during, t.raced || during
		// Where it went first, it may be taken for somebody's move there, if the left does not tell what it did.
		t.wavers = t.wavers || d.side == merge.Right && total(t.moved[d.side]) > 0 && (m.unnamed[merge.Left] || t.faulted && len(t.own[d.side]) > 1)
		t.moved[d.side][d.box]++
		t.ever[d.box]++
		err = u.move(msg, d.box)
	case "flag":
		f := merge.NewFlags(d.flags)
		now := msg.flags.Union(f)
		if msg.flags.Has(f) {
			now = msg.flags.Minus(f)
		}
		t.said(d.side, d.flags, now.Has(f))
		err = u.setFlags(msg, now)
	case "delete":
		t.gone[d.side]++
		t.pasts++
		if t.doubt {
			t.doubted++
		}
		err = u.remove(msg)
	}
	if err != nil {
		return err
	}
	t.mixed = t.mixed || m.unnamed[d.side.Other()] && total(t.made[d.side]) > 0 && total(t.moved[d.side]) > 0
	return m.learn(d.side, l)
}

// learn notes what the user of a side left.
func (m *machine) learn(side merge.Side, letter int) error {
	now, err := m.places(side)
	if err != nil {
		return err
	}
	m.tallies[letter].own[side] = now[letter]
	return nil
}

// actOnBox lets a user make, delete or rename a mailbox. A mailbox that was deleted on one side is left alone on the other; it is deleted there before the next rest.
func (m *machine) actOnBox(d userAct) error {
	u := m.user[d.side]
	boxes, err := u.boxes()
	if err != nil {
		return err
	}
	if d.what == "create" {
		return u.create(d.box)
	}
	if !slices.Contains(boxes, d.box) || d.what == "rename" && slices.Contains(boxes, "R") {
		return nil
	}
	before, err := m.places(d.side)
	if err != nil {
		return err
	}
	m.dropped[d.box] = true
	if d.what == "rename" {
		m.dropped["R"] = true // it may go the same way
		err = u.rename(d.box, "R")
	} else {
		err = u.drop(d.box)
	}
	if err != nil {
		return err
	}
	return m.replaced(d.side, before, false)
}

// replaced accounts for a store that was changed at once, so that no pairs are known any more. With restored, messages that are still on the other side are not deleted.
func (m *machine) replaced(side merge.Side, before [][]place, restored bool) error {
	after, err := m.places(side)
	if err != nil {
		return err
	}
	other, err := m.places(side.Other())
	if err != nil {
		return err
	}
	for i, t := range m.tallies {
		t.lost = true
		was, is := countBoxes(before[i]), countBoxes(after[i])
		for box, n := range is {
			if more := n - was[box]; more > 0 {
				t.made[side][box] += more
				t.ever[box] += more
			}
		}
		less := 0
		for box, n := range was {
			less += max(0, n-is[box])
		}
		if restored {
			less -= min(less, max(0, len(other[i])-len(after[i])))
		}
		t.gone[side] += less
		t.pasts += less
		if !slices.Equal(before[i], after[i]) {
			t.touched[side] = true
		}
		t.own[side] = after[i]
	}
	return nil
}

// advance moves the clock. An append that is still on its way arrives before its grace time is over.
func (m *machine) advance(d time.Duration) {
	m.land()
	m.clock.Add(d.Milliseconds())
}

func (m *machine) land() {
	for _, s := range m.srv {
		if s != nil {
			s.CompleteLate()
		}
	}
}

// sync runs one cycle. In it, waiting for appends in doubt takes the grace time on the clock.
func (m *machine) sync(open [2]func(context.Context) (drivers.Store, error)) (Report, error) {
	m.stats.syncs.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	acc := m.acc
	acc.Open = open
	return Sync(ctx, acc, Request{}, func(e Event) {
		if e.Kind == EventWaiting {
			m.advance(acc.Grace)
		}
	})
}

// disturbedSync runs a cycle with a fault or a cut connection, while users act.
func (m *machine) disturbedSync(s step) error {
	var crashed logFiles
	struck := false
	plan := &drivertest.Plan{Fault: s.fault, EveryYield: true}
	count := map[point]int{}
	plan.When = func(name string) bool {
		words := strings.Fields(name)
		p := point{op: words[1]}
		if words[0] == merge.Right.String() {
			p.side = merge.Right
		}
		all := point{side: p.side}
		count[p]++
		count[all]++
		p.nth, all.nth = count[p], count[all]
		for _, i := range s.mid {
			if i.at == p || i.at == all {
				m.stats.interruptions.Add(1)
				m.mu.Lock()
				m.note("      at %s", name)
				for _, t := range m.tallies {
					t.doubt = t.doubt || t.fresh && m.unnamed != [2]bool{} // until the next look, every append is in doubt
				}
				m.mu.Unlock()
				if err := m.act(i.deed, true); err != nil {
					m.mu.Lock()
					m.failed = errors.Join(m.failed, err)
					m.mu.Unlock()
				}
			}
		}
		return s.fault != 0 && (s.at == p || s.at == all)
	}
	disturb := func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		struck = true
		for _, t := range m.tallies {
			t.disturbed()
		}
	}
	plan.OnHit = func(string) {
		m.stats.faults.Add(1)
		disturb()
		if s.fault.Dies() {
			m.stats.crashes.Add(1)
			var err error
			if crashed, err = readLogs(m.acc.Dir); err != nil {
				m.mu.Lock()
				m.failed = errors.Join(m.failed, err)
				m.mu.Unlock()
			}
		}
	}
	var open [2]func(context.Context) (drivers.Store, error)
	for _, side := range merge.Sides {
		open[side] = func(ctx context.Context) (drivers.Store, error) {
			st, err := m.acc.Open[side](ctx)
			if err != nil {
				return nil, err
			}
			return drivertest.FaultyNamed(st, plan, side.String()), nil
		}
	}
	if s.what == "cut" {
		if srv := m.srv[s.side]; srv != nil {
			fate := s.fate
			if fate == memory.Late && m.reserve[s.side] {
				fate = memory.Stored // a local store does not work on after the process has died
			}
			m.stats.cuts.Add(1)
			srv.CutAppend(s.skip, fate)
			disturb()
		}
	}
	r, err := m.sync(open)
	for _, srv := range m.srv {
		if srv != nil {
			srv.CutAppend(1<<30, memory.Lost) // one that was not reached does not take place
		}
	}
	m.note("      -> %s", outcome(r, err))
	if struck {
		disturb() // what was under way on the other side, too
	}
	if crashed != nil {
		if err := crashed.restore(m.acc.Dir, [3]bool{true, true, true}); err != nil {
			return err
		}
	}
	if err != nil && !struck {
		return fmt.Errorf("a sync that nothing disturbed failed: %w", err)
	}
	return nil
}

func outcome(r Report, err error) string {
	if err != nil {
		return err.Error()
	}
	out := fmt.Sprintf("copied %v, flags %v, moved %v, deleted %v", r.Copied, r.Flags, r.Moved, r.Deleted)
	for _, p := range r.Problems {
		out += "\n         " + p.Mailbox + ": " + p.Text
	}
	return out
}

// rest lets the account come to rest: one sync that nothing disturbs makes both sides equal, and another one does nothing at all.
func (m *machine) rest() error {
	m.stats.rests.Add(1)
	m.land()
	if err := m.finishDropping(); err != nil {
		return err
	}
	r, err := m.sync(m.acc.Open)
	m.note("      -> %s", outcome(r, err))
	if err != nil || r.Errors+r.Held+r.Conflicts+r.Quarantined > 0 {
		return fmt.Errorf("a sync that nothing disturbs: %s", outcome(r, err))
	}
	left, err := m.places(merge.Left)
	if err != nil {
		return err
	}
	right, err := m.places(merge.Right)
	if err != nil {
		return err
	}
	for i := range mails {
		if !slices.Equal(left[i], right[i]) {
			return fmt.Errorf("the sides differ at rest: %s: left %v, right %v", mails[i].name, left[i], right[i])
		}
	}
	for i, t := range m.tallies {
		if err := t.atRest(left[i]); err != nil {
			return fmt.Errorf("%s at rest: %w", mails[i].name, err)
		}
		m.tallies[i] = newTally(left[i], t.pasts)
	}
	m.dropped, m.undone = map[string]bool{}, false
	return m.idle()
}

// finishDropping deletes what is left of mailboxes that were deleted or renamed on one side, where that is not a mailbox of both.
func (m *machine) finishDropping() error {
	for box := range m.dropped {
		var has [2]bool
		for _, side := range merge.Sides {
			boxes, err := m.user[side].boxes()
			if err != nil {
				return err
			}
			has[side] = slices.Contains(boxes, box)
		}
		if box == "R" && !m.undone || has[0] == has[1] {
			continue
		}
		side := merge.Left
		if has[merge.Right] {
			side = merge.Right
		}
		before, err := m.places(side)
		if err != nil {
			return err
		}
		m.note("      %s: drop mailbox %s", side, box)
		if err := m.user[side].drop(box); err != nil {
			return err
		}
		if err := m.replaced(side, before, false); err != nil {
			return err
		}
	}
	return nil
}

// idle checks that a sync with nothing to do does nothing.
func (m *machine) idle() error {
	logs, err := readLogs(m.acc.Dir)
	if err != nil {
		return err
	}
	for _, s := range m.srv {
		if s != nil {
			s.ResetCounts()
		}
	}
	r, err := m.sync(m.acc.Open)
	if err != nil || r.Changed() || r.Errors > 0 {
		return fmt.Errorf("a sync with nothing to do: %s", outcome(r, err))
	}
	for i, s := range m.srv {
		if s == nil {
			continue
		}
		if n := s.Counts(); n.Writes() > 0 || n.WriteCalls() > 0 || n.Bodies > 0 {
			return fmt.Errorf("a sync with nothing to do did this on the %s: %+v", merge.Side(i), n)
		}
		if n := s.OpenContents() + s.OpenStores(); n > 0 {
			return fmt.Errorf("%d contents or stores of the %s were left open", n, merge.Side(i))
		}
	}
	after, err := readLogs(m.acc.Dir)
	if err != nil {
		return err
	}
	if !logs.equal(after) {
		return errors.New("a sync with nothing to do wrote to the logs")
	}
	v, err := Verify(context.Background(), m.acc, VerifyRequest{Content: true}, nil)
	if err != nil || len(v.Differences) > 0 {
		return fmt.Errorf("verify: %v, %+v", err, v.Differences)
	}
	return nil
}

// logFiles are the files of all logs, by their path in the account's directory.
type logFiles map[string][]byte

// readLogs reads all logs at one moment: again, if somebody wrote meanwhile.
func readLogs(dir string) (logFiles, error) {
	last, err := readLogsOnce(dir)
	for range 100 {
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		again, err2 := readLogsOnce(dir)
		if err == nil && err2 == nil && last.equal(again) {
			return again, nil
		}
		last, err = again, err2
	}
	return nil, errors.Join(err, errors.New("the logs never stand still"))
}

func readLogsOnce(dir string) (logFiles, error) {
	out := logFiles{}
	for _, name := range logNames {
		files, err := os.ReadDir(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			path := filepath.Join(name, f.Name())
			data, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				return nil, err
			}
			out[path] = data
		}
	}
	return out, nil
}

func (l logFiles) equal(o logFiles) bool {
	if len(l) != len(o) {
		return false
	}
	for path, data := range l {
		if other, ok := o[path]; !ok || !bytes.Equal(data, other) {
			return false
		}
	}
	return true
}

// restore puts some of the logs back in place of those that are there.
func (l logFiles) restore(dir string, which [3]bool) error {
	for i, name := range logNames {
		if !which[i] {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
		for path, data := range l {
			if filepath.Dir(path) != name {
				continue
			}
			if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, path), data, 0o600); err != nil {
				return err
			}
		}
	}
	return nil
}
