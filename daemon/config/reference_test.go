package config

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the generated part of docs/configuration.md")

const (
	page  = "../../docs/configuration.md"
	begin = "<!-- begin: generated from daemon/config by `go test ./daemon/config -run Page -update` -->\n"
	end   = "<!-- end: generated -->\n"
)

// TestReferencePage keeps the page equal to the code.
func TestReferencePage(t *testing.T) {
	doc, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := bytes.Cut(doc, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok1 || !ok2 {
		t.Fatalf("%s has no generated part", page)
	}
	want := string(before) + begin + "\n" + Markdown() + "\n" + end + string(after)
	if string(doc) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the code says; run: go test ./daemon/config -run Page -update", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil { //nolint:gosec // a public page
		t.Fatal(err)
	}
}

func TestReferenceIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Reference() {
		id := k.Table + "." + k.Name
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		if k.Type == "" || k.Doc == "" || (k.Type == "word") != (len(k.Values) > 0) {
			t.Errorf("%s is not described: %+v", id, k)
		}
	}
	// Every key of the full sample is in the reference, and the sample has every key that is not an alternative or refused.
	sample := string(mustRead(t, "full.toml"))
	for _, k := range Reference() {
		switch k.Name {
		case "accounts", "password_file", "keyring", "credential", "oauth2":
			continue
		}
		if !regexp.MustCompile(`(?m)(^|[{.,] ?)` + regexp.QuoteMeta(k.Name) + `( *=|\])`).MatchString(sample) {
			t.Errorf("testdata/full.toml does not show %s %s", k.Table, k.Name)
		}
	}
}

// TestSamplesParse parses every TOML block of the documentation and every sample file.
func TestSamplesParse(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "../../README.md")
	blocks := 0
	for _, name := range files {
		doc, err := os.ReadFile(name) //nolint:gosec // a page of this repository
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?ms)^```toml\n(.*?)^```").FindAllSubmatch(doc, -1) {
			blocks++
			if _, err := Parse(filepath.Base(name), m[1], testEnv()); err != nil {
				t.Errorf("a sample does not parse: %v\n%s", err, m[1])
			}
		}
	}
	if blocks < 2 {
		t.Errorf("found %d samples in %s", blocks, strings.Join(files, ", "))
	}
}
