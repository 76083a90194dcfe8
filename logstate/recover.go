package logstate

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"driftless/merge"
)

// maxMissing bounds how many lost sequences are told one by one.
const maxMissing = 1 << 12

// recover reads the three logs and brings them into agreement. It writes only what is needed for that.
func (a *Account) recover(dir string) error {
	f, places, err := readShared(filepath.Join(dir, "shared"))
	if err != nil {
		return err
	}
	a.driver = newStateDriver(dir, a.logs[2], f, places, a.opt)
	r := &recovery{Account: a, lostShared: a.logs[2].Last() == 0}
	for _, side := range merge.Sides {
		log := a.logs[side]
		a.sides[side] = newSideLog(side, log)
		if r.scans[side], err = readSide(dir, side, f.facts); err != nil {
			return err
		}
	}
	a.driver.sides = a.sides
	return r.run()
}

// readShared folds the shared log and notes where pairs are.
func readShared(dir string) (*fold, *directory, error) {
	f, places := newFold(), newDirectory(dir)
	end, err := readFrames(dir, position{}, func(fr frame, behind position) error {
		if err := f.add(fr); err != nil {
			return err
		}
		return places.add(fr, behind.before())
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read shared log: %w", err)
	}
	places.end = end
	return f, places, nil
}

// readSide reads a side log; f tells what need not be decoded.
func readSide(dir string, side merge.Side, f *facts) (*sideScan, error) {
	x := newSideScan(side)
	_, err := readFrames(filepath.Join(dir, side.String()), position{}, func(fr frame, _ position) error {
		return x.add(fr, f.usedBy(side))
	})
	if err != nil {
		return nil, fmt.Errorf("read %s log: %w", side, err)
	}
	return x, nil
}

// usedBy returns the question whether a batch of a side log is in the shared log.
func (f *facts) usedBy(side merge.Side) func(Mailbox, uint64) bool {
	return func(m Mailbox, seq uint64) bool {
		b := f.boxes[m]
		return b != nil && b.used[side].has(seq)
	}
}

// recovery compares what the logs say of each other.
type recovery struct {
	*Account
	scans      [2]*sideScan
	lostShared bool
	registers  []*job // registrations: what is written first
	marks      []*job // then what is to be paired again
	replays    []replay
	late       []*job // what follows the replays
}

// replay is a batch whose outcome is in a side log only.
type replay struct {
	side merge.Side
	*sideBatch
}

func (r *recovery) run() error {
	r.sharedEpoch()
	for _, m := range r.numbers() {
		r.names(m)
	}
	var marks [2]func() error
	for _, side := range merge.Sides {
		marks[side] = r.side(side)
	}
	jobs := slices.Concat(r.registers, r.marks, r.played())
	for _, m := range r.numbers() {
		jobs = append(jobs, r.changes(m))
	}
	if err := r.flush(append(jobs, r.late...)); err != nil {
		return err
	}
	for _, mark := range marks {
		if mark != nil {
			if err := mark(); err != nil {
				return err
			}
		}
	}
	slices.SortStableFunc(r.unsettled, func(a, b Batch) int { return cmp.Compare(a.Intent.Time, b.Intent.Time) })
	return nil
}

// flush writes what the shared log lacks, before any worker runs.
func (r *recovery) flush(jobs []*job) error {
	for group := range slices.Chunk(jobs, maxGroup) {
		for _, j := range group {
			j.done = make(chan error, 1)
		}
		r.driver.write(group)
		for _, j := range group {
			if err := <-j.done; err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *recovery) report(log, what string) {
	r.repairs = append(r.repairs, Repair{Log: log, What: what})
}

// sharedEpoch begins a new epoch of a shared log that a side log remembers and that is gone.
func (r *recovery) sharedEpoch() {
	known := max(r.scans[0].sharedEpoch, r.scans[1].sharedEpoch)
	log := r.logs[2]
	if known > log.Epoch() || r.lostShared && known > 0 {
		log.StartEpoch(known + 1)
		r.report("shared", fmt.Sprintf("the log was lost; what the side logs still know is played again, in epoch %d", counted(known+1)))
	}
}

// numbers returns the mailboxes that any log knows.
func (r *recovery) numbers() []Mailbox {
	all := map[Mailbox]bool{}
	for m := range r.driver.fold.boxes {
		all[m] = true
	}
	for _, x := range r.scans {
		for m := range x.boxes {
			all[m] = true
		}
	}
	var out []Mailbox
	for m := range all {
		out = append(out, m)
		r.driver.fold.next = max(r.driver.fold.next, m+1) // a number is never given twice, whichever log remembers it
	}
	slices.Sort(out)
	return out
}

// names registers a mailbox again that only a side log still knows, and marks it to be paired again if the shared log had known more of it.
func (r *recovery) names(m Mailbox) {
	b := r.driver.fold.boxes[m]
	if b == nil || !b.named {
		names, ok := r.sideNames(m)
		if !ok {
			return
		}
		if b != nil {
			r.repair(m, "has lost the registration of mailbox %d", m)
		}
		r.registers = append(r.registers, &job{write: func() ([]frame, error) {
			return []frame{{Kind: kindRegister, Mailbox: m, Payload: appendNames(nil, r.opt.Now().UnixMilli(), names)}}, nil
		}})
	}
}

func (r *recovery) sideNames(m Mailbox) ([2]string, bool) {
	for _, x := range r.scans {
		if s := x.boxes[m]; s != nil && s.named {
			return s.names, true
		}
	}
	return [2]string{}, false
}

// repair marks a mailbox to be paired again.
func (r *recovery) repair(m Mailbox, format string, args ...any) {
	r.report("shared", fmt.Sprintf("the log "+format+"; it is paired again by content", args...))
	r.marks = append(r.marks, r.driver.commit(commitJob{mailbox: m, time: r.opt.Now().UnixMilli(), repair: map[Mailbox]uint64{m: 0}}))
}

// changes compares, once the replays are done, how many changes the logs know of.
func (r *recovery) changes(m Mailbox) *job {
	var known uint64
	for _, x := range r.scans {
		if s := x.boxes[m]; s != nil {
			known = max(known, s.changes)
		}
	}
	return &job{write: func() ([]frame, error) {
		b := r.driver.fold.boxes[m]
		if b == nil || b.changes >= known {
			return nil, nil
		}
		r.report("shared", fmt.Sprintf("the log is older than the side logs know: changes of mailbox %d are lost; it is paired again by content", m))
		return r.driver.current.commitFrames(commitJob{mailbox: m, time: r.opt.Now().UnixMilli(), repair: map[Mailbox]uint64{m: known}})
	}}
}

// side compares a side log with the shared log. It returns what is to be written to the side log once the shared log is up to date, or nil.
func (r *recovery) side(side merge.Side) func() error {
	x, f := r.scans[side], r.driver.fold
	log, led := r.logs[side], r.sides[side].ledger
	epoch := max(log.Epoch(), f.sideEpoch[side]) + 1
	void := f.sideEpoch[side] > log.Epoch()
	old := void
	for _, m := range r.numbers() {
		var used consumed
		if b := f.boxes[m]; b != nil {
			used = b.used[side]
		}
		s := x.boxes[m]
		if s == nil {
			s = &sideBox{batches: map[uint64]*sideBatch{}}
		}
		r.sides[side].named[m] = s.named
		top := max(s.last(), used.max())
		led.reach(m, top)
		switch {
		case void || used.max() > s.last():
			old = true
			if used.low < top {
				// Nobody will ever finish what was open: it is over.
				r.over(m, use{log: side, epoch: epoch, seq: top, low: top})
			}
		default:
			r.batches(side, m, s, &used)
		}
	}
	if !old {
		return nil
	}
	r.report(side.String(), fmt.Sprintf("the log was lost, or is older than the shared log; it goes on in epoch %d", counted(epoch)))
	return func() error { return r.newEpoch(side, epoch, void) }
}

// over records that sequences of a side log are done with.
func (r *recovery) over(m Mailbox, uses ...use) {
	if b := r.driver.fold.boxes[m]; b == nil && !r.registering(m) {
		return
	}
	r.late = append(r.late, r.driver.commit(commitJob{mailbox: m, time: r.opt.Now().UnixMilli(), uses: uses}))
}

// registering reports whether names has registered the mailbox.
func (r *recovery) registering(m Mailbox) bool {
	_, ok := r.sideNames(m)
	return ok
}

// batches sorts out what a side log has of a mailbox and the shared log has not.
func (r *recovery) batches(side merge.Side, m Mailbox, s *sideBox, used *consumed) {
	known := r.driver.fold.boxes[m] != nil || r.registering(m)
	if !known {
		return // without its names nothing can be done in it; its number stays taken
	}
	led := r.sides[side].ledger
	if lost := s.missing(used, maxMissing); len(lost) > 0 {
		r.repair(m, "lacks batches of mailbox %d that the %s log does not have any more", m, side)
		uses := make([]use, len(lost))
		for i, seq := range lost {
			uses[i] = use{log: side, epoch: r.logs[side].Epoch(), seq: seq}
			led.reach(m, seq)
		}
		uses[0].low = s.lostUpTo(used, lost)
		r.over(m, uses...)
	}
	for _, t := range s.open(used) {
		led.restore(m, t.seq, t.index)
		if t.outcome != nil {
			r.replays = append(r.replays, replay{side: side, sideBatch: t})
		} else {
			r.unsettled = append(r.unsettled, Batch{Intent: *t.intent, Seq: t.seq, Epoch: t.epoch})
		}
	}
}

// lostUpTo returns the sequence up to which nothing is open.
func (b *sideBox) lostUpTo(used *consumed, lost []uint64) uint64 {
	low := max(b.floor, lost[len(lost)-1])
	for _, t := range b.open(used) {
		low = min(low, t.seq-1)
	}
	return low
}

// inOrder returns the replays in the order in which they happened: that of each log, and between the logs by time.
func (r *recovery) inOrder() []replay {
	var list [2][]replay
	for _, t := range r.replays {
		list[t.side] = append(list[t.side], t)
	}
	for _, l := range list {
		slices.SortFunc(l, func(a, b replay) int { return cmp.Compare(a.done, b.done) })
	}
	var out []replay
	for len(list[0])+len(list[1]) > 0 {
		s := 0
		if len(list[0]) == 0 || len(list[1]) > 0 && list[1][0].outcome.Time < list[0][0].outcome.Time {
			s = 1
		}
		out, list[s] = append(out, list[s][0]), list[s][1:]
	}
	return out
}

// played returns the jobs that play outcomes into the shared log.
func (r *recovery) played() []*job {
	var jobs []*job
	for _, t := range r.inOrder() {
		c := commitJob{mailbox: t.intent.Mailbox, time: t.outcome.Time, batch: true, uses: []use{{log: t.side, epoch: t.epoch, seq: t.seq}}}
		j := r.driver.commit(c)
		j.write = func() ([]frame, error) {
			c.repair = map[Mailbox]uint64{}
			if err := r.play(&c, t); err != nil {
				// It was checked before it was written, so something else that it needs is lost.
				r.report("shared", fmt.Sprintf("batch %d of mailbox %d cannot be played again (%v); it is paired again by content", t.seq, c.mailbox, err))
				c.repair[c.mailbox], c.ops, c.others = 0, nil, nil
			}
			return r.driver.current.commitFrames(c)
		}
		jobs = append(jobs, j)
	}
	return jobs
}

// play fills in the ops of a replay, and marks what it meets in an older state than it was played on.
func (r *recovery) play(c *commitJob, t replay) error {
	if err := checkOutcome(*t.intent, *t.outcome); err != nil {
		return err
	}
	ops, others := Play(*t.intent, *t.outcome)
	lists := [][]Op{ops}
	for m, list := range others {
		if r.driver.fold.boxes[m] == nil {
			return errors.New("the destination of a move is not known any more")
		}
		lists = append(lists, list)
	}
	if err := checkOps(lists...); err != nil {
		return err
	}
	c.ops, c.others = ops, others
	for _, s := range t.since {
		if b := r.driver.fold.boxes[s.mailbox]; b != nil && b.changes < s.changes {
			r.report("shared", fmt.Sprintf("changes of mailbox %d before a batch that is played again are lost; it is paired again by content", s.mailbox))
			c.repair[s.mailbox] = s.changes
		}
	}
	return nil
}

// newEpoch begins a new epoch of a side log.
func (r *recovery) newEpoch(side merge.Side, epoch uint32, void bool) error {
	s := r.sides[side]
	s.log.StartEpoch(epoch)
	mark := markRecord{time: r.opt.Now().UnixMilli(), sharedEpoch: r.logs[2].Epoch(), void: void}
	for m, b := range r.driver.fold.boxes {
		mark.facts = append(mark.facts, fact{mailbox: m, names: b.names, changes: b.changes})
	}
	slices.SortFunc(mark.facts, func(a, b fact) int { return cmp.Compare(a.mailbox, b.mailbox) })
	frames := s.markFrames(kindEpoch, mark)
	if _, err := s.log.Append(frames); err != nil {
		return fmt.Errorf("begin epoch of %s log: %w", side, err)
	}
	s.ledger.durable(frames)
	return nil
}
