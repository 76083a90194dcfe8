package tests

import (
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"driftless/tests/faultfs"
	"driftless/tests/harness"
	"driftless/tests/torture"
)

// TestProgramOnFailingDisk runs the program, in a process of its own, on a disk of which single fsyncs fail. It says so and ends; the next sync completes, and
// after a power cut everything that it reported is there.
func TestProgramOnFailingDisk(t *testing.T) {
	f := faultfs.Mount(t, nil)
	const n = 12
	start := func(root string) *localWorld {
		p := harness.NewProgram(t)
		p.State = filepath.Join(root, "state")
		return newLocalWorld(t, p, filepath.Join(root, "L"), filepath.Join(root, "R"))
	}
	prepare := func() *localWorld {
		ok(t, f.Reset())
		w := start(f.Dir())
		w.fill(0, n, 400)
		ok(t, f.Mark())
		return w
	}
	prepare().p.Sync(0)
	total := 0
	isSync := func(op faultfs.Op) bool { return op.Kind == faultfs.Sync || op.Kind == faultfs.SyncDir }
	for _, op := range f.Trace() {
		if isSync(op) {
			total++
		}
	}
	tried := 0
	for i := range torture.Points(t, total, 3) {
		w := prepare()
		var hits atomic.Bool
		hook, hit := once(int64(i+1), isSync, faultfs.Verdict{Before: syscall.EIO})
		f.SetHook(func(op faultfs.Op) faultfs.Verdict {
			v := hook(op)
			if v.Before != 0 {
				hits.Store(true)
			}
			return v
		})
		r := w.p.Run("sync")
		f.SetHook(nil)
		if !hits.Load() {
			continue
		}
		what := "EIO from " + hit().String()
		tried++
		if r.Code != 1 || !strings.Contains(r.Stderr, "input/output error") || !strings.Contains(r.Stderr, "kernel's log") {
			t.Errorf("%s: want exit code 1 and the reason: %v", what, r)
		}
		w.whole(what, n)
		after := f.Scratch()
		ok(t, f.Image(after, len(f.Trace()), faultfs.Everything))
		start(after).whole(what+", power cut", n)
	}
	t.Logf("%d fsyncs in the sync, %d of them failed", total, tried)
}
