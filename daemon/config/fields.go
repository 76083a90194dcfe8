package config

import (
	"slices"
	"strings"
	"time"

	"driftless/merge"
)

// field is a key that a table may have, and what reading it does. The tables of fields below drive the parser and are the source of Reference.
type field struct {
	Key
	set func(p *parser, v value)
}

func topFields(c *Config) []field {
	return []field{
		{
			Key{Name: "state_dir", Type: "path", Default: `"~/.local/state/driftless"`,
				Doc: "Where the logs are, in one directory per account. Unset, and under systemd, the service's `STATE_DIRECTORY`."},
			func(p *parser, v value) { c.StateDir, _ = p.path(v) },
		},
		{
			Key{Name: "socket", Type: "path", Default: "`$XDG_RUNTIME_DIR/driftless.sock`, else in `state_dir`",
				Doc: "The control socket of the daemon."},
			func(p *parser, v value) { c.Socket, _ = p.path(v) },
		},
		{
			Key{Name: "accounts", Type: "table", Required: true, Doc: "The accounts, one table each: `[accounts.NAME]`."},
			func(p *parser, v value) { p.accounts(c, v) },
		},
	}
}

func accountFields(a *Account) []field {
	return []field{
		{
			Key{Name: "mailboxes", Type: "list of globs", Default: `["*"]`,
				Doc: "Which mailboxes are synced, by their left name. `*` matches any run of characters, `/` included; `!` in front excludes; a backslash takes the next character literally; the last match decides."},
			func(p *parser, v value) { p.globs(a, v) },
		},
		{
			Key{Name: "interval", Type: "duration", Default: `"15m"`, Doc: "Safety-net timer of the daemon, 10 s to 24 h."},
			func(p *parser, v value) {
				if d, ok := p.duration(v, 10*time.Second, 24*time.Hour); ok {
					a.Interval = d
				}
			},
		},
		{
			Key{Name: "conflict", Type: "word", Default: `"delete"`, Values: conflictWords,
				Doc:   "What happens to a message that is gone on one side and changed on the other. `delete`: it goes; `keep`: it is copied back; `left`, `right`: that side wins; `ask`: it waits for a person; `fail`: the mailbox fails until then.",
				Later: "`ask` and `fail`"},
			func(p *parser, v value) { p.conflict(a, v) },
		},
		{
			Key{Name: "new", Type: "word", Default: `"both"`, Values: directionWords, Doc: "To which sides new messages are propagated.", Later: "all but `both`"},
			func(p *parser, v value) { p.onlyBoth(v) },
		},
		{
			Key{Name: "flags", Type: "word", Default: `"both"`, Values: directionWords, Doc: "To which sides flag changes are propagated.", Later: "all but `both`"},
			func(p *parser, v value) { p.onlyBoth(v) },
		},
		{
			Key{Name: "deletions", Type: "word", Default: `"both"`, Values: directionWords, Doc: "To which sides deletions are propagated.", Later: "all but `both`"},
			func(p *parser, v value) { p.onlyBoth(v) },
		},
		{
			Key{Name: "create_mailboxes", Type: "word", Default: `"both"`, Values: directionWords, Doc: "On which sides a mailbox that is new on the other one is created."},
			func(p *parser, v value) {
				if d, ok := p.direction(v); ok {
					a.CreateMailboxes = d
				}
			},
		},
		{
			Key{Name: "delete_mailboxes", Type: "word", Default: `"none"`, Values: directionWords, Doc: "On which sides a mailbox that is gone on the other one is deleted. With `none` both are left alone and it is reported.", Later: "all but `none`"},
			func(p *parser, v value) {
				if d, ok := p.direction(v); ok && d != (merge.Direction{}) {
					p.later(v, `this version never deletes mailboxes; use "none"`)
				}
			},
		},
		{
			Key{Name: "trash", Type: "mailbox", Default: `""`, Doc: "Where deleted messages are moved to; empty: they are expunged.", Later: "a mailbox"},
			func(p *parser, v value) { p.trash(v) },
		},
		{
			Key{Name: "expunge", Type: "word", Default: `"none"`, Values: []string{"none", "left", "right", "both"},
				Doc: "Where messages flagged `\\Deleted` (Maildir: `T`) are removed once both sides know the flag.", Later: "all but `none`"},
			func(p *parser, v value) {
				if s, ok := p.choice(v, "none", "left", "right", "both"); ok && s != "none" {
					p.later(v, `this version never expunges by itself; use "none"`)
				}
			},
		},
		{
			Key{Name: "max_age", Type: "age", Default: `""`, Doc: "Only messages younger than this are copied, such as `\"90d\"` or `\"12w\"`; empty: all.", Later: "an age"},
			func(p *parser, v value) {
				p.window(v, func(s string) error { _, err := parseAge(s); return err }, "messages of any age")
			},
		},
		{
			Key{Name: "max_size", Type: "size", Default: `""`, Doc: "Only messages up to this size are copied, such as `\"50MB\"` or `\"48MiB\"`; empty: all.", Later: "a size"},
			func(p *parser, v value) {
				p.window(v, func(s string) error { _, err := parseSize(s); return err }, "messages of any size")
			},
		},
		{
			Key{Name: "guard", Type: "table", Doc: "When deletions are too many to be meant, and are held."},
			func(p *parser, v value) {
				p.table(v, guardFields(&a.Guard))
				if a.Guard.AtMost < a.Guard.AtLeast {
					p.failKey(v, "at_most (%d) is less than at_least (%d)", a.Guard.AtMost, a.Guard.AtLeast)
				}
			},
		},
		{
			Key{Name: "left", Type: "table", Required: true, Doc: "The left store."},
			func(p *parser, v value) { p.store(&a.Store[merge.Left], v) },
		},
		{
			Key{Name: "right", Type: "table", Required: true, Doc: "The right store."},
			func(p *parser, v value) { p.store(&a.Store[merge.Right], v) },
		},
		{
			Key{Name: "rename", Type: "table", Default: "`{}`", Doc: "Mailboxes that have another name on the right: `\"left name\" = \"right name\"`. Two names that meet are an error."},
			func(p *parser, v value) { p.rename(a, v) },
		},
	}
}

func guardFields(g *Guard) []field {
	return []field{
		{
			Key{Name: "deletions", Type: "share", Default: `"25%"`, Doc: "More than this share of a mailbox's or account's messages ..."},
			func(p *parser, v value) {
				if f, ok := p.percent(v); ok {
					g.Percent = f
				}
			},
		},
		{
			Key{Name: "at_least", Type: "integer", Default: "20", Doc: "... and more than this many are held;"},
			func(p *parser, v value) {
				if n, ok := p.whole(v, 0, maxGuard); ok {
					g.AtLeast = n
				}
			},
		},
		{
			Key{Name: "at_most", Type: "integer", Default: "5000", Doc: "more than this many are held in any case."},
			func(p *parser, v value) {
				if n, ok := p.whole(v, 0, maxGuard); ok {
					g.AtMost = n
				}
			},
		},
	}
}

const maxGuard = 1e9

var (
	conflictWords  = []string{"delete", "keep", "left", "right", "ask", "fail"}
	directionWords = []string{"both", "to-left", "to-right", "none"}
	driverWords    = []string{driverMaildir, driverIMAP}
)

func driverField() field {
	return field{
		Key{Name: "driver", Type: "word", Required: true, Values: driverWords, Doc: "The kind of store."},
		func(*parser, value) {}, // read first, by store
	}
}

func maildirFields(m *Maildir) []field {
	return []field{
		driverField(),
		{
			Key{Name: "path", Type: "path", Required: true, Doc: "The directory. It is created by the first sync, and never again: a directory that has vanished is an error."},
			func(p *parser, v value) { m.Path, _ = p.path(v) },
		},
		{
			Key{Name: "layout", Type: "word", Default: `"fs"`, Values: []string{LayoutFS, LayoutPlus},
				Doc: "`fs`: path/INBOX, path/Sub/Folder; `maildir++`: path itself is INBOX, path/.Sub.Folder."},
			func(p *parser, v value) {
				if s, ok := p.choice(v, LayoutFS, LayoutPlus); ok {
					m.Layout = s
				}
			},
		},
	}
}

func imapFields(s *IMAP) []field {
	secret := func(name, typ, doc string, read func(p *parser, v value)) field {
		return field{Key{Name: name, Type: typ, Doc: doc}, read}
	}
	refused := func(name, typ, doc string) field {
		return field{Key{Name: name, Type: typ, Doc: doc, Later: "any value"}, func(p *parser, v value) {
			p.failKey(v, "not supported yet: use password_command, password_file or password_env")
		}}
	}
	return []field{
		driverField(),
		{
			Key{Name: "host", Type: "host name", Required: true, Doc: "The server, by name or address."},
			func(p *parser, v value) {
				h, ok := p.filled(v)
				if !ok {
					return
				}
				if err := hostName(h); err != nil {
					p.fail(v, "%v", err)
					return
				}
				s.Host = h
			},
		},
		{
			Key{Name: "port", Type: "integer", Default: "993 with `tls = \"implicit\"`, else 143", Doc: "The server's port."},
			func(p *parser, v value) {
				if n, ok := p.whole(v, 1, 65535); ok {
					s.Port = n
				}
			},
		},
		{
			Key{Name: "tls", Type: "word", Default: `"implicit"`, Values: []string{TLSImplicit, TLSStart, TLSNone},
				Doc: "`implicit`: TLS from the first byte; `starttls`: a server that does not offer it is an error; `none`: only for this machine, unless `insecure = true`."},
			func(p *parser, v value) {
				if t, ok := p.choice(v, TLSImplicit, TLSStart, TLSNone); ok {
					s.TLS = t
				}
			},
		},
		{
			Key{Name: "insecure", Type: "boolean", Default: "false", Doc: "Allows `tls = \"none\"` to another machine: password and mail can be read on the way. It does not switch off the check of certificates; nothing does."},
			func(p *parser, v value) { s.Insecure = p.boolean(v) },
		},
		{
			Key{Name: "ca_file", Type: "path", Default: "the system's", Doc: "PEM file with the certificates to trust instead of the system's."},
			func(p *parser, v value) { s.CAFile, _ = p.path(v) },
		},
		{
			Key{Name: "user", Type: "string", Required: true, Doc: "The login name."},
			func(p *parser, v value) { s.User, _ = p.filled(v) },
		},
		secret("password_command", "list of strings", "Program and arguments, run without a shell for at most 60 s; the first line that it prints is the password. Exactly one of the `password_` keys is needed.",
			func(p *parser, v value) { s.Password.Command = p.argv(v) }),
		secret("password_file", "path", "File whose first line is the password. Other users must have no access to it.",
			func(p *parser, v value) { s.Password.File, _ = p.path(v) }),
		secret("password_env", "string", "Name of the environment variable that holds the password.",
			func(p *parser, v value) {
				n, ok := p.filled(v)
				if ok && !isVariable(n) {
					p.fail(v, "%q is not the name of an environment variable", n)
				}
				s.Password.Env = n
			}),
		refused("keyring", "string", "Entry of the system's keyring that holds the password."),
		refused("credential", "string", "Name of a systemd credential that holds the password."),
		refused("oauth2", "table", "OAuth 2.0 instead of a password."),
		{
			Key{Name: "connections", Type: "integer", Default: "4", Doc: "How many connections are opened at most, 1 to 32."},
			func(p *parser, v value) {
				if n, ok := p.whole(v, 1, 32); ok {
					s.Connections = n
				}
			},
		},
		{
			Key{Name: "timeout", Type: "duration", Default: `"1m"`, Doc: "How long the server may stay silent while it owes an answer, 1 s to 1 h."},
			func(p *parser, v value) {
				if d, ok := p.duration(v, time.Second, time.Hour); ok {
					s.Timeout = d
				}
			},
		},
		{
			Key{Name: "disable_extensions", Type: "list of words", Default: "`[]`", Doc: "IMAP extensions that are not used although the server offers them, such as `[\"QRESYNC\", \"MOVE\"]`. Known are " + strings.Join(Extensions(), ", ") + "."},
			func(p *parser, v value) { p.extensions(s, v) },
		},
	}
}

// extensions that can be disabled, sorted.
var extensions = []string{
	"APPENDLIMIT", "AUTH=PLAIN", "COMPRESS=DEFLATE", "CONDSTORE", "ENABLE", "ESEARCH", "ID", "IDLE", "LIST-EXTENDED", "LIST-STATUS", "LITERAL+",
	"LITERAL-", "MOVE", "MULTIAPPEND", "NAMESPACE", "NOTIFY", "OBJECTID", "QRESYNC", "SASL-IR", "SPECIAL-USE", "STATUS=SIZE",
	"UIDPLUS", "UNSELECT", "UTF8=ACCEPT",
}

// Extensions returns the IMAP extensions that disable_extensions may name, sorted.
func Extensions() []string { return slices.Clone(extensions) }
