package logstate

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateFrames = flag.Bool("update-frames", false, "write the golden frames anew")

func goldenFrames() []frame {
	return []frame{
		{Kind: 1, Version: 1, Epoch: 1, Index: 1},
		{Kind: 2, Version: 1, Epoch: 0x01020304, Index: 0x1112131415161718, Mailbox: 0x21222324, Seq: 0x3132333435363738, Payload: []byte("payload")},
		{Kind: frameLost, Version: 1, Epoch: 7, Index: 42},
		{Kind: 9, Version: 1, Epoch: 1<<32 - 1, Index: 1<<64 - 1, Mailbox: 1<<32 - 1, Seq: 1<<64 - 1, Payload: bytes.Repeat([]byte{0}, 100)},
	}
}

func TestFramesAreTheGoldenOnes(t *testing.T) {
	path := filepath.Join("testdata", "frames.hex")
	var lines []string
	for _, f := range goldenFrames() {
		lines = append(lines, hex.EncodeToString(appendEntry(nil, f)))
	}
	got := strings.Join(lines, "\n") + "\n"
	if *updateFrames {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("frames have changed; logs that exist cannot be read any more:\n%s\nnot\n%s", got, want)
	}
	for i, line := range strings.Fields(string(want)) {
		b, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		w := goldenFrames()[i]
		f, n, err := entryAt(b, w.Index, w.Epoch)
		if err != nil || n != len(b) {
			t.Fatalf("frame %d: %d bytes of %d, %v", i, n, len(b), err)
		}
		if f.Kind != w.Kind || f.Version != w.Version || f.Epoch != w.Epoch || f.Mailbox != w.Mailbox || f.Seq != w.Seq || !bytes.Equal(f.Payload, w.Payload) {
			t.Fatalf("frame %d is read as %+v", i, f)
		}
	}
}

func TestDocumentShowsTheGoldenFrame(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join("..", "docs", "log-format.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(doc), "as it stands in a segment:\n\n")
	if !ok {
		t.Fatal("the document has no example")
	}
	example, _, _ = strings.Cut(example, "\n\n")
	var got []byte
	for line := range strings.Lines(example) {
		text := strings.TrimSpace(line)
		if i := strings.Index(text, "  "); i >= 0 {
			text = text[:i]
		}
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got = append(got, b...)
	}
	if want := appendEntry(nil, goldenFrames()[1]); !bytes.Equal(got, want) {
		t.Fatalf("the document shows\n%x\nbut the frame is\n%x", got, want)
	}
}

func TestFrameBitFlips(t *testing.T) {
	for _, f := range goldenFrames() {
		b := encodeFrame(nil, f)
		for bit := range len(b) * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			if got, err := decodeFrame(b); !errors.Is(err, errBadFrame) {
				t.Fatalf("bit %d flipped: %+v, %v", bit, got, err)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
		for n := range b {
			if _, err := decodeFrame(b[:n]); !errors.Is(err, errBadFrame) {
				t.Fatalf("cut to %d bytes: %v", n, err)
			}
		}
	}
}

// resum makes the checksum right again.
func resum(b []byte) []byte {
	f := encodeFrame(nil, frame{Kind: 1, Payload: b[frameHeaderSize:]})
	copy(f[4:], b[4:frameHeaderSize])
	return sealed(f)
}

func TestUnknownFrames(t *testing.T) {
	for _, c := range []struct {
		at   int
		to   byte
		want error
	}{
		{4, 0, errBadFrame},     // no kind
		{5, 0, errBadFrame},     // no version
		{5, 2, ErrNewerVersion}, // of the payload
		{5, 255, ErrNewerVersion},
		{6, 1, ErrNewerVersion}, // of the header
		{7, 1, ErrNewerVersion},
	} {
		b := encodeFrame(nil, frame{Kind: 1, Index: 1, Payload: []byte("x")})
		b[c.at] = c.to
		if _, err := decodeFrame(resum(b)); !errors.Is(err, c.want) {
			t.Errorf("byte %d = %d: %v", c.at, c.to, err)
		}
	}
	if _, err := decodeFrame(make([]byte, 100)); !errors.Is(err, errBadFrame) {
		t.Errorf("zeroes: %v", err)
	}
}

func TestEntryLengthIsStrict(t *testing.T) {
	b := encodeFrame(nil, frame{Kind: 1, Index: 1})
	long := append([]byte{byte(len(b)) | 0x80, 0}, b...) // the same length in two bytes
	for _, e := range [][]byte{long, {0}, {31}, {32}, b, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}} {
		if _, _, err := entryAt(e, 1, 0); !errors.Is(err, errBadFrame) {
			t.Errorf("%x: %v", e, err)
		}
	}
	if n := uvarintLen(uint64(len(b))); n != 1 || uvarintLen(128) != 2 || uvarintLen(1<<14-1) != 2 || uvarintLen(1<<14) != 3 {
		t.Errorf("length of lengths: %d", n)
	}
}

func FuzzDecodeFrame(f *testing.F) {
	for _, g := range goldenFrames() {
		f.Add(encodeFrame(nil, g))
	}
	f.Add([]byte{})
	f.Add(make([]byte, frameHeaderSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		// As it is, and with a right checksum, so that what is behind the checksum is reached.
		fixed := bytes.Clone(b)
		if len(fixed) >= frameHeaderSize {
			fixed = resum(fixed)
		}
		for _, b := range [][]byte{b, fixed} {
			g, err := decodeFrame(b)
			switch {
			case err == nil:
				if again := encodeFrame(nil, g); !bytes.Equal(again, b) {
					t.Fatalf("%x is read as %+v and written as %x", b, g, again)
				}
			case !errors.Is(err, errBadFrame) && !errors.Is(err, ErrNewerVersion):
				t.Fatalf("%x: %v", b, err)
			}
		}
	})
}
