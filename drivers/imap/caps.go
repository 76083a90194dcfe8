package imap

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// capSet is what a server offers, upper case, without what the configuration disables.
type capSet map[string]bool

// parseCaps reads the words of a CAPABILITY response or code.
func parseCaps(args []byte, disabled []string) capSet {
	out := capSet{}
	for word := range bytes.FieldsSeq(args) {
		name := strings.ToUpper(string(word))
		if len(name) > 128 || len(out) > 512 || disables(disabled, name) {
			continue
		}
		out[name] = true
	}
	return out
}

// disables reports whether the configuration turns the capability off: by its name, with or without what follows "=".
func disables(disabled []string, name string) bool {
	base, _, _ := strings.Cut(name, "=")
	return slices.ContainsFunc(disabled, func(d string) bool {
		return strings.EqualFold(d, name) || strings.EqualFold(d, base)
	})
}

// has reports whether all of these are offered.
func (c capSet) has(names ...string) bool {
	for _, n := range names {
		if !c[n] {
			return false
		}
	}
	return true
}

// condstore reports whether HIGHESTMODSEQ means anything. QRESYNC implies CONDSTORE (RFC 7162, section 3.2.3).
func (c capSet) condstore() bool { return c["CONDSTORE"] }

// qresync reports whether QRESYNC may be enabled.
func (c capSet) qresync() bool { return c["QRESYNC"] && c["ENABLE"] && c["CONDSTORE"] }

// uidplus reports whether UID EXPUNGE, APPENDUID and COPYUID are offered (RFC 4315).
func (c capSet) uidplus() bool { return c["UIDPLUS"] }

// utf8 reports whether UTF8=ACCEPT may be enabled. UTF8=ONLY says that a server offers it and works with no client that does not enable it
// (RFC 6855, section 6).
func (c capSet) utf8() bool { return c["ENABLE"] && (c["UTF8=ACCEPT"] || c["UTF8=ONLY"]) }

// maxAppend returns the APPENDLIMIT (RFC 7889), 0 if there is none.
func (c capSet) maxAppend() int64 {
	for name := range c {
		if v, ok := strings.CutPrefix(name, "APPENDLIMIT="); ok {
			if n, err := strconv.ParseInt(v, 10, 64); err == nil && n > 0 {
				return n
			}
		}
	}
	return 0
}

// names returns the capabilities, sorted.
func (c capSet) names() []string {
	out := make([]string, 0, len(c))
	for n := range c {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// used lists the extensions that this driver makes use of when they are offered.
var used = []string{"APPENDLIMIT", "BINARY", "CONDSTORE", "ENABLE", "ESEARCH", "LIST-EXTENDED", "LIST-STATUS", "LITERAL+", "LITERAL-", "MOVE", "MULTIAPPEND",
	"NAMESPACE", "QRESYNC", "SASL-IR", "SPECIAL-USE", "STARTTLS", "UIDPLUS", "UTF8=ACCEPT", "UTF8=ONLY"}
