// Package torture decides how hard the tests try that could try for ever: random histories, kills, cuts, crash points.
//
// In an ordinary run each does a fixed, reproducible share. With DRIFTLESS_TORTURE=DURATION (see "make torture") each goes on with ever new seeds
// until it has taken that long. Every failure must name its seed: DRIFTLESS_SEED=SEED then repeats it in round 0.
package torture

import (
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// On returns how long each test is to go on, and whether this is such a run at all.
func On(tb testing.TB) (time.Duration, bool) {
	tb.Helper()
	v := os.Getenv("DRIFTLESS_TORTURE")
	if v == "" {
		return 0, false
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		tb.Fatalf("DRIFTLESS_TORTURE: %v", err)
	}
	return d, true
}

// Rounds yields 0, 1, 2 and so on: ordinary many in an ordinary run; in a torture run at least as many, and then more until the time is up or the test has
// failed.
func Rounds(tb testing.TB, ordinary int) iter.Seq[int] {
	tb.Helper()
	d, on := On(tb)
	end := time.Now().Add(d)
	return func(yield func(int) bool) {
		for i := 0; i < ordinary || on && time.Now().Before(end); i++ {
			if tb.Failed() || !yield(i) {
				return
			}
		}
	}
}

// Points yields numbers out of 0 to total-1, each once: in an ordinary run about ordinary many, evenly spread and always the same ones; in a torture run
// all of them, in random order, until the time is up or the test has failed.
func Points(tb testing.TB, total, ordinary int) iter.Seq[int] {
	tb.Helper()
	d, on := On(tb)
	end := time.Now().Add(d)
	return func(yield func(int) bool) {
		if !on {
			few := min(total, max(ordinary, 1))
			for i := range few {
				if tb.Failed() || !yield(i*total/few) {
					return
				}
			}
			return
		}
		for _, p := range rand.Perm(total) {
			if tb.Failed() || time.Now().After(end) || !yield(p) {
				return
			}
		}
	}
}

// Seed returns the seed of a round: in an ordinary run always the same for the same test, in a torture run a new one each time. DRIFTLESS_SEED, if
// it is set, is the seed of round 0, and later rounds count on from it.
func Seed(tb testing.TB, round int) uint64 {
	tb.Helper()
	if v := os.Getenv("DRIFTLESS_SEED"); v != "" {
		base, err := strconv.ParseUint(v, 0, 64)
		if err != nil {
			tb.Fatalf("DRIFTLESS_SEED: %v", err)
		}
		return base + uint64(round)
	}
	if _, on := On(tb); on {
		return rand.Uint64()
	}
	h := fnv.New64a()
	h.Write([]byte(tb.Name()))
	return h.Sum64() + uint64(round)
}
