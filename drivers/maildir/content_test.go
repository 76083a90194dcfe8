package maildir

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"driftless/drivers"
	"driftless/merge"
)

// roundTrip appends data and returns what comes back, and the file that holds it.
func roundTrip(t testing.TB, m *Mailbox, data []byte) (got []byte, onDisk string) {
	t.Helper()
	res, err := m.Append(t.Context(), []drivers.Append{{Reserved: m.Reserve(), Content: drivers.Bytes(data)}})
	if err != nil {
		t.Fatal(err)
	}
	err = m.Fetch(t.Context(), []merge.ID{res[0].ID}, func(f drivers.Fetched) error {
		if f.Err != nil {
			return f.Err
		}
		got = contentBytes(t, f.Content)
		return f.Content.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	f, ok := m.hint(res[0].ID)
	if !ok {
		t.Fatal("the message has no file")
	}
	return got, filepath.Join(m.dir, f.path())
}

// contentBytes reads content twice, in pieces of different size, and checks that it has its size.
func contentBytes(t testing.TB, c drivers.Content) []byte {
	t.Helper()
	var got [2][]byte
	for i := range got {
		r, err := c.Open()
		if err != nil {
			t.Fatal(err)
		}
		var src io.Reader = r
		if i == 1 {
			src = iotest.HalfReader(r)
		}
		if got[i], err = io.ReadAll(src); err != nil {
			t.Fatal(err)
		}
		if int64(len(got[i])) != c.Size() {
			t.Errorf("%d bytes, Size says %d", len(got[i]), c.Size())
		}
	}
	if !bytes.Equal(got[0], got[1]) {
		t.Error("two reads differ")
	}
	return got[0]
}

func TestContentOnDisk(t *testing.T) {
	s, _ := tree(t, FS)
	m := openBox(t, s, inbox)
	big := strings.Repeat(strings.Repeat("x", 70)+"\r\n", 30_000)
	for _, c := range []struct{ name, wire, disk string }{
		{"plain", "a\r\nb\r\n", "a\nb\n"},
		{"no final newline", "a\r\nb", "a\nb"},
		{"empty", "", ""},
		{"bare CR", "a\rb\r\n", "a\rb\r\n"},
		{"CR CR LF", "a\r\r\n", "a\r\r\n"},
		{"final CR", "a\r\nb\r", "a\r\nb\r"},
		{"only CR", "\r", "\r"},
		{"mixed", "a\nb\r\n", "a\nb\r\n"},
		{"bare LF only", "a\nb\n", "a\nb\n"},
		{"bare LF and bare CR", "a\nb\rc", "a\nb\rc"},
		{"LF CR", "a\n\rb", "a\n\rb"},
		{"NUL", "a\x00\r\n\x00", "a\x00\n\x00"},
		{"big", big, strings.ReplaceAll(big, "\r\n", "\n")},
		{"big, bare LF at the end", big + "\n", big + "\n"},
		{"big, bare LF only", strings.ReplaceAll(big, "\r\n", "\n"), strings.ReplaceAll(big, "\r\n", "\n")},
		{"big, bare CR", big + "\rx\r\n", big + "\rx\r\n"},
	} {
		got, path := roundTrip(t, m, []byte(c.wire))
		if string(got) != c.wire {
			t.Errorf("%s: %d bytes came back, want %d", c.name, len(got), len(c.wire))
		}
		disk, err := os.ReadFile(path)
		if err != nil || string(disk) != c.disk {
			t.Errorf("%s: %d bytes on disk (%v), want %d", c.name, len(disk), err, len(c.disk))
		}
		if verbatim := isVerbatim(filepath.Base(path)); verbatim != strings.Contains(c.name, "bare LF") && c.name != "LF CR" && c.name != "big, bare LF at the end" {
			t.Errorf("%s: verbatim field %v", c.name, verbatim)
		}
	}
}

// FuzzContent checks that whatever is stored comes back, small and through the streaming path, and that identity and size are those of the digest.
func FuzzContent(f *testing.F) {
	for _, s := range []string{"", "\r", "\n", "\r\n", "a\r\nb\n", "a\rb\n", "\r\r\n\n", "A: b\r\n\r\nc", "A: b\n\nc\n", "From x\nA: b\r\n\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		path := filepath.Join(t.TempDir(), "m")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		verbatim, err := fill(file, drivers.Bytes(wire))
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{0, inMemory + 1} {
			r, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			c, err := contentOf(r, size, verbatim)
			if err != nil {
				t.Fatal(err)
			}
			if got := contentBytes(t, c); !bytes.Equal(got, wire) {
				t.Fatalf("%q came back as %q", wire, got)
			}
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}
		digest := merge.NewDigest()
		_, _ = digest.Write(wire)
		want, _ := digest.Sum()
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, bufferSize} {
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			got, size, err := identify(file, verbatim, make([]byte, n))
			if err != nil || got != want || size != int64(len(wire)) {
				t.Fatalf("%q: identity %v, size %d (%v), want %v, %d", wire, got, size, err, want, len(wire))
			}
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestContentThatFails(t *testing.T) {
	s, _ := tree(t, FS)
	m := openBox(t, s, inbox)
	boom := errors.New("connection lost")
	res, err := m.Append(t.Context(), []drivers.Append{
		{Reserved: m.Reserve(), Content: brokenContent{io.MultiReader(strings.NewReader("a\r\n"), iotest.ErrReader(boom)), 10}},
		{Reserved: m.Reserve(), Content: brokenContent{strings.NewReader("short"), 10}},
		{Reserved: m.Reserve(), Content: drivers.Bytes("good")},
	})
	if err != nil {
		t.Fatalf("errors of single messages became an error of all: %v", err)
	}
	if !errors.Is(res[0].Err, boom) || drivers.ReachOf(res[0].Err) != drivers.ReachMessage {
		t.Errorf("broken content: %v", res[0].Err)
	}
	if res[1].Err == nil || drivers.ReachOf(res[1].Err) != drivers.ReachMessage {
		t.Errorf("short content: %v", res[1].Err)
	}
	if res[2].Err != nil {
		t.Errorf("good content: %v", res[2].Err)
	}
	if got := files(t, m.dir); len(got) != 1 {
		t.Errorf("files %q, want just the good message", got)
	}
}

type brokenContent struct {
	r    io.Reader
	size int64
}

func (b brokenContent) Size() int64                  { return b.size }
func (b brokenContent) Open() (io.ReadCloser, error) { return io.NopCloser(b.r), nil }
func (b brokenContent) Close() error                 { return nil }

// TestCorpus sends real mail through the store: as it is, and with CRLF.
func TestCorpus(t *testing.T) {
	for _, archive := range []string{"ordinary", "odd"} {
		t.Run(archive, func(t *testing.T) {
			f, err := os.Open("../../../shared/corpus/" + archive + ".tar.gz")
			if err != nil {
				t.Skipf("no corpus of real mail beside the repository: %v", err)
			}
			defer f.Close()
			z, err := gzip.NewReader(f)
			if err != nil {
				t.Fatal(err)
			}
			s, _ := tree(t, FS)
			m := openBox(t, s, inbox)
			want := make(map[merge.ID][]byte)
			var batch []drivers.Append
			flush := func() {
				res, err := m.Append(t.Context(), batch)
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range res {
					want[r.ID] = batch[i].Content.(drivers.Bytes)
				}
				batch = nil
			}
			for r := tar.NewReader(z); ; {
				h, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if h.Typeflag != tar.TypeReg {
					continue
				}
				data, err := io.ReadAll(r)
				if err != nil {
					t.Fatal(err)
				}
				crlf := bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
				batch = append(batch, drivers.Append{Reserved: m.Reserve(), Content: drivers.Bytes(data)},
					drivers.Append{Reserved: m.Reserve(), Flags: merge.SystemFlags(merge.Seen), Content: drivers.Bytes(crlf)})
				if len(batch) >= 500 {
					flush()
				}
			}
			flush()
			var ids []merge.ID
			for id := range want {
				ids = append(ids, id)
			}
			n := 0
			err = m.Fetch(t.Context(), ids, func(f drivers.Fetched) error {
				if f.Err != nil {
					return f.Err
				}
				n++
				if got := contentBytes(t, f.Content); !bytes.Equal(got, want[f.ID]) {
					t.Errorf("message %d: %d bytes came back, want %d", n, len(got), len(want[f.ID]))
				}
				return f.Content.Close()
			})
			if err != nil || n != len(want) || n == 0 {
				t.Fatalf("%d of %d messages came back: %v", n, len(want), err)
			}
			err = m.Describe(t.Context(), ids, func(d drivers.Description) error {
				digest := merge.NewDigest()
				_, _ = digest.Write(want[d.ID])
				if identity, _ := digest.Sum(); d.Identity != identity || d.Size != int64(len(want[d.ID])) {
					t.Errorf("described as %v, %d bytes; want %v, %d", d.Identity, d.Size, identity, len(want[d.ID]))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d messages", n)
		})
	}
}
