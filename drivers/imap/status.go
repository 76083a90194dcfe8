package imap

import (
	"bytes"
	"strings"
)

// status is a tagged or untagged OK, NO, BAD, PREAUTH or BYE.
type status struct {
	kind string // upper case
	code string // response code, upper case, "" if none
	args []byte // what follows the code inside the brackets
	text string // for people; cut to maxStatusText, control characters removed
}

// parseStatus parses resp-cond-state (RFC 3501, section 9).
func parseStatus(b []byte) (*status, bool) {
	word, rest, _ := bytes.Cut(b, []byte{' '})
	kind := strings.ToUpper(string(word[:min(len(word), 8)]))
	switch kind {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
	default:
		return nil, false
	}
	st := &status{kind: kind}
	rest = bytes.TrimLeft(rest, " ")
	if len(rest) > 0 && rest[0] == '[' {
		if end := codeEnd(rest); end > 0 {
			code, args, _ := bytes.Cut(rest[1:end], []byte{' '})
			st.code = strings.ToUpper(string(code))
			st.args = append([]byte(nil), args...)
			rest = bytes.TrimLeft(rest[end+1:], " ")
		}
	}
	st.text = printable(rest)
	return st, true
}

// codeEnd returns the index of the bracket that closes the response code, -1 if none does. Quoted strings and
// brackets inside the code do not end it.
func codeEnd(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[':
			depth++
		case c == ']':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// printable returns a server's text fit for logs and terminals.
func printable(b []byte) string {
	b = b[:min(len(b), maxStatusText)]
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(b), "?"))
}
