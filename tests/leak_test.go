package tests

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"driftless/daemon/engine"
	"driftless/drivers"
	"driftless/drivers/imap"
	"driftless/drivers/maildir"
	"driftless/merge"
	"driftless/tests/harness"
	"driftless/tests/torture"
)

// openFiles counts this process's descriptors of the world's files: everything else belongs to other tests.
func openFiles(t *testing.T, home string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("this system does not show open files: %v", err)
	}
	n := 0
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, home) {
			n++
		}
	}
	return n
}

// ours counts the goroutines that are in this program's own packages.
func ours() int {
	buf := make([]byte, 16<<20)
	n := 0
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "driftless/daemon/") || strings.Contains(g, "driftless/drivers/") || strings.Contains(g, "driftless/logstate") {
			n++
		}
	}
	return n
}

// TestNoLeaks syncs one account again and again in one process, while mail comes, changes and goes on both sides, and connections break: what a cycle took, it gives back.
func TestNoLeaks(t *testing.T) {
	w := newWorld(t, harness.Full, "")
	acc := engine.Account{
		Name: "work", Dir: w.p.State + "/work", Rules: merge.DefaultRules(), Create: merge.Both, Guard: engine.DefaultGuard(),
		Open: [2]func(context.Context) (drivers.Store, error){
			func(ctx context.Context) (drivers.Store, error) {
				return maildir.Open(ctx, maildir.Options{Path: w.m.Root, Create: true})
			},
			func(ctx context.Context) (drivers.Store, error) {
				return imap.Open(ctx, imap.Options{Host: "127.0.0.1", Port: w.proxy.Port(), TLS: imap.None, User: "u",
					Password: func(context.Context) (string, error) { return harness.Password, nil }})
			},
		},
	}
	sync := func(i int) {
		w.m.Deliver("INBOX", mail(2*i, 2000), date(2*i))
		uid := w.c.Append("INBOX", harness.Letter{Body: wire(2*i+1, 2000), Date: date(2*i + 1)})
		if i%3 == 0 {
			w.c.Expunge("INBOX", uid)
		}
		if i%5 == 4 {
			w.proxy.CutUp(int64(500 + 40*(i%50)))
		}
		rep, err := engine.Sync(t.Context(), acc, engine.Request{}, nil)
		w.proxy.CutUp(-1)
		if (err != nil || rep.Errors > 0) && i%5 != 4 {
			t.Fatalf("cycle %d: %v %+v", i, err, rep.Problems)
		}
	}
	cycles := 0
	for i := range 10 {
		sync(i)
		cycles++
	}
	// A connection that was cut may take a moment to be noticed by the goroutine that reads it.
	count := func() (int, int) {
		var g, f int
		for range 50 {
			if g, f = ours(), openFiles(t, w.p.Home); g+f == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		return g, f
	}
	for i := range torture.Rounds(t, 15) {
		sync(10 + i)
		cycles++
	}
	g, f := count()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("%d cycles: %d goroutines of ours, %d open files, %d KiB heap", cycles, g, f, m.HeapAlloc>>10)
	if g > 0 || f > 0 {
		t.Errorf("after %d cycles %d goroutines and %d files are left", cycles, g, f)
	}
	if rep, err := engine.Sync(t.Context(), acc, engine.Request{}, nil); err != nil || rep.Errors > 0 {
		t.Errorf("last cycle: %v %+v", err, rep.Problems)
	}
	w.same("after all cycles")
}
