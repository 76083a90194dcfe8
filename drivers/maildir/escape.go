package maildir

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// Levels of mailbox names and names of directories are translated into each other one to one, so that every directory
// has a name of its own and the other way round:
//
//   - A byte that the layout cannot hold is "%" and two upper-case hexadecimal digits on disk: control bytes, in FS a dot at the start and the first letter
//     of cur, new and tmp, in MaildirPlusPlus every dot.
//   - A "%" that would be read as such an escape is "%25" on disk; any other "%" stands for itself ("100% sure" is a plain directory name).
//   - A directory name that is not UTF-8 or has control bytes as they are (and in MaildirPlusPlus an empty level) is called "%FF=" and its bytes in lower-case hexadecimal; a directory that
//     is really called so has one "25" more in its name.

const upperHex = "0123456789ABCDEF"

// rawMark starts the name of a level that stands for bytes that no other name leads to.
const rawMark = "FF="

// escapable returns the byte that s, what follows a "%", stands for on disk; start says that the "%" is the first byte of the level.
func (l Layout) escapable(s string, start bool) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	hi, lo := strings.IndexByte(upperHex, s[0]), strings.IndexByte(upperHex, s[1])
	if hi < 0 || lo < 0 {
		return 0, false
	}
	c := byte(hi<<4 | lo)
	switch {
	case c < 0x20 || c == 0x7f:
		return c, true
	case c == '.':
		return c, l == MaildirPlusPlus || start
	case l == FS && start && (c == 'c' || c == 'n' || c == 't'):
		return c, reserved(string(c) + s[2:])
	}
	return 0, false
}

// reserved reports whether a directory of that name is part of a Maildir.
func reserved(name string) bool { return name == "cur" || name == "new" || name == "tmp" }

// quoted reports whether s, what follows a "%", is an escape, possibly behind any number of "25".
func (l Layout) quoted(s string, start bool) bool {
	for {
		if _, ok := l.escapable(s, start); ok {
			return true
		}
		if !strings.HasPrefix(s, "25") {
			return false
		}
		s = s[2:]
	}
}

// rawLevel returns the bytes that a level name stands for if it is one of the raw form, and how many "25" precede the form.
func (l Layout) rawLevel(name string) (raw string, depth int, ok bool) {
	s, found := strings.CutPrefix(name, "%")
	if !found {
		return "", 0, false
	}
	for strings.HasPrefix(s, "25") {
		s = s[2:]
		depth++
	}
	s, found = strings.CutPrefix(s, rawMark)
	if !found || strings.ToLower(s) != s {
		return "", 0, false
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return "", 0, false
	}
	return string(b), depth, l.needsRaw(string(b))
}

// needsRaw reports whether a level on disk can only be named in the raw form.
func (l Layout) needsRaw(disk string) bool {
	if disk == "" {
		return l == MaildirPlusPlus
	}
	if strings.ContainsAny(disk, "/\x00") || l == MaildirPlusPlus && strings.Contains(disk, ".") {
		return false
	}
	return !utf8.ValidString(disk) || strings.ContainsFunc(disk, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// escape returns the name on disk of one level of a mailbox name.
func (l Layout) escape(level string) string {
	if raw, depth, ok := l.rawLevel(level); ok {
		if depth == 0 {
			return raw
		}
		return "%" + level[len("%25"):]
	}
	var b strings.Builder
	first := l == FS && reserved(level)
	for i := 0; i < len(level); i++ {
		c := level[i]
		switch {
		case c == '%':
			b.WriteByte('%')
			if l.quoted(level[i+1:], i == 0) {
				b.WriteString("25")
			}
		case c < 0x20, c == 0x7f, c == '.' && (l == MaildirPlusPlus || i == 0), first && i == 0:
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape returns the level of a mailbox name that a name on disk stands for.
func (l Layout) unescape(disk string) string {
	if l.needsRaw(disk) {
		return "%" + rawMark + hex.EncodeToString([]byte(disk))
	}
	if _, _, ok := l.rawLevel(disk); ok {
		return "%25" + disk[1:]
	}
	if !strings.Contains(disk, "%") {
		return disk
	}
	var b strings.Builder
	for i := 0; i < len(disk); i++ {
		c := disk[i]
		if c != '%' {
			b.WriteByte(c)
			continue
		}
		rest := disk[i+1:]
		if e, ok := l.escapable(rest, i == 0); ok {
			b.WriteByte(e)
			i += 2
			continue
		}
		b.WriteByte('%')
		if strings.HasPrefix(rest, "25") && l.quoted(rest[2:], i == 0) {
			i += 2
		}
	}
	return b.String()
}
