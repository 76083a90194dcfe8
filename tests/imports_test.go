package tests

import (
	"os/exec"
	"strings"
	"testing"
)

// layers is the order of packages: each may only use what stands below it. A package belongs to the longest prefix.
var layers = []string{
	"driftless/cmd",
	"driftless/daemon",
	"driftless/drivers",
	"driftless/logstate",
	"driftless/merge",
}

func layerOf(pkg string) int {
	for i, l := range layers {
		if pkg == l || strings.HasPrefix(pkg, l+"/") {
			return i
		}
	}
	return -1
}

// list runs go list and returns a map from package to what a template says of it.
func list(t *testing.T, format string) map[string][]string {
	t.Helper()
	cmd := exec.Command("go", "list", "-f", "{{.ImportPath}} "+format, "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		f := strings.Fields(line)
		all[f[0]] = f[1:]
	}
	return all
}

// TestImportDirections holds the order of packages, direct and indirect imports alike, and who may use which library.
func TestImportDirections(t *testing.T) {
	t.Parallel()
	deps := list(t, `{{join .Deps " "}}`)
	imports := list(t, `{{join .Imports " "}}`)
	if len(deps) < 10 {
		t.Fatalf("go list knows only %d packages", len(deps))
	}
	for pkg, used := range deps {
		own := layerOf(pkg)
		if own < 0 && !strings.HasPrefix(pkg, "driftless/tests") && pkg != "driftless" {
			t.Errorf("%s belongs to no layer", pkg)
		}
		for _, dep := range used {
			if l := layerOf(dep); own >= 0 && l >= 0 && l < own {
				t.Errorf("%s uses %s, which stands above it", pkg, dep)
			}
			if own >= 0 && strings.HasPrefix(dep, "driftless/tests") {
				t.Errorf("%s uses %s, which is for tests", pkg, dep)
			}
			if kind := driver(pkg); kind != "" && driver(dep) != "" && driver(dep) != kind {
				t.Errorf("driver %s uses driver %s", pkg, dep)
			}
			if driver(pkg) != "" && (strings.HasPrefix(dep, "driftless/logstate") || strings.HasPrefix(dep, "driftless/daemon")) {
				t.Errorf("driver %s uses %s", pkg, dep)
			}
		}
	}
	for pkg, used := range imports {
		for _, dep := range used {
			switch {
			case strings.HasPrefix(dep, "github.com/tidwall/wal") && pkg != "driftless/logstate":
				t.Errorf("%s uses %s; only logstate may", pkg, dep)
			case strings.HasPrefix(dep, "github.com/emersion/go-imap") && driver(pkg) != "imap":
				t.Errorf("%s uses %s; only drivers/imap may", pkg, dep)
			case layerOf(pkg) == len(layers)-1 && (strings.Contains(dep, ".") || dep == "os" || dep == "net"):
				t.Errorf("%s uses %s; merge is pure", pkg, dep)
			case driver(dep) != "" && driver(pkg) == "" && !strings.HasPrefix(pkg, "driftless/cmd") && layerOf(pkg) >= 0:
				t.Errorf("%s uses the concrete driver %s; only cmd may", pkg, dep)
			}
		}
	}
}

// driver returns the name of the concrete driver that a package belongs to, "" if it belongs to none.
func driver(pkg string) string {
	for _, kind := range []string{"imap", "maildir", "memory"} {
		if p := "driftless/drivers/" + kind; pkg == p || strings.HasPrefix(pkg, p+"/") {
			return kind
		}
	}
	return ""
}
