package everystep

import (
	"fmt"
	"testing"

	"driftless/tests/faultfs"
	"driftless/tests/torture"
)

// The process is gone, or the power, at each moment of each scenario's sync. One sync is played and written down; every moment of it is brought back and
// synced: as it was (the process was killed before an effect, or after it and before anybody learned of it), without all that was not made durable, and with a random part of that, the last write
// torn.
func TestCrash(t *testing.T) {
	setups, each := rotated(0), 10
	if _, on := torture.On(t); on {
		setups, each = allSetups(), every
	}
	seed := torture.Seed(t, 0)
	n := onSetups(t, setups, true, func(tr *trial) {
		r := tr.record(prepare(tr.t, tr.setup, tr.newDir()))
		if r == nil {
			return
		}
		for _, i := range some(len(r.cuts), each) {
			for way := range losses {
				if !tr.survives(r, i, lossOf(way, seed+uint64(i))) {
					return
				}
			}
		}
	})
	t.Logf("%d syncs of %d scenarios stopped in %d ways (seed %d)", n.setups.Load(), len(scenarios), n.stops.Load(), seed)
}

// The sync that follows a stop is stopped, too: at a sample of the moments of the first, each moment of the second.
func TestCrashTwice(t *testing.T) {
	setups, first, second := rotated(3), 2, 5
	if _, on := torture.On(t); on {
		setups, first, second = allSetups(), 12, every
	}
	seed := torture.Seed(t, 0)
	n := onSetups(t, setups, true, func(tr *trial) {
		r := tr.record(prepare(tr.t, tr.setup, tr.newDir()))
		if r == nil {
			return
		}
		var again []*world
		var how []string
		for k, i := range some(len(r.cuts), first+2) {
			if k == 0 || k == first+1 {
				continue // nothing has happened yet, or everything
			}
			loss := lossOf((i+k)%losses, seed+uint64(i))
			again = append(again, r.at(tr.t, r.cuts[i], loss, tr.newDir()))
			how = append(how, r.describe(i, loss))
		}
		for k, w := range again {
			w.scenario.run = nil // what follows a rebuild is a sync
			r := tr.record(w)
			if r == nil {
				return
			}
			r.story = how[k] + ", and once more "
			for j, i := range some(len(r.cuts), second) {
				if !tr.survives(r, i, lossOf((j+k)%losses, seed+uint64(i))) {
					return
				}
			}
		}
	})
	t.Logf("%d syncs of %d scenarios stopped twice in %d ways (seed %d)", n.setups.Load(), len(scenarios), n.stops.Load(), seed)
}

const (
	every  = 1 << 30
	losses = 3
)

func lossOf(way int, seed uint64) faultfs.Loss {
	switch way {
	case 0:
		return faultfs.Nothing
	case 1:
		return faultfs.Everything
	}
	return faultfs.Torn(seed)
}

// some returns so many of the numbers below total, evenly spread.
func some(total, few int) []int {
	few = min(total, few)
	out := make([]int, few)
	for i := range out {
		out[i] = i * total / few
	}
	return out
}

// record is record with the trial's disk. A sync that fails by itself is a failure of the trial.
func (tr *trial) record(w *world) *recording {
	r := record(tr.t, tr.disk, w)
	if r.err != nil {
		tr.fail(tr.setup.String(), []string{fmt.Sprintf("the sync that nobody interrupts: %v", r.err)})
		return nil
	}
	return r
}

// survives brings a moment back, syncs, and reports whether everything is as it must be.
func (tr *trial) survives(r *recording, i int, loss faultfs.Loss) bool {
	tr.stops.Add(1)
	w := r.at(tr.t, r.cuts[i], loss, tr.newDir())
	defer tr.removeDir(w.dir)
	wrong := w.check()
	if len(wrong) > 0 {
		tr.fail(fmt.Sprintf("%s: %sstopped %s", tr.setup, r.story, r.describe(i, loss)), wrong)
	}
	return len(wrong) == 0
}

// describe says where a sync was stopped, and how.
func (r *recording) describe(i int, loss faultfs.Loss) string {
	c := r.cuts[i]
	return fmt.Sprintf("at moment %d of %d, %s (op %d), %s", i, len(r.cuts), c.at, c.op, loss)
}
