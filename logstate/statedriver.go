package logstate

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"driftless/merge"
)

// keepLoaded is how many mailboxes stay folded because a commit needed them, although nobody asked for their state.
const keepLoaded = 8

// stateDriver is the worker that since the shared log and what is folded from it.
type stateDriver struct {
	*worker
	dir   string // of the shared log
	log   appender
	now   func() time.Time
	sides [2]*sideLog

	mu   sync.RWMutex // guards fold and loaded; held while a group is written
	fold *fold

	loaded  map[Mailbox]*loadedState
	places  *directory
	current *groupWriter // the group that is being written
	check   *checkpoint
	due     int64 // Options.CheckpointSize
	poison  error
}

// loadedState is a folded mailbox.
type loadedState struct {
	*State
	asked bool // somebody has it: it must stay live
}

func newStateDriver(dir string, log appender, f *fold, places *directory, opt Options) *stateDriver {
	return &stateDriver{
		worker: newWorker("shared"), dir: filepath.Join(dir, "shared"), log: log, now: opt.Now, fold: f,
		loaded: map[Mailbox]*loadedState{}, places: places, due: opt.CheckpointSize,
	}
}

func (d *stateDriver) start() {
	d.wg.Go(func() {
		defer d.abandon(errClosed)
		for {
			if d.check == nil {
				select {
				case j := <-d.jobs:
					d.serve(j)
				case <-d.quit:
					return
				}
				continue
			}
			// A checkpoint goes on between the requests, a record at a time, so that no cycle waits for the whole of it.
			select {
			case j := <-d.jobs:
				d.serve(j)
			case <-d.quit:
				return
			default:
			}
			if d.check != nil {
				d.checkpointStep()
			}
		}
	})
}

func (d *stateDriver) serve(j *job) {
	group, call := d.gather(j)
	if len(group) > 0 {
		d.write(group)
	}
	if call != nil {
		if err := call.call(); !errors.Is(err, errLater) {
			call.done <- err
		}
	}
}

// errLater says that a call will be answered later.
var errLater = errors.New("later")

func (d *stateDriver) usable() error {
	if d.poison != nil {
		return fmt.Errorf("shared log: %w (%w)", errPoisoned, d.poison)
	}
	return nil
}

// write builds the frames of a group, applies them to what is folded and makes them durable with one fsync. Readers of what changes wait
// until it is durable.
func (d *stateDriver) write(group []*job) {
	d.mu.Lock()
	defer d.mu.Unlock()
	locked := map[*State]bool{}
	defer func() {
		for s := range locked {
			s.mu.Unlock()
		}
	}()
	w := &groupWriter{stateDriver: d, locked: locked}
	errs := make([]error, len(group))
	for i, j := range group {
		if errs[i] = d.usable(); errs[i] != nil {
			continue
		}
		add, err := w.build(j)
		if errs[i] = err; err == nil {
			err = w.add(add)
			errs[i] = err
		}
	}
	err := d.usable()
	if len(w.frames) > 0 && err == nil {
		if _, err = d.log.Append(w.frames); err != nil {
			d.poison = err
		}
	}
	for i, j := range group {
		if errs[i] == nil {
			errs[i] = err
		}
		if errs[i] == nil && j.written != nil {
			j.written(nil)
		}
		j.done <- errs[i]
	}
	d.unload(locked)
}

// unload drops mailboxes that were folded for a commit only.
func (d *stateDriver) unload(busy map[*State]bool) {
	n := 0
	for m, s := range d.loaded {
		if s.asked || busy[s.State] {
			continue
		}
		if n++; n > keepLoaded {
			delete(d.loaded, m)
		}
	}
}

// groupWriter is the state driver while it writes a group.
type groupWriter struct {
	*stateDriver
	frames []frame
	locked map[*State]bool
}

func (w *groupWriter) build(j *job) ([]frame, error) {
	w.current = w
	defer func() { w.current = nil }()
	return j.write()
}

// add folds the frames as a reader would.
func (w *groupWriter) add(frames []frame) error {
	for _, f := range frames {
		f.Index = w.log.Last() + uint64(len(w.frames)) + 1
		if err := w.fold.add(f); err != nil {
			w.poison = err
			return err
		}
		w.frames = append(w.frames, f)
	}
	return nil
}

// lock keeps readers from a state until the group is durable.
func (w *groupWriter) lock(s *State) {
	if !w.locked[s] {
		s.mu.Lock()
		w.locked[s] = true
	}
}

// commitJob is a change of the state.
type commitJob struct {
	mailbox Mailbox
	ops     []Op
	others  map[Mailbox][]Op
	time    int64
	uses    []use
	batch   bool               // the use's low is to be filled in, and the batch to be closed
	repair  map[Mailbox]uint64 // recovery: mailboxes that are to be paired again, and how many changes are known to have been
}

func (d *stateDriver) commit(c commitJob) *job {
	j := &job{write: func() ([]frame, error) { return d.current.commitFrames(c) }}
	if c.batch {
		j.written = func([]frame) { d.sides[c.uses[0].log].ledger.close(c.mailbox, c.uses[0].seq) }
	}
	return j
}

// commitFrames applies a commit to the folded states and returns its frame, or nothing if it would change nothing.
func (w *groupWriter) commitFrames(c commitJob) ([]frame, error) {
	r := commitRecord{time: c.time, uses: c.uses}
	if c.batch {
		r.uses = slices.Clone(c.uses)
		u := &r.uses[0]
		u.low = w.sides[u.log].ledger.low(c.mailbox, u.seq)
	}
	numbers := []Mailbox{c.mailbox}
	for m := range c.others {
		numbers = append(numbers, m)
	}
	for m := range c.repair {
		numbers = append(numbers, m)
	}
	numbers = slices.DeleteFunc(numbers[1:], func(m Mailbox) bool { return m == c.mailbox })
	slices.Sort(numbers)
	numbers = append([]Mailbox{c.mailbox}, slices.Compact(numbers)...)
	// All that can fail comes first: a commit is applied as a whole or not at all.
	for _, m := range numbers {
		if err := w.prepare(m, c.opsFor(m)); err != nil {
			return nil, err
		}
	}
	for _, m := range numbers {
		s, err := w.section(m, c.opsFor(m), &c)
		if err != nil {
			w.poison = err // half of it is applied
			return nil, err
		}
		if m == c.mailbox || s.tells() {
			r.sections = append(r.sections, s)
		}
	}
	if len(r.uses) == 0 && len(r.sections) == 1 && !r.sections[0].tells() {
		return nil, nil
	}
	f := frame{Kind: kindCommit, Mailbox: c.mailbox, Payload: appendCommit(nil, r)}
	if len(r.uses) > 0 {
		f.Seq = r.uses[0].seq
	}
	return []frame{f}, nil
}

// opsFor returns the ops for a mailbox; a move within one mailbox has some in both lists.
func (c *commitJob) opsFor(m Mailbox) []Op {
	if m != c.mailbox {
		return c.others[m]
	}
	return slices.Concat(c.ops, c.others[m])
}

func (s *section) tells() bool {
	return s.counts != nil || s.repair != nil || s.changes != 0 || s.cursor != [2]*string{} || s.known != nil || s.ops != nil
}

// onTable reports whether an op is about pairs or half-pairs.
func onTable(k OpKind) bool { return k != SetCursor && k != KnownOn && k != ForgottenOn }

// prepare folds the mailbox if the ops need its pairs.
func (w *groupWriter) prepare(m Mailbox, ops []Op) error {
	if w.fold.boxes[m] == nil {
		return fmt.Errorf("mailbox %d is not registered", m)
	}
	i := slices.IndexFunc(ops, func(op Op) bool { return onTable(op.Kind) })
	if i < 0 || w.loaded[m] != nil {
		return nil
	}
	if ops[i].Kind == Clear {
		// What is forgotten need not be folded; that might not even be possible any more.
		w.loaded[m] = &loadedState{State: &State{table: newTable(), cursor: w.fold.boxes[m].cursor}}
		return nil
	}
	_, err := w.load(m)
	return err
}

// section applies the ops to one mailbox and returns what the commit says about it.
func (w *groupWriter) section(m Mailbox, ops []Op, c *commitJob) (section, error) {
	b := w.fold.boxes[m]
	s := section{mailbox: m}
	cursor, known, repair := b.cursor, b.known, b.repair
	state := w.loaded[m]
	touched := false
	for _, op := range ops {
		switch op.Kind {
		case SetCursor:
			cursor[op.Side] = op.Cursor
		case KnownOn:
			known[op.Side] = true
		case ForgottenOn:
			known[op.Side] = false
		default:
			w.lock(state.State)
			raw := rawOpOf(op)
			changed, err := state.table.apply(raw)
			if err != nil {
				return s, fmt.Errorf("mailbox %d: %w", m, err)
			}
			if op.Kind == Clear {
				changed = changed || repair || b.counts != counts{}
				cursor, repair = [2]string{}, false
			}
			if changed {
				s.ops, touched = appendOp(s.ops, raw), true
			}
		}
	}
	if touched {
		n := state.table.count
		s.counts, s.changes = &n, b.changes+1
	}
	if had, ok := c.repair[m]; ok {
		repair = true
		if had > b.changes {
			s.changes = max(s.changes, had)
		}
	}
	if repair != b.repair {
		s.repair = &repair
	}
	for i := range cursor {
		if cursor[i] != b.cursor[i] {
			s.cursor[i] = &cursor[i]
		}
	}
	if known != b.known {
		s.known = &known
	}
	if state != nil && cursor != state.cursor {
		w.lock(state.State)
		state.cursor = cursor
	}
	return s, nil
}

// errInconsistent says that the pairs of a mailbox are not as many as the log has counted.
var errInconsistent = errors.New("its state does not add up; it will be paired again by content in the next cycle")

// load folds a mailbox. One that cannot be folded is marked to be paired again.
func (d *stateDriver) load(m Mailbox) (*loadedState, error) {
	if s := d.loaded[m]; s != nil {
		return s, nil
	}
	b := d.fold.boxes[m]
	if b == nil {
		return nil, fmt.Errorf("mailbox %d is not registered", m)
	}
	if err := d.places.catchUp(); err != nil {
		return nil, err
	}
	t, err := placesOf(d.places.boxes, m).load(d.dir, m, b.counts)
	switch {
	case b.repair && err != nil:
		t = newTable() // whatever it had will be cleared
	case err != nil && !errors.Is(err, errBadRecord):
		return nil, fmt.Errorf("mailbox %d: %w", m, err)
	case err != nil || t.count != b.counts && !b.repair:
		return nil, errors.Join(fmt.Errorf("mailbox %d: %w", m, errInconsistent), err, d.markRepair(m))
	}
	s := &loadedState{State: &State{table: t, cursor: b.cursor}}
	d.loaded[m] = s
	return s, nil
}

// markRepair records that a mailbox has to be paired again.
func (d *stateDriver) markRepair(m Mailbox) error {
	if err := d.usable(); err != nil {
		return err
	}
	yes := true
	f := []frame{{Kind: kindCommit, Mailbox: m, Payload: appendCommit(nil, commitRecord{
		time: d.now().UnixMilli(), sections: []section{{mailbox: m, repair: &yes}},
	})}}
	if _, err := d.log.Append(f); err != nil {
		d.poison = err
		return err
	}
	return d.fold.add(f[0])
}

func (d *stateDriver) register(names [2]string) (*job, *Mailbox) {
	var m Mailbox
	return &job{write: func() ([]frame, error) {
		if known, ok := d.fold.byName[names]; ok {
			m = known
			return nil, nil
		}
		m = d.fold.next
		if m == 0 {
			return nil, errors.New("all mailbox numbers are used up")
		}
		return []frame{{Kind: kindRegister, Mailbox: m, Payload: appendNames(nil, d.now().UnixMilli(), names)}}, nil
	}}, &m
}

func (d *stateDriver) setIdentity(side merge.Side, id string) *job {
	return &job{write: func() ([]frame, error) {
		if d.fold.identity[side] == id {
			return nil, nil
		}
		return []frame{{Kind: kindStoreIdentity, Payload: appendStoreIdentity(nil, d.now().UnixMilli(), side, id)}}, nil
	}}
}
