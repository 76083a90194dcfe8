package everystep

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"driftless/drivers/drivertest"
	"driftless/merge"
	"driftless/tests/harness"
)

// Messages have names. The name says what the message is like:
//
//	a        an ordinary mail
//	a!x      the same header as a, another body of another size
//	a~x      the same header and size as a, another body
//	noid:a   a mail without Message-ID
//	bare:a   a header without a field that identifies anything
//	raw:a    no header at all
//	8bit:a   8-bit characters in header and body, several parts
//	big:a    a mail that is larger than what is read ahead
//	bad:a    a mail that the stores of a scenario may refuse (refuseBad)

var names = struct {
	sync.Mutex
	byDigest map[string]string
	byNumber map[int]string
}{byDigest: map[string]string{}, byNumber: map[int]string{}}

// number returns the number of the mail that a name is derived from.
func number(t testing.TB, name string) int {
	t.Helper()
	base, _, _ := strings.Cut(name, "!")
	base, _, _ = strings.Cut(base, "~")
	h := fnv.New32a()
	_, _ = h.Write([]byte(base))
	n := int(h.Sum32() % 1_000_000)
	names.Lock()
	defer names.Unlock()
	if other, ok := names.byNumber[n]; ok && other != base {
		t.Fatalf("the messages %q and %q have the same number: rename one", other, base)
	}
	names.byNumber[n] = base
	return n
}

// text returns the message with this name, in wire form.
func text(t testing.TB, name string) []byte {
	t.Helper()
	n := number(t, name)
	var opt drivertest.MessageOptions
	base, body, longer := strings.Cut(name, "!")
	base, end, other := strings.Cut(base, "~")
	kind, _, kinded := strings.Cut(base, ":")
	if !kinded {
		kind = ""
	}
	var out []byte
	switch kind {
	case "noid":
		opt.NoMessageID = true
	case "8bit":
		opt.EightBit, opt.Multipart = true, true
	case "big":
		opt.Size = 200 << 10
	case "bare":
		out = fmt.Appendf(nil, "X-Note: %06d\r\n\r\nbody %06d\r\n", n, n)
	case "raw":
		out = fmt.Appendf(nil, "no header %06d\r\nand nothing else\r\n", n)
	}
	if out == nil {
		out = drivertest.Message(n, opt)
	}
	if longer {
		out = append(out, "PS: "+body+"\r\n"...)
	}
	if other {
		tail := out[:len(out)-2]
		copy(tail[len(tail)-len(end):], end)
	}
	names.Lock()
	defer names.Unlock()
	names.byDigest[harness.Digest(out)] = name
	return out
}

// nameOf returns the name of a message, or what it is if it is none of ours.
func nameOf(digest string) string {
	names.Lock()
	defer names.Unlock()
	if n, ok := names.byDigest[digest]; ok {
		return n
	}
	return "UNKNOWN-" + digest
}

// isBad reports whether a message is one of the kind bad.
func isBad(data []byte) bool { return strings.HasPrefix(nameOf(harness.Digest(data)), "bad:") }

func date(t testing.TB, name string) time.Time { return drivertest.MessageDate(number(t, name)) }

// letterOf has the letters that scenarios write for flags, in the order in which they are shown.
var letterOf = []struct {
	letter byte
	flag   merge.System
}{{'D', merge.Draft}, {'F', merge.Flagged}, {'P', merge.Forwarded}, {'R', merge.Answered}, {'S', merge.Seen}, {'T', merge.Deleted}}

// parseFlags reads flags as scenarios write them: letters, then keywords, each after a comma ("FS,todo").
func parseFlags(t testing.TB, s string) merge.Flags {
	t.Helper()
	words := strings.Split(s, ",")
	var system merge.System
	for _, c := range []byte(words[0]) {
		i := slices.IndexFunc(letterOf, func(l struct {
			letter byte
			flag   merge.System
		}) bool {
			return l.letter == c
		})
		if i < 0 {
			t.Fatalf("no flag has the letter %q", c)
		}
		system |= letterOf[i].flag
	}
	return merge.SystemFlags(system).Union(merge.NewFlags(words[1:]...))
}

// showFlags writes flags as parseFlags reads them.
func showFlags(f merge.Flags) string {
	var out bytes.Buffer
	for _, l := range letterOf {
		if f.System()&l.flag != 0 {
			out.WriteByte(l.letter)
		}
	}
	words := f.Keywords()
	for i, w := range words {
		words[i] = strings.ToLower(w)
	}
	slices.Sort(words)
	for _, w := range words {
		out.WriteString("," + w)
	}
	return out.String()
}

// item is a message in a scenario's notation: "a" or "a/FS,todo".
type item struct {
	name  string
	flags merge.Flags
}

// parse reads what a store holds, as scenarios write it: "INBOX: a b/S; Box: c". A mailbox may be empty: "Box:". "m1..m9" stands for nine messages.
func parse(t testing.TB, s string) map[string][]item {
	t.Helper()
	out := map[string][]item{}
	for part := range strings.SplitSeq(s, ";") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		box, list, ok := strings.Cut(part, ": ")
		if !ok {
			box, ok = strings.CutSuffix(strings.TrimRight(part, " "), ":")
		}
		if box = strings.TrimSpace(box); !ok || box == "" {
			t.Fatalf("cannot read %q of %q", part, s)
		}
		out[box] = []item{}
		for word := range strings.FieldsSeq(list) {
			word, flags, _ := strings.Cut(word, "/")
			for _, name := range spread(t, word) {
				out[box] = append(out[box], item{name, parseFlags(t, flags)})
			}
		}
	}
	return out
}

// spread returns the names that "m1..m9" stands for.
func spread(t testing.TB, word string) []string {
	t.Helper()
	from, to, ok := strings.Cut(word, "..")
	if !ok {
		return []string{word}
	}
	stem := strings.TrimRight(from, "0123456789")
	var a, b int
	if _, err := fmt.Sscan(from[len(stem):]+" "+strings.TrimPrefix(to, stem), &a, &b); err != nil {
		t.Fatalf("cannot read %q: %v", word, err)
	}
	var out []string
	for i := a; i <= b; i++ {
		out = append(out, fmt.Sprintf("%s%d", stem, i))
	}
	return out
}

// line is how a message is shown and compared.
func line(box, name, flags string, date time.Time) string {
	return fmt.Sprintf("%s: %s/%s %s", box, name, flags, date.UTC().Format(time.DateTime))
}

// lines returns what a store that holds this has: a line per mailbox and per message, sorted.
func lines(t testing.TB, spec string) []string {
	t.Helper()
	var out []string
	for box, items := range parse(t, spec) {
		out = append(out, box)
		for _, it := range items {
			text(t, it.name)
			out = append(out, line(box, it.name, showFlags(it.flags), date(t, it.name)))
		}
	}
	slices.Sort(out)
	return out
}
