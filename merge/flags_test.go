package merge

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestFlagsNames(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{nil, "()"},
		{[]string{`\Seen`, `\seen`, `\SEEN`}, `(\Seen)`},
		{[]string{`$forwarded`, `\Draft`, `\Deleted`, `\Flagged`, `\Answered`}, `(\Answered \Flagged \Deleted \Draft $Forwarded)`},
		{[]string{`\Recent`, `\*`, `\X`, "", "a b", "a\nb", "a\x00"}, "()"},
		{[]string{"b", "A", "a", "B", "$Junk"}, "($Junk A b)"},
		{[]string{"work", `\Seen`, "Home"}, `(\Seen Home work)`},
	} {
		if got := NewFlags(c.names...).String(); got != c.want {
			t.Errorf("%q: %s, want %s", c.names, got, c.want)
		}
	}
	if f := SystemFlags(0xff); f.Has(NewFlags("x")) || len(f.Names()) != len(systemNames) {
		t.Errorf("system flags: %s", f)
	}
	f := NewFlags(`\Seen`, "Work", "home")
	if f.System() != Seen || !slices.Equal(f.Keywords(), []string{"home", "Work"}) || f.Empty() || !(Flags{}).Empty() {
		t.Errorf("parts of %s", f)
	}
}

// set is the plain model of Flags: folded names.
type set map[string]bool

func setOf(f Flags) set {
	out := set{}
	for _, n := range f.Names() {
		out[asciiLower(n)] = true
	}
	return out
}

func (s set) equal(o set) bool {
	for n := range s {
		if !o[n] {
			return false
		}
	}
	return len(s) == len(o)
}

func (s set) filter(ok func(string) bool) set {
	out := set{}
	for n := range s {
		if ok(n) {
			out[n] = true
		}
	}
	return out
}

var anyFlagSet = rapid.Custom(func(t *rapid.T) Flags {
	names := []string{`\Seen`, `\Flagged`, `\Deleted`, "$Forwarded", "a", "A", "ab", "AB", "b", "$Junk", "$junk", "Z_z", "[x]", "ä", "Ä", "a!"}
	return NewFlags(rapid.SliceOf(rapid.SampledFrom(names)).Draw(t, "names")...)
})

func TestFlagsAlgebra(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f, g := anyFlagSet.Draw(rt, "f"), anyFlagSet.Draw(rt, "g")
		a, b := setOf(f), setOf(g)
		union := set{}
		for n := range a {
			union[n] = true
		}
		for n := range b {
			union[n] = true
		}
		for name, c := range map[string]struct {
			got  Flags
			want set
		}{
			"union":     {f.Union(g), union},
			"minus":     {f.Minus(g), a.filter(func(n string) bool { return !b[n] })},
			"intersect": {f.Intersect(g), a.filter(func(n string) bool { return b[n] })},
		} {
			if !setOf(c.got).equal(c.want) {
				rt.Fatalf("%s of %s and %s is %s", name, f, g, c.got)
			}
			if !slices.IsSortedFunc(c.got.Keywords(), foldCompare) {
				rt.Fatalf("%s is not sorted", c.got)
			}
			if again := NewFlags(c.got.Names()...); !again.Equal(c.got) {
				rt.Fatalf("%s became %s", c.got, again)
			}
		}
		if f.Equal(g) != a.equal(b) {
			rt.Fatalf("Equal(%s, %s) = %v", f, g, f.Equal(g))
		}
		if f.Has(g) != a.filter(func(n string) bool { return b[n] }).equal(b) {
			rt.Fatalf("%s.Has(%s) = %v", f, g, f.Has(g))
		}
		if f.Empty() != (len(a) == 0) {
			rt.Fatalf("Empty of %s", f)
		}
	})
}

func FuzzFlags(f *testing.F) {
	f.Add("\\Seen a B", "b $Forwarded")
	f.Add("", "x")
	f.Add("a,A,\x80", "\x80")
	f.Fuzz(func(t *testing.T, x, y string) {
		a, b := NewFlags(strings.Split(x, ",")...), NewFlags(strings.Split(y, ",")...)
		if !a.Union(b).Equal(b.Union(a)) || !a.Intersect(b).Equal(b.Intersect(a)) {
			t.Fatal("order matters")
		}
		if !a.Minus(b).Union(a.Intersect(b)).Equal(a) {
			t.Fatalf("%s is not its parts by %s", a, b)
		}
		if !NewFlags(a.Names()...).Equal(a) {
			t.Fatalf("%s changes when it is written and read", a)
		}
	})
}

// TestMergeFlagsSettles checks the per-flag merge on any bases and any present flags: doing what it says leaves nothing to do, whether a side can hold
// a flag or not, no flag that somebody set is lost, and none that nobody touched is changed.
func TestMergeFlagsSettles(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var base, now, cannot [2]Flags
		for _, s := range Sides {
			cannot[s] = NewFlags(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "ab"}), 0, 1).Draw(rt, "cannot")...)
			base[s] = anyFlagSet.Draw(rt, "base").Minus(cannot[s])
			now[s] = anyFlagSet.Draw(rt, "now").Minus(cannot[s])
		}
		dir := Direction{rapid.Bool().Draw(rt, "to left"), rapid.Bool().Draw(rt, "to right")}
		m := mergeFlags(base, now, dir)
		after, bases := now, m.base
		for _, s := range Sides {
			o := s.Other()
			if !dir[s] && !(m.add[s].Empty() && m.remove[s].Empty()) {
				rt.Fatalf("%s is to be changed, which is switched off", s)
			}
			if touched := m.add[s].Union(m.remove[s]); !now[o].Minus(base[o]).Union(base[o].Minus(now[o])).Has(touched) {
				rt.Fatalf("%s is to change %s, which the other side did not", s, touched)
			}
			if set := now[s].Minus(base[s]); !m.remove[s].Intersect(set).Empty() {
				rt.Fatalf("%s loses of %s, which was set there", s, set)
			}
			after[s] = now[s].Union(m.add[s].Minus(cannot[s])).Minus(m.remove[s])
			// As the log plays an outcome.
			bases[o] = bases[o].Union(m.add[s]).Minus(m.remove[s])
			bases[s] = bases[s].Union(m.add[s].Intersect(after[s])).Minus(m.remove[s].Minus(after[s]))
		}
		again := mergeFlags(bases, after, dir)
		for _, s := range Sides {
			if !again.add[s].Empty() || !again.remove[s].Empty() || !again.base[s].Equal(bases[s]) {
				rt.Fatalf("not settled: bases %v now %v then %+v", bases, after, again)
			}
			if !bases[s].Equal(after[s]) {
				rt.Fatalf("base of %s is %s and it shows %s", s, bases[s], after[s])
			}
		}
	})
}
