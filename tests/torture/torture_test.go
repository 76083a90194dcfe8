package torture

import (
	"slices"
	"testing"
)

func TestOrdinary(t *testing.T) {
	t.Setenv("DRIFTLESS_TORTURE", "")
	t.Setenv("DRIFTLESS_SEED", "")
	if got := slices.Collect(Rounds(t, 3)); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("rounds: %v", got)
	}
	if got := slices.Collect(Points(t, 100, 4)); !slices.Equal(got, []int{0, 25, 50, 75}) {
		t.Errorf("points: %v", got)
	}
	if got := slices.Collect(Points(t, 3, 10)); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("few points: %v", got)
	}
	if Seed(t, 1) != Seed(t, 0)+1 {
		t.Error("the seeds of an ordinary run must be the same each time")
	}
	t.Setenv("DRIFTLESS_SEED", "0x10")
	if Seed(t, 2) != 18 {
		t.Errorf("seed %d", Seed(t, 2))
	}
}

func TestTorture(t *testing.T) {
	t.Setenv("DRIFTLESS_TORTURE", "10ms")
	t.Setenv("DRIFTLESS_SEED", "")
	if got := slices.Collect(Rounds(t, 3)); len(got) <= 3 {
		t.Errorf("only %d rounds", len(got))
	}
	if a, b := Seed(t, 0), Seed(t, 0); a == b {
		t.Error("a torture run must try new seeds")
	}
	t.Setenv("DRIFTLESS_TORTURE", "1h")
	got := slices.Collect(Points(t, 100, 4))
	slices.Sort(got)
	if len(got) != 100 || len(slices.Compact(got)) != 100 {
		t.Errorf("%d points, not all", len(got))
	}
}
