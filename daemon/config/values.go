package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"driftless/merge"
)

// text reads a string.
func (p *parser) text(v value) (string, bool) {
	s, ok := v.any.(string)
	if !ok {
		p.fail(v, "must be a string, not %s", kindOf(v.any))
	}
	return s, ok
}

// filled reads a string that is not empty and has no control character.
func (p *parser) filled(v value) (string, bool) {
	s, ok := p.text(v)
	if !ok {
		return "", false
	}
	if s == "" {
		p.fail(v, "must not be empty")
		return "", false
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		p.fail(v, "%q has a control character", s)
		return "", false
	}
	return s, true
}

// texts reads a list of strings and returns the elements as values.
func (p *parser) texts(v value) ([]value, bool) {
	list, ok := v.any.([]any)
	if !ok {
		p.fail(v, "must be a list of strings, not %s", kindOf(v.any))
		return nil, false
	}
	var out []value
	wrong := false
	for i, e := range list {
		one := p.child(v, strconv.Itoa(i), e)
		one.path = v.path // the list's name says more than a number behind a dot
		if _, isText := e.(string); !isText {
			p.fail(one, "must be a list of strings; element %d is %s", i+1, kindOf(e))
			wrong = true
		}
		out = append(out, one)
	}
	return out, !wrong
}

// whole reads an integer in a range.
func (p *parser) whole(v value, least, most int64) (int, bool) {
	n, ok := v.any.(int64)
	switch {
	case !ok:
		p.fail(v, "must be an integer, not %s", kindOf(v.any))
	case n < least || n > most:
		p.fail(v, "%d is not between %d and %d", n, least, most)
		return 0, false
	}
	return int(n), ok
}

func (p *parser) boolean(v value) bool {
	b, ok := v.any.(bool)
	if !ok {
		p.fail(v, "must be true or false, not %s", kindOf(v.any))
	}
	return b
}

// choice reads one of some words.
func (p *parser) choice(v value, words ...string) (string, bool) {
	s, ok := p.text(v)
	if !ok {
		return "", false
	}
	for _, w := range words {
		if s == w {
			return s, true
		}
	}
	hint := ""
	if best, near := nearest(s, words); near {
		hint = fmt.Sprintf("; did you mean %q?", best)
	}
	p.fail(v, "%q is not one of %s%s", s, quoted(words), hint)
	return "", false
}

func quoted(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = strconv.Quote(w)
	}
	return strings.Join(q, ", ")
}

// later refuses a value that is valid but not carried out by this version.
func (p *parser) later(v value, only string) {
	p.fail(v, "not supported yet: %s", only)
}

// duration reads a length of time such as "15m", in a range.
func (p *parser) duration(v value, least, most time.Duration) (time.Duration, bool) {
	s, ok := p.text(v)
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		p.fail(v, `%q is not a duration; write it like "90s", "15m" or "1h30m"`, s)
		return 0, false
	case d < least || d > most:
		p.fail(v, "%s is not between %s and %s", s, short(least), short(most))
		return 0, false
	}
	return d, true
}

// short drops the zero minutes and seconds of a duration's usual form.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// parseAge returns the duration of a text such as "90d" or "12w".
func parseAge(s string) (time.Duration, error) {
	bad := fmt.Errorf(`%q is not an age; write it like "90d" or "12w"`, s)
	day := 24 * time.Hour
	digits, ok := strings.CutSuffix(s, "d")
	if !ok {
		if digits, ok = strings.CutSuffix(s, "w"); !ok {
			return 0, bad
		}
		day *= 7
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n == 0 || n > uint64(math.MaxInt64/day) {
		return 0, bad
	}
	return time.Duration(n) * day, nil //nolint:gosec // bounded above
}

// sizeUnits: longest suffix first, as "B" ends all of them.
var sizeUnits = []struct {
	suffix string
	bytes  uint64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

// parseSize returns the bytes of a text such as "50MB" (decimal) or "48MiB" (binary).
func parseSize(s string) (int64, error) {
	bad := fmt.Errorf(`%q is not a size; write it like "50MB" or "48MiB"`, s)
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(s, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || n == 0 || n > math.MaxInt64/u.bytes {
			return 0, bad
		}
		return int64(n * u.bytes), nil //nolint:gosec // bounded above
	}
	return 0, bad
}

// percent reads a share such as "25%".
func (p *parser) percent(v value) (float64, bool) {
	s, ok := p.text(v)
	if !ok {
		return 0, false
	}
	digits, found := strings.CutSuffix(s, "%")
	f, err := strconv.ParseFloat(digits, 64)
	// The negated form also refuses NaN.
	if !found || err != nil || !(f >= 0 && f <= 100) {
		p.fail(v, `%q is not a share; write it like "25%%", from "0%%" to "100%%"`, s)
		return 0, false
	}
	return f, true
}

// path reads and expands a path.
func (p *parser) path(v value) (string, bool) {
	s, ok := p.text(v)
	if !ok {
		return "", false
	}
	if s == "" {
		p.fail(v, "must not be empty")
		return "", false
	}
	out, err := expand(s, p.dir(), p.env)
	if err != nil {
		p.fail(v, "%v", err)
		return "", false
	}
	return out, true
}

// direction reads to which sides something is propagated.
func (p *parser) direction(v value) (merge.Direction, bool) {
	s, ok := p.choice(v, "both", "to-left", "to-right", "none")
	return merge.Direction{
		merge.Left:  s == "both" || s == "to-left",
		merge.Right: s == "both" || s == "to-right",
	}, ok
}

// onlyBoth reads a direction of which this version carries out "both".
func (p *parser) onlyBoth(v value) {
	if d, ok := p.direction(v); ok && d != merge.Both {
		p.later(v, `this version always propagates to "both" sides`)
	}
}

// mailboxName checks a name of the configuration and returns it in its canonical form.
func mailboxName(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("a mailbox name is empty")
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return "", fmt.Errorf("%q is not a mailbox name: it has a control character or is not UTF-8", s)
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part == "." || part == ".." {
			return "", fmt.Errorf("%q is not a mailbox name: a level is %q", s, part)
		}
	}
	first, rest, sub := strings.Cut(s, "/")
	if strings.EqualFold(first, Inbox) {
		if sub {
			return Inbox + "/" + rest, nil
		}
		return Inbox, nil
	}
	return s, nil
}

// accountName says what is wrong with the name of an account. It becomes a directory's name.
func accountName(s string) error {
	if len(s) > 64 || !isBare(strings.ReplaceAll(s, ".", "-")) || s[0] == '.' || s[0] == '-' {
		return errors.New("not an account name: use up to 64 letters, digits, '-', '_' and '.', a letter, digit or '_' first")
	}
	return nil
}

// hostName says what is wrong with a host.
func hostName(s string) error {
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	switch {
	case strings.Contains(s, "://"):
		return fmt.Errorf("%q is a URL; write the host name only", s)
	case strings.Contains(s, ":"):
		return fmt.Errorf("%q has a port; write it as the key \"port\"", s)
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`/\@[]`, r) }):
		return fmt.Errorf("%q is not a host name", s)
	}
	return nil
}

// isLoopback reports whether a host is this machine without asking a name server.
func isLoopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(strings.TrimSuffix(host, "."), "localhost")
}
