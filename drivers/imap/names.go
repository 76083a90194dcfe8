package imap

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"driftless/drivers"
)

const inbox = "INBOX"

// names translates between mailbox names as the rest of the program writes them (UTF-8, "/" between levels, INBOX) and as the server does.
//
// A level may hold a character that separates levels on the other side. Such characters are written as %2F (a slash in a
// server's level) and as %XX of the delimiter (a delimiter in a local level); a text that already looks like that gets one "25" more, so both
// directions lose nothing. With the delimiter "/" names are the same on both sides.
//
// Names that are not canonical modified UTF-7, or that hold what a file system could stumble over, get a generic %XX form that is remembered, for it
// cannot be computed backwards.
type names struct {
	delim  byte   // 0: the server has no levels
	prefix string // of the personal namespace, as the server writes it
	odd    map[string]string
	utf8   bool // the server takes names in UTF-8, with fewer characters
}

var errName = errors.New("the server cannot hold a mailbox of this name")

// toServer returns the server's form of a local name.
func (n *names) toServer(local string) (string, error) {
	if local == inbox {
		return inbox, nil
	}
	if raw, ok := n.odd[local]; ok {
		return raw, nil
	}
	if local == "" || !utf8.ValidString(local) || len(local) > 1000 {
		return "", fmt.Errorf("%w: empty, too long or not UTF-8", errName)
	}
	levels := strings.Split(local, "/")
	if len(levels) > 1 && n.delim == 0 {
		return "", fmt.Errorf("%w: it has no levels", errName)
	}
	for i, l := range levels {
		if l == "" || l == "." || l == ".." || strings.ContainsFunc(l, n.refuses) {
			return "", fmt.Errorf("%w: empty level, dots or control characters", errName)
		}
		levels[i] = escapeLevel(l, n.delim)
	}
	raw := drivers.EncodeUTF7(strings.Join(levels, string(n.separator())))
	if n.prefix != "" && !n.isInboxTree(raw) {
		raw = n.prefix + raw
	}
	return raw, nil
}

// refuses reports characters that no server takes in names: control characters and, with UTF8=ACCEPT, what else ends
// lines (RFC 6855, section 3).
func (n *names) refuses(r rune) bool {
	return r < ' ' || r == 0x7f || n.utf8 && (r >= 0x80 && r <= 0x9f || r == 0x2028 || r == 0x2029)
}

// isInboxTree reports whether the server's name begins with INBOX and the delimiter although the prefix does not say so.
func (n *names) isInboxTree(raw string) bool {
	return n.delim != 0 && !strings.EqualFold(n.prefix, inbox+string(n.delim)) && strings.HasPrefix(raw, inbox+string(n.delim))
}

func (n *names) separator() byte {
	if n.delim == 0 {
		return '/'
	}
	return n.delim
}

// decodeName returns what a server's name says in UTF-8. It is false for a name that is not canonical modified UTF-7.
func decodeName(raw string) (string, bool) {
	if name, ok := drivers.DecodeUTF7(raw); ok {
		return name, true
	}
	return raw, drivers.EncodeUTF7(raw) == raw
}

// toLocal returns the local form of a server's name.
func (n *names) toLocal(raw string) string {
	if strings.EqualFold(raw, inbox) {
		return inbox
	}
	name := raw
	if n.prefix != "" && len(name) > len(n.prefix) && foldedPrefix(name, n.prefix, n.delim) {
		name = name[len(n.prefix):]
	}
	decoded, ok := decodeName(name)
	if ok {
		levels := []string{decoded}
		if n.delim != 0 {
			levels = strings.Split(decoded, string(n.delim))
		}
		for i, l := range levels {
			levels[i] = unescapeLevel(l, n.delim)
		}
		local := strings.Join(levels, "/")
		if !strings.EqualFold(local, inbox) {
			if back, err := n.toServer(local); err == nil && back == raw {
				return local
			}
		}
	}
	local := oddName(raw, n.delim)
	if n.odd == nil {
		n.odd = map[string]string{}
	}
	n.odd[local] = raw
	return local
}

// foldedPrefix compares the prefix; INBOX in it has no case.
func foldedPrefix(name, prefix string, delim byte) bool {
	head := name[:len(prefix)]
	if head == prefix {
		return true
	}
	return delim != 0 && strings.EqualFold(prefix, inbox+string(delim)) && strings.EqualFold(head, prefix)
}

// oddName writes every byte that could be misunderstood as %XX.
func oddName(raw string, delim byte) string {
	var b strings.Builder
	level := 0 // where the current level begins in b
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c == delim && delim != 0 && b.Len() > level && i+1 < len(raw) && raw[i+1] != delim:
			b.WriteByte('/')
			level = b.Len()
		case c < ' ' || c >= 0x7f || c == '%' || c == '&' || c == '/' || c == delim && delim != 0 || c == '.' && b.Len() == level:
			fmt.Fprintf(&b, "%%%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	if s := b.String(); !strings.EqualFold(s, inbox) && s != "" {
		return s
	}
	return fmt.Sprintf("%%%02X", []byte(raw + "\x00")[0]) + strings.TrimPrefix(b.String(), b.String()[:min(1, b.Len())])
}

// escapeLevel writes a local level for a server with this delimiter.
func escapeLevel(l string, delim byte) string {
	if delim == '/' || !strings.ContainsAny(l, "%"+string(delim)) {
		return l
	}
	own := fmt.Sprintf("%02X", delim)
	var b strings.Builder
	for i := 0; i < len(l); i++ {
		c := l[i]
		if c == delim && delim != 0 {
			b.WriteString("%" + own)
			continue
		}
		if c == '%' {
			if n, code := escapeAt(l[i:], own); code == own {
				b.WriteString("%25" + strings.Repeat("25", n) + own)
				i += 2*n + 2
				continue
			} else if code == "2F" {
				if n == 0 {
					b.WriteByte('/')
				} else {
					b.WriteString("%" + strings.Repeat("25", n-1) + "2F")
				}
				i += 2*n + 2
				continue
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// unescapeLevel is the inverse of escapeLevel.
func unescapeLevel(l string, delim byte) string {
	if delim == '/' || !strings.ContainsAny(l, "%/") {
		return l
	}
	own := fmt.Sprintf("%02X", delim)
	var b strings.Builder
	for i := 0; i < len(l); i++ {
		c := l[i]
		if c == '/' {
			b.WriteString("%2F")
			continue
		}
		if c == '%' {
			if n, code := escapeAt(l[i:], own); code == "2F" {
				b.WriteString("%25" + strings.Repeat("25", n) + "2F")
				i += 2*n + 2
				continue
			} else if code == own && delim != 0 {
				if n == 0 {
					b.WriteByte(delim)
				} else {
					b.WriteString("%" + strings.Repeat("25", n-1) + own)
				}
				i += 2*n + 2
				continue
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// escapeAt parses %, any number of "25", then 2F or the code of the delimiter; code is "" if s does not begin like that.
func escapeAt(s, own string) (n int, code string) {
	rest := s[1:]
	for strings.HasPrefix(rest, "25") {
		rest = rest[2:]
		n++
	}
	switch {
	case strings.HasPrefix(rest, "2F"):
		return n, "2F"
	case own != "00" && strings.HasPrefix(rest, own):
		return n, own
	}
	return 0, ""
}
