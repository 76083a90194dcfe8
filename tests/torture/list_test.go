package torture

import (
	"bufio"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// TestList holds tests.txt to the tests that there are: each one named exists, and no package that uses this one is forgotten.
func TestList(t *testing.T) {
	const root = "../.."
	listed := map[string]bool{} // packages
	data, err := os.ReadFile("tests.txt")
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		line := s.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pkg, name, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("tests.txt: %q is not a package and a test", line)
		}
		listed[pkg] = true
		files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range files {
			code, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			found = found || bytes.Contains(code, []byte("\nfunc "+name+"(t *testing.T)"))
		}
		if !found {
			t.Errorf("tests.txt: there is no %s in %s", name, pkg)
		}
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		code, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		pkg, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		if bytes.Contains(code, []byte(`"driftless/tests/torture"`)) && testFunc.Match(code) && pkg != "tests/torture" && !listed[filepath.ToSlash(pkg)] {
			t.Errorf("%s tries as hard as it is told, but no test of %s is in tests.txt", path, pkg)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
