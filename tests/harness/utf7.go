package harness

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

var utf7Base64 = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,").WithPadding(base64.NoPadding)

// encodeName returns a mailbox name in modified UTF-7 (RFC 3501, section 5.1.3).
func encodeName(name string) string {
	var b strings.Builder
	var run []rune
	flush := func() {
		if len(run) == 0 {
			return
		}
		var raw []byte
		for _, u := range utf16.Encode(run) {
			raw = append(raw, byte(u>>8), byte(u))
		}
		b.WriteString("&" + utf7Base64.EncodeToString(raw) + "-")
		run = nil
	}
	for _, r := range name {
		switch {
		case r == '&':
			flush()
			b.WriteString("&-")
		case r >= 0x20 && r <= 0x7e:
			flush()
			b.WriteRune(r)
		default:
			run = append(run, r)
		}
	}
	flush()
	return b.String()
}

// decodeName is the inverse of encodeName; what is not modified UTF-7 comes back as it is.
func decodeName(name string) string {
	var b strings.Builder
	for name != "" {
		before, rest, found := strings.Cut(name, "&")
		b.WriteString(before)
		if !found {
			break
		}
		enc, after, found := strings.Cut(rest, "-")
		if !found {
			return b.String() + "&" + rest
		}
		name = after
		if enc == "" {
			b.WriteByte('&')
			continue
		}
		raw, err := utf7Base64.DecodeString(enc)
		if err != nil || len(raw)%2 != 0 {
			b.WriteString("&" + enc + "-")
			continue
		}
		var units []uint16
		for i := 0; i < len(raw); i += 2 {
			units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
		}
		b.WriteString(string(utf16.Decode(units)))
	}
	return b.String()
}
