package imap

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSetsAgainstMaps compares minus, at and sample with the same on plain lists.
func TestSetsAgainstMaps(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() ([]uint32, uidSet) {
		var list []uint32
		for u := uint32(1); u < 40; u++ {
			if r.IntN(3) > 0 {
				list = append(list, u)
			}
		}
		return list, newUIDSet(list)
	}
	for range 2000 {
		a, as := random()
		b, bs := random()
		var want, got []uint32
		for _, u := range a {
			if !slices.Contains(b, u) {
				want = append(want, u)
			}
		}
		_ = as.minus(bs).each(func(u uint32) error { got = append(got, u); return nil })
		if !slices.Equal(got, want) {
			t.Fatalf("%s minus %s is %v, want %v", as, bs, got, want)
		}
		for i, u := range a {
			if as.at(uint64(i)) != u {
				t.Fatalf("UID %d of %s is %d, want %d", i, as, as.at(uint64(i)), u)
			}
		}
		for _, u := range as.sample() {
			if !slices.Contains(a, u) {
				t.Fatalf("sample of %s has %d", as, u)
			}
		}
	}
	all := uidSet{{1, 1<<32 - 1}}
	if got := all.minus(uidSet{{1, 1<<32 - 1}}); len(got) != 0 {
		t.Errorf("all minus all is %s", got)
	}
	if got := all.minus(uidSet{{5, 1<<32 - 1}}).String(); got != "1:4" {
		t.Errorf("all minus 5:* is %s", got)
	}
	if got := (uidSet{}).sample(); got != nil {
		t.Errorf("sample of nothing is %v", got)
	}
}
