package everystep

import (
	"path/filepath"
	"testing"

	"driftless/tests/torture"
)

// Every scenario comes to what it wants when nothing interrupts it: on some of the pairs of stores it is for, in a torture run on all.
func TestScenarios(t *testing.T) {
	all := allSetups()
	if _, on := torture.On(t); !on {
		all = append(rotated(1), rotated(4)...)
	}
	if len(scenarios) < 40 {
		t.Errorf("%d scenarios", len(scenarios))
	}
	for _, s := range all {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			w := prepare(t, s, filepath.Join(t.TempDir(), "w"))
			w.calm = true
			if err := w.perform(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, wrong := range w.check() {
				t.Error(wrong)
			}
		})
	}
}
