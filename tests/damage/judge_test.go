package damage

import (
	"fmt"
	"maps"
	"slices"
)

// verdict says how much a damage may have cost.
type verdict struct {
	exact bool // nothing that counts was lost: the result must be that of the undamaged sync
	older bool // the state may be that of an earlier moment: where the flags of both sides differ, either side may win
}

// judge returns what is wrong with the outcome of a sync that began at this moment.
//
// What may legitimately differ from an undamaged sync: a message that was deleted on one side, and nowhere else, may come back; one that was moved on one side may then be in
// both mailboxes; and where the two sides have different flags, they may be united, or, with an older state, follow either side. Everything else is
// as it must be: what both sides agreed on stays as it is, under the same ids, and what only one side had comes to the other, once.
func judge(m *moment, post [2]inventory, v verdict) (wrong []string) {
	bad := func(n int, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("message %d: ", n)+fmt.Sprintf(format, args...)+fmt.Sprintf(
			"\n    before: left %v, right %v\n    after:  left %v, right %v", looks(m.pre[0][n]), looks(m.pre[1][n]), looks(post[0][n]), looks(post[1][n])))
	}
	numbers := map[int]bool{}
	for _, inv := range []inventory{m.pre[0], m.pre[1], post[0], post[1]} {
		for n := range inv {
			numbers[n] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(numbers)) {
		pre, got := [2][]copyOf{m.pre[0][n], m.pre[1][n]}, [2][]copyOf{post[0][n], post[1][n]}
		if n == refused {
			if !slices.Equal(looks(pre[0]), looks(got[0])) || len(got[1]) > 0 {
				bad(n, "a message that one side refuses is not left alone")
			}
			continue
		}
		if !slices.Equal(looks(got[0]), looks(got[1])) {
			bad(n, "the sides differ")
			continue
		}
		if v.exact && m.control[0] != nil {
			if !slices.Equal(looks(got[0]), looks(m.control[0][n])) {
				bad(n, "a harmless damage has changed the result, which is %v without it", looks(m.control[0][n]))
			}
			continue
		}
		was := [2][]string{places(pre[0]), places(pre[1])}
		now := places(got[0])
		switch {
		case slices.Equal(was[0], was[1]):
			if !slices.Equal(now, was[0]) {
				bad(n, "it was equal on both sides, and is not the same now")
			} else if !slices.Equal(ids(pre[0]), ids(got[0])) || !slices.Equal(ids(pre[1]), ids(got[1])) {
				bad(n, "it was equal on both sides, and was written anew")
			}
			for _, what := range flagsWrong(pre, got, m.control[0][n], v) {
				bad(n, "%s", what)
			}
		case m.deleted[n] && len(now) == 0: // the deletion went through
		case len(was[0]) == 0 || len(was[1]) == 0:
			if only := append(was[0], was[1]...); !slices.Equal(now, only) {
				bad(n, "it was in %v on one side", only)
			}
		default:
			if len(now) == 0 {
				bad(n, "it is lost")
			}
			for _, box := range slices.Compact(slices.Clone(now)) {
				if most := max(count(was[0], box), count(was[1], box)); count(now, box) > most {
					bad(n, "%d copies in %s, there were %d", count(now, box), box, most)
				}
			}
		}
	}
	return wrong
}

func count(list []string, s string) int {
	n := 0
	for _, x := range list {
		if x == s {
			n++
		}
	}
	return n
}

// flagsWrong looks at the flags of a message that is once on each side.
func flagsWrong(pre, got [2][]copyOf, control []copyOf, v verdict) (wrong []string) {
	if len(pre[0]) != 1 || len(got[0]) != 1 || len(control) != 1 {
		return nil
	}
	has := func(c copyOf, flag string) bool { return slices.Contains(c.flags.Names(), flag) }
	all := map[string]bool{}
	for _, c := range []copyOf{pre[0][0], pre[1][0], got[0][0]} {
		for _, f := range c.flags.Names() {
			all[f] = true
		}
	}
	for _, f := range slices.Sorted(maps.Keys(all)) {
		l, r, is := has(pre[0][0], f), has(pre[1][0], f), has(got[0][0], f)
		switch {
		case l == r && is != l:
			wrong = append(wrong, fmt.Sprintf("both sides agreed about %s, which has flipped", f))
		case l != r && !v.older && !is && has(control[0], f):
			wrong = append(wrong, fmt.Sprintf("%s, which was on one side, is lost", f))
		}
	}
	return wrong
}
