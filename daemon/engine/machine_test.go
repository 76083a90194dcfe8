package engine

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"driftless/drivers/memory"
	"driftless/tests/torture"
)

// kind is a pair of stores that histories are played on.
type kind struct {
	opts [2]memory.Options
	real bool // the left one is a real Maildir
}

func kinds() map[string]kind {
	out := map[string]kind{"real-maildir-qresync": {characters["maildir-qresync"], true}}
	for name, opts := range characters {
		out[name] = kind{opts: opts}
		if name != "maildir-maildir" {
			out["mirrored-"+name] = kind{opts: [2]memory.Options{opts[1], opts[0]}}
		}
	}
	return out
}

// TestHistories plays random histories of users, faults and damage and compares with what the users did; see tally for the rules. A failure shrinks to a short history, which
// it prints; keep it in TestKnownHistories.
func TestHistories(t *testing.T) {
	const ordinary = 60 // histories of each kind
	stats := &machineStats{}
	dir := scratch(t)
	for round := range torture.Rounds(t, 1) {
		seed := torture.Seed(t, round)
		for name, value := range map[string]string{"rapid.checks": fmt.Sprint(ordinary), "rapid.seed": fmt.Sprint(max(seed, 1))} {
			if f := flag.Lookup(name); f.Value.String() == f.DefValue || round > 0 {
				if err := flag.Set(name, value); err != nil {
					t.Fatal(err)
				}
			}
		}
		ok := t.Run(fmt.Sprintf("round-%d", round), func(t *testing.T) {
			all := kinds()
			for shift, name := range slices.Sorted(maps.Keys(all)) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					rapid.Check(t, func(rt *rapid.T) { drawHistory(rt, dir, all[name], shift, stats) })
				})
			}
		})
		if !ok {
			t.Fatalf("repeat with DRIFTLESS_SEED=%d", seed)
		}
	}
	t.Log(stats)
}

// scratch is where logs and Maildirs are made: in memory where that is possible, for what is tested is not the disk.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "driftless-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func drawHistory(rt *rapid.T, base string, k kind, shift int, stats *machineStats) {
	for range shift {
		rapid.Bool().Draw(rt, "other numbers than another kind's")
	}
	history := rapid.SliceOfN(rapid.SliceOfN(anyStep, 1, 20), 1, 6).Draw(rt, "history")
	m, err := playIn(base, k, stats, history)
	if err != nil {
		rt.Fatalf("%v\nhistory:\n  %s", err, strings.Join(m.trace, "\n  "))
	}
}

// playIn plays a history in a directory of its own.
func playIn(base string, k kind, stats *machineStats, history [][]step) (*machine, error) {
	dir, err := os.MkdirTemp(base, "history-")
	if err != nil {
		return &machine{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // base goes away anyway
	m, err := newMachine(dir, k, stats)
	if err != nil {
		return &machine{}, err
	}
	err = m.play(history)
	if cerr := m.close(); err == nil {
		err = cerr
	}
	return m, err
}
