package everystep

import (
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"driftless/tests/faultfs"
	"driftless/tests/torture"
)

// tally counts what was tried.
type tally struct {
	setups, stops atomic.Int64
}

// onSetups calls f with setups, some of them in an ordinary run, in workers each of which has a file system of its own.
func onSetups(t *testing.T, setups []setup, ordinary int, f func(t *testing.T, fs *faultfs.FS, s setup)) {
	t.Helper()
	next, stop := iter.Pull(torture.Points(t, len(setups), ordinary))
	defer stop()
	var mu sync.Mutex
	take := func() (setup, bool) {
		mu.Lock()
		defer mu.Unlock()
		i, ok := next()
		if !ok {
			return setup{}, false
		}
		return setups[i], true
	}
	t.Run("workers", func(t *testing.T) {
		for n := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				fs := faultfs.Mount(t, nil)
				for {
					s, ok := take()
					if !ok || t.Failed() {
						return
					}
					f(t, fs, s)
				}
			})
		}
	})
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
