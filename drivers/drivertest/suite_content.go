package drivertest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

var contentTests = []test{
	{"Content/Bytes", testBytes},
	{"Content/Big", testBig},
	{"Content/Dates", testDates},
	{"Content/Batch", testBatch},
	{"Content/Duplicates", testDuplicates},
	{"Content/TooBig", testTooBig},
	{"Content/FetchGone", testFetchGone},
	{"Content/FetchHeld", testFetchHeld},
	{"Content/FetchUnreadable", testFetchUnreadable},
}

type oddMessage struct {
	name string
	data string
	odd  bool // a store that MayRefuse may refuse it
}

// oddMessages are contents that some store or converter gets wrong.
func oddMessages() []oddMessage {
	head := func(n int) string {
		return fmt.Sprintf("From: a@example.org\r\nDate: Sun, 9 Sep 2001 01:46:40 +0000\r\nMessage-ID: <odd%d@example.org>\r\nSubject: odd\r\n", n)
	}
	eight := make([]byte, 0, 256)
	for c := range 256 {
		if c != '\r' && c != '\n' && c != 0 {
			eight = append(eight, byte(c))
		}
	}
	return []oddMessage{
		{"ordinary", string(Message(1, MessageOptions{})), false},
		{"multipart", string(Message(2, MessageOptions{Multipart: true})), false},
		{"8-bit", string(Message(3, MessageOptions{EightBit: true})), false},
		{"no Message-ID", string(Message(4, MessageOptions{NoMessageID: true})), false},
		{"empty body", head(10) + "\r\n", false},
		{"no body, no empty line", head(11), true},
		{"no final newline", head(12) + "\r\nno newline at the end", false},
		{"no final newline in the header", "Subject: cut here", true},
		{"bare CR", head(13) + "\r\na\rb\r\rc\r\n", true},
		{"bare CR at the end", head(14) + "\r\nend\r", true},
		{"CR before CRLF", head(15) + "\r\na\r\r\nb\r\r\r\n", true},
		{"bare LF among CRLF", head(16) + "\r\na\nb\r\nc\n\n\r\nd\n", true},
		{"bare LF only", strings.ReplaceAll(head(17)+"\r\na\r\nb\r\n", "\r\n", "\n"), true},
		{"LF CR", head(18) + "\r\na\n\rb\r\n", true},
		{"NUL", head(19) + "\r\na\x00b\x00\x00\r\n\x00", true},
		{"NUL in the header", strings.Replace(head(20), "odd\r\n", "o\x00d\r\n", 1) + "\r\nx\r\n", true},
		{"every byte", head(21) + "\r\n" + string(eight) + "\r\n", true},
		{"8-bit header", strings.Replace(head(22), "odd\r\n", "Gr\xfc\xdfe \xff\xfe\r\n", 1) + "\r\nx\r\n", true},
		{"many empty lines at the end", head(23) + "\r\nx\r\n\r\n\r\n\r\n", true},
		{"dots and From", head(24) + "\r\n.\r\n..\r\nFrom here\r\n>From there\r\nFrom x Sun Sep  9 01:46:40 2001\r\n", false},
		{"long line", head(25) + "\r\n" + strings.Repeat("x", 70_000) + "\r\n", true},
		{"header only spaces", head(26) + "X-Empty:\r\nX-Folded: a\r\n\t b\r\n   c\r\n\r\nx\r\n", false},
		{"line without a colon in the header", head(27) + "no colon here\r\n\r\nx\r\n", true},
		{"empty", "", true},
		{"one CRLF", "\r\n", true},
		{"one LF", "\n", true},
		{"one CR", "\r", true},
		{"one byte", "x", true},
		{"IMAP-like", head(28) + "\r\n{3}\r\nabc)\r\n* 1 FETCH (FLAGS ())\r\nA1 OK\r\n", false},
		{"ends in CR LF boundary", head(29) + "\r\n" + strings.Repeat(strings.Repeat("y", 1022)+"\r\n", 9), true},
	}
}

// straight reports whether every line ends in CRLF and there is no other CR or LF and no NUL: then sizes have one meaning.
func straight(s string) bool {
	rest := strings.ReplaceAll(s, "\r\n", "")
	return !strings.ContainsAny(rest, "\r\n\x00") && strings.HasSuffix(s, "\r\n")
}

func testBytes(e *env) {
	for _, odd := range oddMessages() {
		b := e.made("Odd " + digits(odd.name))
		res := e.appendAll(b, item{data: []byte(odd.data), flags: merge.SystemFlags(merge.Seen)})
		if err := res[0].Err; err != nil {
			if !e.sub.MayRefuse || !odd.odd {
				e.Errorf("%s: refused: %v", odd.name, err)
			}
			if r := drivers.ReachOf(err); r != drivers.ReachMessage {
				e.Errorf("%s: the refusal has reach %d, want that of a message", odd.name, r)
			}
			if len(e.full(b)) != 0 {
				e.Errorf("%s: refused, but there is a message", odd.name)
			}
			e.ok("close", b.Close())
			continue
		}
		s := e.changes(b, "", drivers.Full)
		if len(s.entries) != 1 {
			e.Fatalf("%s: %d messages, want 1", odd.name, len(s.entries))
		}
		x := s.entries[0]
		got := e.fetch(b, x.ID)[x.ID]
		e.wantContent(odd.name, got.data, []byte(odd.data))
		d := e.describe(b, x.ID)[x.ID]
		if straight(odd.data) && !e.sub.Alters {
			want, _ := digest([]byte(odd.data))
			if d.Identity != want {
				e.Errorf("%s: identity is %+v, want %+v", odd.name, d.Identity, want)
			}
			if d.Size != int64(len(odd.data)) {
				e.Errorf("%s: described with size %d, want %d", odd.name, d.Size, len(odd.data))
			}
			if x.Size != -1 && x.Size != d.Size {
				e.Errorf("%s: listed with size %d, want %d or -1", odd.name, x.Size, d.Size)
			}
		}
		if !d.Identity.Known() {
			e.Errorf("%s: described without an identity", odd.name)
		}
		e.ok("close", b.Close())
	}
}

// digits returns a name that any store can hold.
func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, s)
}

// wantContent fails the test unless got is want, or as good as want where the store alters.
func (e *env) wantContent(what string, got, want []byte) {
	e.Helper()
	if bytes.Equal(got, want) {
		return
	}
	_, g := digest(got)
	_, w := digest(want)
	if e.sub.Alters && g == w {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	e.Errorf("%s: %d bytes came back, %d were stored; they differ from byte %d", what, len(got), len(want), i)
}

func testBig(e *env) {
	b := e.box("INBOX")
	data := Message(7, MessageOptions{Size: 3 << 20, Multipart: true})
	ids := e.putItems(b, item{data: data, n: 7}, numbered(8)[0])
	got := e.fetch(b, ids...)
	e.wantContent("3 MB", got[ids[0]].data, data)
	e.wantContent("after it", got[ids[1]].data, numbered(8)[0].data)
}

func testDates(e *env) {
	b := e.box("INBOX")
	dates := []time.Time{
		time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC),
		time.Date(2024, 2, 29, 23, 59, 59, 0, time.FixedZone("", 14*3600)),
		time.Date(2024, 3, 31, 2, 30, 0, 0, time.FixedZone("", -(9*3600+1800))),
		time.Date(2023, 12, 31, 23, 59, 59, 0, time.FixedZone("", -12*3600)),
	}
	if !e.sub.Alters { // Dovecot turns a date in the future into the present
		dates = append(dates, time.Date(2037, 12, 31, 23, 59, 59, 0, time.UTC))
	}
	for n, date := range dates {
		mark, err := b.Mark(e.ctx)
		e.ok("mark", err)
		res, err := b.Append(e.ctx, []drivers.Append{{Reserved: b.Reserve(), Date: date, Content: drivers.Bytes(Message(n, MessageOptions{}))}})
		e.ok("append", err)
		e.ok("append", res[0].Err)
		want, _ := digest(Message(n, MessageOptions{}))
		found := false
		for id, d := range e.since(b, mark) {
			if d.Identity.Header != want.Header {
				continue
			}
			found = true
			if !d.Date.Equal(date) {
				e.Errorf("described with date %v, stored with %v", d.Date, date)
			}
			if f := e.fetch(b, id)[id]; !f.Date.Equal(date) {
				e.Errorf("fetched with date %v, stored with %v", f.Date, date)
			}
			if x := e.changes(b, "", drivers.Full).byID[id]; !x.Date.IsZero() && !x.Date.Equal(date) {
				e.Errorf("listed with date %v, stored with %v", x.Date, date)
			}
		}
		if !found {
			e.Errorf("the message of %v is not among what arrived since the mark", date)
		}
	}
	// No date is now: not before the test began, in whole seconds, and not in the far future.
	begin := time.Now().Truncate(time.Second)
	res, err := b.Append(e.ctx, []drivers.Append{{Reserved: b.Reserve(), Content: drivers.Bytes(Message(99, MessageOptions{}))}})
	e.ok("append", err)
	e.ok("append", res[0].Err)
	want, _ := digest(Message(99, MessageOptions{}))
	for _, d := range e.describe(b, slices.Collect(maps.Keys(e.full(b)))...) {
		if d.Identity.Header == want.Header && (d.Date.Before(begin) || d.Date.After(begin.Add(24*time.Hour))) {
			e.Errorf("a message without a date got %v", d.Date)
		}
	}
}

func testBatch(e *env) {
	b := e.box("INBOX")
	numbers := upTo(0, 150)
	ids := e.put(b, numbers...)
	got := e.fetch(b, ids...)
	descs := e.describe(b, ids...)
	flags := e.full(b)
	if len(got) != len(ids) || len(descs) != len(ids) || len(flags) != len(ids) {
		e.Fatalf("%d fetched, %d described, %d listed; want %d", len(got), len(descs), len(flags), len(ids))
	}
	for i, id := range ids {
		it := numbered(numbers[i])[0]
		e.wantContent(fmt.Sprintf("message %d", i), got[id].data, it.data)
		if !got[id].Flags.Equal(it.flags) || !descs[id].Flags.Equal(it.flags) || !flags[id].Equal(it.flags) {
			e.Errorf("message %d: flags %v fetched, %v described, %v listed; want %v", i, got[id].Flags, descs[id].Flags, flags[id], it.flags)
		}
		if !got[id].Date.Equal(MessageDate(i)) || !descs[id].Date.Equal(MessageDate(i)) {
			e.Errorf("message %d: date %v fetched, %v described; want %v", i, got[id].Date, descs[id].Date, MessageDate(i))
		}
	}
	if res, err := b.Append(e.ctx, nil); err != nil || len(res) != 0 {
		e.Errorf("append of nothing: %v, %v", res, err)
	}
	for what, err := range map[string]error{
		"Fetch":    b.Fetch(e.ctx, nil, func(drivers.Fetched) error { e.Error("Fetch of nothing yields"); return nil }),
		"Describe": b.Describe(e.ctx, nil, func(drivers.Description) error { e.Error("Describe of nothing yields"); return nil }),
		"Look":     b.Look(e.ctx, nil, func(drivers.Entry) error { e.Error("Look at nothing yields"); return nil }),
	} {
		e.ok(what+" of nothing", err)
	}
}

// testDuplicates stores equal messages: each is a message of its own.
func testDuplicates(e *env) {
	b := e.box("INBOX")
	it := numbered(5)[0]
	ids := e.putItems(b, it, it, it)
	if u := len(slices.Compact(slices.Sorted(slices.Values(ids)))); u != 3 {
		e.Errorf("3 equal messages have %d ids", u)
	}
	for id, f := range e.fetch(b, ids...) {
		e.wantContent(string(id), f.data, it.data)
	}
}

func testTooBig(e *env) {
	limit := e.store.Info().MaxMessage
	if limit <= 0 || limit > 4<<20 {
		e.Skipf("no limit that is cheap to reach: %d", limit)
	}
	b := e.box("INBOX")
	big := item{data: Message(1, MessageOptions{Size: int(limit) + 1})}
	res := e.appendAll(b, numbered(2)[0], big, numbered(3)[0])
	e.ok("append before", res[0].Err)
	e.ok("append after", res[2].Err)
	e.wantErr("append of a message that is too big", res[1].Err, drivers.ErrTooBig)
	if r := drivers.ReachOf(res[1].Err); r != drivers.ReachMessage {
		e.Errorf("a message that is too big is an error of reach %d", r)
	}
	if len(e.full(b)) != 2 {
		e.Error("a message that is too big changed the others")
	}
}

func testFetchGone(e *env) {
	b := e.box("INBOX")
	ids := e.put(b, upTo(0, 6)...)
	e.byHand("remove", e.hand.Remove("INBOX", ids[2]))
	e.byHand("remove", e.hand.Remove("INBOX", ids[5]))
	got := e.fetch(b, ids...)
	descs := e.describe(b, ids...)
	for i, id := range ids {
		_, f := got[id]
		_, d := descs[id]
		if want := i != 2 && i != 5; f != want || d != want {
			e.Errorf("message %d: fetched %v, described %v; want %v", i, f, d, want)
		}
	}
}

// testFetchHeld keeps contents open until all were yielded, and ends a fetch early.
func testFetchHeld(e *env) {
	b := e.box("INBOX")
	ids := e.put(b, upTo(0, 40)...)
	var held []drivers.Fetched
	e.ok("fetch", b.Fetch(e.ctx, ids[:8], func(f drivers.Fetched) error {
		held = append(held, f)
		return nil
	}))
	for _, f := range held {
		n := slices.Index(ids, f.ID)
		e.wantContent("held", e.read(f), numbered(n)[0].data)
	}
	if len(held) != 8 {
		e.Errorf("%d yielded, want 8", len(held))
	}
	calls := 0
	err := b.Fetch(e.ctx, ids, func(f drivers.Fetched) error {
		calls++
		if cerr := f.Content.Close(); cerr != nil {
			return cerr
		}
		if calls == 3 {
			return errStop
		}
		return nil
	})
	e.wantErr("fetch that yield ends", err, errStop)
	if calls != 3 {
		e.Errorf("yield was called %d times after it returned an error at the third", calls)
	}
	if got := e.fetch(b, ids...); len(got) != len(ids) {
		e.Errorf("after a fetch that ended early %d of %d messages are fetched", len(got), len(ids))
	}
}

// testFetchUnreadable fetches a message that cannot be read among others: it has an error of its own.
func testFetchUnreadable(e *env) {
	spoiler, ok := e.hand.(Spoiler)
	if !ok {
		e.Skip("the hand cannot make a message unreadable")
	}
	b := e.box("INBOX")
	ids := e.put(b, upTo(0, 5)...)
	e.byHand("spoil", spoiler.Spoil("INBOX", ids[2]))
	got := map[merge.ID]bool{}
	e.ok("fetch", b.Fetch(e.ctx, ids, func(f drivers.Fetched) error {
		got[f.ID] = f.Err == nil
		if f.Err == nil {
			e.wantContent("beside an unreadable message", e.read(f), numbered(slices.Index(ids, f.ID))[0].data)
			return nil
		}
		if r := drivers.ReachOf(f.Err); r != drivers.ReachMessage || f.Content != nil {
			e.Errorf("an unreadable message is an error of reach %d, with content: %v", r, f.Content != nil)
		}
		return nil
	}))
	for i, id := range ids {
		if good, there := got[id]; !there || good != (i != 2) {
			e.Errorf("message %d: yielded %v, readable %v", i, there, good)
		}
	}
}
