package maildir

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"driftless/drivers"
	"driftless/merge"
)

const mbsyncLine = "X-TUID: pZeunL7I8S5Y\n"

// TestDescribeTUID has in its Maildir what mbsync makes of messages: their identity is that of the originals on the server.
func TestDescribeTUID(t *testing.T) {
	ctx := context.Background()
	header := "From: a@b\nMessage-ID: <1@x>\nSubject: x\n"
	for name, body := range map[string]string{
		"short":   "\nbody\nX-TUID: text\n",
		"no body": "",
		"long":    "\n" + strings.Repeat("many lines\n", 100_000),
	} {
		for _, eol := range []string{"\n", "\r\n"} {
			root := t.TempDir()
			dir := filepath.Join(root, "INBOX")
			for _, sub := range []string{"cur", "new", "tmp"} {
				if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			onDisk := strings.ReplaceAll(header+mbsyncLine+body, "\n", eol)
			if err := os.WriteFile(filepath.Join(dir, "cur", "1.2_3.host,U=1:2,S"), []byte(onDisk), 0o600); err != nil {
				t.Fatal(err)
			}
			original := strings.ReplaceAll(header+body, "\n", "\r\n")
			digest := merge.NewDigest()
			_, _ = digest.Write([]byte(original))
			want, _ := digest.Sum()
			if want.Size != int64(len(original)) {
				t.Fatalf("%s: the original has size %d, want %d", name, want.Size, len(original))
			}

			s, err := Open(ctx, Options{Path: root})
			if err != nil {
				t.Fatal(err)
			}
			mb, err := s.Open(ctx, "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			err = mb.Describe(ctx, []merge.ID{"1.2_3.host"}, func(d drivers.Description) error {
				n++
				if d.Identity != want {
					t.Errorf("%s, %q: identity %v, want %v", name, eol, d.Identity, want)
				}
				if wire := want.Size + int64(len(mbsyncLine)) + 1; d.Size != wire {
					t.Errorf("%s, %q: size %d, want %d", name, eol, d.Size, wire)
				}
				return nil
			})
			if err != nil || n != 1 {
				t.Errorf("%s, %q: %d described, %v", name, eol, n, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestIdentifyPieces reads the same message in pieces of all sizes, whatever of it is digested.
func TestIdentifyPieces(t *testing.T) {
	msg := []byte("From: a@b\nx-tuid:\n pZeunL7I8S5Y\nMessage-ID: <1@x>\n\nbody\n\nX-TUID: text\n")
	digest := merge.NewDigest()
	_, _ = digest.Write(msg)
	want, _ := digest.Sum()
	for n := 1; n <= len(msg)+1; n++ {
		for _, r := range []io.Reader{bytes.NewReader(msg), iotest.DataErrReader(bytes.NewReader(msg))} {
			id, size, err := identify(r, false, make([]byte, n))
			if wire := int64(len(msg) + bytes.Count(msg, []byte{'\n'})); err != nil || id != want || size != wire {
				t.Errorf("in pieces of %d: %v, size %d (%v), want %v, size %d", n, id, size, err, want, wire)
			}
		}
	}
}
