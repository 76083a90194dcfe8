package config

import (
	"errors"
	"strings"
)

// Inbox is the one mailbox name that is compared without regard to case (RFC 9051, section 5.1).
const Inbox = "INBOX"

// Globs is an ordered list of mailbox patterns. "*" matches any run of characters, "/" included; "!" in front
// excludes; a backslash takes the next character literally. The last pattern that matches a name decides, and a
// name that none matches is not selected.
type Globs struct{ patterns []glob }

type glob struct {
	exclude bool
	whole   string // the pattern as written
	parts   []string
}

// AllMailboxes returns the list that selects everything.
func AllMailboxes() Globs { return Globs{[]glob{{whole: "*", parts: []string{"", ""}}}} }

// ParseGlobs returns the list of these patterns. A list that can select nothing is an error.
func ParseGlobs(patterns ...string) (Globs, error) {
	var g Globs
	selects := false
	for _, p := range patterns {
		one, err := parseGlob(p)
		if err != nil {
			return Globs{}, err
		}
		selects = selects || !one.exclude
		g.patterns = append(g.patterns, one)
	}
	if !selects {
		return Globs{}, errors.New(`selects no mailbox; begin with "*" and exclude after it`)
	}
	return g, nil
}

func parseGlob(p string) (glob, error) {
	rest, exclude := strings.CutPrefix(p, "!")
	g := glob{exclude: exclude, whole: p}
	if rest == "" {
		return g, errors.New("empty pattern")
	}
	var part strings.Builder
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; c {
		case '*':
			g.parts = append(g.parts, part.String())
			part.Reset()
		case '\\':
			i++
			if i == len(rest) {
				return g, errors.New("a backslash at the end of a pattern")
			}
			part.WriteByte(rest[i])
		default:
			part.WriteByte(c)
		}
	}
	g.parts = append(g.parts, part.String())
	return g, nil
}

// Match reports whether the list selects the mailbox.
func (g Globs) Match(name string) bool {
	for i := len(g.patterns) - 1; i >= 0; i-- {
		if g.patterns[i].match(name) {
			return !g.patterns[i].exclude
		}
	}
	return false
}

// Patterns returns the patterns as they were written.
func (g Globs) Patterns() []string {
	out := make([]string, len(g.patterns))
	for i, p := range g.patterns {
		out[i] = p.whole
	}
	return out
}

// match takes time proportional to name times parts at worst: each part is searched for once, leftmost first.
func (g glob) match(name string) bool {
	if strings.EqualFold(name, Inbox) && len(g.parts) == 1 && strings.EqualFold(g.parts[0], Inbox) {
		return true
	}
	last := len(g.parts) - 1
	if last == 0 {
		return name == g.parts[0]
	}
	name, ok := strings.CutPrefix(name, g.parts[0])
	if !ok {
		return false
	}
	for _, part := range g.parts[1:last] {
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name = name[i+len(part):]
	}
	return strings.HasSuffix(name, g.parts[last])
}
