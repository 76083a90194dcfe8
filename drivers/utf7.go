package drivers

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var mutf7 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// EncodeUTF7 returns the modified UTF-7 form of a UTF-8 string, as mailbox names have it on the wire (RFC 3501, section 5.1.3). A name of printable ASCII
// without "&" is its own form.
func EncodeUTF7(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c <= '~' {
			if c == '&' {
				b.WriteString("&-")
			} else {
				b.WriteByte(c)
			}
			i++
			continue
		}
		start := i
		for i < len(s) && (s[i] < ' ' || s[i] > '~') {
			_, n := utf8.DecodeRuneInString(s[i:])
			i += n
		}
		units := utf16.Encode([]rune(s[start:i]))
		raw := make([]byte, 0, 2*len(units))
		for _, u := range units {
			raw = append(raw, byte(u>>8), byte(u))
		}
		b.WriteByte('&')
		b.WriteString(mutf7.EncodeToString(raw))
		b.WriteByte('-')
	}
	return b.String()
}

// DecodeUTF7 returns the name that s is the modified UTF-7 form of (RFC 3501, section 5.1.3). It is false for a name without an encoded part, which means
// itself, and for one that is not in the one canonical form, so that EncodeUTF7 gives back what was decoded.
func DecodeUTF7(s string) (string, bool) {
	if strings.IndexByte(s, '&') < 0 {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '&' {
			b.WriteByte(s[i])
			continue
		}
		n := strings.IndexByte(s[i:], '-')
		if n < 0 {
			return "", false
		}
		code := s[i+1 : i+n]
		i += n
		if code == "" {
			b.WriteByte('&')
			continue
		}
		raw, err := mutf7.DecodeString(code)
		if err != nil || len(raw)%2 != 0 {
			return "", false
		}
		units := make([]uint16, len(raw)/2)
		for j := range units {
			units[j] = uint16(raw[2*j])<<8 | uint16(raw[2*j+1])
		}
		b.WriteString(string(utf16.Decode(units)))
	}
	out := b.String()
	if !utf8.ValidString(out) || EncodeUTF7(out) != s {
		return "", false
	}
	return out, true
}
