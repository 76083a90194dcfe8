package imap

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// served returns a wire that reads these bytes.
func served(b []byte) *wire {
	w := newWire(&canned{r: bytes.NewReader(b)}, time.Minute, 1<<20)
	close(w.ready)
	return w
}

// canned is a network connection that has all its input already.
type canned struct{ r io.Reader }

func (c *canned) Read(p []byte) (int, error)       { return c.r.Read(p) }
func (c *canned) Write(p []byte) (int, error)      { return len(p), nil }
func (c *canned) Close() error                     { return nil }
func (c *canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// FuzzResponses feeds arbitrary bytes to a connection on which everything listens. Nothing may panic, and go-imap may be handed
// nothing but its own line.
func FuzzResponses(f *testing.F) {
	for _, s := range []string{
		"* OK [CAPABILITY IMAP4rev1 QRESYNC] hi\r\nt OK done\r\n",
		"* 1 FETCH (UID 7 FLAGS (\\Seen work) MODSEQ (12) BODY[] {5}\r\nhello)\r\n",
		"* 1 FETCH (UID 7 RFC822.SIZE 3 INTERNALDATE \" 1-Jan-2020 00:00:00 +0000\" BODY[HEADER.FIELDS (DATE FROM)] {2}\r\n\r\n)\r\n",
		"* VANISHED (EARLIER) 1:4294967295,7\r\n* VANISHED 3\r\n* 3 EXPUNGE\r\n* EXPUNGE\r\n* EXISTS\r\n* 1 FETCH\r\n",
		"* ESEARCH (TAG \"x1\") UID ALL 1:5,9 MODSEQ 7\r\n* SEARCH 1 2 3 (MODSEQ 9)\r\n* SEARCH\r\n",
		"* LIST (\\HasNoChildren \\Sent) \"/\" \"Sent\" (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n* STATUS Sent (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3 HIGHESTMODSEQ 4)\r\n",
		"* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"Shared/\" \"/\" \"X-PARAM\" (\"FLAG1\")))\r\n* ENABLED QRESYNC\r\n",
		"* LIST () \"/\" {4294967295}\r\n", "* " + strings.Repeat("(", 5000) + "\r\n", "+ go on\r\n", "t NO [TRYCREATE] x\r\n", "* 99999999999999999999 FETCH\r\n", "* OK [FOO \"]\" [x]] t\r\n", "~{1}\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := served(b)
		c := &conn{st: &Store{}, w: w, flags: map[string]merge.Flags{}, caps: capSet{"QRESYNC": true, "ENABLE": true, "CONDSTORE": true}, sel: &selection{next: 1 << 31}}
		c.st.names.delim = '/'
		w.track, w.status = c.tracker, c.sawStatus
		l := &listing{status: map[string]boxStatus{}, subscribed: map[string]bool{}}
		g := gathered{changed: map[uint32]merge.Flags{}}
		fl := newFlight(cmd("NOOP"))
		fl.tag, fl.left, fl.cont, fl.lost = "t", 1, make(chan struct{}, 1), make(chan struct{})
		ids := map[uint32]merge.ID{}
		fl.status = func(st *status) {
			_ = copyUIDs(st, uidSet{{1, 100}}, ids)
			_, _ = appendUIDs(st, 3)
		}
		fl.body = func(r *bufio.Reader, size int64) error { _, err := io.CopyN(io.Discard, r, size); return err }
		fl.data = func(num uint32, name string, s *scanner) error {
			a, d := *s, *s
			if err := l.data(num, name, &a); err != nil {
				return err
			}
			return g.data(c, cursor{next: 5}, name, &d)
		}
		w.flight = fl
		got, _ := io.ReadAll(w)
		if len(got) > 0 && string(got) != "t OK done\r\n" {
			t.Errorf("go-imap would read %q", got)
		}
		for id := range ids {
			if id < 1 || id > 100 {
				t.Errorf("an id for UID %d", id)
			}
		}
		for _, b := range l.boxes {
			if local := c.st.names.toLocal(b.raw); !safeName(local) {
				t.Errorf("%q became %q", b.raw, local)
			}
		}
	})
}

// safeName reports whether a name cannot lead anywhere.
func safeName(local string) bool {
	for _, l := range strings.Split(local, "/") {
		if l == "" || l == "." || l == ".." || strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return false
		}
	}
	return true
}

func FuzzUIDSet(f *testing.F) {
	for _, s := range []string{"1", "1:5,7", "1:4294967295", "5:1", "0", "4294967296", "1,,2", "1:", "*", "3,1,2", "1:3,2:9", "4294967295:4294967295,1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := parseUIDSet([]byte(s))
		if err != nil {
			return
		}
		again, err := parseUIDSet([]byte(set.String()))
		if err != nil || again.String() != set.String() {
			t.Fatalf("%q gave %q gave %q, %v", s, set, again, err)
		}
		for i, r := range set {
			if r.first == 0 || r.last < r.first || i > 0 && uint64(r.first) <= uint64(set[i-1].last)+1 {
				t.Fatalf("%q gave %v", s, set)
			}
		}
		var joined []uidRange
		for _, part := range set.split(1 << 20) {
			joined = append(joined, part...)
			if len(part.String()) > maxSetText+100 {
				t.Fatalf("a part of %d bytes", len(part.String()))
			}
			if len(joined) > 10000 {
				return // a range of four billion has many parts
			}
		}
		if normalize(joined).String() != set.String() {
			t.Fatalf("%q split and joined is %q", set, normalize(joined))
		}
		if _, err := expand([]byte(s), 1000); err == nil && set.count() > 1000 {
			t.Fatal("an unbounded set was expanded")
		}
	})
}

func TestUIDSetModel(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var set uidSet
		model := map[uint32]bool{}
		for range r.IntN(60) {
			u := uint32(1 + r.IntN(40))
			if set.add(u) == model[u] {
				t.Fatalf("add %d to %v", u, set)
			}
			model[u] = true
		}
		var list []uint32
		for u := range model {
			list = append(list, u)
		}
		if newUIDSet(list).String() != set.String() || set.count() != uint64(len(model)) {
			t.Fatalf("%v, %v", newUIDSet(list), set)
		}
		for u := uint32(0); u < 45; u++ {
			if set.contains(u) != model[u] {
				t.Fatalf("contains %d: %v", u, set)
			}
		}
		limit := uint32(1 + r.IntN(40))
		for u := uint32(1); u < 45; u++ {
			if set.below(limit).contains(u) != (model[u] && u < limit) {
				t.Fatalf("below %d: %v", limit, set.below(limit))
			}
		}
	}
}

func FuzzIDs(f *testing.F) {
	for _, s := range []string{"1:1", "1700000000:42", "01:1", "1:0", ":", "1:1:1", "4294967296:1", "i1 1 2 3 4", "i1 1 2", "i2 1 2 3 4", "i1 0 0 0 0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if v, u, ok := parseID(merge.ID(s)); ok && makeID(v, u) != merge.ID(s) {
			t.Errorf("id %q is not what it makes", s)
		}
		if c, ok := parseCursor(drivers.Cursor(s)); ok {
			if d, ok := parseCursor(drivers.Cursor(c.String())); !ok || c != d {
				t.Errorf("cursor %q gave %v gave %v", s, c, d)
			}
		}
		if v, n, ok := parseMark(drivers.Mark(s)); ok && makeMark(v, n) != drivers.Mark(s) {
			t.Errorf("mark %q is not what it makes", s)
		}
	})
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"INBOX", "Entwürfe/日本 😀", "a.b", "a/b.c", "100%", "%2F", "%2E", "%252E", "%25252F", "&", "&AOQ-", "..", "a//b", "\x00", "INBOX.x", "inbox", "%2e"} {
		for _, delim := range []byte{'/', '.', 0} {
			f.Add(s, delim, "")
			f.Add(s, delim, "INBOX.")
		}
	}
	f.Fuzz(func(t *testing.T, s string, delim byte, prefix string) {
		if delim != 0 && delim != '/' && delim != '.' && delim != '\\' && delim != '^' || prefix != "" && !strings.HasSuffix(prefix, string(delim)) {
			return
		}
		there := names{delim: delim, prefix: prefix}
		if raw, err := there.toServer(s); err == nil && raw != inbox {
			if back := there.toLocal(raw); back != s && !strings.EqualFold(raw, inbox) && there.odd[back] != raw {
				t.Errorf("local %q is %q on the server and comes back as %q", s, raw, back)
			}
		}
		// The server's name is any string; what it becomes leads back to it.
		here := names{delim: delim, prefix: prefix}
		local := here.toLocal(s)
		if s != "" && !safeName(local) {
			t.Errorf("server's %q became %q", s, local)
		}
		if raw, err := here.toServer(local); err != nil || foldInbox(raw) != foldInbox(s) {
			t.Errorf("server's %q became %q, which is %q, %v", s, local, raw, err)
		}
	})
}

func TestEscapes(t *testing.T) {
	for _, c := range []struct {
		delim         byte
		local, server string
	}{
		{'.', "a.b", "a%2Eb"}, {'.', "a/b", "a.b"}, {'.', "a%2Fb", "a/b"}, {'.', "%2E", "%252E"}, {'.', "%252F", "%2F"}, {'.', "100%", "100%"},
		{'/', "a.b", "a.b"}, {'/', "%2F", "%2F"}, {'/', "ä&b/c", "&AOQ-&-b/c"},
	} {
		n := names{delim: c.delim}
		if got, err := n.toServer(c.local); err != nil || got != c.server {
			t.Errorf("local %q: %q, %v; want %q", c.local, got, err, c.server)
		}
		if got := n.toLocal(c.server); got != c.local {
			t.Errorf("server's %q: %q, want %q", c.server, got, c.local)
		}
	}
	n := names{delim: '.', prefix: "INBOX."}
	for local, server := range map[string]string{"Sent": "INBOX.Sent", "INBOX": "INBOX", "a/b": "INBOX.a.b"} {
		if got, err := n.toServer(local); err != nil || got != server || n.toLocal(server) != local {
			t.Errorf("with a prefix, %q is %q (%v), and back %q", local, got, err, n.toLocal(server))
		}
	}
	for _, bad := range []string{"", "..", "a/../b", "/abs", "a\x00b", "a\nb", "a//b", "\xff"} {
		if got, err := n.toServer(bad); err == nil {
			t.Errorf("%q is accepted as %q", bad, got)
		}
	}
}

func FuzzCRLF(f *testing.F) {
	for _, s := range []string{"", "a\nb", "a\r\nb\n", "\n", "\r", "\r\n\r", "a\r\rb\n\n", strings.Repeat("x", 70000) + "\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		want := bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		s, err := measure(drivers.Bytes(b), true)
		if err != nil || s.size != int64(len(want)) || s.bareLF != !bytes.Equal(b, want) || s.nul != slices.Contains(b, 0) || s.identity.Size != s.size {
			t.Fatalf("measured %+v, %v; want %d bytes", s, err, len(want))
		}
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		n, err := copyCRLF(w, &drip{b})
		if err != nil || w.Flush() != nil || n != s.size || !bytes.Equal(out.Bytes(), want) {
			t.Fatalf("sent %q, want %q, %v", out.Bytes(), want, err)
		}
	})
}

// drip reads one to three bytes at a time.
type drip struct{ b []byte }

func (d *drip) Read(p []byte) (int, error) {
	if len(d.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.b[:min(len(d.b), 1+len(d.b)%3)])
	d.b = d.b[n:]
	return n, nil
}

func TestAppendDates(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{time.Time{}, ""},
		{time.Unix(-5, 0), " 1-Jan-1970 00:00:00 +0000"},
		{time.Date(2024, 2, 29, 1, 2, 3, 0, time.FixedZone("", -9*3600)), "29-Feb-2024 01:02:03 -0900"},
		{time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC), "31-Dec-9999 00:00:00 +0000"},
	} {
		got, ok := appendDate(c.at)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%v: %q", c.at, got)
		}
		if ok && !parseDate([]byte(got)).IsZero() && !c.at.IsZero() && c.at.Unix() >= 0 && c.at.Year() < 9999 && !parseDate([]byte(got)).Equal(c.at) {
			t.Errorf("%v comes back as %v", c.at, parseDate([]byte(got)))
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		answer string
		is     error
		retry  drivers.Retry
		after  time.Duration
	}{
		{"NO [OVERQUOTA] full", nil, drivers.RetryLater, 0},
		{"NO [LIMIT] too fast", nil, drivers.RetryLater, 0},
		{"BAD Request is throttled. Suggested Backoff Time: 297488 milliseconds", nil, drivers.RetryLater, 297488 * time.Millisecond},
		{"NO [TOOBIG] no", drivers.ErrTooBig, drivers.RetryNever, 0},
		{"NO [TRYCREATE] no", drivers.ErrNoMailbox, drivers.RetryNow, 0},
		{"NO [ALREADYEXISTS] no", drivers.ErrExists, drivers.RetryNow, 0},
		{"NO Message contains NUL characters", nil, drivers.RetryNever, 0},
		{"NO [UNAVAILABLE] try", nil, drivers.RetryLater, 0},
	} {
		st, ok := parseStatus([]byte(c.answer))
		if !ok {
			t.Fatalf("%q is no status", c.answer)
		}
		err := classify("append to", "INBOX", drivers.ReachMessage, &refusal{st})
		var e *drivers.Error
		if c.is != nil && !errors.Is(err, c.is) || drivers.RetryOf(err) != c.retry || drivers.ReachOf(err) != drivers.ReachMessage || !errors.As(err, &e) || e.After != c.after {
			t.Errorf("%q: %v, retry %d", c.answer, err, drivers.RetryOf(err))
		}
	}
}
