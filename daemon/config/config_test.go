package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"driftless/merge"
)

// testEnv is the environment that the tests read configurations in.
func testEnv(pairs ...string) Env {
	m := map[string]string{"HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/user/7"}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return Env{Lookup: func(name string) (string, bool) { v, ok := m[name]; return v, ok && v != "" }}
}

func mustRead(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFullFile(t *testing.T) {
	got, err := Parse("/etc/driftless/config.toml", mustRead(t, "full.toml"), testEnv())
	if err != nil {
		t.Fatal(err)
	}
	globs, err := ParseGlobs("*", "!Spam", "!Archive/20*")
	if err != nil {
		t.Fatal(err)
	}
	guard := Guard{Percent: 25, AtLeast: 20, AtMost: 5000}
	want := &Config{
		File: "/etc/driftless/config.toml", StateDir: "/home/me/.local/state/driftless", Socket: "/run/user/7/driftless.sock",
		Accounts: []Account{
			{
				Name: "work", Mailboxes: globs, Interval: 15 * time.Minute, Conflict: merge.ConflictDelete,
				New: merge.Both, Flags: merge.Both, Deletions: merge.Both, CreateMailboxes: merge.Both, Guard: guard,
				Store: [2]Store{
					{Maildir: &Maildir{Path: "/home/me/Mail/work", Layout: "fs"}},
					{IMAP: &IMAP{
						Host: "imap.example.org", Port: 993, TLS: "implicit", User: "me@example.org",
						Password: Password{Command: []string{"pass", "show", "mail/work"}}, Connections: 4,
						DisableExtensions: []string{"QRESYNC", "MOVE"}, CAFile: "/etc/driftless/certs/ca.pem", Timeout: 30 * time.Second,
					}},
				},
				Rename: map[string]string{"Sent": "[Gmail]/Sent Mail"},
			},
			{
				Name: "home", Mailboxes: AllMailboxes(), Interval: 15 * time.Minute, Conflict: merge.ConflictLeft,
				New: merge.Both, Flags: merge.Both, Deletions: merge.Both, CreateMailboxes: merge.Direction{false, true}, Guard: guard,
				Store: [2]Store{
					{IMAP: &IMAP{
						Host: "127.0.0.1", Port: 143, TLS: "none", User: "me", Password: Password{Env: "MAIL_PASSWORD"},
						Connections: 4, Timeout: time.Minute,
					}},
					{Maildir: &Maildir{Path: "/home/me/Maildir", Layout: "maildir++"}},
				},
			},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if _, ok := got.Account("home"); !ok {
		t.Error("account home not found by name")
	}
	if _, ok := got.Account("Home"); ok {
		t.Error("account found by another name")
	}
	if l, r := got.Accounts[0].Store[0].Driver(), got.Accounts[0].Store[1].Driver(); l != "maildir" || r != "imap" {
		t.Errorf("drivers are %s and %s", l, r)
	}
}

func TestDefaults(t *testing.T) {
	rows := []struct {
		name          string
		env           Env
		state, socket string
	}{
		{"plain", testEnv(), "/home/me/.local/state/driftless", "/run/user/7/driftless.sock"},
		{"no runtime directory", testEnv("XDG_RUNTIME_DIR", ""), "/home/me/.local/state/driftless", "/home/me/.local/state/driftless/driftless.sock"},
		{"systemd", testEnv("STATE_DIRECTORY", "/var/lib/driftless", "HOME", ""), "", ""}, // ~ in the file cannot be expanded
		{"systemd with home", testEnv("STATE_DIRECTORY", "/var/lib/driftless:/var/lib/other"), "/var/lib/driftless", "/run/user/7/driftless.sock"},
		{"state home is not looked at", testEnv("XDG_STATE_HOME", "/elsewhere"), "/home/me/.local/state/driftless", "/run/user/7/driftless.sock"},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			c, err := Parse("/c/config.toml", mustRead(t, "minimal.toml"), r.env)
			if r.state == "" {
				if err == nil || !strings.Contains(err.Error(), "HOME is not set") {
					t.Fatalf("got %v, want an error about HOME", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.StateDir != r.state || c.Socket != r.socket {
				t.Errorf("state %s, socket %s", c.StateDir, c.Socket)
			}
			a := c.Accounts[0]
			if !a.Mailboxes.Match("any/thing") || a.Interval != 15*time.Minute || a.Guard != (Guard{25, 20, 5000}) || a.New != merge.Both {
				t.Errorf("defaults of the account: %+v", a)
			}
			if s := a.Store[1].IMAP; s.Port != 993 || s.TLS != "implicit" || s.Connections != 4 || s.Timeout != time.Minute {
				t.Errorf("defaults of the server: %+v", s)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	env := testEnv("XDG_CONFIG_HOME", dir)
	if _, err := Load("", env); err == nil || err.Error() != "there is no configuration file "+dir+"/driftless/config.toml; write one, or name another with -c FILE" {
		t.Fatalf("without a file: %v", err)
	}
	if err := os.Mkdir(filepath.Join(dir, "driftless"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "driftless", "config.toml")
	if err := os.WriteFile(file, mustRead(t, "minimal.toml"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load("", env)
	if err != nil {
		t.Fatal(err)
	}
	if c.File != file {
		t.Errorf("read %s", c.File)
	}
	if _, err := Load(dir, env); err == nil {
		t.Error("a directory was read as a configuration")
	}
	big := filepath.Join(dir, "big.toml")
	if err := os.WriteFile(big, []byte("#"+strings.Repeat("x", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(big, env); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a huge file: %v", err)
	}
}

func TestDefaultFile(t *testing.T) {
	rows := []struct{ xdg, home, want, err string }{
		{"/x", "/home/me", "/x/driftless/config.toml", ""},
		{"", "/home/me", "/home/me/.config/driftless/config.toml", ""},
		{"relative", "/home/me", "/home/me/.config/driftless/config.toml", ""},
		{"", "", "", "cannot tell where the configuration is: HOME is not set"},
	}
	for _, r := range rows {
		got, err := DefaultFile(testEnv("XDG_CONFIG_HOME", r.xdg, "HOME", r.home))
		if got != r.want || (err == nil) != (r.err == "") || (err != nil && err.Error() != r.err) {
			t.Errorf("%q %q: got %q, %v", r.xdg, r.home, got, err)
		}
	}
}

func TestExpand(t *testing.T) {
	env := testEnv("SUB", "deep/er", "ABS", "/abs")
	rows := []struct{ in, want, err string }{
		{"~", "/home/me", ""},
		{"~/Mail", "/home/me/Mail", ""},
		{"/a/../b//c/", "/b/c", ""},
		{"rel/x", "/base/rel/x", ""},
		{"$ABS/x", "/abs/x", ""},
		{"${ABS}x", "/absx", ""},
		{"/m/$SUB", "/m/deep/er", ""},
		{"/m/a$$b", "/m/a$b", ""},
		{"/m/~", "/m/~", ""},
		{"~other/x", "", `"~other": only ~ itself is expanded, not another user's home`},
		{"/m/$UNSET", "", "the environment variable UNSET is not set"},
		{"/m/$", "", "$ without a name; write $$ for a dollar sign"},
		{"/m/${X", "", "${ without a name and }"},
		{"/m/${}", "", "${ without a name and }"},
		{"a\x00b", "", "has a NUL character"},
	}
	for _, r := range rows {
		got, err := expand(r.in, "/base", env)
		if got != r.want || (err == nil) != (r.err == "") || (err != nil && err.Error() != r.err) {
			t.Errorf("%q: got %q, %v; want %q, %s", r.in, got, err, r.want, r.err)
		}
	}
}

func TestGlobs(t *testing.T) {
	rows := []struct {
		patterns string // separated by blanks
		yes, no  []string
	}{
		{"*", []string{"INBOX", "a/b", "é"}, nil},
		{"* !Spam !Archive/20*", []string{"INBOX", "Spam/x", "Archive/19"}, []string{"Spam", "Archive/2024", "Archive/20/x"}},
		{"* !Archive* Archive/keep", []string{"Archive/keep", "x"}, []string{"Archive", "Archive/keep/x"}},
		{"inbox", []string{"INBOX"}, []string{"inbox/x", "INBOX/a"}},
		{"!INBOX *", []string{"INBOX"}, nil},
		{"a*b*c", []string{"abc", "a/b/c", "abbc", "aXbYcbc"}, []string{"ab", "abcd", "xabc"}},
		{"a*a", []string{"aa", "a/a"}, []string{"a"}},
		{`\!x \*y`, []string{"!x", "*y"}, []string{"x", "zy"}},
		{"**", []string{"", "x"}, nil},
	}
	for _, r := range rows {
		g, err := ParseGlobs(strings.Fields(r.patterns)...)
		if err != nil {
			t.Errorf("%s: %v", r.patterns, err)
			continue
		}
		if got := strings.Join(g.Patterns(), " "); got != r.patterns {
			t.Errorf("%s: patterns come back as %s", r.patterns, got)
		}
		for _, name := range r.yes {
			if !g.Match(name) {
				t.Errorf("%s does not select %q", r.patterns, name)
			}
		}
		for _, name := range r.no {
			if g.Match(name) {
				t.Errorf("%s selects %q", r.patterns, name)
			}
		}
	}
	for _, bad := range []string{"", "!", `x\`, "!only"} {
		if _, err := ParseGlobs(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestAgesAndSizes(t *testing.T) {
	for in, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "12w": 12 * 7 * 24 * time.Hour, "0d": 0, "d": 0, "-1d": 0, "1.5d": 0, "90": 0, "99999999d": 0} {
		if got, err := parseAge(in); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	for in, want := range map[string]int64{"50MB": 50e6, "48MiB": 48 << 20, "1KB": 1000, "1KiB": 1024, "2GiB": 2 << 30, "7GB": 7e9, "123B": 123, "50": 0, "MB": 0, "-1MB": 0, "50mb": 0, "99999999999999999GB": 0} {
		if got, err := parseSize(in); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
}

func TestNearest(t *testing.T) {
	for in, want := range map[string]string{"intervall": "interval", "flag": "flags", "FLAGS": "flags", "falgs": "flags", "max-age": "max_age"} {
		if got, near := nearest(in, keyNames(accountFields(&Account{}))); got != want || !near {
			t.Errorf("%s: %s, near %v", in, got, near)
		}
	}
	if _, near := nearest("frobnicate", keyNames(accountFields(&Account{}))); near {
		t.Error("frobnicate is taken for a typing error")
	}
	if _, near := nearest(strings.Repeat("x", 1e5), []string{"a", strings.Repeat("y", 1e5)}); near {
		t.Error("long names are taken for a typing error")
	}
}
