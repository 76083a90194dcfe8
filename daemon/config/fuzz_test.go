package config

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"driftless/merge"
)

// FuzzParse: whatever the file says, the answer is a configuration that keeps its promises or errors with a place in the file.
func FuzzParse(f *testing.F) {
	f.Add(mustRead(f, "full.toml"))
	f.Add(mustRead(f, "minimal.toml"))
	f.Add([]byte(good))
	f.Add([]byte("accounts.a.left.driver = 'imap'\naccounts.\"\".x = [[{}, 1], nan]\n"))
	f.Add([]byte("[[accounts]]\nx = 1979-05-27T07:32:00Z\n[accounts.guard]\n"))
	f.Add([]byte("\xef\xbb\xbf[accounts.a]\r\nrename = {\"\\u0000\" = ''}\r\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := Parse("/c/f.toml", doc, testEnv())
		if err != nil {
			var list Errors
			if !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("not a list of errors: %v", err)
			}
			lines := 1 + strings.Count(string(doc), "\n")
			for _, e := range list {
				if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Column > len(doc)+1 {
					t.Errorf("place outside the file: %v", e)
				}
				if utf8.Valid(doc) && !utf8.ValidString(e.Error()) {
					t.Errorf("not UTF-8: %q", e.Error())
				}
			}
			return
		}
		if len(c.Accounts) == 0 || !strings.HasPrefix(c.StateDir, "/") || !strings.HasPrefix(c.Socket, "/") {
			t.Fatalf("incomplete: %+v", c)
		}
		for _, a := range c.Accounts {
			if accountName(a.Name) != nil || a.Interval <= 0 || len(a.Mailboxes.Patterns()) == 0 || a.Guard.AtMost < a.Guard.AtLeast {
				t.Errorf("incomplete account: %+v", a)
			}
			for _, side := range merge.Sides {
				s := a.Store[side]
				switch {
				case (s.Maildir == nil) == (s.IMAP == nil):
					t.Errorf("%s %s has not exactly one driver", a.Name, side)
				case s.Maildir != nil && (!strings.HasPrefix(s.Maildir.Path, "/") || s.Maildir.Layout == ""):
					t.Errorf("incomplete: %+v", s.Maildir)
				case s.IMAP != nil && (s.IMAP.Host == "" || s.IMAP.Port == 0 || s.IMAP.User == "" || s.IMAP.Connections == 0 || s.IMAP.Timeout == 0):
					t.Errorf("incomplete: %+v", s.IMAP)
				}
			}
		}
	})
}

// FuzzGlob compares the matcher with the obvious recursive one.
func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"*", "x"}, {"a*b", "ab"}, {`\*x*`, "*xy"}, {"a*a", "a"}, {"**a*", "bab"}} {
		f.Add(s[0], s[1])
	}
	var match func(p, s string) bool
	match = func(p, s string) bool {
		switch {
		case p == "":
			return s == ""
		case p[0] == '*':
			return match(p[1:], s) || s != "" && match(p, s[1:])
		case p[0] == '\\':
			p = p[1:]
		}
		return s != "" && p[0] == s[0] && match(p[1:], s[1:])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 12 || strings.HasPrefix(pattern, "!") || strings.EqualFold(name, Inbox) {
			t.Skip("too slow for the obvious matcher, or not its business")
		}
		g, err := ParseGlobs(pattern)
		if err != nil {
			return
		}
		if got, want := g.Match(name), match(pattern, name); got != want {
			t.Errorf("%q on %q: %v", pattern, name, got)
		}
	})
}
