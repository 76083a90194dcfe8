package harness

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Sample is one message of the corpus.
type Sample struct {
	Name string
	Raw  []byte // as found, without the mbox "From " line
}

// Wire returns the message with every line end as CRLF.
func (s Sample) Wire() []byte { return ToCRLF(s.Raw) }

// ToCRLF makes every bare LF a CRLF.
func ToCRLF(b []byte) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

// Corpus reads the samples of an archive of real mail: "ordinary" or "odd". It skips the test when the corpus is not there.
func Corpus(t testing.TB, archive string) []Sample {
	t.Helper()
	dir := os.Getenv("DRIFTLESS_CORPUS")
	if dir == "" {
		dir = filepath.Join(repoRoot(t), "..", "shared", "corpus")
	}
	f, err := os.Open(filepath.Join(dir, archive+".tar.gz"))
	if err != nil {
		t.Skipf("no mail corpus (set DRIFTLESS_CORPUS to its directory): %v", err)
	}
	defer func() { _ = f.Close() }() // only read
	gz := must(gzip.NewReader(f))(t)
	tr := tar.NewReader(gz)
	var out []Sample
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("corpus %s: %v", archive, err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		raw := must(io.ReadAll(tr))(t)
		out = append(out, Sample{Name: filepath.Base(h.Name), Raw: stripFromLine(raw)})
	}
}

// stripFromLine removes the separator line of an mbox, which is no part of the message and which servers drop or refuse.
func stripFromLine(raw []byte) []byte {
	if bytes.HasPrefix(raw, []byte("From ")) {
		if i := bytes.IndexByte(raw, '\n'); i >= 0 {
			return raw[i+1:]
		}
	}
	return raw
}
