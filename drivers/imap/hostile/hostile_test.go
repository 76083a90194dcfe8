package hostile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"driftless/drivers/imap/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run starts an honest server and a hostile one before it, sends the commands of an ordinary client, and returns everything that came back (at most
// limit bytes).
func run(t *testing.T, o Options, limit int64, commands ...string) string {
	t.Helper()
	honest, err := embedded.Start(context.Background(), embedded.Options{User: "u", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = honest.Close() })
	if _, err := honest.Deliver("INBOX", []byte("Subject: x\r\n\r\n"+strings.Repeat("line\r\n", 500)), time.Time{}); err != nil {
		t.Fatal(err)
	}
	o.Upstream = honest.Addr()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(io.LimitReader(c, limit))
	var got strings.Builder
	for i, cmd := range append([]string{""}, commands...) {
		want := "* "
		if i > 0 {
			want = fmt.Sprintf("t%d ", i)
			fmt.Fprintf(c, "t%d %s\r\n", i, cmd)
		}
		for {
			line, err := r.ReadString('\n')
			got.WriteString(line)
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !strings.Contains(err.Error(), "reset") {
					t.Fatalf("%v after %q", err, got.String())
				}
				return got.String() + "<end>"
			}
			if strings.HasPrefix(line, want) {
				break
			}
		}
	}
	return got.String()
}

var ordinary = []string{"LOGIN u p", `LIST "" *`, "SELECT INBOX", "UID FETCH 1:* (UID FLAGS)", "UID FETCH 1 (UID BODY.PEEK[])", "LOGOUT"}

// TestCases wants every script to do what it says: that is in the answer to an ordinary client.
func TestCases(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"bye at greeting":                 {"* BYE", "<end>"},
		"closed at once":                  {"<end>"},
		"garbage at greeting":             {"SSH-2.0"},
		"endless greeting":                {"* OK xxxx", "<end>"},
		"wrong password":                  {"t1 NO [AUTHENTICATIONFAILED]"},
		"STARTTLS refused":                {"STARTTLS] ready"},
		"STARTTLS not offered":            {"[CAPABILITY IMAP4rev1] ready"},
		"text after STARTTLS":             {"STARTTLS] ready"},
		"garbage":                         {"t2 MAYBE", "<end>"},
		"endless line":                    {"* OK xxxx", "<end>"},
		"4 GB literal":                    {"{4294967295}", "<end>"},
		"4 GB literal in LIST":            {"{4294967295}", "<end>"},
		"closed in a literal":             {"{3014}", "<end>"},
		"bad UIDs":                        {"UID 0"},
		"huge UIDs":                       {"UID 99999999999"},
		"no UIDVALIDITY":                  {"t3 OK"},
		"name that leads outside":         {`"../../escaped"`, `INBOX`, "t2 OK"},
		"silent":                          {"t2 OK"},
		"QRESYNC not enabled":             {"t5 OK"},
		"HIGHESTMODSEQ without CONDSTORE": {"[HIGHESTMODSEQ 1]", "t5 OK"},
		"chatty":                          {"* XYZZY", "t5 OK", "INBOX"},
	}
	for _, c := range Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			commands := ordinary
			if c.Name == "silent" {
				commands = ordinary[:2] // the rest would wait for ever
			}
			if c.Name == "garbage at greeting" {
				got := greeting(t, c.Options) // it cannot be told from an answer
				if !strings.HasPrefix(got, want[c.Name][0]) {
					t.Errorf("greeting %q", got)
				}
				return
			}
			got := run(t, c.Options, 8<<20, commands...)
			if len(want[c.Name]) == 0 {
				t.Fatalf("no expectation for %q", c.Name)
			}
			for _, w := range want[c.Name] {
				if !strings.Contains(got, w) {
					t.Errorf("no %q in %.2000q", w, got)
				}
			}
			if c.Name == "no UIDVALIDITY" && strings.Contains(got, "[UIDVALIDITY") {
				t.Errorf("UIDVALIDITY in %q", got)
			}
		})
	}
}

func greeting(t *testing.T, o Options) string {
	t.Helper()
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// TestPass wants everything that the script does not name to go through unharmed, literals in both directions included.
func TestPass(t *testing.T) {
	t.Parallel()
	body := "Subject: {5}\r\n\r\nt2 NO {99}\r\n"
	got := run(t, Options{}, 1<<20, "LOGIN {1+}\r\nu p", fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(body), body), "SELECT INBOX", "UID FETCH 2 BODY.PEEK[]")
	for _, w := range []string{"t2 OK [APPENDUID", body, "t4 OK"} {
		if !strings.Contains(got, w) {
			t.Errorf("no %q in %q", w, got)
		}
	}
}

// TestScript wants literals of commands that are not passed on to be taken as such.
func TestScript(t *testing.T) {
	t.Parallel()
	s, err := Start(Options{Commands: []Command{{On: "^append", Send: "{tag} NO [OVERQUOTA] full\r\n"}, {On: "^login", Send: "{tag} OK in\r\n"}}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	fmt.Fprintf(c, "a LOGIN u secret\r\nb APPEND x {6}\r\nz NOOP more\r\nc APPEND x {2+}\r\nhi\r\nd NOOP\r\n")
	r := bufio.NewReader(c)
	for _, want := range []string{"* OK", "a OK", "+ go", "b NO [OVERQUOTA]", "c NO", "d BAD"} {
		line, err := r.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, want) {
			t.Fatalf("%q, %v; want %q", line, err, want)
		}
	}
	if seen := strings.Join(s.Seen(), "|"); seen != "LOGIN|APPEND x {6}|APPEND x {2+}|NOOP" {
		t.Errorf("seen %q", seen)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Options{{Commands: []Command{{On: "("}}}, {Answers: []Answer{{On: "("}}}} {
		if _, err := Start(bad); err == nil {
			t.Error("a wrong expression is no error")
		}
	}
}
