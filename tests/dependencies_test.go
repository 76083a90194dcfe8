package tests

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesPage holds that docs/dependencies.md has one line for each direct dependency, and no other.
func TestDependenciesPage(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`/v\d+$`)
	var want []string
	for line := range strings.Lines(string(mod)) {
		f := strings.Fields(line)
		if len(f) == 2 && strings.Contains(f[0], ".") && strings.HasPrefix(f[1], "v") {
			want = append(want, version.ReplaceAllString(f[0], ""))
		}
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([^ |]+\.[^ |]+)`).FindAllStringSubmatch(string(page), -1) {
		got = append(got, version.ReplaceAllString(m[1], ""))
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) < 5 || !slices.Equal(got, want) {
		t.Errorf("docs/dependencies.md has lines for\n%s\nand go.mod has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
