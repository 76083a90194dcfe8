package everystep

import (
	"os"
	"path/filepath"
	"testing"

	"driftless/tests/faultfs"
	"driftless/tests/torture"
)

// The process is gone, or the power, at each moment of each scenario's sync. One sync is played and written down; every moment of it is brought back and
// synced: as it was (the process was killed before an effect, or after it and before anybody learned of it), without all that was not made durable, and with a random part of that, the last write
// torn.
func TestCrash(t *testing.T) {
	setups, each := rotated(0), 12
	if _, on := torture.On(t); on {
		setups, each = allSetups(), 1<<30
	}
	var n tally
	onSetups(t, setups, len(setups), func(t *testing.T, fs *faultfs.FS, s setup) {
		r := record(t, fs, prepare(t, s, filepath.Join(scratch(t), "w")))
		if r.err != nil {
			t.Fatalf("%s: the sync that nobody interrupts: %v", s, r.err)
		}
		n.setups.Add(1)
		for _, i := range some(len(r.cuts), each) {
			for way := range 3 {
				n.stops.Add(1)
				if !r.survives(t, i, lossOf(way, uint64(i))) {
					return
				}
			}
		}
	})
	t.Logf("%d syncs of %d scenarios stopped in %d ways", n.setups.Load(), len(scenarios), n.stops.Load())
}

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

// scratch returns a new directory that is removed with the test.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "w")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// survives brings a moment back, syncs, and reports whether everything is as it must be.
func (r *recording) survives(t *testing.T, i int, loss faultfs.Loss) bool {
	t.Helper()
	dir := scratch(t)
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	w := r.at(t, r.cuts[i], loss, filepath.Join(dir, "w"))
	wrong := w.check()
	if len(wrong) == 0 {
		return true
	}
	t.Errorf("%s: stopped at moment %d of %d, %s (op %d), %s:", r.base.setup, i, len(r.cuts), r.cuts[i].at, r.cuts[i].op, loss)
	for _, l := range wrong {
		t.Error("  " + l)
	}
	return false
}
