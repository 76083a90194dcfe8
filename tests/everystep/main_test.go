package everystep

import (
	"fmt"
	"os"
	"testing"
)

// TestMain keeps the directories of the tests in memory: thousands of worlds are made, and what a power cut would leave of them is not a matter
// of the disk that they are on.
func TestMain(m *testing.M) {
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err == nil && info.IsDir() && os.Getenv("TMPDIR") == "" {
		if err := os.Setenv("TMPDIR", memory); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}
