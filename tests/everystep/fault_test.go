package everystep

import (
	"fmt"
	"syscall"
	"testing"

	"driftless/drivers/drivertest"
	"driftless/tests/faultfs"
	"driftless/tests/torture"
)

// Each effect on a file, and each call of a driver, reports an error once: though it happened, or because it did not. The sync may fail; the next
// one puts everything right. No process dies in this test, so what is wrong in its memory counts, too.
func TestFault(t *testing.T) {
	setups, each := rotated(6), 10
	if _, on := torture.On(t); on {
		setups, each = allSetups(), every
	}
	n := onSetups(t, setups, len(setups), func(tr *trial) {
		base := prepare(tr.t, tr.setup, tr.newDir())
		r := tr.record(base)
		if r == nil {
			return
		}
		faults := []drivertest.Fault{drivertest.FailBefore, drivertest.UnknownBefore, drivertest.UnknownAfter, drivertest.FailAfter}
		for _, i := range some(len(r.calls)*len(faults), each) {
			if !tr.bearsCall(base, r.calls[i/len(faults)], faults[i%len(faults)]) {
				return
			}
		}
		for _, i := range some(len(r.ops)*len(verdicts), each) {
			if !tr.bearsOp(base, r.ops[i/len(verdicts)], verdicts[i%len(verdicts)]) {
				return
			}
		}
	})
	t.Logf("%d syncs of %d scenarios met %d errors; %d points were not reached again", n.setups.Load(), len(scenarios), n.stops.Load(), n.missed.Load())
	if tried, missed := n.stops.Load(), n.missed.Load(); missed > tried/20 {
		t.Errorf("%d of %d points were not reached: the names of points are not those of another run", missed, tried)
	}
}

// verdicts are the ways in which an effect on a file fails.
var verdicts = []faultfs.Verdict{{Before: syscall.EIO}, {After: syscall.EIO}, {Before: syscall.ENOSPC}}

// bearsCall lets a driver's call fail and reports whether the next sync puts everything right.
func (tr *trial) bearsCall(base *world, point string, fault drivertest.Fault) bool {
	tr.stops.Add(1)
	dir := tr.newDir()
	defer tr.removeDir(dir)
	copyTree(tr.t, base.dir, dir)
	w := newWorld(tr.t, tr.setup, dir, cloned(base.srv))
	plan := &drivertest.Plan{AtName: point, Fault: fault}
	w.wrap(plan)
	err := w.perform(tr.t.Context())
	if plan.Hit() == "" {
		tr.missed.Add(1)
	}
	return tr.recovers(newWorld(tr.t, tr.setup, dir, w.srv), fmt.Sprintf("%s at %s", fault, point), err)
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
