package everystep

import (
	"path/filepath"
	"testing"
)

// Every scenario, on every pair of stores it is for, comes to what it wants when nothing interrupts it.
func TestScenarios(t *testing.T) {
	for _, s := range allSetups() {
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
