package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// good is a valid file, of which each row of TestWrongValues replaces one piece.
const good = `[accounts.work]
#account
[accounts.work.left]
driver = "maildir"
path = "/mail"
#maildir
[accounts.work.right]
driver = "imap"
host = "imap.example.org"
user = "me"
password_env = "PW"
#imap
`

// TestWrongValues has one row per way in which a value can be wrong, with the whole message behind the file's name.
func TestWrongValues(t *testing.T) {
	rows := []struct{ old, new, want string }{
		// syntax
		{"#account", "x = ", `:2:5: not valid TOML: unexpected character U+000A at start of value`},
		{"#account", "[accounts.work]", `:2:2: not valid TOML: table work already exists`},
		{"#account", "flags = \"both\"\nflags = \"both\"", `:3:1: not valid TOML: key flags is already defined`},
		// unknown keys
		{"[accounts.work]", "state_dri = '/x'\n[accounts.work]", `:1:1: state_dri: unknown key; did you mean "state_dir"?`},
		{"[accounts.work]", "[account.work]\n[accounts.work]", `:1:2: account: unknown key; did you mean "accounts"?`},
		{"#account", `frobnicate = 1`, `:2:1: accounts.work.frobnicate: unknown key; the nearest valid key is "rename"`},
		{"#account", `intervall = "1m"`, `:2:1: accounts.work.intervall: unknown key; did you mean "interval"?`},
		{"#account", `guard = { deletion = "5%" }`, `:2:11: accounts.work.guard.deletion: unknown key; did you mean "deletions"?`},
		{"#maildir", `layuot = "fs"`, `:6:1: accounts.work.left.layuot: unknown key; did you mean "layout"?`},
		{"#maildir", `host = "x"`, `:6:1: accounts.work.left.host: the driver "maildir" has no such key; the nearest valid key is "path"`},
		{"#imap", `path = "/x"`, `:12:1: accounts.work.right.path: the driver "imap" has no such key; the nearest valid key is "port"`},
		{"#imap", `conections = 4`, `:12:1: accounts.work.right.conections: unknown key; did you mean "connections"?`},
		{`password_env = "PW"`, `password = "geheim"`, `:11:1: accounts.work.right.password: unknown key; a password never stands in the configuration itself; the nearest valid key is "password_env"`},
		// structure
		{"[accounts.work]", "accounts = 1\n[x]", `:4:2: not valid TOML: key accounts already exists as a value`},
		{"#account", "left = 1", `:3:2: not valid TOML: key left should be a table, not a value`},
		{`driver = "maildir"`, "", `:3:16: accounts.work.left: the key "driver" is missing; it is one of "maildir", "imap"`},
		{`driver = "maildir"`, `driver = "mailbox"`, `:4:10: accounts.work.left.driver: "mailbox" is not one of "maildir", "imap"`},
		{`driver = "maildir"`, `driver = 1`, `:4:10: accounts.work.left.driver: must be a string, not an integer`},
		{`path = "/mail"`, "", `:3:16: accounts.work.left: the key "path" is missing`},
		{`host = "imap.example.org"`, "", `:7:16: accounts.work.right: the key "host" is missing`},
		{`user = "me"`, "", `:7:16: accounts.work.right: the key "user" is missing`},
		{`password_env = "PW"`, "", `:7:16: accounts.work.right: there is no password: one of password_command, password_file, password_env is needed`},
		{"#imap", `password_file = "/pw"`, `:12:1: accounts.work.right.password_file: only one of password_command, password_file, password_env can be set, and password_env is`},
		// top
		{"[accounts.work]", "state_dir = 7\n[accounts.work]", `:1:13: state_dir: must be a string, not an integer`},
		{"[accounts.work]", "state_dir = ''\n[accounts.work]", `:1:13: state_dir: must not be empty`},
		{"[accounts.work]", "socket = '$NOPE/x'\n[accounts.work]", `:1:10: socket: the environment variable NOPE is not set`},
		{"[accounts.work]", "state_dir = '/mail/state'\n[accounts.work]", `:6:8: accounts.work.left.path: state_dir /mail/state lies in this Maildir`},
		// account
		{"#account", `mailboxes = "*"`, `:2:13: accounts.work.mailboxes: must be a list of strings, not a string`},
		{"#account", `mailboxes = []`, `:2:1: accounts.work.mailboxes: selects no mailbox; begin with "*" and exclude after it`},
		{"#account", `mailboxes = ["!Spam"]`, `:2:1: accounts.work.mailboxes: selects no mailbox; begin with "*" and exclude after it`},
		{"#account", `mailboxes = ["*", 5]`, `:2:19: accounts.work.mailboxes: must be a list of strings; element 2 is an integer`},
		{"#account", `mailboxes = ["*", "!"]`, `:2:19: accounts.work.mailboxes: "!": empty pattern`},
		{"#account", `interval = "15"`, `:2:12: accounts.work.interval: "15" is not a duration; write it like "90s", "15m" or "1h30m"`},
		{"#account", `interval = 15`, `:2:12: accounts.work.interval: must be a string, not an integer`},
		{"#account", `interval = "1s"`, `:2:12: accounts.work.interval: 1s is not between 10s and 24h`},
		{"#account", `conflict = "kep"`, `:2:12: accounts.work.conflict: "kep" is not one of "delete", "keep", "left", "right", "ask", "fail"; did you mean "keep"?`},
		{"#account", `conflict = "ask"`, `:2:12: accounts.work.conflict: not supported yet: this version can "delete", "keep", or let "left" or "right" win`},
		{"#account", `conflict = "fail"`, `:2:12: accounts.work.conflict: not supported yet: this version can "delete", "keep", or let "left" or "right" win`},
		{"#account", `new = "right"`, `:2:7: accounts.work.new: "right" is not one of "both", "to-left", "to-right", "none"; did you mean "to-right"?`},
		{"#account", `new = "to-right"`, `:2:7: accounts.work.new: not supported yet: this version always propagates to "both" sides`},
		{"#account", `flags = "none"`, `:2:9: accounts.work.flags: not supported yet: this version always propagates to "both" sides`},
		{"#account", `deletions = "to-left"`, `:2:13: accounts.work.deletions: not supported yet: this version always propagates to "both" sides`},
		{"#account", `create_mailboxes = true`, `:2:20: accounts.work.create_mailboxes: must be a string, not a boolean`},
		{"#account", `delete_mailboxes = "both"`, `:2:20: accounts.work.delete_mailboxes: not supported yet: this version never deletes mailboxes; use "none"`},
		{"#account", `trash = "Trash"`, `:2:9: accounts.work.trash: not supported yet: this version expunges what is deleted; leave it empty`},
		{"#account", `trash = "../Trash"`, `:2:9: accounts.work.trash: "../Trash" is not a mailbox name: a level is ".."`},
		{"#account", `expunge = "both"`, `:2:11: accounts.work.expunge: not supported yet: this version never expunges by itself; use "none"`},
		{"#account", `expunge = "all"`, `:2:11: accounts.work.expunge: "all" is not one of "none", "left", "right", "both"`},
		{"#account", `max_age = "90d"`, `:2:11: accounts.work.max_age: not supported yet: this version syncs messages of any age; leave it empty`},
		{"#account", `max_age = "90"`, `:2:11: accounts.work.max_age: "90" is not an age; write it like "90d" or "12w"`},
		{"#account", `max_size = "50MB"`, `:2:12: accounts.work.max_size: not supported yet: this version syncs messages of any size; leave it empty`},
		{"#account", `max_size = "50 MB"`, `:2:12: accounts.work.max_size: "50 MB" is not a size; write it like "50MB" or "48MiB"`},
		{"#account", `max_age = 90`, `:2:11: accounts.work.max_age: must be a string, not an integer`},
		{"#account", `max_age = 2020-01-01`, `:2:11: accounts.work.max_age: must be a string, not a date or time`},
		{"#account", `guard = 5`, `:2:9: accounts.work.guard: must be a table, not an integer`},
		{"#account", `guard = { deletions = 25 }`, `:2:23: accounts.work.guard.deletions: must be a string, not an integer`},
		{"#account", `guard = { deletions = "125%" }`, `:2:23: accounts.work.guard.deletions: "125%" is not a share; write it like "25%", from "0%" to "100%"`},
		{"#account", `guard = { deletions = "NaN%" }`, `:2:23: accounts.work.guard.deletions: "NaN%" is not a share; write it like "25%", from "0%" to "100%"`},
		{"#account", `guard = { at_least = -1 }`, `:2:22: accounts.work.guard.at_least: -1 is not between 0 and 1000000000`},
		{"#account", `guard = { at_least = 1.5 }`, `:2:22: accounts.work.guard.at_least: must be an integer, not a number`},
		{"#account", `guard = { at_most = "9" }`, `:2:21: accounts.work.guard.at_most: must be an integer, not a string`},
		{"#account", `guard = { at_most = 5 }`, `:2:1: accounts.work.guard: at_most (5) is less than at_least (20)`},
		{"#account", `rename = "x"`, `:2:10: accounts.work.rename: must be a table, not a string`},
		{"#account", `rename = { Sent = "S", Gone = "S" }`, `:2:31: accounts.work.rename.Gone: "Sent" and "Gone" would meet in the right mailbox "S"`},
		{"#account", `rename = { inbox = "X", INBOX = "INBOX" }`, `:2:25: accounts.work.rename.INBOX: the left name "INBOX" is renamed twice`},
		{"#account", `rename = { Sent = "inbox" }`, `:2:1: accounts.work.rename: "Sent" and "INBOX" would meet in the right mailbox "INBOX"`},
		{"#account", `rename = { INBOX = "Main" }`, `:2:1: accounts.work.rename: the right mailboxes "Main" and "INBOX" would meet in the left mailbox "INBOX"`},
		{"#account", `rename = { "a//b" = "c" }`, `:2:12: accounts.work.rename."a//b": "a//b" is not a mailbox name: a level is ""`},
		{"#account", `rename = { a = "../b" }`, `:2:16: accounts.work.rename.a: "../b" is not a mailbox name: a level is ".."`},
		{"#account", `rename = { a = 1 }`, `:2:16: accounts.work.rename.a: must be a string, not an integer`},
		{"#account", `rename = { a = "" }`, `:2:16: accounts.work.rename.a: a mailbox name is empty`},
		{"#account", `rename = { a = "x\u0007" }`, `:2:16: accounts.work.rename.a: "x\a" is not a mailbox name: it has a control character or is not UTF-8`},
		// maildir
		{`path = "/mail"`, `path = "~you/mail"`, `:5:8: accounts.work.left.path: "~you": only ~ itself is expanded, not another user's home`},
		{`path = "/mail"`, `path = ""`, `:5:8: accounts.work.left.path: must not be empty`},
		{"#maildir", `layout = "mbox"`, `:6:10: accounts.work.left.layout: "mbox" is not one of "fs", "maildir++"`},
		// imap
		{`"imap.example.org"`, `"imaps://imap.example.org"`, `:9:8: accounts.work.right.host: "imaps://imap.example.org" is a URL; write the host name only`},
		{`"imap.example.org"`, `"imap.example.org:993"`, `:9:8: accounts.work.right.host: "imap.example.org:993" has a port; write it as the key "port"`},
		{`"imap.example.org"`, `"imap example"`, `:9:8: accounts.work.right.host: "imap example" is not a host name`},
		{`"imap.example.org"`, `""`, `:9:8: accounts.work.right.host: must not be empty`},
		{`user = "me"`, `user = "me\r\nA1 LOGOUT"`, `:10:8: accounts.work.right.user: "me\r\nA1 LOGOUT" has a control character`},
		{"#imap", `port = "993"`, `:12:8: accounts.work.right.port: must be an integer, not a string`},
		{"#imap", `port = 0`, `:12:8: accounts.work.right.port: 0 is not between 1 and 65535`},
		{"#imap", `port = 65536`, `:12:8: accounts.work.right.port: 65536 is not between 1 and 65535`},
		{"#imap", `tls = "ssl"`, `:12:7: accounts.work.right.tls: "ssl" is not one of "implicit", "starttls", "none"`},
		{"#imap", `tls = "none"`, `:12:7: accounts.work.right.tls: "none" would send the password to imap.example.org in the clear; use "implicit" or "starttls", or set insecure = true`},
		{"#imap", `insecure = "yes"`, `:12:12: accounts.work.right.insecure: must be true or false, not a string`},
		{"#imap", `ca_file = 5`, `:12:11: accounts.work.right.ca_file: must be a string, not an integer`},
		{"#imap", `connections = 0`, `:12:15: accounts.work.right.connections: 0 is not between 1 and 32`},
		{"#imap", `timeout = "2h"`, `:12:11: accounts.work.right.timeout: 2h is not between 1s and 1h`},
		{"#imap", `disable_extensions = ["QSYNC"]`, `:12:23: accounts.work.right.disable_extensions: "QSYNC" is not an extension that driftless uses; the nearest is "QRESYNC"`},
		{"#imap", `disable_extensions = "MOVE"`, `:12:22: accounts.work.right.disable_extensions: must be a list of strings, not a string`},
		{`password_env = "PW"`, `password_env = "A-B"`, `:11:16: accounts.work.right.password_env: "A-B" is not the name of an environment variable`},
		{`password_env = "PW"`, `password_file = "$NOPE"`, `:11:17: accounts.work.right.password_file: the environment variable NOPE is not set`},
		{`password_env = "PW"`, `password_command = "pass show x"`, `:11:20: accounts.work.right.password_command: must be a list of program and arguments, as no shell takes it apart: ["pass", "show", "x"]`},
		{`password_env = "PW"`, `password_command = []`, `:11:1: accounts.work.right.password_command: names no program`},
		{`password_env = "PW"`, `password_command = [1]`, `:11:21: accounts.work.right.password_command: must be a list of strings; element 1 is an integer`},
		{`password_env = "PW"`, `keyring = "work"`, `:11:1: accounts.work.right.keyring: not supported yet: use password_command, password_file or password_env`},
		{`password_env = "PW"`, `credential = "work"`, `:11:1: accounts.work.right.credential: not supported yet: use password_command, password_file or password_env`},
		{`password_env = "PW"`, `oauth2 = { client_id = "x" }`, `:11:1: accounts.work.right.oauth2: not supported yet: use password_command, password_file or password_env`},
	}
	for _, r := range rows {
		t.Run(r.new, func(t *testing.T) {
			if strings.Count(good, r.old) < 1 {
				t.Fatalf("%q is not in the good file", r.old)
			}
			_, err := Parse("f.toml", []byte(strings.Replace(good, r.old, r.new, 1)), testEnv())
			if err == nil {
				t.Fatalf("accepted; want %s", r.want)
			}
			if got := err.Error(); got != "f.toml"+r.want {
				t.Errorf("\ngot  %s\nwant f.toml%s", got, r.want)
			}
			if strings.Contains(err.Error(), "geheim") {
				t.Error("a password is in the error")
			}
		})
	}
}

// TestWrongFiles has what cannot be said as a change of one piece of the good file.
func TestWrongFiles(t *testing.T) {
	const store = "left = { driver = 'maildir', path = '/l' }\nright = { driver = 'maildir', path = '/r' }\n"
	const name = `not an account name: use up to 64 letters, digits, '-', '_' and '.', a letter, digit or '_' first`
	const server = "driver = 'imap', host = 'h', user = 'u', password_env = 'P'"
	rows := []struct{ doc, want string }{
		{"", `f.toml:1:1: the key "accounts" is missing`},
		{"accounts = 1", `f.toml:1:12: accounts: must be tables [accounts.NAME], not an integer`},
		{"[[accounts]]\n", `f.toml:1:3: accounts: must be tables [accounts.NAME], not a list`},
		{"[accounts]\n", `f.toml:1:2: accounts: there is no account; begin one with [accounts.NAME]`},
		{"[accounts]\nwork = 1", `f.toml:2:8: accounts.work: must be a table, not an integer`},
		{"[accounts.\"a/b\"]\n" + store, `f.toml:1:11: accounts."a/b": ` + name},
		{"[accounts.\"..\"]\n" + store, `f.toml:1:11: accounts."..": ` + name},
		{"[accounts.\"\"]\n" + store, `f.toml:1:11: accounts."": ` + name},
		{"[accounts.-x]\n" + store, `f.toml:1:11: accounts.-x: ` + name},
		{"[accounts.a]\n" + store + "[accounts.A]\n" + store, `f.toml:4:11: accounts.A: differs from the account "a" in case only`},
		{"[accounts.a]\nleft = 1\nright = 'x'", "f.toml:2:8: accounts.a.left: must be a table, not an integer\nf.toml:3:9: accounts.a.right: must be a table, not a string"},
		{"[accounts.a]\n", "f.toml:1:11: accounts.a: the key \"left\" is missing\nf.toml:1:11: accounts.a: the key \"right\" is missing"},
		{"[accounts.a]\nleft = { driver = 'maildir', path = '/m' }\nright = { driver = 'maildir', path = '/m/sub' }", `f.toml:3:38: accounts.a.right.path: /m/sub lies in /m (accounts.a.left.path, 2:37); each store needs a place of its own`},
		{"[accounts.a]\n" + store + "[accounts.b]\nleft = { driver = 'maildir', path = '/x/..//l/' }\nright = { driver = 'maildir', path = '/b' }", `f.toml:5:37: accounts.b.left.path: /l is the same place as /l (accounts.a.left.path, 2:37); each store needs a place of its own`},
		{"[accounts.a]\nleft = { driver = 'maildir', path = '/m/x' }\nright = { " + server + " }\n[accounts.b]\nleft = { " + server + " }\nright = { driver = 'maildir', path = '/m' }", `f.toml:6:38: accounts.b.right.path: /m contains /m/x (accounts.a.left.path, 2:37); each store needs a place of its own`},
		{"[accounts.a]\n" + store + "mailboxes = ['', 1, '!', 2]", "f.toml:4:18: accounts.a.mailboxes: must be a list of strings; element 2 is an integer\nf.toml:4:26: accounts.a.mailboxes: must be a list of strings; element 4 is an integer"},
		{"[accounts.a]\n" + store + "mailboxes = ['', '!']", "f.toml:4:14: accounts.a.mailboxes: \"\": empty pattern\nf.toml:4:18: accounts.a.mailboxes: \"!\": empty pattern"},
		{"[accounts.a]\nleft = { " + server + " }\nright = { " + server + ", port = 993 }", `f.toml:1:11: accounts.a: left and right are the same user on the same server`},
		{"a = 1\na = 2\n", `f.toml:2:1: not valid TOML: key a is already defined`},
		{"[accounts.a]\n" + store + "new = 'none'\nflgs = 1\n\ninterval = 5", "f.toml:4:7: accounts.a.new: not supported yet: this version always propagates to \"both\" sides\nf.toml:5:1: accounts.a.flgs: unknown key; did you mean \"flags\"?\nf.toml:7:12: accounts.a.interval: must be a string, not an integer"},
	}
	for _, r := range rows {
		_, err := Parse("f.toml", []byte(r.doc), testEnv())
		var list Errors
		if !errors.As(err, &list) {
			t.Errorf("%q: got %v, want Errors", r.doc, err)
			continue
		}
		if got := err.Error(); got != r.want {
			t.Errorf("%q:\ngot  %s\nwant %s", r.doc, got, r.want)
		}
		var one *Error
		if !errors.As(err, &one) || one.File != "f.toml" {
			t.Errorf("%q: the single errors cannot be reached", r.doc)
		}
	}
}

// TestPlacesBehindLinks has two stores whose paths differ, but not the place.
func TestPlacesBehindLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(dir, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	parse := func(state, left, right string) error {
		doc := "state_dir = '" + state + "'\n[accounts.a]\nleft = { driver = 'maildir', path = 'link/" + left + "' }\nright = { driver = 'maildir', path = '" + right + "' }\n"
		_, err := Parse(filepath.Join(dir, "f.toml"), []byte(doc), testEnv())
		return err
	}
	if err := parse("s", "new/box", "new"); err == nil || !strings.Contains(err.Error(), "accounts.a.right.path: "+dir+"/new contains "+dir+"/link/new/box (accounts.a.left.path, 3:37)") {
		t.Errorf("a store in a store through a link: %v", err)
	}
	if err := parse("m/s", "m", "n"); err == nil || !strings.Contains(err.Error(), "accounts.a.left.path: state_dir "+dir+"/m/s lies in this Maildir") {
		t.Errorf("a state directory in a store through a link: %v", err)
	}
	if err := parse("s", "m", "m2"); err != nil {
		t.Errorf("neighbours refused: %v", err)
	}
}

// TestEveryKeyHasAWrongValue keeps the tables above complete when keys are added.
func TestEveryKeyHasAWrongValue(t *testing.T) {
	source := string(mustRead(t, "../wrong_test.go"))
	for _, k := range Reference() {
		if !strings.Contains(source, "."+k.Name+": ") && !strings.Contains(source, " "+k.Name+": ") {
			t.Errorf("no row for a wrong value of %s %s", k.Table, k.Name)
		}
	}
}
