package tests

import (
	"strings"
	"syscall"
	"testing"

	"driftless/tests/faultfs"
	"driftless/tests/torture"
)

// TestFsyncFails lets each fsync of a sync fail once: of files and directories, of the logs and of the Maildir. What that fsync was to write is visible afterwards, but
// will never be on the disk, unless somebody writes it again. So a power cut follows, right after the failure and after the next sync; it takes all that was not
// made durable.
func TestFsyncFails(t *testing.T) {
	f := faultfs.Mount(t, nil)
	isSync := func(op faultfs.Op) bool { return op.Kind == faultfs.Sync || op.Kind == faultfs.SyncDir }
	w := newFaultWorld(t, f)
	w.complete("without a fault")
	total := 0
	for _, op := range f.Trace() {
		if isSync(op) {
			total++
		}
	}
	tried, said, silent := map[string]int{}, 0, 0
	for n := range torture.Points(t, 2*total, 16) {
		v := faultfs.Verdict{Before: syscall.EIO}
		if n%2 == 1 {
			v = faultfs.Verdict{After: syscall.EIO}
		}
		w := newFaultWorld(t, f)
		hook, hit := once(int64(n/2+1), isSync, v)
		f.SetHook(hook)
		r, err := w.sync()
		f.SetHook(nil)
		op := hit()
		if op == nil {
			continue // the order differs a little from run to run, and so does how many there are
		}
		what := "EIO from " + op.String()
		text := complaint(r, err)
		if text == "" {
			silent++
		} else if said++; !strings.Contains(text, "input/output error") || !strings.Contains(text, "kernel's log") {
			t.Errorf("%s: it does not say so, or not what to do: %s", what, text)
		}
		w.after(faultfs.Everything, func(w *faultWorld) { w.complete(what + ", power cut, sync") })
		w.after(faultfs.Torn(uint64(n)), func(w *faultWorld) { w.complete(what + ", torn power cut, sync") })
		w.complete(what + ", sync")
		w.after(faultfs.Everything, func(w *faultWorld) {
			w.asWanted(what + ", sync, power cut")
			w.complete(what + ", sync, power cut, sync")
		})
		where := "Maildir"
		if inLogs(op.Path) {
			where = "logs"
		}
		tried[where+" "+op.Kind.String()]++
	}
	t.Logf("%d fsyncs in the sync; failed: %v; reported %d, made good within the sync %d", total, tried, said, silent)
}
