package faultfs

import (
	"fmt"
	"math/rand/v2"
)

// Loss says what a crash takes away.
type Loss struct {
	kind lossKind
	seed uint64
}

type lossKind uint8

const (
	lossNothing lossKind = iota
	lossEverything
	lossTorn
)

var (
	// Nothing is lost when only a process is killed: all that it did before is there.
	Nothing = Loss{}

	// Everything that was not synced is lost: content falls back to what the last fsync of the file saw, and so do its times and permissions; an entry of
	// a directory is as the last fsync of that directory saw it, for each directory on its own. So a file that was renamed is back under its old name, or
	// has both names when only the new directory was synced, and a new file that no directory has yet does not exist, synced or not.
	Everything = Loss{kind: lossEverything}
)

// Torn is a power cut that finds the disk at work: of what was not synced some has arrived. Names change in order, up to some point; the content of each file is in
// any state, its last write torn at some byte, and the size may be there before the data, which then reads as zeroes. A seed always gives the same.
func Torn(seed uint64) Loss { return Loss{kind: lossTorn, seed: seed} }

// String names the loss, with what it takes to repeat it.
func (l Loss) String() string {
	switch l.kind {
	case lossNothing:
		return "nothing lost"
	case lossEverything:
		return "everything lost"
	case lossTorn:
	}
	return fmt.Sprintf("torn, seed %d", l.seed)
}

// after returns the disk after these ops and a loss; what is kept of it is what is there.
func (d *disk) after(ops []Op, loss Loss) (*disk, error) {
	d = d.clone()
	rng := rand.New(rand.NewPCG(loss.seed, 0x6472696674)) //nolint:gosec // it is to be repeatable, not secret
	names := len(ops)                                     // after so many ops the names are durable
	if loss.kind == lossTorn {
		first := 0
		for i, op := range ops {
			if op.Kind == SyncDir && op.Done {
				first = i + 1
			}
		}
		names = first + rng.IntN(len(ops)-first+1)
	}
	for i, op := range ops {
		if i == names && loss.kind != lossEverything {
			d.root.each(live, (*inode).keepNames)
		}
		if err := d.play(op); err != nil {
			return nil, fmt.Errorf("the trace does not fit the disk at op %v: %w", op, err)
		}
	}
	if names == len(ops) && loss.kind != lossEverything {
		d.root.each(live, (*inode).keepNames)
	}
	d.root.each(kept, func(n *inode) { n.settle(loss.kind, rng) })
	return d, nil
}

// each calls f for a directory and all below it, each inode once, in a fixed order.
func (n *inode) each(view int, f func(*inode)) {
	seen := map[*inode]bool{}
	var walk func(*inode)
	walk = func(n *inode) {
		if seen[n] {
			return
		}
		seen[n] = true
		f(n)
		for _, name := range sortedNames(n.entries[view]) {
			walk(n.entries[view][name])
		}
	}
	walk(n)
}

// settle decides what a crash leaves of an inode.
func (n *inode) settle(loss lossKind, rng *rand.Rand) {
	switch loss {
	case lossNothing:
		n.mode[kept], n.time[kept] = n.mode[live], n.time[live]
		n.data = content(n.data, n.changes)
	case lossEverything:
		n.data = n.durable(func(int) extent { return none })
	case lossTorn:
		if rng.IntN(2) == 0 {
			n.mode[kept], n.time[kept] = n.mode[live], n.time[live]
		}
		n.data = n.durable(n.draw(rng))
	}
	n.changes = nil
}

// extent says how much of a write has arrived: so many bytes; and whether the file has grown as if all had.
type extent struct {
	bytes int
	grown bool
}

var none = extent{}

// durable returns a file's content when of each change that is not durable for certain so much has arrived.
func (n *inode) durable(arrived func(i int) extent) []byte {
	out := content(n.data, nil)
	for i, c := range n.changes {
		if c.state == synced {
			out = c.apply(out)
			continue
		}
		e := arrived(i)
		if c.state == lost && n.syncedAfter(i) {
			e.grown = true // the size belongs to what a later fsync does write
		}
		switch {
		case c.cut && (e.bytes > 0 || e.grown):
			out = c.apply(out)
		case !c.cut:
			if end := c.off + int64(len(c.data)); e.grown && int64(len(out)) < end {
				out = resize(out, end)
			}
			if e.bytes > 0 {
				out = change{off: c.off, data: c.data[:min(e.bytes, len(c.data))]}.apply(out)
			}
		}
	}
	return out
}

// syncedAfter reports whether an fsync has succeeded after change i.
func (n *inode) syncedAfter(i int) bool {
	for _, c := range n.changes[i+1:] {
		if c.state == synced {
			return true
		}
	}
	return false
}

// draw draws lots for the changes of a file: nothing has arrived, all, the first ones with the last of them torn, or any of them.
func (n *inode) draw(rng *rand.Rand) func(i int) extent {
	const all = 1 << 62
	out := make([]extent, len(n.changes))
	if len(out) == 0 {
		return nil
	}
	upTo := len(out)
	way := rng.IntN(5)
	switch way {
	case 0:
		upTo = 0
	case 1:
	default:
		upTo = rng.IntN(len(out) + 1)
	}
	for i := range upTo {
		if way < 4 || rng.IntN(2) == 0 {
			out[i] = extent{bytes: all}
		}
	}
	if way >= 2 && upTo < len(out) {
		c := n.changes[upTo]
		e := extent{grown: rng.IntN(2) == 0}
		if len(c.data) > 0 {
			e.bytes = rng.IntN(len(c.data) + 1)
		}
		out[upTo] = e
	}
	return func(i int) extent { return out[i] }
}
