package damage

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"driftless/daemon/engine"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/logstate"
	"driftless/merge"
)

// moment is everything that there was at some time: the stores, and the logs byte for byte.
type moment struct {
	name    string
	stores  [2]*memory.Backup
	pre     [2]inventory
	logs    files
	main    bool         // the history went on from here: its logs are older copies of those of later moments
	deleted map[int]bool // messages that a user has deleted on one side since they were synced: they may go, or come back
	control [2]inventory // what a sync makes of it when nothing is damaged
}

// history is a long life of an account.
type history struct {
	*world
	moments []*moment
	serial  int // of the last new message
}

// newHistory plays a history that leaves records of all kinds in the logs, and notes its moments: settled ones, each of them also with changes that users made since; syncs
// that were killed at each kind of effect; appends in doubt; right after a checkpoint; after logs had been lost and repaired before.
func newHistory(t testing.TB, opts [2]memory.Options, identity string) *history {
	h := &history{world: newWorld(t, opts, identity), serial: 100}
	if identity != "own" {
		h.estrange()
	}
	for n := 1; n <= 16; n++ {
		h.put(merge.Left, "INBOX", n, flagsOf(n)...)
	}
	for n := 9; n <= 26; n++ {
		h.put(merge.Right, "INBOX", n, flagsOf(n+1)...)
	}
	for n := 72; n <= 99; n++ {
		h.put(merge.Left, "INBOX", n, flagsOf(n)...)
	}
	for n := 40; n <= 45; n++ {
		h.put(merge.Right, "Archive", n, flagsOf(n)...)
	}
	for range 3 {
		h.put(merge.Left, "INBOX", 60)
	}
	for range 2 {
		h.put(merge.Right, "INBOX", 60)
	}
	h.put(merge.Left, "Größe", 70, "Work")
	h.put(merge.Left, "INBOX", refused)
	h.put(merge.Left, "INBOX", 71, `\Deleted`, `\Seen`)
	h.note("never synced", nil).main = true
	h.mustSync()
	h.settled("first sync")

	h.busy()
	h.interrupted()
	h.mustSync()
	h.settled("changes")

	h.doubt(memory.Stored)
	h.mustSync()
	h.doubt(memory.Lost)
	h.mustSync()
	h.settled("after doubt")

	h.acc.Logs.CheckpointSize = 1
	h.busy()
	h.mustSync()
	h.acc.Logs.CheckpointSize = 0
	h.settled("right after a checkpoint")
	h.busy()
	h.mustSync()
	h.settled("after a checkpoint")
	for _, at := range []string{"right Append INBOX 1.1", "left Move INBOX 1.1", "right Expunge INBOX 1.1"} {
		h.kill(at, drivertest.DieAfter, h.busy()).main = true
		h.mustSync()
	}

	// A lost log and a damaged one have left their traces.
	logs := readTree(t, h.dir)
	for path := range logs {
		if strings.HasPrefix(path, "left/") {
			delete(logs, path)
		}
	}
	names := segmentNames(logs, "shared")
	logs = flip(logs, "shared/"+names[len(names)/2], 40*8)
	logs.writeTree(t, h.dir)
	if r := h.mustSync(); len(r.Repairs) < 2 {
		t.Fatalf("a lost log and a damaged one: %+v", r.Repairs)
	}
	h.settled("after repairs")
	h.busy()
	h.mustSync()
	h.settled("end")

	h.kinds()
	for _, m := range h.moments {
		h.restore(m, m.logs)
		h.mustSync()
		m.control = h.inventory()
		if wrong := judge(m, m.control, verdict{}); len(wrong) > 0 {
			t.Fatalf("%s, undamaged:\n%s", m.name, strings.Join(wrong, "\n"))
		}
	}
	return h
}

// estrange makes the ids of this account's stores unlike those of any other, as they are in life: a Maildir's names are unique in the world, and a server's
// UIDVALIDITY is taken from the clock.
func (h *history) estrange() {
	h.t.Helper()
	for _, s := range h.srv {
		for range 3000 {
			s.Deliver("Old", merge.Flags{}, time.Time{}, mail(1))
		}
		for range 100 {
			must(h.t, s.DeleteMailbox("Old"))
			s.CreateMailbox("Old")
		}
		must(h.t, s.DeleteMailbox("Old"))
		must(h.t, s.BumpValidity("INBOX"))
	}
}

func flagsOf(n int) []string {
	var out []string
	for i, f := range []string{`\Seen`, `\Flagged`, `\Answered`, "Work"} {
		if n>>i&1 == 1 {
			out = append(out, f)
		}
	}
	return out
}

// note remembers the present moment.
func (h *history) note(name string, deleted map[int]bool) *moment {
	m := &moment{name: name, pre: h.inventory(), logs: readTree(h.t, h.dir), deleted: deleted}
	for i, s := range h.srv {
		m.stores[i] = s.Backup()
	}
	h.moments = append(h.moments, m)
	return m
}

// settled notes a moment at which everything is in sync, and the same with changes that nobody has synced yet. The history goes on from the former.
func (h *history) settled(name string) {
	h.t.Helper()
	m := h.note(name, nil)
	m.main = true
	h.note(name+", then changes", h.busy())
	h.restore(m, m.logs)
}

// restore makes the world what it was, with these logs.
func (h *history) restore(m *moment, logs files) {
	h.t.Helper()
	for i, s := range h.srv {
		s.Restore(m.stores[i])
	}
	logs.writeTree(h.t, h.dir)
}

// busy lets users change everything on both sides. It returns what they deleted.
func (h *history) busy() map[int]bool {
	h.t.Helper()
	l, r := h.inventory()[0], h.inventory()[1]
	var free []int
	for _, n := range slices.Sorted(maps.Keys(l)) {
		if len(l[n]) == 1 && len(r[n]) == 1 && l[n][0].box == "INBOX" && r[n][0].box == "INBOX" && n != 71 {
			free = append(free, n)
		}
	}
	if len(free) < 9 {
		h.t.Fatalf("only %d messages are left to play with", len(free))
	}
	next := func() int { h.serial++; return h.serial }
	h.put(merge.Left, "INBOX", next(), `\Seen`)
	h.put(merge.Right, "INBOX", next())
	h.put(merge.Right, "Archive", next(), `\Flagged`, "Work")
	h.put(merge.Left, "Größe", next())
	h.put(merge.Left, fmt.Sprintf("Made/Left %d", next()), next())
	h.flag(merge.Left, "INBOX", free[0], `\Answered`, "Play")
	h.flag(merge.Right, "INBOX", free[1], `\Draft`)
	h.flag(merge.Left, "INBOX", free[2], `\Seen`, `\Flagged`)
	h.flag(merge.Right, "INBOX", free[2], `\Answered`)
	h.remove(merge.Left, "INBOX", free[3])
	h.remove(merge.Right, "INBOX", free[4])
	h.move(merge.Left, "INBOX", free[5], "Archive")
	h.move(merge.Right, "INBOX", free[6], fmt.Sprintf("Made/Right %d", next()))
	h.move(merge.Right, "INBOX", free[7], "Archive")
	return map[int]bool{free[3]: true, free[4]: true}
}

// interrupted notes what is left of a sync that is killed at the last effect of each kind on each side, before and after the effect.
func (h *history) interrupted() {
	h.t.Helper()
	start := h.note("changes to be synced", h.busyDeleted())
	h.moments = h.moments[:len(h.moments)-1] // it is there already as "..., then changes"
	h.plan = &drivertest.Plan{}
	h.mustSync()
	points := h.plan.Points()
	found := 0
	for _, side := range merge.Sides {
		for _, op := range []string{"Append", "SetFlags", "Move", "Expunge"} {
			at := ""
			for _, p := range points {
				if strings.HasPrefix(p, side.String()+" "+op+" ") {
					at = p
				}
			}
			if at == "" {
				continue
			}
			for _, fault := range []drivertest.Fault{drivertest.DieBefore, drivertest.DieAfter} {
				h.restore(start, start.logs)
				h.kill(at, fault, start.deleted)
				found++
			}
		}
	}
	h.plan = nil
	h.moments[len(h.moments)-1].main = true
	if found < 14 {
		h.t.Fatalf("a sync was killed at %d kinds of effect only; its points are %q", found, points)
	}
}

// busyDeleted returns the messages that are on one side only although they were synced, at a moment before "busy" was synced.
func (h *history) busyDeleted() map[int]bool {
	out := map[int]bool{}
	inv := h.inventory()
	for _, side := range merge.Sides {
		for n := range inv[side] {
			if n < 100 && n != refused && len(inv[side.Other()][n]) == 0 {
				out[n] = true
			}
		}
	}
	return out
}

// kill notes the moment at which a sync dies: what is in the logs just then, not what a process that lives would still write.
func (h *history) kill(at string, fault drivertest.Fault, deleted map[int]bool) *moment {
	h.t.Helper()
	m := &moment{name: fmt.Sprintf("%s at %s", fault, at), deleted: deleted}
	h.plan = &drivertest.Plan{AtName: at, Fault: fault, OnHit: func(string) {
		for { // until the workers beside it have come to rest: what is noted is of one moment
			m.logs = readTree(h.t, h.dir)
			for i, s := range h.srv {
				m.stores[i] = s.Backup()
			}
			m.pre = h.inventory()
			if len(m.logs.diff(readTree(h.t, h.dir))) == 0 {
				return
			}
		}
	}}
	_, err := h.sync(engine.Request{})
	if h.plan.Hit() == "" {
		h.t.Fatalf("%s was not reached, %v", at, err)
	}
	h.plan = nil
	h.moments = append(h.moments, m)
	h.restore(m, m.logs)
	return m
}

// doubt notes the moment at which a copy to the right has no known fate.
func (h *history) doubt(fate memory.Fate) {
	h.t.Helper()
	h.serial++
	h.put(merge.Left, "INBOX", h.serial, `\Flagged`)
	h.srv[merge.Right].CutAppend(0, fate)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := engine.Sync(ctx, h.acc, engine.Request{}, func(e engine.Event) {
		if e.Kind == engine.EventWaiting {
			cancel() // it would find out in this very cycle
		}
	})
	v, verr := logstate.OpenView(h.dir)
	must(h.t, verr)
	for _, s := range v.Mailboxes() {
		if s.Halves[merge.InDoubt] > 0 {
			h.note(fmt.Sprintf("in doubt (%d)", fate), nil).main = true
			return
		}
	}
	h.t.Fatalf("no append is in doubt: %v", err)
}

// kinds checks that the logs have had records of every kind that there is.
func (h *history) kinds() {
	h.t.Helper()
	seen := map[byte]int{}
	longest := map[string]int{}
	for _, m := range h.moments {
		for _, log := range logNames {
			names := segmentNames(m.logs, log)
			longest[log] = max(longest[log], len(names))
			for _, name := range names {
				for _, e := range (segment{name, []byte(m.logs[log+"/"+name])}).entries(h.t) {
					seen[e.kind]++
				}
			}
		}
	}
	for _, kind := range []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 255} {
		if seen[kind] == 0 {
			h.t.Errorf("no log has a record of kind %d: %v", kind, seen)
		}
	}
	for _, log := range logNames {
		if longest[log] < 3 {
			h.t.Errorf("the %s log has %d segments only", log, longest[log])
		}
	}
}

// segmentNames returns the segments of a log, in order.
func segmentNames(logs files, log string) []string {
	var out []string
	for path := range logs {
		if dir, name, _ := strings.Cut(path, "/"); dir == log && len(name) == 20 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// flip returns the logs with one bit of a file turned over.
func flip(logs files, path string, bit int) files {
	out := maps.Clone(logs)
	b := []byte(out[path])
	b[bit/8] ^= 1 << (bit % 8)
	out[path] = string(b)
	return out
}
