package merge

import "testing"

func TestGuard(t *testing.T) {
	def := Guard{Percent: 25, AtLeast: 20, AtMost: 5000}
	for _, c := range []struct {
		name                string
		guard               Guard
		deletions, messages int
		want                bool
	}{
		{"nothing", def, 0, 0, false},
		{"few of few", def, 20, 20, false},
		{"one more than at least, all of them", def, 21, 21, true},
		{"exactly the percentage", def, 25, 100, false},
		{"above the percentage", def, 26, 100, true},
		{"many of very many", def, 5000, 1000000, false},
		{"above at most", def, 5001, 1000000, true},
		{"fewer messages than deletions", def, 21, 0, true},
		{"a fraction of a percent", Guard{Percent: 0.5, AtLeast: 0, AtMost: -1}, 6, 1000, true},
		{"exactly a fraction", Guard{Percent: 0.5, AtLeast: 0, AtMost: -1}, 5, 1000, false},
		{"zero holds everything", Guard{}, 1, 1000000, true},
		{"zero holds no nothing", Guard{}, 0, 10, false},
		{"no percentage", Guard{Percent: -1, AtLeast: 0, AtMost: 10}, 10, 10, false},
		{"no percentage, at most", Guard{Percent: -1, AtLeast: 0, AtMost: 10}, 11, 1000, true},
		{"no limit at all", Guard{Percent: -1, AtMost: -1}, 1000, 1000, false},
		{"100 percent is never exceeded", Guard{Percent: 100, AtLeast: 0, AtMost: -1}, 10, 10, false},
	} {
		if got := c.guard.Holds(c.deletions, c.messages); got != c.want {
			t.Errorf("%s: %+v.Holds(%d, %d) = %v", c.name, c.guard, c.deletions, c.messages, got)
		}
	}
}
