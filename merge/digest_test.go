package merge

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// slowDigest is the definition of the canonical form in the simplest words, over a whole message.
func slowDigest(msg []byte) (Identity, Content) {
	var size int64
	for i, c := range msg {
		size++
		if c == '\n' && (i == 0 || msg[i-1] != '\r') {
			size++
		}
	}
	separated := bytes.HasPrefix(bytes.ReplaceAll(msg, []byte{'\r'}, nil), []byte("From "))
	msg, omitted := withoutTUID(msg)
	text := bytes.ReplaceAll(msg, []byte{'\r'}, nil)
	if separated {
		if _, rest, ok := bytes.Cut(text, []byte{'\n'}); ok {
			text = rest
		}
	}
	text = bytes.TrimRight(text, "\n")
	header, body, hasBody := bytes.Cut(text, []byte("\n\n"))
	if bytes.HasPrefix(text, []byte{'\n'}) {
		header, body, hasBody = nil, text[1:], true
	}
	canonical := bytes.Clone(header)
	for i, c := range canonical {
		if c >= 0x80 || c == 0 {
			canonical[i] = 'X'
		}
	}
	id := Identity{Header: HeaderIdentity(canonical), Size: size - omitted}
	if hasBody {
		if len(header) > 0 {
			canonical = append(canonical, '\n')
		}
		canonical = append(canonical, '\n')
		canonical = append(canonical, bytes.ReplaceAll(body, []byte{0}, []byte{0x80})...)
	}
	sum := sha256.Sum256(canonical)
	return id, Content(sum[:16])
}

// withoutTUID returns the message without the X-TUID fields of its header, and how many bytes they are in CRLF form.
func withoutTUID(msg []byte) (kept []byte, omitted int64) {
	bare := func(line []byte) []byte { return bytes.Trim(bytes.ReplaceAll(line, []byte{'\r'}, nil), "\n") }
	lines := bytes.SplitAfter(msg, []byte{'\n'})
	first := len(lines) > 1 && bytes.HasPrefix(bare(lines[0]), []byte("From "))
	header, inside := true, false
	for i, line := range lines {
		text := bare(line)
		if i > 0 || !first {
			header = header && len(text) > 0
		}
		folded := len(text) > 0 && (text[0] == ' ' || text[0] == '\t')
		inside = header && (folded && inside || len(text) >= 7 && bytes.EqualFold(text[:7], []byte("X-TUID:")))
		if !inside {
			kept = append(kept, line...)
			continue
		}
		omitted += int64(len(line))
		if bytes.HasSuffix(line, []byte{'\n'}) && !bytes.HasSuffix(line, []byte("\r\n")) {
			omitted++
		}
	}
	return kept, omitted
}

func digestOf(chunks ...[]byte) (Identity, Content) {
	d := NewDigest()
	for _, c := range chunks {
		n, err := d.Write(c)
		if n != len(c) || err != nil {
			panic("short write")
		}
	}
	return d.Sum()
}

// message draws bytes that matter to the canonical form.
var drawnMessage = rapid.Custom(func(t *rapid.T) []byte {
	words := []string{"\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "From ", "Fro", "From: a@b", "Subject: x", "Message-ID: <1>", " ", "\t", "\x00", "\xe4", "a", ":", "body text",
		"X-TUID: abcdefghijkl", "x-tuid:", "X-T", "\nX-TUID: abcdefghijkl\n", "\r\nX-Tuid:\r\n folded\r\n", "X-TUIDs: 1"}
	var out []byte
	for _, w := range rapid.SliceOf(rapid.SampledFrom(words)).Draw(t, "words") {
		out = append(out, w...)
	}
	return out
})

func TestDigestDefinition(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		msg := drawnMessage.Draw(rt, "message")
		wantID, want := slowDigest(msg)
		var chunks [][]byte
		for rest := msg; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(rt, "chunk")
			chunks, rest = append(chunks, rest[:n]), rest[n:]
		}
		if id, c := digestOf(chunks...); id != wantID || c != want {
			rt.Fatalf("%q in %d chunks: %v %x, want %v %x", msg, len(chunks), id, c, wantID, want)
		}
	})
}

func TestDigestLong(t *testing.T) {
	header := append([]byte("Subject: "), bytes.Repeat([]byte("long \xfc\n "), 3*maxBuffer)...)
	for name, msg := range map[string][]byte{
		"long line":        append([]byte("Subject: x\n\n"), bytes.Repeat([]byte("abc\x00"), maxBuffer)...),
		"many empty lines": append(append([]byte("Subject: x\n\n"), bytes.Repeat([]byte("\r\n"), 3*maxBuffer)...), "end"...),
		"empty at the end": append([]byte("Subject: x\n\nbody"), bytes.Repeat([]byte("\n"), 3*maxBuffer)...),
		"many CRs":         append([]byte("Subject: x\n\n"), bytes.Repeat([]byte("a\r"), maxBuffer)...),
		"one From line":    bytes.Repeat([]byte("From "), maxBuffer),
	} {
		wantID, want := slowDigest(msg)
		if id, c := digestOf(msg); id != wantID || c != want {
			t.Errorf("%s: digest differs from the definition", name)
		}
	}
	// A header that is longer than what is kept: only the content covers all of it.
	_, want := slowDigest(header)
	if id, c := digestOf(header[:7], header[7:]); c != want || !id.Known() {
		t.Error("long header: content differs from the definition")
	}
}

// TestDigestAlterations lists what stores do to messages, and what makes them different all the same.
func TestDigestAlterations(t *testing.T) {
	base := "From: a@b\r\nSubject: f\xfcr\r\nMessage-ID: <1@x>\r\n\r\nbody\r\nmore\r\n"
	id, content := digestOf([]byte(base))
	for name, same := range map[string]string{
		"bare LF":             "From: a@b\nSubject: f\xfcr\nMessage-ID: <1@x>\n\nbody\nmore\n",
		"no final line end":   "From: a@b\r\nSubject: f\xfcr\r\nMessage-ID: <1@x>\r\n\r\nbody\r\nmore",
		"8-bit header masked": "From: a@b\r\nSubject: fXr\r\nMessage-ID: <1@x>\r\n\r\nbody\r\nmore\r\n",
		"mbox separator":      "From a@b Thu Jan  1 00:00:00 1970\nFrom: a@b\nSubject: f\xfcr\nMessage-ID: <1@x>\n\nbody\nmore\n",
		"empty line added":    base + "\r\n",
		"stray CR dropped":    "From: a@b\r\nSubject: f\xfcr\r\nMessage-ID: <1@x>\r\n\r\nbo\rdy\r\nmore\r\n",
	} {
		gotID, got := digestOf([]byte(same))
		if !got.Same(content) || gotID.Header != id.Header {
			t.Errorf("%s: not taken for the same", name)
		}
	}
	for name, other := range map[string]string{
		"other body":        "From: a@b\r\nSubject: f\xfcr\r\nMessage-ID: <1@x>\r\n\r\nbody\r\nmore!\r\n",
		"other header":      "From: a@b\r\nSubject: fur\r\nMessage-ID: <1@x>\r\n\r\nbody\r\nmore\r\n",
		"8-bit body masked": "From: a@b\r\nSubject: f\xfcr\r\nMessage-ID: <1@x>\r\n\r\nbodX\r\nmore\r\n",
		"line added":        "From: a@b\r\nSubject: f\xfcr\r\nMessage-ID: <1@x>\r\n\r\n\r\nbody\r\nmore\r\n",
		"empty":             "",
	} {
		if _, got := digestOf([]byte(other)); got.Same(content) {
			t.Errorf("%s: taken for the same", name)
		}
	}
	if id.Size != int64(len(base)) {
		t.Errorf("size %d, want %d", id.Size, len(base))
	}
}

// TestDigestTUID looks past the line that mbsync adds to what it copies.
func TestDigestTUID(t *testing.T) {
	const a, b, rest = "From: a@b\r\n", "Subject: x\r\n y\r\n", "\r\nX-TUID: quoted\r\nbody\r\n"
	original := a + b + rest
	id, content := digestOf([]byte(original))
	if id.Size != int64(len(original)) {
		t.Errorf("the original has size %d, want %d", id.Size, len(original))
	}
	const line = "X-TUID: pZeunL7I8S5Y\r\n"
	for name, same := range map[string]string{
		"last of the header":  a + b + line + rest,
		"first of the header": line + a + b + rest,
		"between":             a + line + b + rest,
		"twice":               a + line + line + b + rest,
		"other case":          a + "x-tuiD:\r\n" + b + rest,
		"folded":              a + "X-TUID:\r\n pZeunL7I8S5Y\r\n\t\r\n" + b + rest,
		"bare LF":             strings.ReplaceAll(a+line+b+rest, "\r\n", "\n"),
		"stray CR":            a + "X-\rTUID: a\rb\r\r\n" + b + rest,
		"longer than kept":    a + "X-TUID: " + strings.Repeat("y", 2*maxHeader) + "\r\n" + b + rest,
	} {
		if gotID, got := digestOf([]byte(same)); gotID != id || !got.Same(content) {
			t.Errorf("%s: not taken for the same: %v, want %v", name, gotID, id)
		}
		for cut := range min(len(same), 200) {
			if gotID, got := digestOf([]byte(same[:cut]), []byte(same[cut:])); gotID != id || got != content {
				t.Errorf("%s: another digest when it is cut at %d", name, cut)
			}
		}
	}
	for name, other := range map[string]string{
		"in the body":            a + b + "\r\n" + line + strings.TrimPrefix(rest, "\r\n"),
		"not in the body":        a + b + "\r\nbody\r\n",
		"longer name":            a + "X-TUIDs: 1\r\n" + b + rest,
		"blank before the colon": a + "X-TUID : 1\r\n" + b + rest,
		"no colon":               a + "X-TUID\r\n" + b + rest,
		"folded into another":    a + " X-TUID: 1\r\n" + b + rest,
		"a field after it":       a + line + "X: 1\r\n" + b + rest,
	} {
		gotID, got := digestOf([]byte(other))
		if got.Same(content) {
			t.Errorf("%s: taken for the same", name)
		}
		if want := int64(len(other)); name != "a field after it" && gotID.Size != want {
			t.Errorf("%s: size %d, want %d", name, gotID.Size, want)
		}
	}
	for with, without := range map[string]string{
		line + "\r\nbody":                       "\r\nbody", // no header at all
		line:                                    "",
		"X-TUID: unfinished":                    "",
		"From x\r\n" + line + a + "\r\nbody":    "From x\r\n" + a + "\r\nbody",
		a + "X-TUID: 1\r\n unfinished":          a,
		"To: b\r\n" + line + "\r\n\r\n\r\nbody": "To: b\r\n\r\n\r\n\r\nbody",
	} {
		gotID, got := digestOf([]byte(with))
		if wantID, want := digestOf([]byte(without)); gotID != wantID || got != want {
			t.Errorf("%q: %v %x, want %v %x", with, gotID, got, wantID, want)
		}
		d := NewDigest()
		_, _ = d.Write([]byte(with))
		if d.Sum(); d.Omitted() != int64(len(with)-len(without)) {
			t.Errorf("%q: %d bytes omitted, want %d", with, d.Omitted(), len(with)-len(without))
		}
	}
}

func TestHeaderIdentity(t *testing.T) {
	base := HeaderIdentity([]byte("Message-ID: <1@x>\r\nDate: now\r\nFrom: a\r\nSubject: long\r\n line\r\n\r\n"))
	for name, same := range map[string]string{
		"other fields skipped":     "Received: x\r\n y\r\nMessage-ID: <1@x>\r\nDate: now\r\nX-A: b\r\nFrom: a\r\nSubject: long\r\n line\r\n",
		"order":                    "Subject: long\r\n line\r\nFrom: a\r\nDate: now\r\nMessage-ID: <1@x>\r\n\r\n",
		"case and blanks of names": "MESSAGE-id : <1@x>\r\ndate: now\r\nfrom: a\r\nsubject: long\r\n line\r\n",
		"bare LF":                  "Message-ID: <1@x>\nDate: now\nFrom: a\nSubject: long\n line\n",
		"unfolded, blanks":         "Message-ID: <1@x>\r\nDate:now\r\nFrom:   a \r\nSubject: long   \t line\r\n",
		"stray CR":                 "Message-ID: <1\r@x>\r\nDate: now\r\r\nFrom: a\r\nSub\rject: long\r\n line\r\n",
		"what follows the header":  "Message-ID: <1@x>\r\nDate: now\r\nFrom: a\r\nSubject: long\r\n line\r\n\r\nSubject: body\r\n",
	} {
		if HeaderIdentity([]byte(same)) != base {
			t.Errorf("%s: another identity", name)
		}
	}
	for name, other := range map[string]string{
		"other id":        "Message-ID: <2@x>\r\nDate: now\r\nFrom: a\r\nSubject: long\r\n line\r\n",
		"field missing":   "Message-ID: <1@x>\r\nFrom: a\r\nSubject: long\r\n line\r\n",
		"field twice":     "Message-ID: <1@x>\r\nDate: now\r\nDate: now\r\nFrom: a\r\nSubject: long\r\n line\r\n",
		"values swapped":  "Message-ID: <1@x>\r\nDate: a\r\nFrom: now\r\nSubject: long\r\n line\r\n",
		"nothing at all":  "",
		"no fold, no gap": "Message-ID: <1@x>\r\nDate: now\r\nFrom: a\r\nSubject: longline\r\n",
	} {
		if HeaderIdentity([]byte(other)) == base {
			t.Errorf("%s: the same identity", name)
		}
	}
	if HeaderIdentity(nil) == 0 {
		t.Error("an empty header has no identity")
	}
	fields := IdentityFields()
	fields[0] = "x"
	if IdentityFields()[0] == "x" {
		t.Error("IdentityFields hands out its own memory")
	}
}

func FuzzDigest(f *testing.F) {
	for _, s := range []string{"", "\n", "From ", "From x\nSubject: a\n\nb", "Subject: a\r\n\r\nb\r\n\r\n", "\r\r\n\x00\xff", "Subject: a\n b\n\nFrom c\n",
		"Subject: a\r\nX-TUID: abcdefghijkl\r\n\r\nb", "X-TUID: a", "x-tuid:\n b\n\nX-TUID: c\n", "From x\nX-TU", "X-\rTUID: a\r\n\tb\r\r\nX-TUIDs: c\n", "X-TUID : a\n b\n"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, msg []byte, cut uint8) {
		if len(msg) > 64<<10 {
			return
		}
		wantID, want := slowDigest(msg)
		n := min(int(cut), len(msg))
		id, c := digestOf(msg[:n], msg[n:])
		if id != wantID || c != want {
			t.Fatalf("digest differs from the definition: %v %x, want %v %x", id, c, wantID, want)
		}
		if !id.Known() || !c.Known() {
			t.Fatal("not known")
		}
	})
}

// TestDigestCorpus digests real mail as it stands on disk, on the wire, and masked, and expects no two to be taken for one another by identity alone.
func TestDigestCorpus(t *testing.T) {
	for _, name := range []string{"ordinary", "odd"} {
		t.Run(name, func(t *testing.T) {
			n := 0
			seen := map[Identity]Content{}
			for msg := range corpus(t, name) {
				n++
				wantID, want := slowDigest(msg)
				id, c := digestOf(msg)
				if id != wantID || c != want {
					t.Errorf("message %d: digest differs from the definition", n)
				}
				wire := bytes.ReplaceAll(bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
				if wireID, wireSum := digestOf(wire); wireSum != c || wireID != id {
					t.Errorf("message %d: digest differs in wire form", n)
				}
				if other, ok := seen[id]; ok && other != c && name == "ordinary" {
					t.Errorf("message %d: another message has its identity", n)
				}
				seen[id] = c
			}
			if n < 100 {
				t.Errorf("only %d messages", n)
			}
		})
	}
}

// corpus yields the messages of an archive of real mail; it skips the test where that is not at hand.
func corpus(t *testing.T, name string) func(yield func([]byte) bool) {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "..", "shared", "corpus", name+".tar.gz"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the corpus of real mail is not there")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	zr, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(zr)
	return func(yield func([]byte) bool) {
		for {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Typeflag != tar.TypeReg {
				continue
			}
			msg, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(msg) {
				return
			}
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	msg := []byte("From: a@b\r\nSubject: x\r\nMessage-ID: <1@x>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\r\n")
	for len(msg) < 1<<20 {
		msg = append(msg, "The quick brown fox jumps over the lazy dog, and over it again, and again.\r\n"...)
	}
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		digestOf(msg)
	}
}

func BenchmarkDigestSmall(b *testing.B) {
	msg := []byte("From: a@b\r\nSubject: x\r\nMessage-ID: <1@x>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n")
	for len(msg) < 3000 {
		msg = append(msg, "Received: from a.example by b.example with ESMTP id 12345;\r\n\tThu, 1 Jan 1970 00:00:00 +0000\r\n"...)
	}
	msg = append(msg, "\r\nshort\r\n"...)
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		digestOf(msg)
	}
}
