package everystep

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"driftless/tests/faultfs"
	"driftless/tests/torture"
)

// tally counts what was tried and collects what went wrong, so that one failure does not hide the others.
type tally struct {
	setups, stops, missed atomic.Int64

	mu    sync.Mutex
	wrong []string
}

// maxWrong is after how many failures nothing more is tried.
const maxWrong = 20

// fail notes a failure.
func (n *tally) fail(what string, wrong []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wrong = append(n.wrong, what+":\n  "+strings.Join(wrong, "\n  "))
}

// enough reports whether there are so many failures that nothing more is to be learned.
func (n *tally) enough() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.wrong) >= maxWrong
}

// trial is what is tried with one setup.
type trial struct {
	*tally

	t     *testing.T
	setup setup
	disk  *faultfs.FS // nil without one
	dir   string      // of its own; removed afterwards
	dirs  int
}

// newDir returns the name of a directory that does not exist yet.
func (tr *trial) newDir() string {
	tr.dirs++
	return filepath.Join(tr.dir, strconv.Itoa(tr.dirs))
}

// removeDir removes a directory that is not needed any more.
func (tr *trial) removeDir(dir string) {
	if err := os.RemoveAll(dir); err != nil {
		tr.t.Error(err)
	}
}

// onSetups calls f with setups, all of them in an ordinary run, in workers each of which has a fault-injecting file system of its own if one is wanted. It returns the counts
// when all is done.
func onSetups(t *testing.T, setups []setup, disks bool, f func(*trial)) *tally {
	t.Helper()
	next, stop := iter.Pull(torture.Points(t, len(setups), len(setups)))
	defer stop()
	n := &tally{}
	var mu sync.Mutex
	take := func() (setup, bool) {
		mu.Lock()
		defer mu.Unlock()
		i, ok := next()
		if !ok || n.enough() {
			return setup{}, false
		}
		return setups[i], true
	}
	t.Run("workers", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				var disk *faultfs.FS
				if disks {
					disk = faultfs.Mount(t, nil)
				}
				for s, ok := take(); ok; s, ok = take() {
					tr := &trial{tally: n, t: t, setup: s, disk: disk, dir: filepath.Join(t.TempDir(), "trial")}
					f(tr)
					tr.removeDir(tr.dir)
					n.setups.Add(1)
				}
			})
		}
	})
	for _, w := range n.wrong {
		t.Error(w)
	}
	if n.setups.Load() == 0 && !t.Failed() {
		t.Skip("nothing was tried: there is no fault-injecting file system here")
	}
	return n
}

// rotated returns one setup for each scenario: the first scenario on the first of its pairings, the second on the second, and so on, so that a small share has all
// scenarios and all pairings. Another turn gives other ones.
func rotated(turn int) []setup {
	var out []setup
	all := allSetups()
	for i, sc := range scenarios {
		var of []setup
		for _, s := range all {
			if s.scenario.name == sc.name {
				of = append(of, s)
			}
		}
		out = append(out, of[(i*5+turn)%len(of)])
	}
	return out
}
