package damage

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
)

// place is a segment of a log at a moment.
type place struct {
	m    *moment
	log  string
	name string
	last bool // of its log
	pos  int  // 0 = the first of its log
	of   int  // segments of the log
}

func (p place) path() string { return p.log + "/" + p.name }
func (p place) data() string { return p.m.logs[p.path()] }

// places returns all segments of all moments.
func (h *history) places() []place {
	var out []place
	for _, m := range h.moments {
		for _, log := range logNames {
			names := segmentNames(m.logs, log)
			for i, name := range names {
				out = append(out, place{m, log, name, i == len(names)-1, i, len(names)})
			}
		}
	}
	return out
}

// with returns the logs with a file replaced.
func with(logs files, path, data string) files {
	out := maps.Clone(logs)
	out[path] = data
	return out
}

func without(logs files, prefix string) files {
	out := files{}
	for path, data := range logs {
		if !strings.HasPrefix(path, prefix) {
			out[path] = data
		}
	}
	return out
}

// variants makes a family of n variants of each of these places.
func variants(name string, ordinary int, at []place, n func(place) int, f func(p place, i int) damaged) family {
	var starts []int
	total := 0
	for _, p := range at {
		starts = append(starts, total)
		total += n(p)
	}
	return family{name, ordinary, total, func(i int) damaged {
		k := len(starts) - 1
		for starts[k] > i || n(at[k]) == 0 {
			k--
		}
		d := f(at[k], i-starts[k])
		d.moment = at[k].m
		return d
	}}
}

func one(place) int { return 1 }

// families returns all ways to damage the logs of this history. stranger is another account.
func (h *history) families(stranger *history) []family {
	all := h.places()
	var tails, inner []place
	for _, p := range all {
		if p.last {
			tails = append(tails, p)
		} else {
			inner = append(inner, p)
		}
	}
	out := []family{
		h.truncations(tails),
		variants("a flipped bit", 30, all, func(p place) int { return len(p.data()) * 8 }, func(p place, i int) damaged {
			d := damaged{name: fmt.Sprintf("bit %d of %s", i, p.path()), logs: flip(p.m.logs, p.path(), i), reported: p.log}
			return d
		}),
		variants("a zero-filled tail", 12, tails, func(place) int { return 4 }, func(p place, i int) damaged {
			n := []int{1, 32, 33, 4096}[i]
			return damaged{
				name: fmt.Sprintf("%d zeroes behind %s", n, p.path()), logs: with(p.m.logs, p.path(), p.data()+strings.Repeat("\x00", n)),
				reported: p.log, verdict: verdict{exact: true},
			}
		}),
		variants("a garbage tail", 12, tails, func(place) int { return 20 }, func(p place, i int) damaged {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			b := make([]byte, 1+rng.IntN(200)*i)
			for k := range b {
				b[k] = byte(rng.IntN(256))
			}
			return damaged{
				name: fmt.Sprintf("%d bytes of garbage behind %s", len(b), p.path()), logs: with(p.m.logs, p.path(), p.data()+string(b)),
				reported: p.log, verdict: verdict{exact: true},
			}
		}),
		h.zeroes(all),
	}
	out = append(out, h.segmentFamilies(all, inner)...)
	out = append(out, h.wholeFamilies()...)
	out = append(out, h.oldFamilies(stranger)...)
	return append(out, h.leftoverFamilies(all)...)
}

// truncations cuts the last segment at each byte.
func (h *history) truncations(tails []place) family {
	return variants("truncated at a byte", 30, tails, func(p place) int { return len(p.data()) }, func(p place, i int) damaged {
		d := damaged{name: fmt.Sprintf("%s cut to %d of %d bytes", p.path(), i, len(p.data())), logs: with(p.m.logs, p.path(), p.data()[:i]), verdict: verdict{older: true}}
		whole := i == 0
		for _, e := range (segment{p.name, []byte(p.data())}).entries(h.t) {
			whole = whole || e.end == i
		}
		if !whole {
			d.reported = p.log
		}
		return d
	})
}

// zeroes clears a stretch in the middle, as a disk does that forgets sectors.
func (h *history) zeroes(all []place) family {
	return variants("zeroes within", 16, all, func(p place) int { return len(p.data()) / 40 }, func(p place, i int) damaged {
		at := i * 40
		n := min(64+i%5*100, len(p.data())-at)
		d := damaged{
			name: fmt.Sprintf("%d zeroes at %d of %s", n, at, p.path()),
			logs: with(p.m.logs, p.path(), p.data()[:at]+strings.Repeat("\x00", n)+p.data()[at+n:]),
		}
		if strings.Trim(p.data()[at:at+n], "\x00") != "" {
			d.reported = p.log
		}
		return d
	})
}

// segmentFamilies are about whole segments.
func (h *history) segmentFamilies(all, inner []place) []family {
	removed := func(p place) damaged {
		d := damaged{name: "without " + p.path(), logs: without(p.m.logs, p.path())}
		if p.pos > 0 && !p.last {
			d.reported = p.log
		}
		return d
	}
	kind := func(name string, ordinary int, want func(p place) bool) family {
		var at []place
		for _, p := range all {
			if p.of > 1 && want(p) {
				at = append(at, p)
			}
		}
		return variants(name, ordinary, at, one, func(p place, _ int) damaged { return removed(p) })
	}
	out := []family{
		kind("the first segment is missing", 8, func(p place) bool { return p.pos == 0 }),
		kind("a middle segment is missing", 12, func(p place) bool { return p.pos > 0 && !p.last }),
		kind("the last segment is missing", 8, func(p place) bool { return p.last }),
		variants("a segment is empty", 10, all, one, func(p place, _ int) damaged {
			d := damaged{name: p.path() + " is empty", logs: with(p.m.logs, p.path(), "")}
			if !p.last {
				d.reported = p.log
			}
			return d
		}),
		variants("a segment twice, as the last", 8, all, one, func(p place, _ int) damaged {
			names := segmentNames(p.m.logs, p.log)
			last := segment{names[len(names)-1], nil}.first()
			return damaged{
				name: "a copy of " + p.path() + " behind the last", logs: with(p.m.logs, fmt.Sprintf("%s/%020d", p.log, last+50), p.data()),
				reported: onlyIf(p.data() != "", p.log),
			}
		}),
		variants("a segment twice, in the next one's place", 10, inner, one, func(p place, _ int) damaged {
			next := segmentNames(p.m.logs, p.log)[p.pos+1]
			return damaged{name: "a copy of " + p.path() + " as " + next, logs: with(p.m.logs, p.log+"/"+next, p.data()), reported: p.log}
		}),
		variants("the next segment's entries, too", 8, inner, one, func(p place, _ int) damaged {
			next := p.m.logs[p.log+"/"+segmentNames(p.m.logs, p.log)[p.pos+1]]
			return damaged{
				name: p.path() + " goes on with what is in the next", logs: with(p.m.logs, p.path(), p.data()+next), verdict: verdict{exact: true},
				reported: onlyIf(next != "", p.log),
			}
		}),
		variants("a segment's name is a directory", 6, all, one, func(p place, _ int) damaged {
			logs := without(p.m.logs, p.path())
			logs[p.path()+"/"] = ""
			return damaged{name: p.path() + " is a directory", logs: logs, refuse: true}
		}),
		variants("a newer version at the end", 8, all, one, func(p place, _ int) damaged {
			if !p.last {
				// In the middle: in the place of its first entry.
				e := segment{p.name, []byte(p.data())}.entries(h.t)
				data := string(newer(e[0].index)) + p.data()[e[0].end:]
				return damaged{name: "a later version's entry at the beginning of " + p.path(), logs: with(p.m.logs, p.path(), data), refuse: true}
			}
			next := segment{p.name, nil}.first()
			for _, e := range (segment{p.name, []byte(p.data())}).entries(h.t) {
				next = e.index + 1
			}
			return damaged{name: "a later version's entry at the end of " + p.path(), logs: with(p.m.logs, p.path(), p.data()+string(newer(next))), refuse: true}
		}),
	}
	return out
}

func onlyIf(cond bool, s string) string {
	if cond {
		return s
	}
	return ""
}

// wholeFamilies are about whole logs.
func (h *history) wholeFamilies() []family {
	subset := func(i int) (names []string) {
		for k, log := range logNames {
			if (i+1)>>k&1 == 1 {
				names = append(names, log)
			}
		}
		return names
	}
	lost := func(name string, change func(logs files, log string) files) family {
		return family{name, 10, 7 * len(h.moments), func(i int) damaged {
			m := h.moments[i/7]
			logs := m.logs
			for _, log := range subset(i % 7) {
				logs = change(logs, log)
			}
			return damaged{name: fmt.Sprint(subset(i % 7)), moment: m, logs: logs}
		}}
	}
	return []family{
		lost("logs are missing", func(logs files, log string) files { return without(logs, log+"/") }),
		lost("logs are empty", func(logs files, log string) files { return with(without(logs, log+"/"), log+"/", "") }),
		{"a file in a log's place", 6, 3 * len(h.moments), func(i int) damaged {
			m, log := h.moments[i/3], logNames[i%3]
			return damaged{name: log, moment: m, logs: with(without(m.logs, log+"/"), log, "not a directory"), refuse: true}
		}},
	}
}

// oldFamilies puts logs of other times, and of another account, in place.
func (h *history) oldFamilies(stranger *history) []family {
	type combo struct {
		m    *moment
		from [3]*moment
	}
	// Logs of the future are not among them: then it is the stores that are an old copy.
	var combos, single []combo
	for at, m := range h.moments {
		line := []*moment{m}
		for _, old := range h.moments[:at] {
			if old.main {
				line = append(line, old)
			}
		}
		for i := range len(line) * len(line) * len(line) {
			c := combo{m, [3]*moment{line[i%len(line)], line[i/len(line)%len(line)], line[i/len(line)/len(line)]}}
			combos = append(combos, c)
			if own := onlyOne(c.from[0] != m, c.from[1] != m, c.from[2] != m); own {
				single = append(single, c)
			}
		}
	}
	mix := func(name string, ordinary int, list []combo) family {
		return family{name, ordinary, len(list), func(i int) damaged {
			c := list[i]
			logs := files{}
			name := ""
			for k, log := range logNames {
				take(logs, c.from[k].logs, log)
				if c.from[k] != c.m {
					name += fmt.Sprintf("%s of %q ", log, c.from[k].name)
				}
			}
			// As long as one of the logs is of now, an old shared log is found out, and pairing by content unites flags.
			return damaged{name: name, moment: c.m, logs: logs, verdict: verdict{older: c.from[0] != c.m || c.from[1] != c.m}}
		}}
	}
	return []family{
		mix("an older copy of one log", 16, single),
		mix("logs of different times", 24, combos),
		{"left and right exchanged", 8, len(h.moments), func(i int) damaged {
			m := h.moments[i]
			return damaged{name: "exchanged", moment: m, logs: exchanged(m.logs), may: true}
		}},
		h.strangersLogs("all logs of another account", stranger, []int{7}),
		h.strangersLogs("some logs of another account", stranger, []int{1, 2, 3, 4, 5, 6}),
	}
}

// strangersLogs puts logs of another account in place. A subset has a bit for each log.
func (h *history) strangersLogs(name string, stranger *history, subsets []int) family {
	return family{name, 6, len(subsets) * len(h.moments), func(i int) damaged {
		m, other := h.moments[i/len(subsets)], stranger.moments[i/len(subsets)]
		logs := files{}
		name := ""
		for k, log := range logNames {
			if subsets[i%len(subsets)]>>k&1 == 1 {
				take(logs, other.logs, log)
				name += log + " "
			} else {
				take(logs, m.logs, log)
			}
		}
		// Logs of two accounts are refused, unless all that one of them has are empty.
		return damaged{name: name, moment: m, logs: logs, may: len(subsets) > 1, verdict: verdict{older: true}}
	}}
}

// onlyOne reports whether just one of these is so.
func onlyOne(list ...bool) bool {
	n := 0
	for _, x := range list {
		if x {
			n++
		}
	}
	return n == 1
}

// take copies one log.
func take(to, from files, log string) {
	for path, data := range from {
		if strings.HasPrefix(path, log+"/") {
			to[path] = data
		}
	}
}

// leftoverFamilies put the files there that an interrupted truncation or repair leaves.
func (h *history) leftoverFamilies(all []place) []family {
	var out []family
	for _, suffix := range []string{".START", ".START.TEMP", ".END", ".END.TEMP", ".REPAIR"} {
		var at []place
		for _, p := range all {
			if len(p.data()) > 0 {
				at = append(at, p)
			}
		}
		out = append(out, variants("a leftover "+suffix, 6, at, func(place) int { return 4 }, func(p place, i int) damaged {
			what := []string{"whole", "torn", "empty", "whole, in place of the segment"}[i]
			data := p.data()
			switch i {
			case 1:
				data = data[:len(data)-7]
			case 2:
				data = ""
			}
			d := damaged{name: p.path() + suffix + ", " + what, logs: with(p.m.logs, p.path()+suffix, data)}
			// The library writes .START only once everything before it is superfluous: a whole one at a later segment is obeyed.
			d.verdict = verdict{exact: i < 3 && (suffix != ".START" || i > 0 || p.pos == 0)}
			if i == 3 {
				d.logs = without(d.logs, p.path())
				d.logs[p.path()+suffix] = data
				d.verdict = verdict{}
			}
			return d
		}))
	}
	return out
}
