package imap

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// uidRange is an inclusive range of UIDs, first <= last, first > 0.
type uidRange struct{ first, last uint32 }

// uidSet is a set of UIDs as sorted ranges that neither touch nor overlap. A hostile range such as 1:4294967295 is one
// element: nothing in this package expands a set that a server sent without a bound.
type uidSet []uidRange

// errBadSet is what a malformed sequence set gives.
var errBadSet = errors.New("malformed UID set")

// parseUIDSet parses a uid-set (RFC 4315, section 4): numbers and ranges without "*", in any order.
func parseUIDSet(b []byte) (uidSet, error) {
	ranges, err := parseOrdered(b)
	if err != nil {
		return nil, err
	}
	return normalize(ranges), nil
}

// parseOrdered parses a uid-set and keeps the order of its elements, which COPYUID gives a meaning to.
func parseOrdered(b []byte) ([]uidRange, error) {
	var out []uidRange
	for i := 0; ; {
		first, next, ok := parseNZ(b, i)
		if !ok {
			return nil, errBadSet
		}
		i = next
		last := first
		if i < len(b) && b[i] == ':' {
			if last, next, ok = parseNZ(b, i+1); !ok {
				return nil, errBadSet
			}
			i = next
		}
		if last < first {
			first, last = last, first
		}
		out = append(out, uidRange{first, last})
		if i == len(b) {
			return out, nil
		}
		if b[i] != ',' {
			return nil, errBadSet
		}
		i++
	}
}

// parseNZ parses an nz-number of at most 32 bits at b[i:].
func parseNZ(b []byte, i int) (n uint32, next int, ok bool) {
	var v uint64
	start := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		v = v*10 + uint64(b[i]-'0')
		if v > 1<<32-1 {
			return 0, i, false
		}
		i++
	}
	if i == start || v == 0 {
		return 0, i, false
	}
	return uint32(v), i, true
}

// normalize sorts and joins ranges; it may use the slice it is given.
func normalize(r []uidRange) uidSet {
	slices.SortFunc(r, func(a, b uidRange) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	out := r[:0]
	for _, x := range r {
		if n := len(out); n > 0 && uint64(x.first) <= uint64(out[n-1].last)+1 {
			out[n-1].last = max(out[n-1].last, x.last)
			continue
		}
		out = append(out, x)
	}
	return uidSet(out)
}

// newUIDSet returns the set of these UIDs.
func newUIDSet(uids []uint32) uidSet {
	r := make([]uidRange, 0, len(uids))
	for _, u := range uids {
		if n := len(r); n > 0 && r[n-1].last != 1<<32-1 && r[n-1].last+1 == u {
			r[n-1].last = u
			continue
		}
		r = append(r, uidRange{u, u})
	}
	return normalize(r)
}

// count returns how many UIDs are in the set.
func (s uidSet) count() uint64 {
	var n uint64
	for _, r := range s {
		n += uint64(r.last) - uint64(r.first) + 1
	}
	return n
}

// contains reports whether the UID is in the set.
func (s uidSet) contains(u uint32) bool {
	_, ok := slices.BinarySearchFunc(s, u, func(r uidRange, u uint32) int {
		switch {
		case r.last < u:
			return -1
		case r.first > u:
			return 1
		}
		return 0
	})
	return ok
}

// below returns the part of the set under the limit.
func (s uidSet) below(limit uint32) uidSet {
	var out uidSet
	for _, r := range s {
		if r.first >= limit {
			break
		}
		if r.last >= limit {
			r.last = limit - 1
		}
		out = append(out, r)
	}
	return out
}

// each calls f for every UID in ascending order until it returns an error. The caller has bounded the count.
func (s uidSet) each(f func(uint32) error) error {
	for _, r := range s {
		for u := uint64(r.first); u <= uint64(r.last); u++ {
			if err := f(uint32(u)); err != nil {
				return err
			}
		}
	}
	return nil
}

// String returns the set in protocol form.
func (s uidSet) String() string {
	var b []byte
	for i, r := range s {
		if i > 0 {
			b = append(b, ',')
		}
		b = r.append(b)
	}
	return string(b)
}

func (r uidRange) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(r.first), 10)
	if r.last != r.first {
		b = append(b, ':')
		b = strconv.AppendUint(b, uint64(r.last), 10)
	}
	return b
}

// maxSetText bounds a set in one command: RFC 7162, section 4 asks for lines of at most 8192 bytes.
const maxSetText = 7000

// split cuts the set in parts whose text stays under maxSetText and which hold at most limit UIDs (0: any number).
func (s uidSet) split(limit uint64) []uidSet {
	var out []uidSet
	var cur uidSet
	text, n := 0, uint64(0)
	for _, r := range s {
		for {
			if limit > 0 && n == limit || text > maxSetText {
				out = append(out, cur)
				cur, text, n = nil, 0, 0
			}
			size := uint64(r.last) - uint64(r.first) + 1
			if limit > 0 && size > limit-n {
				take := uidRange{r.first, r.first + uint32(limit-n) - 1}
				cur = append(cur, take)
				n = limit
				r.first = take.last + 1
				continue
			}
			cur = append(cur, r)
			n += size
			text += len(r.append(nil)) + 1
			break
		}
	}
	if len(cur) > 0 {
		out = append(out, cur)
	}
	return out
}

// pairSets returns the UIDs of two ordered sets side by side, as COPYUID gives them (RFC 4315, section 3). Sets of unequal size, or of
// more than limit UIDs, are an error.
func pairSets(src, dst []byte, limit int) (map[uint32]uint32, error) {
	a, err := expand(src, limit)
	if err != nil {
		return nil, err
	}
	b, err := expand(dst, limit)
	if err != nil {
		return nil, err
	}
	if len(a) != len(b) {
		return nil, fmt.Errorf("UID sets of %d and %d messages do not match", len(a), len(b))
	}
	out := make(map[uint32]uint32, len(a))
	for i, u := range a {
		out[u] = b[i]
	}
	return out, nil
}

// expand lists the UIDs of an ordered set of at most limit UIDs, in the order given.
func expand(b []byte, limit int) ([]uint32, error) {
	ranges, err := parseOrdered(b)
	if err != nil {
		return nil, err
	}
	if n := uidSet(ranges).count(); n > uint64(max(limit, 0)) {
		return nil, fmt.Errorf("UID set of %d messages where at most %d were asked for", n, limit)
	}
	var out []uint32
	_ = uidSet(ranges).each(func(u uint32) error { out = append(out, u); return nil })
	return out, nil
}

// equalFold compares ASCII without regard to case.
func equalFold(b []byte, s string) bool { return len(b) == len(s) && strings.EqualFold(string(b), s) }

// add puts a UID in the set and reports whether it was new. UIDs that come in ascending order cost nothing.
func (s *uidSet) add(u uint32) bool {
	n := len(*s)
	switch {
	case n == 0 || u > (*s)[n-1].last && u-(*s)[n-1].last > 1:
		*s = append(*s, uidRange{u, u})
	case u > (*s)[n-1].last:
		(*s)[n-1].last = u
	case s.contains(u):
		return false
	default:
		*s = normalize(append(*s, uidRange{u, u}))
	}
	return true
}

// without returns the UIDs that are not in got. The caller has bounded the count.
func (s uidSet) without(got map[uint32]bool) uidSet {
	var out uidSet
	_ = s.each(func(u uint32) error {
		if !got[u] {
			out.add(u)
		}
		return nil
	})
	return out
}

// minus returns the UIDs of s that are not in o.
func (s uidSet) minus(o uidSet) uidSet {
	var out uidSet
	for _, r := range s {
		first, more := r.first, true
		for _, x := range o {
			if x.last < first || x.first > r.last {
				continue
			}
			if x.first > first {
				out = append(out, uidRange{first, x.first - 1})
			}
			if more = x.last < r.last; !more {
				break
			}
			first = x.last + 1
		}
		if more {
			out = append(out, uidRange{first, r.last})
		}
	}
	return out
}

// at returns the UID with this index, in ascending order. The set has more than i UIDs.
func (s uidSet) at(i uint64) uint32 {
	for _, r := range s {
		n := uint64(r.last) - uint64(r.first) + 1
		if i < n {
			return uint32(uint64(r.first) + i)
		}
		i -= n
	}
	return 0
}

// sample returns at most three UIDs from all over the set, the last first.
func (s uidSet) sample() []uint32 {
	var out []uint32
	if n := s.count(); n > 0 {
		for _, i := range []uint64{n - 1, n / 2, 0} {
			if u := s.at(i); !slices.Contains(out, u) {
				out = append(out, u)
			}
		}
	}
	return out
}
