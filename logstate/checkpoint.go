package logstate

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
)

// chunkBytes bounds the records of a checkpoint.
const chunkBytes = 1 << 20

// checkpoint is one that is being written. It shows every mailbox as it was when it began, and the commits that come meanwhile stand behind its begin and are
// read after it.
type checkpoint struct {
	ctx    context.Context
	begin  uint64
	frames uint64
	queue  []checkpointBox
	next   *chunkWriter // of the first in the queue
	keep   [2]uint64    // what the side logs must keep
	done   []chan error
}

// checkpointBox is a mailbox whose pairs are still to be written.
type checkpointBox struct {
	mailbox Mailbox
	counts  counts
	repair  bool
	state   *State    // folded when the checkpoint began, pinned
	snap    *snapshot // of it
	places  places    // otherwise: where its pairs were
}

// checkpointJob starts a checkpoint and answers when it is complete.
func (d *stateDriver) checkpointJob(ctx context.Context, force bool) *job {
	j := &job{}
	j.call = func() error {
		if err := d.usable(); err != nil {
			return err
		}
		if d.check != nil {
			d.check.done = append(d.check.done, j.done)
			return errLater
		}
		if !force && d.fold.tail < max(d.due, d.fold.size) {
			return nil
		}
		if err := d.checkpointBegin(ctx); err != nil {
			return err
		}
		d.check.done = append(d.check.done, j.done)
		return errLater
	}
	return j
}

// append writes frames of a checkpoint and folds them.
func (d *stateDriver) append(frames []frame) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.log.Append(frames); err != nil {
		d.poison = err
		return err
	}
	for _, f := range frames {
		if err := d.fold.add(f); err != nil {
			d.poison = err
			return err
		}
	}
	return nil
}

func (d *stateDriver) checkpointBegin(ctx context.Context) error {
	if err := d.places.catchUp(); err != nil {
		return err
	}
	c := &checkpoint{ctx: ctx, begin: d.log.Last() + 1}
	frames := []frame{{Kind: kindCheckpointBegin, Payload: appendCheckpointBegin(nil, checkpointBegin{
		time: d.now().UnixMilli(), identity: d.fold.identity, next: d.fold.next, sideEpoch: d.fold.sideEpoch,
	})}}
	var numbers []Mailbox
	for m := range d.fold.boxes {
		numbers = append(numbers, m)
	}
	slices.Sort(numbers)
	var part []byte
	n := 0
	flush := func() {
		if n > 0 {
			frames = append(frames, frame{Kind: kindCheckpointBoxes, Payload: append(binary.AppendUvarint(nil, uint64(n)), part...)})
			part, n = part[:0], 0
		}
	}
	for _, m := range numbers {
		b := d.fold.boxes[m]
		start := len(part)
		if part = appendBox(part, b); len(part) > chunkBytes && n > 0 {
			last := slices.Clone(part[start:])
			part = part[:start]
			flush()
			part = append(part, last...)
		}
		n++
		box := checkpointBox{mailbox: m, counts: b.counts, repair: b.repair}
		if s := d.loaded[m]; s != nil {
			box.state = s.State
		} else if b.counts != (counts{}) {
			box.places = *placesOf(d.places.boxes, m)
		} else {
			continue
		}
		c.queue = append(c.queue, box)
	}
	flush()
	c.frames = uint64(len(frames) - 1)
	for s := range d.sides {
		c.keep[s] = d.sides[s].ledger.keep()
	}
	if err := d.append(frames); err != nil {
		return err
	}
	for i := range c.queue {
		if s := c.queue[i].state; s != nil {
			c.queue[i].snap = s.pin()
		}
	}
	d.check = c
	return nil
}

// checkpointStep writes the next record.
func (d *stateDriver) checkpointStep() {
	c := d.check
	if err := c.ctx.Err(); err != nil {
		d.abandon(err)
		return
	}
	if len(c.queue) == 0 {
		d.abandon(d.checkpointEnd())
		return
	}
	if err := d.checkpointChunk(c); err != nil {
		d.abandon(err)
	}
}

func (d *stateDriver) checkpointChunk(c *checkpoint) error {
	box := &c.queue[0]
	if c.next == nil {
		snap := box.snap
		if snap == nil {
			t, err := box.places.load(d.dir, box.mailbox, box.counts)
			switch {
			case err == nil:
			case box.repair && !errors.Is(err, errPoisoned):
				t = newTable() // it will be cleared
			default:
				return err
			}
			if t.count != box.counts && !box.repair {
				d.mu.Lock()
				defer d.mu.Unlock()
				return errors.Join(errInconsistent, d.markRepair(box.mailbox))
			}
			snap = t.pin()
		}
		c.next = &chunkWriter{snap: snap}
	}
	kind, payload := c.next.chunk()
	if payload == nil {
		if box.state != nil {
			box.state.unpin()
		}
		c.queue, c.next = c.queue[1:], nil
		return nil
	}
	c.frames++
	return d.append([]frame{{Kind: kind, Mailbox: box.mailbox, Payload: payload}})
}

// checkpointEnd makes the checkpoint count, and drops what it has made superfluous: of the shared log first, for the side logs are what repairs it.
func (d *stateDriver) checkpointEnd() error {
	c := d.check
	end := appendCheckpointEnd(nil, checkpointEnd{begin: c.begin, frames: c.frames})
	if err := d.append([]frame{{Kind: kindCheckpointEnd, Payload: end}}); err != nil {
		return err
	}
	if err := d.log.TruncateFront(c.begin); err != nil {
		d.poison = err
		return err
	}
	d.places = newDirectory(d.dir) // places in the first segment have moved
	mark := markRecord{time: d.now().UnixMilli(), sharedEpoch: d.log.Epoch()}
	for m := Mailbox(1); m < d.fold.next; m++ {
		if b := d.fold.boxes[m]; b != nil {
			mark.facts = append(mark.facts, fact{mailbox: m, names: b.names, changes: b.changes})
		}
	}
	for s := range d.sides {
		if err := d.sides[s].truncate(context.WithoutCancel(c.ctx), c.keep[s], mark); err != nil {
			return err
		}
	}
	return nil
}

// abandon ends the checkpoint, complete or not, and answers those who wait for it.
func (d *stateDriver) abandon(err error) {
	if d.check == nil {
		return
	}
	for _, box := range d.check.queue {
		if box.state != nil {
			box.state.unpin()
		}
	}
	for _, done := range d.check.done {
		done <- err
	}
	d.check = nil
}

// chunkWriter writes a snapshot in pieces.
type chunkWriter struct {
	snap  *snapshot
	at    [2]int // next chunk of pairs and half-pairs
	entry [2]int // next entry in it
}

// chunk returns the next record, nil when there is none.
func (w *chunkWriter) chunk() (frameKind, []byte) {
	var body []byte
	n := 0
	for ; w.at[0] < len(w.snap.pairs); w.at[0], w.entry[0] = w.at[0]+1, 0 {
		for c := w.snap.pairs[w.at[0]]; w.entry[0] < len(c); w.entry[0]++ {
			if len(body) >= chunkBytes-maxPairBytes {
				return kindCheckpointPairs, countedChunk(n, body)
			}
			if e := &c[w.entry[0]]; e.bytes() > 0 {
				body = appendPair(body, rawOf(w.snap.slabs, w.snap.flags, e))
				n++
			}
		}
	}
	if n > 0 {
		return kindCheckpointPairs, countedChunk(n, body)
	}
	for ; w.at[1] < len(w.snap.halves); w.at[1], w.entry[1] = w.at[1]+1, 0 {
		for c := w.snap.halves[w.at[1]]; w.entry[1] < len(c); w.entry[1]++ {
			if len(body) >= chunkBytes-slabSize {
				return kindCheckpointHalfs, countedChunk(n, body)
			}
			if e := &c[w.entry[1]]; e.n > 0 {
				body = append(body, slabGet(w.snap.slabs, e.off, int(e.n))...)
				n++
			}
		}
	}
	if n > 0 {
		return kindCheckpointHalfs, countedChunk(n, body)
	}
	return 0, nil
}

// maxPairBytes is more than a pair takes in a record, long lists of keywords apart.
const maxPairBytes = 4*maxID + 1<<10

func countedChunk(n int, body []byte) []byte {
	return append(binary.AppendUvarint(make([]byte, 0, len(body)+binary.MaxVarintLen64), uint64(n)), body...)
}
