package harness

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// talk logs in with plain text and returns what one command answers.
func talk(t *testing.T, d *Dovecot, user, cmd string) string {
	t.Helper()
	c := must(net.Dial("tcp", d.Addr()))(t)
	defer func() { _ = c.Close() }()
	r := bufio.NewReader(c)
	must(r.ReadString('\n'))(t)
	var out strings.Builder
	for i, line := range []string{"LOGIN " + user + " " + Password, cmd} {
		fmt.Fprintf(c, "t%d %s\r\n", i, line)
		for {
			got := must(r.ReadString('\n'))(t)
			out.WriteString(got)
			if strings.HasPrefix(got, fmt.Sprintf("t%d ", i)) {
				break
			}
		}
	}
	return out.String()
}

func TestDovecotRungs(t *testing.T) {
	t.Parallel()
	want := map[Rung]struct{ has, hasNot string }{
		Full:      {"QRESYNC", ""},
		Condstore: {"CONDSTORE", "QRESYNC"},
		Plain:     {"IMAP4rev1", "UIDPLUS"},
	}
	for _, r := range Rungs {
		t.Run(r.String(), func(t *testing.T) {
			t.Parallel()
			d := StartDovecot(t, Options{Rung: r})
			got := talk(t, d, "u", "CAPABILITY")
			if !strings.Contains(got, want[r].has) || want[r].hasNot != "" && strings.Contains(got, want[r].hasNot) {
				t.Errorf("capabilities of %v: %s", r, got)
			}
			if got := d.Doveadm("mailbox", "list", "-u", "u"); !strings.Contains(got, "INBOX") {
				t.Errorf("doveadm lists %q", got)
			}
		})
	}
}

func TestDovecotStopStartKill(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sdbox", "mdbox", "maildir"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			d := StartDovecot(t, Options{Format: format})
			talk(t, d, "u", "CREATE kept")
			for _, end := range []func(){d.Stop, d.Kill} {
				end()
				if c, err := net.Dial("tcp", d.Addr()); err == nil {
					_ = c.Close()
					t.Fatal("the port still answers")
				}
				d.Start()
				if got := talk(t, d, "u", `LIST "" *`); !strings.Contains(got, "kept") {
					t.Fatalf("mail is not kept: %s", got)
				}
			}
		})
	}
}

func TestDovecotTLS(t *testing.T) {
	t.Parallel()
	for _, mode := range []TLS{Implicit, StartTLS} {
		for _, cert := range []*Cert{nil, NewCert(t, Expired)} {
			d := StartDovecot(t, Options{TLS: mode, Cert: cert})
			if mode == StartTLS {
				if got := talk(t, d, "u", "CAPABILITY"); !strings.Contains(got, "OK") {
					t.Errorf("plain text beside STARTTLS: %s", got)
				}
			}
		}
	}
}
