package everystep

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"driftless/drivers/drivertest"
	"driftless/tests/faultfs"
	"driftless/tests/torture"
)

// Each call of a driver reports an error once: though it did what it was asked to, or because it did not. The sync may fail; the next one puts
// everything right. The error concerns the whole store, the mailbox or just one message. No process dies in this test, so what is wrong in its memory counts, too.
func TestCallFaults(t *testing.T) {
	setups, each := rotated(6), 12
	if _, on := torture.On(t); on {
		setups, each = allSetups(), every
	}
	faults := append([]drivertest.Fault{drivertest.FailBefore, drivertest.UnknownBefore, drivertest.UnknownAfter, drivertest.FailAfter}, drivertest.Refusals...)
	var skipped atomic.Int64
	n := onSetups(t, setups, false, func(tr *trial) {
		base := prepare(tr.t, tr.setup, tr.newDir())
		type failing struct {
			call  string
			fault drivertest.Fault
		}
		var all []failing
		for _, call := range tr.calls(base) {
			for _, f := range faults {
				switch {
				case !f.Suits(call):
				case oneEnded(tr.setup, call, f):
					skipped.Add(1)
				default:
					all = append(all, failing{call, f})
				}
			}
		}
		for _, i := range some(len(all), each) {
			if !tr.bearsCall(base, all[i].call, all[i].fault) {
				return
			}
		}
	})
	n.sum(t, "calls of drivers")
	t.Logf("not tried: %d questions that fail for one end of a move", skipped.Load())
}

// oneEnded reports whether one end of a move cannot be looked at, or not be read, in the sync. The other end alone looks like new mail or like a removal, so that what was done to the message on the other
// side may not be put together with it: a message that was deleted there comes back, or a change of its flags is lost. No mail is. To know it, arrivals would have to wait
// that may come from a mailbox that failed.
func oneEnded(s setup, call string, f drivertest.Fault) bool {
	reading := []string{"Open", "Changes", "Describe", "Look", "Fetch"}
	return (f == drivertest.BoxFailBefore || f == drivertest.MailFailBefore) && strings.HasPrefix(s.String(), "moved") && slices.Contains(reading, strings.Fields(call)[1])
}

// Each effect on a file reports an error once, likewise.
func TestFileFaults(t *testing.T) {
	setups, each := rotated(9), 6
	if _, on := torture.On(t); on {
		setups, each = allSetups(), every
	}
	n := onSetups(t, setups, true, func(tr *trial) {
		base := prepare(tr.t, tr.setup, tr.newDir())
		r := tr.record(base)
		if r == nil {
			return
		}
		for _, i := range some(len(r.ops)*len(verdicts), each) {
			if !tr.bearsOp(base, r.ops[i/len(verdicts)], verdicts[i%len(verdicts)]) {
				return
			}
		}
	})
	n.sum(t, "effects on files")
}

// verdicts are the ways in which an effect on a file fails.
var verdicts = []faultfs.Verdict{{Before: syscall.EIO}, {After: syscall.EIO}, {Before: syscall.ENOSPC}}

// sum says what was tried. Points that another run does not reach are not tried: they must be few.
func (n *tally) sum(t *testing.T, what string) {
	t.Helper()
	tried, missed := n.stops.Load(), n.missed.Load()
	t.Logf("%d syncs of %d scenarios met errors at %d %s; %d points were not reached again", n.setups.Load(), len(scenarios), tried, what, missed)
	if missed > tried/20 {
		t.Errorf("%d of %d points were not reached: the names of points are not those of another run", missed, tried)
	}
}

// calls returns the points of the drivers in a sync without faults.
func (tr *trial) calls(base *world) []string {
	w := base.copyTo(tr.newDir())
	defer tr.removeDir(w.dir)
	plan := &drivertest.Plan{}
	w.wrap(plan)
	if err := w.perform(tr.t.Context()); err != nil {
		tr.fail(tr.setup.String(), []string{fmt.Sprintf("the sync that nothing disturbs: %v", err)})
	}
	return plan.Points()
}

// bearsCall lets a driver's call fail and reports whether the next sync puts everything right.
func (tr *trial) bearsCall(base *world, point string, fault drivertest.Fault) bool {
	tr.stops.Add(1)
	w := base.copyTo(tr.newDir())
	defer tr.removeDir(w.dir)
	plan := &drivertest.Plan{AtName: point, Fault: fault}
	w.wrap(plan)
	err := w.perform(tr.t.Context())
	if plan.Hit() == "" {
		tr.missed.Add(1)
	}
	return tr.recovers(newWorld(tr.t, tr.setup, w.dir, w.srv), fmt.Sprintf("%s at %s", fault, point), err)
}

// bearsOp lets an effect on a file fail and reports whether the next sync puts everything right.
func (tr *trial) bearsOp(base *world, point string, verdict faultfs.Verdict) bool {
	tr.stops.Add(1)
	w := base.on(tr.t, tr.disk)
	name, hit := opNames(), false
	tr.disk.SetHook(func(op faultfs.Op) faultfs.Verdict {
		if name(op) != point {
			return faultfs.Verdict{}
		}
		hit = true
		return verdict
	})
	err := w.perform(tr.t.Context())
	tr.disk.SetHook(nil)
	if !hit {
		tr.missed.Add(1)
	}
	return tr.recovers(w, fmt.Sprintf("%+v at %s", verdict, point), err)
}

// recovers reports whether the next sync puts everything right.
func (tr *trial) recovers(w *world, what string, err error) bool {
	wrong := w.check()
	if len(wrong) > 0 {
		tr.fail(fmt.Sprintf("%s: %s, whereupon the sync said %v", tr.setup, what, err), wrong)
	}
	return len(wrong) == 0
}
