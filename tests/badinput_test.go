package tests

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"driftless/daemon/config"
	"driftless/drivers/imap/embedded"
	"driftless/drivers/imap/hostile"
	"driftless/tests/harness"
)

// tables is a right configuration: the keys of each table.
func tables() map[string]map[string]string {
	return map[string]map[string]string{
		"":                     {"state_dir": `"STATE"`},
		"accounts.work":        {},
		"accounts.work.guard":  {},
		"accounts.work.left":   {"driver": `"maildir"`, "path": `"MAIL"`},
		"accounts.work.right":  {"driver": `"imap"`, "host": `"127.0.0.1"`, "port": "1", "tls": `"none"`, "user": `"u"`, "password_env": `"PW"`},
		"accounts.work.rename": {},
	}
}

// write returns the configuration as text, and the line of a key.
func write(tabs map[string]map[string]string, table, key string) (text string, line int) {
	var b strings.Builder
	for _, t := range []string{"", "accounts.work", "accounts.work.guard", "accounts.work.left", "accounts.work.right", "accounts.work.rename"} {
		if tabs[t] == nil {
			continue
		}
		if t != "" {
			fmt.Fprintf(&b, "[%s]\n", t)
		}
		for k, v := range tabs[t] {
			if t == table && k == key {
				line = strings.Count(b.String(), "\n") + 1
			}
			fmt.Fprintf(&b, "%s = %s\n", k, v)
		}
	}
	return b.String(), line
}

// TestBadConfiguration gives every key a wrong value. The answer says where and what, the exit code is 2, nothing is written.
func TestBadConfiguration(t *testing.T) {
	t.Parallel()
	type row struct{ table, key, value string }
	right, left, account := "accounts.work.right", "accounts.work.left", "accounts.work"
	rows := []row{
		{"", "state_dir", `"~other/x"`}, {"", "state_dir", `"$NO_SUCH_VARIABLE/x"`}, {"", "state_dir", `""`}, {"", "stat_dir", `"/tmp/x"`}, {"", "socket", `""`},
		{account, "mailboxes", `[""]`}, {account, "mailboxes", `['a\']`}, {account, "mailboxes", `[]`}, {account, "interval", `"soon"`}, {account, "interval", `"-5m"`},
		{account, "conflict", `"newest"`}, {account, "conflict", `"Delete"`}, {account, "new", `"left"`}, {account, "flags", `"up"`}, {account, "deletions", `"never"`},
		{account, "create_mailboxes", `"yes"`}, {account, "delete_mailboxes", `true`}, {account, "trash", `"a//b"`}, {account, "expunge", `"to-left"`},
		{account, "max_age", `"90"`}, {account, "max_age", `"-1d"`}, {account, "max_size", `"50"`}, {account, "max_size", `"big"`}, {account, "mailbox", `["*"]`},
		{account, "guard", `"25%"`},
		{account + ".guard", "deletions", `"250%"`}, {account + ".guard", "deletions", `25`}, {account + ".guard", "at_least", `-1`}, {account + ".guard", "at_most", `1.5`},
		{account + ".guard", "at_mst", `5`},
		{left, "driver", `"mbox"`}, {left, "path", `""`}, {left, "path", `"$NOPE/x"`}, {left, "layout", `"maildir+"`}, {left, "layuot", `"fs"`}, {left, "host", `"127.0.0.1"`},
		{right, "driver", `"imaps"`}, {right, "host", `""`}, {right, "host", `"imap.example.org:993"`}, {right, "host", `"imaps://imap.example.org"`}, {right, "port", `0`},
		{right, "port", `65536`}, {right, "port", `"993"`}, {right, "tls", `"ssl"`}, {right, "tls", `"None"`}, {right, "user", `""`}, {right, "password", `"x"`}, {right, "password_env", `""`},
		{right, "password_env", `"A B"`}, {right, "password_file", `""`}, {right, "password_command", `"pass show x"`}, {right, "password_command", `[]`}, {right, "connections", `0`},
		{right, "connections", `1000`}, {right, "disable_extensions", `["QRSYNC"]`}, {right, "disable_extensions", `"MOVE"`}, {right, "timeout", `"1"`}, {right, "insecure", `"yes"`},
		{right, "ca_file", `""`}, {right, "keyring", `"x"`}, {right, "credential", `"x"`}, {right, "oauth2", `{}`},
		{account + ".rename", `"Sent"`, `""`}, {account + ".rename", `"Sent"`, `"../x"`}, {account + ".rename", `"Sent"`, `5`},
	}
	seen := map[string]bool{}
	for _, r := range rows {
		seen[r.key] = true
	}
	// No key has a date for a value: this row is for every key that there is, so that none can be forgotten.
	for _, k := range config.Reference() {
		if k.Name == "accounts" {
			continue // it is written as the tables below it
		}
		table := map[string]string{"": "", "accounts.NAME": account, "accounts.NAME.guard": account + ".guard",
			"accounts.NAME.left (maildir)": left, "accounts.NAME.left (imap)": right}[k.Table]
		rows = append(rows, row{table, k.Name, "1979-05-27"})
		if !seen[k.Name] && k.Type != "table" {
			t.Errorf("no row for a wrong value of %s", k.Name)
		}
	}
	p := harness.NewProgram(t)
	p.Env = []string{"PW=" + harness.Password}
	for i, r := range rows {
		t.Run(fmt.Sprintf("%s %s=%s", r.table, r.key, r.value), func(t *testing.T) {
			tabs := tables()
			if r.key == "guard" || r.key == "left" || r.key == "right" || r.key == "rename" {
				delete(tabs, account+"."+r.key)
			}
			if strings.HasPrefix(r.key, "password_") {
				delete(tabs[right], "password_env")
			}
			if tabs[r.table] == nil {
				tabs[r.table] = map[string]string{}
			}
			tabs[r.table][r.key] = r.value
			text, line := write(tabs, r.table, r.key)
			one := *p
			one.Config = filepath.Join(p.Home, fmt.Sprintf("%d.toml", i))
			one.State = filepath.Join(p.Home, "state", fmt.Sprint(i))
			text = strings.NewReplacer("STATE", one.State, "MAIL", filepath.Join(p.Home, "Mail")).Replace(text)
			if err := os.WriteFile(one.Config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, command := range []string{"sync", "check"} {
				got := one.Run(command)
				name := strings.Trim(r.key, `"`)
				where := fmt.Sprintf("%s:%d:", one.Config, line)
				if got.Code != 2 || !strings.Contains(got.Stderr, name) || !strings.Contains(got.Stderr, where) {
					t.Errorf("want exit code 2, %q and %q: %v", where, name, got)
				}
			}
			if _, err := os.Stat(one.State); err == nil {
				t.Error("the state directory was made")
			}
		})
	}
	if _, err := os.Stat(filepath.Join(p.Home, "Mail")); err == nil {
		t.Error("the Maildir was made")
	}
}

// TestBadConfigurationWhole has the mistakes that are not one key's.
func TestBadConfigurationWhole(t *testing.T) {
	t.Parallel()
	left, right := harness.MaildirSide("/nowhere"), harness.IMAPSide(1, "u")
	for name, c := range map[string]struct{ text, want string }{
		"not TOML":              {"[accounts.work\n", "toml"},
		"twice":                 {"state_dir = \"/x\"\nstate_dir = \"/y\"\n", "state_dir"},
		"no account":            {"", "account"},
		"no left":               {"[accounts.work.right]\n" + right, "left"},
		"no right":              {"[accounts.work.left]\n" + left, "right"},
		"no driver":             {harness.Account("work", "", "path = \"/x\"", right), "driver"},
		"no path":               {harness.Account("work", "", "driver = \"maildir\"", right), "path"},
		"no host":               {harness.Account("work", "", left, "driver = \"imap\"\nuser = \"u\"\npassword_env = \"PW\""), "host"},
		"no user":               {harness.Account("work", "", left, "driver = \"imap\"\nhost = \"x.example\"\npassword_env = \"PW\""), "user"},
		"no password":           {harness.Account("work", "", left, "driver = \"imap\"\nhost = \"x.example\"\nuser = \"u\""), "password"},
		"two passwords":         {harness.Account("work", "", left, right+"\npassword_env = \"PW\""), "password"},
		"password in the clear": {harness.Account("work", "", left, harness.IMAPSide(143, "u", `host = "imap.example.org"`)), "insecure"},
		"names that meet":       {harness.Account("work", "", left, right) + "[accounts.work.rename]\nSent = \"x\"\nOther = \"x\"\n", "Other"},
		"name of the account":   {harness.Account(`"../work"`, "", left, right), "account"},
		"same Maildir twice":    {harness.Account("work", "", left, left), "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			p := harness.NewProgram(t)
			p.Env = []string{"PW=" + harness.Password}
			if err := os.WriteFile(p.Config, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if r := p.Run("sync"); r.Code != 2 || !strings.Contains(strings.ToLower(r.Stderr), strings.ToLower(c.want)) || !strings.Contains(r.Stderr, p.Config) {
				t.Errorf("want exit code 2, the file and %q: %v", c.want, r)
			}
		})
	}
}

// untouched wants a Maildir as it was, but for the marker that tells it from another one.
func untouched(t *testing.T, before, after map[string]string) {
	t.Helper()
	for _, line := range harness.TreeDiff(before, after) {
		if !strings.Contains(line, ".driftless") && !strings.Contains(line, "touched: .\n") {
			t.Errorf("the Maildir is not what it was: %s", line)
		}
	}
}

// failing runs a sync that must fail with code 1 and say all these words, and leave the Maildir and the server alone.
func failing(t *testing.T, p *harness.Program, m *harness.Maildir, words ...string) harness.Result {
	t.Helper()
	before := harness.Tree(t, m.Root, true)
	r := p.Run("sync")
	if r.Code != 1 {
		t.Errorf("want exit code 1: %v", r)
	}
	for _, w := range words {
		if !regexp.MustCompile("(?i)" + w).MatchString(r.Stderr) {
			t.Errorf("no %q in the message: %v", w, r)
		}
	}
	if lines := strings.Count(strings.TrimSpace(r.Stderr), "\n") + 1; lines > 12 {
		t.Errorf("%d lines of message: %v", lines, r)
	}
	untouched(t, before, harness.Tree(t, m.Root, true))
	return r
}

// TestBadServer is about login and encryption, with a real server.
func TestBadServer(t *testing.T) {
	t.Parallel()
	good, expired := harness.NewCert(t, time.Hour), harness.NewCert(t, harness.Expired)
	plain := harness.StartDovecot(t, harness.Options{})
	start := harness.StartDovecot(t, harness.Options{TLS: harness.StartTLS, Cert: good})
	implicit := harness.StartDovecot(t, harness.Options{TLS: harness.Implicit, Cert: good})
	old := harness.StartDovecot(t, harness.Options{TLS: harness.Implicit, Cert: expired})
	oldStart := harness.StartDovecot(t, harness.Options{TLS: harness.StartTLS, Cert: expired})
	ca := func(c *harness.Cert) string { return fmt.Sprintf("ca_file = %q", c.CAFile) }
	const tls, starttls = `tls = "implicit"`, `tls = "starttls"`
	for name, c := range map[string]struct {
		d     *harness.Dovecot
		more  []string
		words []string // none: it works
	}{
		"TLS":                    {implicit, []string{tls, ca(good)}, nil},
		"STARTTLS":               {start, []string{starttls, ca(good)}, nil},
		"plain":                  {plain, nil, nil},
		"wrong password":         {plain, []string{`password_command = ["echo", "wrong"]`}, []string{"login|authenticat", "right|127.0.0.1"}},
		"password command fails": {plain, []string{`password_command = ["false"]`}, []string{"password_command"}},
		"no password command":    {plain, []string{`password_command = ["/no/such/program"]`}, []string{"password_command", "/no/such/program"}},
		"no password file":       {plain, []string{`password_file = "/no/such/file"`}, []string{"password_file", "no such file"}},
		"no password variable":   {plain, []string{`password_env = "NO_SUCH_VARIABLE"`}, []string{"NO_SUCH_VARIABLE"}},
		"expired":                {old, []string{tls, ca(expired)}, []string{"certificate", "expired"}},
		"expired with STARTTLS":  {oldStart, []string{starttls, ca(expired)}, []string{"certificate", "expired"}},
		"unknown authority":      {implicit, []string{tls}, []string{"certificate", "unknown authority"}},
		"other authority":        {implicit, []string{tls, ca(expired)}, []string{"certificate"}},
		"STARTTLS not offered":   {plain, []string{starttls, ca(good)}, []string{"STARTTLS"}},
		"TLS to a plain port":    {plain, []string{tls, ca(good)}, []string{"TLS"}},
		"plain to a TLS port":    {implicit, []string{`timeout = "3s"`}, []string{"127.0.0.1"}},
		"nobody there":           {plain, []string{"port = 1"}, []string{"127.0.0.1:1", "refused"}},
		"no such host":           {plain, []string{`host = "no-such-host.invalid"`, tls}, []string{"no-such-host.invalid"}},
		"authority unreadable":   {implicit, []string{tls, `ca_file = "/no/such/ca.pem"`}, []string{"/no/such/ca.pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := harness.NewProgram(t)
			m := harness.NewMaildir(t, filepath.Join(p.Home, "Mail"))
			m.Deliver("INBOX", mail(1, 300), date(1), `\Seen`)
			user := strings.NewReplacer(" ", "-").Replace(name)
			p.WriteConfig(harness.Account("work", "", harness.MaildirSide(m.Root), harness.IMAPSide(c.d.Port(), user, c.more...)))
			if len(c.words) == 0 {
				if s := p.Sync(0); s.Copied.Right != 1 {
					t.Errorf("%+v", s)
				}
				return
			}
			failing(t, p, m, c.words...)
			if r := p.Run("check"); r.Code != 1 && r.Code != 2 {
				t.Errorf("check says all is well: %v", r)
			}
		})
	}
}

// TestHostileServer runs every script of drivers/imap/hostile, first against an empty Maildir and then, with the server hostile only then, against one that is
// in sync: a clear error, no panic, nothing lost on either side.
func TestHostileServer(t *testing.T) {
	t.Parallel()
	for _, c := range hostile.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			addr, snapshot := honest(t, c.Needs)
			c.Options.Upstream = addr
			liar, err := hostile.Start(c.Options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := liar.Close(); err != nil {
					t.Error(err)
				}
			})
			p := harness.NewProgram(t)
			m := harness.NewMaildir(t, filepath.Join(p.Home, "Mail"))
			m.Deliver("INBOX", mail(500, 300), date(500), `\Seen`)
			more := []string{`timeout = "3s"`}
			if c.StartTLS {
				more = append(more, `tls = "starttls"`)
			}
			use := func(port int, more ...string) {
				p.WriteConfig(harness.Account("work", "", harness.MaildirSide(m.Root), harness.IMAPSide(port, "u", more...)))
			}
			use(liar.Port(), more...)
			if !c.Works {
				r := p.Run("sync")
				if r.Code != 1 || strings.TrimSpace(r.Stderr) == "" {
					t.Errorf("a server that %s: want exit code 1 and a message: %v", c.Does, r)
				}
				if r.MaxRSS > 400<<20 && os.Getenv("DRIFTLESS_RACE") != "1" {
					t.Errorf("a server that %s made it use %d MiB", c.Does, r.MaxRSS>>20)
				}
				for _, dir := range []string{p.Home, filepath.Dir(p.Home), "/tmp"} {
					if _, err := os.Stat(filepath.Join(dir, "escaped")); err == nil {
						t.Errorf("a mailbox was made outside of the Maildir, in %s", dir)
					}
				}
				if len(m.Messages("INBOX")) == 0 {
					t.Error("the message in the Maildir is gone")
				}
				use(portOf(t, addr))
				// The message from the Maildir may have got there and be readable; then those on which every connection breaks are set
				// aside in that mailbox, and would be tried again, but later than a test can wait.
				if strings.HasPrefix(c.Name, "closed in") && strings.Contains(r.Stderr, "quarantined") {
					if r := p.Run("rebuild", "work"); r.Code != 0 {
						t.Errorf("%v", r)
					}
				}
			}
			p.Sync(0)
			if diff := harness.Diff(inside(m.All()), snapshot()); len(diff) > 0 {
				t.Errorf("with an honest server: %s", few(diff))
			}
			if c.Works {
				m.Deliver("INBOX", mail(501, 300), date(501))
				p.Sync(0)
				return
			}
			// In sync now; the server turns hostile, and nothing may be taken for deleted.
			before := snapshot()
			use(liar.Port(), more...)
			if r := p.Run("sync"); r.Code != 1 && r.Code != 0 {
				t.Errorf("a server that now %s: %v", c.Does, r)
			}
			for side, now := range map[string]harness.Mail{"left": m.All(), "right": snapshot()} {
				if diff := harness.Diff(before, inside(now)); len(diff) > 0 {
					t.Errorf("a server that now %s changed the %s side: %s", c.Does, side, few(diff))
				}
			}
			use(portOf(t, addr))
			if s := p.Sync(0); s.Copied.Left+s.Copied.Right+s.Deleted.Left+s.Deleted.Right != 0 {
				t.Errorf("afterwards: %+v", s)
			}
		})
	}
}

// inside leaves out the mailboxes whose names the liar made up: escaped, they may stand in the Maildir, empty.
func inside(mail harness.Mail) harness.Mail {
	for name, msgs := range mail {
		if strings.HasSuffix(name, "escaped") && len(msgs) == 0 {
			delete(mail, name)
		}
	}
	return mail
}

// honest starts the server behind the liar, with five messages in two mailboxes, and returns its address and a look at its mail.
func honest(t *testing.T, needs hostile.Upstream) (string, func() harness.Mail) {
	t.Helper()
	var addr string
	if needs == hostile.Condstore {
		addr = harness.StartDovecot(t, harness.Options{}).Addr()
	} else {
		s, err := embedded.Start(context.Background(), embedded.Options{User: "u", Password: harness.Password})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		addr = s.Addr()
	}
	c := harness.Dial(t, addr, "u", harness.Password)
	c.Create("Größe")
	c.Append("INBOX", letters(0, 3, 3000, `\Seen`)...)
	c.Append("Größe", letters(10, 2, 3000)...)
	return addr, c.All
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	var port int
	if _, err := fmt.Sscanf(addr[strings.LastIndex(addr, ":")+1:], "%d", &port); err != nil {
		t.Fatal(err)
	}
	return port
}

// TestBadMaildir is about a left side that is not what it should be.
func TestBadMaildir(t *testing.T) {
	t.Parallel()
	t.Run("vanished", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, harness.Full, "")
		w.c.Append("INBOX", letters(0, 30, 300)...)
		w.p.Sync(0)
		if err := os.Rename(w.m.Root, w.m.Root+".away"); err != nil {
			t.Fatal(err)
		}
		r := w.p.Run("sync")
		if r.Code != 1 && r.Code != 3 || !strings.Contains(r.Stderr, w.m.Root) {
			t.Errorf("want a failure that names the directory: %v", r)
		}
		if got := w.c.All().Count(); got != 30 {
			t.Errorf("%d of 30 messages are left on the server", got)
		}
		if _, err := os.Stat(w.m.Root); err == nil {
			t.Error("the directory was made again: its next sync could take everything for deleted")
		}
		if err := os.Rename(w.m.Root+".away", w.m.Root); err != nil {
			t.Fatal(err)
		}
		w.p.Sync(0)
		w.same("after the directory came back")
	})
	t.Run("emptied", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, harness.Full, "")
		w.c.Append("INBOX", letters(0, 30, 300)...)
		w.p.Sync(0)
		for _, m := range w.m.Messages("INBOX") {
			w.m.Remove("INBOX", m.Name)
		}
		if r := w.p.Run("sync"); r.Code != 3 {
			t.Errorf("want exit code 3, held: %v", r)
		}
		if got := w.c.All().Count(); got != 30 {
			t.Errorf("%d of 30 messages are left on the server", got)
		}
	})
	t.Run("a file", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, harness.Full, "")
		if err := os.WriteFile(w.m.Root, []byte("not a directory"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := w.p.Run("sync"); r.Code != 1 || !strings.Contains(r.Stderr, w.m.Root) {
			t.Errorf("want exit code 1 and the path: %v", r)
		}
	})
}
