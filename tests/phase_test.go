package tests

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"driftless/logstate"
)

// logLook is what the logs of an account show after a kill.
type logLook struct {
	next      map[string]uint64 // the next index of each log
	open      string            // kinds of effect in batches without an outcome
	untaken   int               // outcomes that the shared log does not have
	unsettled int
	fresh     []string // kinds of record written since the look before
	check     bool     // a checkpoint has begun and not ended
}

var (
	batchTaken = regexp.MustCompile(`^batch (\d+) of the (left|right) log`)
	willDo     = regexp.MustCompile(`^will (\w+)`)
)

// look reads the logs as a process does that has no lock: they must be readable after any kill.
func (k *pairOfStores) look(before *logLook) *logLook {
	k.t.Helper()
	l := &logLook{next: map[string]uint64{}}
	v, err := logstate.OpenView(k.logs)
	if err != nil {
		k.t.Fatalf("the logs cannot be read: %v", err)
	}
	n := v.Unsettled()
	l.unsettled = n[0] + n[1]
	intents, outcomes := map[string]string{}, map[string]bool{}
	for _, name := range []string{"left", "right", "shared"} {
		l.next[name], err = v.Records(name, 0, func(r logstate.Record) error {
			if before != nil && r.Index >= before.next[name] {
				l.fresh = append(l.fresh, r.Kind)
			}
			key := fmt.Sprintf("%s %s %d", name, r.Mailbox, r.Seq)
			switch r.Kind {
			case "intent":
				kinds := map[string]bool{}
				for _, line := range r.Lines {
					if m := willDo.FindStringSubmatch(line); m != nil {
						kinds[m[1]] = true
					}
				}
				intents[key] = strings.Join(slices.Sorted(maps.Keys(kinds)), "+")
			case "outcome":
				delete(intents, key)
				outcomes[key] = true
			case "commit":
				for _, line := range r.Lines {
					if m := batchTaken.FindStringSubmatch(line); m != nil {
						delete(outcomes, fmt.Sprintf("%s %s %s", m[2], r.Mailbox, m[1]))
					}
				}
			case "checkpoint-begin":
				l.check = true
			case "checkpoint-end":
				l.check = false
			}
			return nil
		})
		if err != nil {
			k.t.Fatalf("the %s log cannot be read: %v", name, err)
		}
	}
	open := map[string]bool{}
	for _, kinds := range intents {
		open[kinds] = true
	}
	l.open, l.untaken = strings.Join(slices.Sorted(maps.Keys(open)), " and "), len(outcomes)
	return l
}

// phase says where in a sync it was killed.
func phase(before, after *logLook) string {
	switch {
	case after.check:
		return "in a checkpoint"
	case before.unsettled > 0 && len(after.fresh) == 0:
		return "before an earlier kill was settled"
	case len(after.fresh) == 0:
		return "before anything was written"
	case after.unsettled > 0:
		return "in a batch: " + after.open
	case after.untaken > 0:
		return "between outcome and commit"
	}
	return "between batches"
}

// tally counts kills.
type tally struct {
	hits, missed, whole int
	blocked             int // syncs that could not remove messages on a server without UIDPLUS
	recovering          int // hits on a sync that had an earlier kill to settle
	kinds, phases       map[string]int
}

func (y *tally) hit(kind string, before, after *logLook) {
	if y.kinds == nil {
		y.kinds, y.phases = map[string]int{}, map[string]int{}
	}
	y.hits++
	y.kinds[kind]++
	y.phases[phase(before, after)]++
	if before.unsettled > 0 {
		y.recovering++
	}
}

// String is for the test's log.
func (y *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d kills hit a running sync (%d of them one that had an earlier kill to settle), %d came too late, %d syncs ran to their end, %d of them could not remove some messages without UIDPLUS", y.hits, y.recovering, y.missed, y.whole+y.missed, y.blocked)
	for _, part := range []struct {
		what   string
		counts map[string]int
	}{{"moments by", y.kinds}, {"phases:", y.phases}} {
		fmt.Fprintf(&b, "\n%s", part.what)
		for _, k := range slices.Sorted(maps.Keys(part.counts)) {
			fmt.Fprintf(&b, " %s %d;", k, part.counts[k])
		}
	}
	return b.String()
}

// records calls f for each record of an account's logs.
func (k *pairOfStores) records(f func(r logstate.Record)) {
	k.t.Helper()
	v, err := logstate.OpenView(k.logs)
	if err != nil {
		k.t.Fatalf("the logs cannot be read: %v", err)
	}
	for _, name := range []string{"left", "right", "shared"} {
		if _, err := v.Records(name, 0, func(r logstate.Record) error { f(r); return nil }); err != nil {
			k.t.Fatalf("the %s log cannot be read: %v", name, err)
		}
	}
}

var paired = regexp.MustCompile(`paired left (\S+) with right (\S+)`)

// history returns what the logs say of some messages and of what they were paired with.
func (k *pairOfStores) history(refs []string) string {
	about := func(refs []string) *regexp.Regexp {
		word := make([]string, len(refs))
		for i, ref := range refs {
			word[i] = regexp.QuoteMeta(ref)
		}
		return regexp.MustCompile(`(^|[^0-9A-Za-z])(` + strings.Join(word, "|") + `)($|[^0-9A-Za-z])`)
	}
	first := about(refs)
	ids := slices.Clone(refs)
	k.records(func(r logstate.Record) {
		for _, line := range r.Lines {
			if m := paired.FindStringSubmatch(line); m != nil && first.MatchString(line) {
				ids = append(ids, m[1], m[2])
			}
		}
	})
	type told struct {
		at   int64
		text string
	}
	var all []told
	second := about(ids)
	k.records(func(r logstate.Record) {
		for _, line := range r.Lines {
			if second.MatchString(line) {
				all = append(all, told{r.Time.UnixMilli(), fmt.Sprintf("%s %-6s %5d %s %s #%d: %s", r.Time.Format("05.000"), r.Log, r.Index, r.Kind, r.Mailbox, r.Seq, line)})
			}
		}
	})
	slices.SortStableFunc(all, func(a, b told) int { return int(a.at - b.at) })
	var b strings.Builder
	for _, l := range all[max(0, len(all)-80):] {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}
