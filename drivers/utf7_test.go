package drivers

import (
	"strings"
	"testing"
)

func TestUTF7(t *testing.T) {
	for raw, name := range map[string]string{
		"Entw&APw-rfe":                    "Entwürfe",
		"&ZeVnLIqe-":                      "日本語",
		"&2D3eAA-":                        "😀",
		"a&-b":                            "a&b",
		"Gesch&AOQ-fte/&APw-ber":          "Geschäfte/über",
		"~peter/mail/&U,BTFw-/&ZeVnLIqe-": "~peter/mail/台北/日本語", // the RFC's own example
	} {
		if got, ok := DecodeUTF7(raw); !ok || got != name {
			t.Errorf("%q is decoded to %q, %v, want %q", raw, got, ok, name)
		}
		if got := EncodeUTF7(name); got != raw {
			t.Errorf("%q is encoded to %q, want %q", name, got, raw)
		}
	}
	for why, raw := range map[string]string{
		"nothing encoded":           "Drafts",
		"empty":                     "",
		"UTF-8":                     "Entwürfe",
		"UTF-8 beside an encoding":  "ü&APw-",
		"no end":                    "Entw&APw",
		"a lone ampersand":          "Q & A",
		"ASCII encoded":             "&AGE-",
		"half a surrogate pair":     "&2D0-",
		"half a code unit":          "&AA-",
		"padding":                   "&APw=-",
		"bits left over":            "&APx-",
		"two parts that are one":    "&APw-&APw-",
		"slash of the other base64": "&U/BTFw-",
	} {
		if got, ok := DecodeUTF7(raw); ok || got != "" {
			t.Errorf("%s: %q is decoded to %q, %v", why, raw, got, ok)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, s := range []string{"", "a&b", "ä", "日本語", "😀", "&AOQ-", "&-", "&", "&AOQ", "&2D3cAA-", "Entw&APw-rfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := DecodeUTF7(s); ok && EncodeUTF7(d) != s {
			t.Errorf("%q is decoded to %q, which is encoded to %q", s, d, EncodeUTF7(d))
		}
		valid := strings.ToValidUTF8(s, "?")
		encoded := EncodeUTF7(valid)
		d, ok := DecodeUTF7(encoded)
		if plain := !strings.Contains(encoded, "&"); plain && (ok || encoded != valid) || !plain && (!ok || d != valid) {
			t.Errorf("%q is encoded to %q, which is decoded to %q, %v", valid, encoded, d, ok)
		}
	})
}
