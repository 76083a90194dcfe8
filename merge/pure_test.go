package merge

import (
	"os/exec"
	"strings"
	"testing"
)

// TestPure keeps the package to the standard library, without I/O, clock or randomness.
func TestPure(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	allowed := map[string]bool{
		"bytes": true, "cmp": true, "crypto/sha256": true, "encoding/binary": true, "fmt": true, "hash": true, "hash/fnv": true,
		"iter": true, "slices": true, "sort": true, "strings": true,
	}
	for imp := range strings.FieldsSeq(string(out)) {
		if !allowed[imp] {
			t.Errorf("merge imports %s", imp)
		}
	}
	out, err = exec.Command("go", "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}{{end}}`, ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	if got := strings.TrimSpace(string(out)); got != "driftless/merge" {
		t.Errorf("merge depends on more than the standard library: %q", got)
	}
}
