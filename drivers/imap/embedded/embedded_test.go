package embedded

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"driftless/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const user, password = "alice", "open sesame"

func start(t *testing.T, o Options) *Server {
	t.Helper()
	o.User, o.Password = user, password
	s, err := Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func client(t *testing.T, s *Server) *harness.Client {
	t.Helper()
	return harness.Dial(t, s.Addr(), user, password)
}

// no wants a command refused and returns what the server said.
func no(t *testing.T, c *harness.Client, cmd string) string {
	t.Helper()
	a, err := c.Try("%s", cmd)
	if err != nil || a.Status != "NO" {
		t.Fatalf("%s: %s %s, %v; want NO", cmd, a.Status, a.Text, err)
	}
	return a.Text
}

func bodyOf(n int) []byte {
	return fmt.Appendf(nil, "Message-ID: <%d@example.org>\r\nSubject: number %d\r\n folded\r\nDate: Sat, 3 Feb 2001 04:05:06 +0100\r\n\r\ntext %d\r\n", n, n, n)
}

func letters(n int) []harness.Letter {
	var out []harness.Letter
	for i := range n {
		out = append(out, harness.Letter{Body: bodyOf(i), Flags: []string{`\Seen`, "work"}, Date: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)})
	}
	return out
}

func TestMailboxes(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := client(t, s)
	c.Create("Größe/日本/x", "A & B")
	if got, want := sorted(c.List()), []string{"A & B", "Größe", "Größe/日本", "Größe/日本/x", "INBOX"}; !slices.Equal(got, want) {
		t.Errorf("list %q, want %q", got, want)
	}
	if got := no(t, c, "CREATE inbox"); !strings.Contains(got, "ALREADYEXISTS") {
		t.Errorf("create twice: %s", got)
	}
	for _, bad := range []string{`CREATE "a//b"`, `CREATE ""`, "DELETE INBOX", "DELETE nothing", "RENAME nothing other", `RENAME "A &- B" inbox`, "SELECT nothing"} {
		no(t, c, bad)
	}
	first := c.Status("A & B", "UIDVALIDITY")["UIDVALIDITY"]
	c.Rename("Größe", "Klein")
	if got := c.List(); !slices.Contains(got, "Klein/日本/x") || slices.Contains(got, "Größe/日本/x") {
		t.Errorf("children do not follow a rename: %q", got)
	}
	no(t, c, "RENAME Klein Klein/below")
	c.Delete("A & B")
	c.Create("A & B")
	if again := c.Status("A & B", "UIDVALIDITY")["UIDVALIDITY"]; again <= first {
		t.Errorf("a new mailbox has UIDVALIDITY %d, the old one had %d", again, first)
	}
	c.Append("INBOX", letters(2)...)
	c.Rename("INBOX", "old")
	if s := s.Snapshot(); len(s["INBOX"]) != 0 || len(s["old"]) != 2 {
		t.Errorf("renaming INBOX empties it: %d and %d messages", len(s["INBOX"]), len(s["old"]))
	}
	c.Do("SUBSCRIBE old")
	if got := c.Do(`LSUB "" *`).Untagged; len(got) != 1 || !strings.Contains(got[0], "old") {
		t.Errorf("subscribed: %q", got)
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }

func TestMessages(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := client(t, s)
	c.Create("to")
	if got := c.Append("INBOX", letters(4)...); !slices.Equal(got, []uint32{1, 2, 3, 4}) {
		t.Fatalf("APPENDUID %v", got)
	}
	msgs := c.Messages("INBOX", true)
	m := msgs[1]
	if len(msgs) != 4 || m.UID != 2 || m.Flags != `\Seen work` || !m.Date.Equal(letters(1)[0].Date) || m.Size != int64(len(bodyOf(1))) || m.Hash != harness.Digest(bodyOf(1)) {
		t.Errorf("message %+v", m)
	}
	c.Store("INBOX", []uint32{1}, "-", `\Seen`)
	c.Store("INBOX", []uint32{2}, "", `\Flagged`, "Other")
	c.Store("INBOX", []uint32{3}, "+", `\Answered`)
	var flags []string
	for _, m := range c.Messages("INBOX", false) {
		flags = append(flags, m.Flags)
	}
	if want := []string{"work", `\Flagged other`, `\Answered \Seen work`, `\Seen work`}; !slices.Equal(flags, want) {
		t.Errorf("flags %q, want %q", flags, want)
	}
	c.Select("INBOX")
	copied := c.Do("UID COPY 1,3 to")
	if !strings.Contains(copied.Text, "COPYUID") || !strings.Contains(copied.Text, " 1,3 1:2]") {
		t.Errorf("copy: %s", copied.Text)
	}
	moved := c.Do("UID MOVE 2 to")
	if got := strings.Join(moved.Untagged, "|"); !strings.Contains(got, " 2 3]") || !strings.Contains(got, "* 2 EXPUNGE") || strings.Index(got, "COPYUID") > strings.Index(got, "EXPUNGE") {
		t.Errorf("move: %s", got)
	}
	if got := no(t, c, "UID COPY 1 nowhere"); !strings.Contains(got, "TRYCREATE") {
		t.Errorf("copy to a mailbox that is missing: %s", got)
	}
	c.Do(`UID STORE 1,4 +FLAGS.SILENT (\Deleted)`)
	c.Do("UID EXPUNGE 4:*")
	if got := uids(c.Messages("INBOX", false)); !slices.Equal(got, []uint32{1, 3}) {
		t.Errorf("UID EXPUNGE left %v", got)
	}
	c.Do("EXAMINE INBOX")
	no(t, c, "EXPUNGE")
	no(t, c, `UID STORE 1 +FLAGS (\Seen)`)
	c.Do("CLOSE")
	if n := len(s.Snapshot()["INBOX"]); n != 2 {
		t.Errorf("CLOSE after EXAMINE removed something: %d messages", n)
	}
	c.Select("INBOX")
	c.Do("CLOSE")
	if got := uids(c.Messages("INBOX", false)); !slices.Equal(got, []uint32{3}) {
		t.Errorf("CLOSE left %v", got)
	}
	if got := c.Status("INBOX", "UIDNEXT", "MESSAGES", "UNSEEN"); got["UIDNEXT"] != 5 || got["MESSAGES"] != 1 || got["UNSEEN"] != 0 {
		t.Errorf("status %v", got)
	}
	_, refused, err := c.TryAppend("nowhere", letters(1)...)
	if err != nil || !strings.Contains(refused[0], "TRYCREATE") {
		t.Errorf("append to a mailbox that is missing: %v, %v", refused, err)
	}
}

func uids(msgs []harness.Message) []uint32 {
	var out []uint32
	for _, m := range msgs {
		out = append(out, m.UID)
	}
	return out
}

func TestFetchAndSearch(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	c := client(t, s)
	c.Append("INBOX", letters(3)...)
	if _, err := s.Deliver("INBOX", []byte("no header here"), time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	c.Select("INBOX")
	for cmd, want := range map[string]string{
		"UID FETCH 2 BODY.PEEK[HEADER.FIELDS (SUBJECT)]":          "Subject: number 1\r\n folded\r\n\r\n",
		"UID FETCH 2 BODY.PEEK[HEADER.FIELDS.NOT (DATE SUBJECT)]": "Message-ID: <1@example.org>\r\n\r\n",
		"UID FETCH 2 BODY.PEEK[TEXT]":                             "text 1\r\n",
		"UID FETCH 2 BODY.PEEK[]<5.4>":                            "ge-I",
		"UID FETCH 2 RFC822.HEADER":                               string(bodyOf(1)[:len(bodyOf(1))-len("text 1\r\n")]),
		"UID FETCH 4 BODY.PEEK[HEADER]":                           "no header here",
		"UID FETCH 4 BODY.PEEK[TEXT]":                             "",
	} {
		if got := strings.Join(literals(t, s, cmd), "|"); got != want {
			t.Errorf("%s: %q, want %q", cmd, got, want)
		}
	}
	for query, want := range map[string]string{
		"ALL": "1 2 3 4", "2:*": "2 3 4", "UID *": "4", "HEADER Message-ID <1@example.org>": "2", "HEADER Nothing \"\"": "", "BODY \"text 2\"": "3",
		"TEXT NUMBER": "1 2 3", "UNSEEN": "4", "KEYWORD work": "1 2 3", "NOT KEYWORD work": "4", "OR UID 1 UID 3": "1 3", "SINCE 1-Jan-2019": "4", "BEFORE 1-Jan-2019": "1 2 3",
		"SENTSINCE 1-Jan-2001 SENTBEFORE 1-Jan-2002": "1 2 3", "LARGER 20": "1 2 3", "SMALLER 20": "4", "DELETED": "",
	} {
		got := strings.TrimSpace(strings.TrimPrefix(c.Do("UID SEARCH %s", query).Untagged[0], "* SEARCH"))
		if got != want {
			t.Errorf("SEARCH %s: %q, want %q", query, got, want)
		}
	}
	no(t, c, "FETCH 1 ENVELOPE")
	no(t, c, "FETCH 1 BODY[1]")
	c.Do("FETCH 4 BODY[]")
	if got := c.Messages("INBOX", false)[3].Flags; got != `\Seen` {
		t.Errorf("reading sets %q", got)
	}
}

// literals sends a command on a connection of its own and returns the literals and strings in the answer, read by hand.
func literals(t *testing.T, s *Server, cmd string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "a LOGIN %s %q\r\nb EXAMINE INBOX\r\nc %s\r\nd LOGOUT\r\n", user, password, cmd)
	var all bytes.Buffer
	if _, err := all.ReadFrom(conn); err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(all.String(), "b OK")
	text, _, _ = strings.Cut(text, "c OK")
	var out []string
	for {
		_, rest, found := strings.Cut(text, "{")
		if !found {
			return out
		}
		var n int
		if _, err := fmt.Sscanf(rest, "%d}", &n); err != nil {
			t.Fatal(err)
		}
		_, rest, _ = strings.Cut(rest, "\n")
		out, text = append(out, rest[:n]), rest[n:]
	}
}

// TestTold wants a connection to learn what another one did, with the sequence numbers that it knows.
func TestTold(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	a, b := client(t, s), client(t, s)
	a.Append("INBOX", letters(4)...)
	a.Select("INBOX")
	b.Expunge("INBOX", []uint32{1, 3})
	b.Store("INBOX", []uint32{4}, "", `\Flagged`)
	b.Append("INBOX", letters(1)...)
	if got := strings.Join(a.Do("FETCH 4 UID").Untagged, "|"); got != "* 4 FETCH (UID 4)" {
		t.Errorf("sequence numbers moved before the connection was told: %s", got)
	}
	got := strings.Join(a.Do("NOOP").Untagged, "|")
	if want := `* 1 EXPUNGE|* 2 EXPUNGE|* 3 EXISTS|* 2 FETCH (UID 4 FLAGS (\Flagged))`; got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if got := a.Do("NOOP").Untagged; len(got) != 0 {
		t.Errorf("told twice: %q", got)
	}
	b.Create("gone")
	a.Select("gone")
	b.Delete("gone")
	no(t, a, "UID FETCH 1:* FLAGS")
}

func TestIdle(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "a LOGIN %s %q\r\nb SELECT INBOX\r\nc IDLE\r\n", user, password)
	until := func(want string) {
		t.Helper()
		var got []byte
		one := make([]byte, 1)
		for !strings.Contains(string(got), want) {
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(one); err != nil {
				t.Fatalf("waiting for %q: %v after %q", want, err, got)
			}
			got = append(got, one[0])
		}
	}
	until("+ idling")
	uid, err := s.Deliver("INBOX", bodyOf(1), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	until("* 1 EXISTS")
	if err := s.SetFlags("INBOX", uid, `\Seen`); err != nil {
		t.Fatal(err)
	}
	until(`* 1 FETCH (UID 1 FLAGS (\Seen))`)
	if err := s.Remove("INBOX", uid); err != nil {
		t.Fatal(err)
	}
	until("* 1 EXPUNGE")
	// The command behind DONE must not be swallowed.
	fmt.Fprintf(conn, "DONE\r\nd NOOP\r\n")
	until("c OK")
	until("d OK")
	fmt.Fprintf(conn, "e IDLE\r\n") // and Close ends it
	until("+ idling")
}

func TestHand(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	if err := s.Create("a/b"); err != nil {
		t.Fatal(err)
	}
	uid, err := s.Deliver("INBOX", bodyOf(1), time.Time{}, "x", "X", `\Recent`, `\Seen`)
	if err != nil {
		t.Fatal(err)
	}
	there, err := s.Move("INBOX", uid, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Rename("a", "c"); err != nil {
		t.Fatal(err)
	}
	got := s.Snapshot()
	if len(got) != 3 || len(got["c/b"]) != 1 || got["c/b"][0].UID != there || fmt.Sprint(got["c/b"][0].Flags) != `[\Seen x]` {
		t.Errorf("snapshot %v", got)
	}
	for what, err := range map[string]error{
		"remove what is gone":       s.Remove("INBOX", uid),
		"flags in a missing box":    s.SetFlags("nowhere", 1),
		"move to a missing box":     errOf(s.Move("c/b", there, "nowhere")),
		"deliver to a missing box":  errOf(s.Deliver("nowhere", nil, time.Time{})),
		"create what exists":        s.Create("c"),
		"delete what is not there":  s.Delete("a"),
		"start without a user":      errOf(Start(context.Background(), Options{})),
		"STARTTLS without anything": errOf(Start(context.Background(), Options{User: "u", StartTLS: true})),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func errOf[T any](_ T, err error) error { return err }

func TestLoginAndEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := Start(ctx, Options{User: user, Password: password})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "a LOGIN %s wrong\r\nb SELECT INBOX\r\nc NOOP\r\n", user)
	var got bytes.Buffer
	for !strings.Contains(got.String(), "c OK") {
		buf := make([]byte, 1000)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buf[:n])
	}
	if !strings.Contains(got.String(), "a NO [AUTHENTICATIONFAILED]") || !strings.Contains(got.String(), "b NO") {
		t.Errorf("wrong password: %s", got.String())
	}
	cancel()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		_ = c.Close()
		t.Error("the port still answers")
	}
}

// TestConcurrent lets many connections and hands change one mailbox at once; nothing may be lost or doubled.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	s := start(t, Options{})
	if err := s.Create("to"); err != nil {
		t.Fatal(err)
	}
	const workers, each = 8, 25
	clients := make([]*harness.Client, workers)
	for i := range clients {
		clients[i] = client(t, s)
	}
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() {
			for n := range each {
				uids := c.Append("INBOX", harness.Letter{Body: bodyOf(i*each + n)})
				c.Store("INBOX", uids, "+", `\Seen`)
				switch n % 3 {
				case 0:
					c.Move("INBOX", uids, "to")
				case 1:
					c.Expunge("INBOX", uids)
				}
				if _, err := s.Deliver("INBOX", bodyOf(-n), time.Time{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := s.Snapshot()
	moved := workers * ((each + 2) / 3)
	expunged := workers * ((each + 1) / 3)
	if len(got["to"]) != moved || len(got["INBOX"]) != 2*workers*each-moved-expunged {
		t.Errorf("%d and %d messages, want %d and %d", len(got["to"]), len(got["INBOX"]), moved, 2*workers*each-moved-expunged)
	}
	seen := map[uint32]bool{}
	for _, m := range got["INBOX"] {
		if seen[m.UID] {
			t.Errorf("UID %d twice", m.UID)
		}
		seen[m.UID] = true
	}
}
