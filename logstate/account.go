package logstate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"driftless/merge"
)

// Account is the logs and the state of one account, opened for writing under the account's lock. Its methods are safe for concurrent use.
//
// Three goroutines own a log each; requests that wait together share one fsync. After a failed write every further write fails until the account
// is opened again, and what the states show is no longer to be relied on.
type Account struct {
	opt     Options
	lock    *accountLock
	driver  *stateDriver
	sides   [2]*sideLog
	logs    []appender
	repairs []Repair

	mu        sync.Mutex
	unsettled []Batch
	closed    bool
	closeErr  error
}

// Batch is an intent that is in the side log.
type Batch struct {
	Intent Intent
	Seq    uint64 // sequence in the mailbox, in the log of Intent.Target's other side
	Epoch  uint32
}

// Repair tells what was found damaged and what was done.
type Repair struct {
	Log     string // "left", "right" or "shared"
	Segment string // file name
	Offset  int64
	Index   uint64
	What    string // in words for a person
	Kept    string // the file that holds what was set aside, "" if none
	Lost    bool   // frames that had been whole are gone: Index to LostTo; each index left has a frame of kind frameLost
	LostTo  uint64 // the last index that is lost, if Lost
}

// Summary is what a cycle reads of a mailbox without folding its pairs.
type Summary struct {
	Mailbox Mailbox
	Names   [2]string
	Known   [2]bool // has been seen on that side
	Cursor  [2]string
	Count   [2]int // messages known on that side: pairs and half-pairs
	Halves  map[merge.Reason]int
	Repair  bool // its state was lost in part: pair again by content
}

// Open locks the account directory, repairs the logs, opens them and replays what the side logs have and the shared log has not. When there is nothing to
// repair or replay, it writes nothing but the lock file. The error is a *LockedError when another process holds the account, and ErrNewerVersion when
// the logs are from a newer program.
func Open(ctx context.Context, dir string, opt Options) (*Account, error) {
	return openWith(ctx, dir, opt, nil)
}

// openWith is Open; wrap, if given, may put something between a worker and its log.
func openWith(ctx context.Context, dir string, opt Options, wrap func(name string, log appender) appender) (_ *Account, err error) {
	opt = opt.withDefaults()
	a := &Account{opt: opt}
	if a.lock, err = lockAccount(ctx, dir, opt); err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.release())
		}
	}()
	for _, name := range []string{"left", "right", "shared"} {
		log, repairs, err := openLog(filepath.Join(dir, name), logOptions{Name: name, SegmentSize: opt.SegmentSize, Now: opt.Now})
		a.repairs = append(a.repairs, repairs...)
		if err != nil {
			return nil, fmt.Errorf("open %s log: %w", name, err)
		}
		var l appender = log
		if wrap != nil {
			l = wrap(name, l)
		}
		a.logs = append(a.logs, l)
	}
	lineage, ok, err := lineageOf([3]uint32{a.logs[0].Epoch(), a.logs[1].Epoch(), a.logs[2].Epoch()})
	if err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	if !ok {
		lineage = lineageFor(dir)
	}
	for _, l := range a.logs {
		l.StartEpoch(firstEpoch(lineage))
	}
	if err := a.recover(dir); err != nil {
		return nil, fmt.Errorf("open logs: %w", err)
	}
	for _, s := range a.sides {
		s.start()
	}
	a.driver.start()
	return a, nil
}

// release closes the logs and the lock.
func (a *Account) release() error {
	var errs []error
	for _, l := range a.logs {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, a.lock.Unlock())...)
}

// Close stops the workers, closes the logs, notes the time as that of the last cycle and releases the lock. It is safe to call twice.
func (a *Account) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return a.closeErr
	}
	a.closed = true
	a.driver.stop()
	for _, s := range a.sides {
		s.stop()
	}
	a.closeErr = errors.Join(a.lock.Touch(a.opt.Now()), a.release())
	return a.closeErr
}

// Repairs returns what Open found damaged.
func (a *Account) Repairs() []Repair { return slices.Clone(a.repairs) }

// Register returns the number of the mailbox with these names, giving it one (durably) if it is new. Both names count: a left name that
// gets another right name is another mailbox, with a number and a state of its own.
func (a *Account) Register(ctx context.Context, names [2]string) (Mailbox, error) {
	if m, ok := a.lookup(names); ok {
		return m, nil
	}
	for _, n := range names {
		if n == "" || len(n) > maxName {
			return 0, fmt.Errorf("register mailbox: a name of %d bytes", len(n))
		}
	}
	job, m := a.driver.register(names)
	if err := a.driver.run(ctx, job); err != nil {
		return 0, fmt.Errorf("register mailbox: %w", err)
	}
	return *m, nil
}

func (a *Account) lookup(names [2]string) (Mailbox, bool) {
	a.driver.mu.RLock()
	defer a.driver.mu.RUnlock()
	m, ok := a.driver.fold.byName[names]
	return m, ok
}

// Mailboxes returns all mailboxes, by number. After a change of the rename table two of them have the same left name.
func (a *Account) Mailboxes() []Summary {
	a.driver.mu.RLock()
	defer a.driver.mu.RUnlock()
	return a.driver.fold.summaries()
}

// State returns the folded state of a mailbox. It stays live until Release: commits show in it, all ops of one at once. It is safe for concurrent use.
func (a *Account) State(m Mailbox) (*State, error) {
	var s *loadedState
	err := a.driver.run(context.Background(), &job{call: func() (err error) {
		a.driver.mu.Lock()
		defer a.driver.mu.Unlock()
		if s, err = a.driver.load(m); err == nil {
			s.asked = true
		}
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	return s.State, nil
}

// Release drops the folded pairs of a mailbox from memory; State folds them again. A State that was returned before must not be used any more.
func (a *Account) Release(m Mailbox) {
	// The only error is that the account is closed.
	_ = a.driver.run(context.Background(), &job{call: func() error {
		delete(a.driver.loaded, m)
		return nil
	}})
}

// StoreIdentity returns the recorded identity of a side's store, "" if none.
func (a *Account) StoreIdentity(side merge.Side) string {
	a.driver.mu.RLock()
	defer a.driver.mu.RUnlock()
	return a.driver.fold.identity[side]
}

// SetStoreIdentity records it.
func (a *Account) SetStoreIdentity(ctx context.Context, side merge.Side, id string) error {
	if side > merge.Right || len(id) > maxName {
		return fmt.Errorf("record store identity: %d bytes for %s", len(id), side)
	}
	if a.StoreIdentity(side) == id {
		return nil
	}
	if err := a.driver.run(ctx, a.driver.setIdentity(side, id)); err != nil {
		return fmt.Errorf("record store identity: %w", err)
	}
	return nil
}

// Begin makes an intent durable, in the log of the side that is not its target. When it returns an error, nothing may be done to the store.
func (a *Account) Begin(ctx context.Context, in Intent) (Batch, error) {
	if err := checkIntent(in); err != nil {
		return Batch{}, fmt.Errorf("begin batch: %w", err)
	}
	r, names, err := a.describe(in)
	if err != nil {
		return Batch{}, fmt.Errorf("begin batch: %w", err)
	}
	b, err := a.sides[in.Target.Other()].begin(ctx, r, names)
	if err != nil {
		return Batch{}, fmt.Errorf("begin batch: %w", err)
	}
	return b, nil
}

// describe adds to an intent what must be known to settle it when the shared log is lost.
func (a *Account) describe(in Intent) (r intentRecord, names map[Mailbox][2]string, err error) {
	a.driver.mu.RLock()
	defer a.driver.mu.RUnlock()
	numbers := []Mailbox{in.Mailbox}
	for _, e := range in.Effects {
		if e.To != 0 {
			numbers = append(numbers, e.To)
		}
	}
	names = map[Mailbox][2]string{}
	for _, m := range numbers {
		b := a.driver.fold.boxes[m]
		if b == nil || !b.named {
			return r, nil, fmt.Errorf("mailbox %d is not registered", m)
		}
		names[m] = b.names
	}
	changes := a.driver.fold.boxes[in.Mailbox].changes
	return intentRecord{in: in, changes: changes, sharedEpoch: a.driver.log.Epoch()}, names, nil
}

// Finish makes the outcome of a batch durable, plays it into the shared log and acknowledges it. What it records has happened already, and so it does not give up
// when ctx is cancelled: it is a few local writes away. An outcome that could not be recorded is asked of the store again by the next process.
func (a *Account) Finish(ctx context.Context, b Batch, out Outcome) error {
	ctx = context.WithoutCancel(ctx)
	side := a.sides[b.Intent.Target.Other()&1]
	m := b.Intent.Mailbox
	out = clampOutcome(out)
	if err := checkOutcome(b.Intent, out); err != nil {
		return fmt.Errorf("finish batch: %w", err)
	}
	ops, others := Play(b.Intent, out)
	since, err := a.checkPlay(m, ops, others)
	if err != nil {
		return fmt.Errorf("finish batch: %w", err)
	}
	if !side.ledger.isOpen(m, b.Seq) {
		return fmt.Errorf("finish batch: batch %d of mailbox %d was not begun, or is finished already", b.Seq, m)
	}
	if err := side.finish(ctx, b, outcomeRecord{since: since, out: out}); err != nil {
		return fmt.Errorf("finish batch: %w", err)
	}
	err = a.driver.run(ctx, a.driver.commit(commitJob{
		mailbox: m, ops: ops, others: others, time: out.Time, batch: true,
		uses: []use{{log: side.side, epoch: b.Epoch, seq: b.Seq}},
	}))
	if err != nil {
		return fmt.Errorf("finish batch: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unsettled = slices.DeleteFunc(a.unsettled, func(u Batch) bool {
		return u.Intent.Target == b.Intent.Target && u.Intent.Mailbox == m && u.Seq == b.Seq
	})
	return nil
}

// checkPlay refuses ops that could not be committed, before their outcome is recorded.
func (a *Account) checkPlay(m Mailbox, ops []Op, others map[Mailbox][]Op) ([]changeCount, error) {
	a.driver.mu.RLock()
	defer a.driver.mu.RUnlock()
	var since []changeCount
	var lists [][]Op
	check := func(m Mailbox, ops []Op) error {
		b := a.driver.fold.boxes[m]
		if b == nil {
			return fmt.Errorf("mailbox %d is not registered", m)
		}
		since = append(since, changeCount{m, b.changes})
		lists = append(lists, ops)
		return nil
	}
	if err := check(m, ops); err != nil {
		return nil, err
	}
	for _, to := range slices.Sorted(maps.Keys(others)) {
		if err := check(to, others[to]); err != nil {
			return nil, err
		}
	}
	return since, checkOps(lists...)
}

// Unsettled returns the batches that were begun and not finished by an earlier process, oldest first. Those that Finish was called for since are not
// among them.
func (a *Account) Unsettled() []Batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.unsettled)
}

// Commit makes ops durable in the shared log, in one entry, and applies them. Ops that would change nothing are left out, and nothing is
// written when none is left.
func (a *Account) Commit(ctx context.Context, m Mailbox, ops []Op) error {
	return a.CommitAll(ctx, map[Mailbox][]Op{m: ops})
}

// CommitAll is Commit for several mailboxes: one entry, so that a crash leaves all of it or nothing.
func (a *Account) CommitAll(ctx context.Context, ops map[Mailbox][]Op) error {
	if len(ops) == 0 {
		return nil
	}
	own := make(map[Mailbox][]Op, len(ops))
	for m, list := range ops {
		list = slices.Clone(list)
		for i := range list {
			if list[i].Kind == PutHalf {
				list[i].Half.Note = clampNote(list[i].Half.Note)
			}
		}
		own[m] = list
	}
	if err := checkOps(slices.Collect(maps.Values(own))...); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	first := slices.Min(slices.Collect(maps.Keys(own)))
	job := commitJob{mailbox: first, ops: own[first], time: a.opt.Now().UnixMilli()}
	delete(own, first)
	job.others = own
	if err := a.driver.run(ctx, a.driver.commit(job)); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Checkpoint writes a checkpoint and truncates the logs if one is due, or always with force. It goes on beside other requests; a cancelled
// context ends it, and the next one begins anew.
func (a *Account) Checkpoint(ctx context.Context, force bool) error {
	err := a.driver.run(ctx, a.driver.checkpointJob(ctx, force))
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

func checkIntent(in Intent) error {
	if in.Target > merge.Right {
		return fmt.Errorf("target %s", in.Target)
	}
	if len(in.Effects) == 0 || len(in.Effects) > maxBatch {
		return fmt.Errorf("%d effects, there can be 1 to %d", len(in.Effects), maxBatch)
	}
	for _, s := range []string{in.Mark, in.MarkTo} {
		if err := checkLen("a mark", len(s), maxMark); err != nil {
			return err
		}
	}
	for i, e := range in.Effects {
		if err := checkEffect(e); err != nil {
			return fmt.Errorf("effect %d: %w", i, err)
		}
	}
	return nil
}

func checkEffect(e Effect) error {
	if e.Kind < EffectCopy || e.Kind > EffectCreateMailbox {
		return fmt.Errorf("unknown effect %d", e.Kind)
	}
	if e.Kind == EffectMove && e.To == 0 {
		return errors.New("a move without a destination")
	}
	if e.HasHalf && (e.HalfSide > merge.Right || e.HalfID == "") {
		return errors.New("a half-pair without side or id")
	}
	for _, id := range []merge.ID{e.Old.ID[0], e.Old.ID[1], e.New.ID[0], e.New.ID[1], e.Reserved, e.HalfID} {
		if err := checkLen("an id", len(id), maxID); err != nil {
			return err
		}
	}
	return nil
}

func checkOutcome(in Intent, out Outcome) error {
	if len(out.Results) != len(in.Effects) {
		return fmt.Errorf("%d results for %d effects", len(out.Results), len(in.Effects))
	}
	for i, r := range out.Results {
		if r.Status < Done || r.Status > Refused {
			return fmt.Errorf("result %d: unknown status %d", i, r.Status)
		}
		if err := checkLen("an id", len(r.ID), maxID); err != nil {
			return fmt.Errorf("result %d: %w", i, err)
		}
	}
	return nil
}

// clampOutcome shortens notes, which may quote a server.
func clampOutcome(out Outcome) Outcome {
	out.Results = slices.Clone(out.Results)
	for i := range out.Results {
		out.Results[i].Note = clampNote(out.Results[i].Note)
	}
	return out
}

func clampNote(s string) string {
	if len(s) <= maxNote {
		return s
	}
	s = s[:maxNote]
	for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return strings.ToValidUTF8(s[:max(len(s)-1, 0)], "")
}
