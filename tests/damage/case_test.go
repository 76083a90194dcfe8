package damage

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"driftless/daemon/engine"
	"driftless/logstate"
	"driftless/tests/torture"
)

// damaged is one case: a moment, and what is in place of its logs.
type damaged struct {
	name     string
	moment   *moment
	logs     files
	verdict  verdict
	reported string // a log of which the sync must say that it was damaged, "" if it need not
	refuse   bool   // the sync must refuse, touching nothing
	may      bool   // it may refuse
}

// family is a way to damage logs, in so many variants.
type family struct {
	name     string
	ordinary int // how many of them an ordinary run tries, for each pair of stores
	total    int
	make     func(i int) damaged
}

// tally counts what happened in the cases of a family.
type tally struct{ cases, exact, repaired, refused, readable int }

// TestDamagedLogs damages the logs in every way and at every moment of the history, in process.
func TestDamagedLogs(t *testing.T) {
	for name, opts := range characters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stranger := newHistory(t, opts, "other")
			h := newHistory(t, opts, "own")
			t.Logf("%d moments", len(h.moments))
			seen := h.history()
			var cases, repaired, refused int
			for _, f := range h.families(stranger) {
				t.Run(f.name, func(t *testing.T) {
					h.t = t
					if f.total == 0 {
						t.Error("there is no case")
					}
					sum := tally{}
					for i := range torture.Points(t, f.total, f.ordinary) {
						h.try(t, f.make(i), seen, &sum)
					}
					t.Logf("%d of %d cases: %d as if undamaged, %d with repairs, %d refused, %d readable before", sum.cases, f.total, sum.exact, sum.repaired, sum.refused, sum.readable)
					cases, repaired, refused = cases+sum.cases, repaired+sum.repaired, refused+sum.refused
				})
			}
			t.Logf("%d cases in all, %d with repairs, %d refused", cases, repaired, refused)
		})
	}
}

// try runs one case.
func (h *history) try(t *testing.T, d damaged, seen map[string]bool, sum *tally) {
	t.Helper()
	sum.cases++
	name := fmt.Sprintf("%s, at the moment %q", d.name, d.moment.name)
	h.restore(d.moment, d.logs)
	var wrong []string
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	defer func() {
		if v := recover(); v != nil {
			bad("panic: %v", v)
		}
		if len(wrong) > 0 {
			t.Errorf("%s:\n  %s", name, strings.Join(wrong, "\n  "))
		}
	}()
	if h.read(bad, seen) {
		sum.readable++
	}
	if diff := d.logs.diff(readTree(t, h.dir)); len(diff) > 0 {
		bad("reading has written: %s", strings.Join(diff, ", "))
	}
	rep, err := h.sync(engine.Request{})
	if err != nil || rep.Errors+rep.Held+rep.Conflicts > 0 {
		sum.refused++
		h.refused(t, bad, d, rep, err)
		return
	}
	if d.refuse {
		bad("was not refused")
	}
	if len(rep.Repairs) > 0 {
		sum.repaired++
	}
	if slices.ContainsFunc(rep.Problems, func(p engine.Problem) bool { return strings.Contains(p.Text, "is not the one that was synced before") }) {
		// It said so, and left what would be too bold to the next one.
		if rep, err := h.sync(engine.Request{}); err != nil || rep.Errors+rep.Held > 0 {
			bad("the sync after that fails: %v %+v", err, rep)
		}
	}
	h.reported(bad, d, rep.Repairs)
	post := h.inventory()
	wrong = append(wrong, judge(d.moment, post, d.verdict)...)
	if slices.Equal(looksOf(post[0]), looksOf(d.moment.control[0])) {
		sum.exact++
	}
	h.silent(t, bad)
	if len(wrong) > 0 {
		bad("the sync said %+v", rep)
	}
}

// read is what status, log, verify and a dry run do. It reports whether the state could be read.
func (h *history) read(bad func(string, ...any), seen map[string]bool) bool {
	said := func(what string, err error) {
		if len(err.Error()) < 10 || strings.Contains(err.Error(), "malformed") || strings.Contains(err.Error(), "panic") {
			bad("%s says %q", what, err)
		}
	}
	v, err := logstate.OpenView(h.dir)
	if err != nil {
		said("status", err)
	} else {
		for _, s := range v.Mailboxes() {
			if !s.Repair && !seen[summary(s)] {
				bad("status says of %q what never was: %s", s.Names[0], summary(s))
			}
			if _, err := v.State(s.Mailbox); err != nil {
				said("the state", err)
			}
		}
		for _, log := range logNames {
			if _, err := v.Records(log, 0, func(logstate.Record) error { return nil }); err != nil {
				said("log", err)
			}
		}
	}
	if _, err := engine.Verify(h.t.Context(), h.acc, engine.VerifyRequest{}, nil); err != nil {
		said("verify", err)
	}
	if _, err := h.sync(engine.Request{DryRun: true}); err != nil {
		said("a dry run", err)
	}
	return err == nil
}

// summary is what status shows of a mailbox.
func summary(s logstate.Summary) string { return fmt.Sprintf("%v %v %v", s.Names, s.Count, s.Halves) }

// history returns what status may say of a mailbox: what was so after some record of some moment's log.
func (h *history) history() map[string]bool {
	h.t.Helper()
	seen := map[string]bool{}
	done := map[string]bool{}
	dir := filepath.Join(workDir(h.t), "work")
	for _, m := range h.moments {
		for name, data := range m.logs {
			if !strings.HasPrefix(name, "shared/") || len(name) != len("shared/")+20 || done[name+data] {
				continue
			}
			done[name+data] = true
			logs := maps.Clone(m.logs)
			for other := range logs {
				if strings.HasPrefix(other, "shared/") && other > name {
					delete(logs, other)
				}
			}
			for _, e := range (segment{name, []byte(data)}).entries(h.t) {
				logs[name] = data[:e.end]
				logs.writeTree(h.t, dir)
				v, err := logstate.OpenView(dir)
				must(h.t, err)
				for _, s := range v.Mailboxes() {
					seen[summary(s)] = true
				}
			}
		}
	}
	return seen
}

// refused looks at a sync that did not work: it has changed nothing, says what to do, and that helps.
func (h *history) refused(t *testing.T, bad func(string, ...any), d damaged, rep engine.Report, err error) {
	t.Helper()
	text := fmt.Sprint(err)
	for _, p := range rep.Problems {
		text += "; " + p.Text
	}
	if !strings.Contains(text, "driftless rebuild work") {
		bad("the refusal does not say what to do: %s", text)
	}
	if !strings.Contains(text, "left") && !strings.Contains(text, "right") && !strings.Contains(text, "shared") {
		bad("the refusal does not say what is damaged: %s", text)
	}
	if now := h.inventory(); !slices.Equal(looksOf(now[0]), looksOf(d.moment.pre[0])) || !slices.Equal(looksOf(now[1]), looksOf(d.moment.pre[1])) {
		bad("the refusal (%s) has changed the stores", text)
	}
	before := readTree(t, h.dir)
	if diff := d.logs.diff(before); d.refuse && len(diff) > 0 {
		bad("the refusal (%s) has touched the logs: %s", text, strings.Join(diff, ", "))
	}
	if !d.refuse && !d.may {
		bad("refused: %s", text)
	}
	kept, err := logstate.SetAside(t.Context(), h.dir, logstate.Options{NoWait: true})
	if err != nil {
		bad("rebuild: %v", err)
		return
	}
	after := readTree(t, h.dir)
	for path, data := range before {
		if was, ok := after[kept+"/"+path]; path != "lock" && (!ok || was != data) {
			bad("rebuild does not keep %s", path)
		}
	}
	if rep, err := h.sync(engine.Request{}); err != nil || rep.Errors > 0 {
		bad("after the rebuild: %v %+v", err, rep.Problems)
		return
	}
	for _, w := range judge(d.moment, h.inventory(), verdict{}) {
		bad("after the rebuild: %s", w)
	}
	h.silent(t, bad)
}

// reported looks at what the sync says about the damage, and at what it has kept of it.
func (h *history) reported(bad func(string, ...any), d damaged, repairs []logstate.Repair) {
	found := d.reported == ""
	for _, r := range repairs {
		found = found || r.Log == d.reported
		if r.What == "" || !slices.Contains(logNames, r.Log) {
			bad("a repair that says nothing: %+v", r)
		}
		if r.Segment != "" && r.Index == 0 {
			bad("a repair that does not say where: %+v", r)
		}
		if r.Kept == "" {
			continue
		}
		kept, err := os.ReadFile(r.Kept)
		if err != nil {
			bad("nothing is kept of the damage: %v", err)
			continue
		}
		was, ok := d.logs[r.Log+"/"+r.Segment]
		if !ok || !strings.HasSuffix(was, string(kept)) || len(kept) == 0 && was != "" {
			bad("%s (%d bytes) is not what was damaged in %s of %d bytes: %+v", filepath.Base(r.Kept), len(kept), r.Segment, len(was), r)
		}
	}
	if !found {
		bad("nobody is told of the damage in the %s log: %+v", d.reported, repairs)
	}
}

// silent checks that the account is in sync: a second sync does nothing and writes nothing, and everything compares equal.
func (h *history) silent(t *testing.T, bad func(string, ...any)) {
	t.Helper()
	before := readTree(t, h.dir)
	stores := h.inventory()
	rep, err := h.sync(engine.Request{})
	if err != nil || rep.Changed() || rep.Errors+rep.Held+rep.Conflicts > 0 || len(rep.Repairs) > 0 {
		bad("the second sync is not silent: %v, %+v", err, rep)
	}
	if diff := before.diff(readTree(t, h.dir)); len(diff) > 0 {
		bad("the second sync has written to the logs: %s", strings.Join(diff, ", "))
	}
	now := h.inventory()
	for i := range now {
		if !slices.Equal(looksOf(now[i]), looksOf(stores[i])) {
			bad("the second sync has changed a store")
		}
	}
	v, err := engine.Verify(t.Context(), h.acc, engine.VerifyRequest{Content: true}, nil)
	if err != nil || len(v.Differences) > 0 {
		bad("verify: %v %+v", err, v.Differences)
	}
}

// looksOf returns everything that a side shows.
func looksOf(inv inventory) []string {
	var out []string
	for n, c := range inv {
		for _, look := range looks(c) {
			out = append(out, fmt.Sprint(n, " ", look))
		}
	}
	slices.Sort(out)
	return out
}
