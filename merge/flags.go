package merge

import (
	"slices"
	"strings"
)

// System is a set of IMAP system flags (RFC 9051, section 2.3.2) and of the one keyword that Maildir
// has a letter for ($Forwarded, Maildir's P).
type System uint8

// The flags that both kinds of store know by name.
const (
	Seen System = 1 << iota
	Answered
	Flagged
	Deleted
	Draft
	Forwarded
)

// systemNames is in bit order.
var systemNames = [...]string{`\Seen`, `\Answered`, `\Flagged`, `\Deleted`, `\Draft`, `$Forwarded`}

// Flags is an immutable set of system flags and keywords. The zero value is the empty set. Keywords
// compare without regard to ASCII case and keep the spelling that they came with.
//
// Use Equal to compare: == also compares the spelling of keywords.
type Flags struct {
	sys System
	kw  string // keywords sorted by folded name, separated by one space
}

// NewFlags returns the set of the named flags. Names are IMAP names: system flags with their backslash,
// in any case; `\Recent` and unknown system flags are left out, for no client can set them.
func NewFlags(names ...string) Flags {
	var f Flags
	var kws []string
	for _, n := range names {
		if s, ok := systemFlag(n); ok {
			f.sys |= s
			continue
		}
		if n == "" || n[0] == '\\' || strings.ContainsAny(n, " \r\n\x00") {
			continue
		}
		kws = append(kws, n)
	}
	f.kw = joinKeywords(kws)
	return f
}

// SystemFlags returns the set with just these system flags.
func SystemFlags(s System) Flags { return Flags{sys: s & (Forwarded<<1 - 1)} }

func systemFlag(name string) (System, bool) {
	for i, n := range systemNames {
		if strings.EqualFold(n, name) {
			return 1 << i, true
		}
	}
	return 0, false
}

func foldCompare(a, b string) int {
	return strings.Compare(asciiLower(a), asciiLower(b))
}

func asciiLower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if b[i] >= 'A' && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}

func joinKeywords(kws []string) string {
	if len(kws) == 0 {
		return ""
	}
	slices.SortStableFunc(kws, foldCompare)
	kws = slices.CompactFunc(kws, func(a, b string) bool { return foldCompare(a, b) == 0 })
	return strings.Join(kws, " ")
}

// System returns the system flags of the set.
func (f Flags) System() System { return f.sys }

// Keywords returns the keywords of the set, sorted without regard to case. $Forwarded is not among
// them: it is a bit of System.
func (f Flags) Keywords() []string {
	if f.kw == "" {
		return nil
	}
	return strings.Split(f.kw, " ")
}

// Names returns all flags by their IMAP names, system flags first.
func (f Flags) Names() []string {
	var out []string
	for i, n := range systemNames {
		if f.sys&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return append(out, f.Keywords()...)
}

// String returns the set as an IMAP flag list, such as `(\Seen $Forwarded work)`.
func (f Flags) String() string { return "(" + strings.Join(f.Names(), " ") + ")" }

// Empty reports whether the set has no flag.
func (f Flags) Empty() bool { return f.sys == 0 && f.kw == "" }

// Equal reports whether both sets hold the same flags; the spelling of keywords does not matter.
func (f Flags) Equal(g Flags) bool {
	return f.sys == g.sys && (f.kw == g.kw || asciiLower(f.kw) == asciiLower(g.kw))
}

// Has reports whether all flags of g are in f.
func (f Flags) Has(g Flags) bool { return g.Minus(f).Empty() }

// Union returns the flags that are in f or in g; f's spelling wins.
func (f Flags) Union(g Flags) Flags {
	out := Flags{sys: f.sys | g.sys, kw: f.kw}
	if g.kw != "" && g.kw != f.kw {
		out.kw = joinKeywords(append(f.Keywords(), g.Keywords()...))
	}
	return out
}

// Minus returns the flags of f that are not in g.
func (f Flags) Minus(g Flags) Flags {
	return Flags{sys: f.sys &^ g.sys, kw: f.filter(g, false)}
}

// Intersect returns the flags of f that are also in g.
func (f Flags) Intersect(g Flags) Flags {
	return Flags{sys: f.sys & g.sys, kw: f.filter(g, true)}
}

func (f Flags) filter(g Flags, keep bool) string {
	if f.kw == "" {
		return ""
	}
	have := g.Keywords()
	var out []string
	for _, k := range f.Keywords() {
		_, found := slices.BinarySearchFunc(have, k, foldCompare)
		if found == keep {
			out = append(out, k)
		}
	}
	return strings.Join(out, " ")
}
