package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

// frozen is a world in which everything waits to be synced, kept to be tried again and again.
type frozen struct {
	d           *harness.Dovecot
	thaw        func(user string)
	mail, state string
	want        harness.Mail
	bytes       [2]int64 // of a sync that nothing disturbs: down, up
	users       atomic.Int64
}

// freeze makes a world that was in sync, and then changed on both sides: there is something to copy either way (several messages at once, so that MULTIAPPEND is
// used where it is known), flags to set, messages to move and to delete, and a new mailbox, on each side. It syncs one copy of it in peace to learn what must come
// out.
func freeze(t *testing.T, rung harness.Rung) *frozen {
	t.Helper()
	w := newWorld(t, rung, "")
	w.c.Create("Box", "Größe")
	w.c.Append("INBOX", letters(0, 12, 400, `\Seen`, "old")...)
	w.c.Append("Box", letters(20, 6, 400)...)
	w.p.Sync(0)
	w.same("first sync")

	right := func(box string, n int) []uint32 { return []uint32{w.uidOf400(box, n)} }
	w.c.Append("INBOX", letters(100, 4, 400, `\Answered`)...)
	w.c.Append("INBOX", letters(104, 1, 400)...)
	w.c.Create("new right")
	w.c.Append("new right", letters(110, 2, 400)...)
	w.c.Store("INBOX", right("INBOX", 0), "+", `\Flagged`, "new")
	w.c.Store("INBOX", right("INBOX", 1), "-", `\Seen`)
	w.c.Expunge("INBOX", right("INBOX", 2))
	w.c.Move("INBOX", right("INBOX", 3), "Box")
	w.c.Move("Box", right("Box", 20), "new right")

	for n := 200; n < 205; n++ {
		w.m.Deliver("INBOX", mail(n, 400), date(n), `\Seen`)
	}
	w.m.Deliver("INBOX", mail(205, 400), date(205))
	w.m.Deliver("new left", mail(210, 400), date(210), `\Draft`, "draft")
	w.m.Deliver("new left", mail(211, 400), date(211))
	file := func(box string, n int) string { return w.fileOf400(box, n) }
	w.m.SetFlags("INBOX", file("INBOX", 4), `\Flagged`, `\Seen`, "newer")
	w.m.SetFlags("INBOX", file("INBOX", 5))
	w.m.Remove("INBOX", file("INBOX", 6))
	w.m.Remove("Box", file("Box", 21))
	w.m.Move("INBOX", file("INBOX", 7), "Box")
	w.m.Move("INBOX", file("INBOX", 8), "new left")
	w.m.Move("Box", file("Box", 22), "Größe")
	w.c.Close()

	f := &frozen{d: w.d, thaw: w.d.Freeze(t, "u"), mail: w.m.Root, state: w.p.State}
	calm := f.world(t, 4)
	before := calm.proxy.Counts()
	s := calm.p.Sync(0)
	used := calm.proxy.Counts().Sub(before)
	f.bytes = [2]int64{used.Down, used.Up}
	calm.same("a sync that nothing disturbs")
	if s.Copied != (harness.PerSide{Left: 7, Right: 8}) || s.Moved != (harness.PerSide{Left: 2, Right: 3}) || s.Deleted != (harness.PerSide{Left: 1, Right: 2}) || s.Flags != (harness.PerSide{Left: 2, Right: 2}) {
		t.Fatalf("a sync that nothing disturbs did something else than was prepared: %+v", s)
	}
	f.want = calm.c.All()
	return f
}

func (w *world) uidOf400(box string, n int) uint32 {
	w.t.Helper()
	return w.uidWith(box, harness.Digest(wire(n, 400)))
}

func (w *world) fileOf400(box string, n int) string {
	w.t.Helper()
	return w.fileWith(box, harness.Digest(mail(n, 400)))
}

// world returns a copy of the frozen world, with a user and a proxy of its own.
func (f *frozen) world(t testing.TB, connections int) *world {
	t.Helper()
	user := fmt.Sprintf("u%d", f.users.Add(1))
	f.thaw(user)
	p := harness.NewProgram(t)
	harness.CopyTree(t, f.mail, p.Home+"/Mail")
	harness.CopyTree(t, f.state, p.State)
	w := &world{t: t, p: p, d: f.d, proxy: harness.StartProxy(t, f.d.Addr()), m: harness.NewMaildir(t, p.Home+"/Mail")}
	w.configure(user, connections, "1m")
	w.c = harness.Dial(t, f.d.Addr(), user, harness.Password)
	t.Cleanup(func() {
		w.proxy.Close()
		w.c.Close()
		if err := os.RemoveAll(f.d.Dir + "/home/" + user); err != nil {
			t.Logf("clean up: %v", err) // the server may still be busy with it; it goes with the server
		}
	})
	return w
}

// configure writes the configuration anew. timeout is how long the server may be silent.
func (w *world) configure(user string, connections int, timeout string) {
	w.t.Helper()
	w.user = user
	w.p.WriteConfig(harness.Account("work", "", harness.MaildirSide(w.m.Root),
		harness.IMAPSide(w.proxy.Port(), user, fmt.Sprintf("connections = %d\ntimeout = %q", connections, timeout))))
}

// is fails the test where a side is not what it must be.
func (w *world) is(what string, want harness.Mail) {
	w.t.Helper()
	for side, got := range map[string]harness.Mail{"left": w.m.All(), "right": w.c.All()} {
		if diff := harness.Diff(want, got); len(diff) > 0 {
			w.t.Errorf("%s: the %s store is not what it must be (there \"left\", here \"right\"):\n%s", what, side, few(diff))
		}
	}
}

// disturbed runs a sync that meets a fault. It may come to a good end, for it tries again where it can; then everything must be right.
// If not, it says what was wrong and exits with 1.
func (w *world) disturbed(want harness.Mail) harness.Result {
	w.t.Helper()
	r := w.p.Run("sync", "--json")
	switch {
	case r.Code == 0:
		w.is("after a sync that says it is in sync", want)
	case r.Code != 1:
		w.t.Errorf("want exit code 0 or 1: %v", r)
	case !strings.Contains(r.Stdout, `"kind":"error"`):
		w.t.Errorf("the sync failed and said nothing: %v", r)
	}
	return r
}

// recovers runs one more sync, after which everything is right and stays as it is.
func (w *world) recovers(want harness.Mail) {
	w.t.Helper()
	w.p.Sync(0)
	w.is("after one more sync", want)
	w.verify()
	w.idle()
	if w.t.Failed() {
		log := w.p.Run("log", "work")
		w.t.Logf("%v", log)
	}
}

// cut is one way to cut a connection.
type cut struct {
	kind        harness.FaultKind
	all         bool
	connections int
}

var cuts = []cut{
	{harness.Close, true, 1}, {harness.Reset, true, 4}, {harness.Close, false, 4}, {harness.Reset, false, 1}, {harness.Hold, false, 4}, {harness.Hold, true, 1},
}

func (c cut) String() string {
	s := "one"
	if c.all {
		s = "all"
	}
	return fmt.Sprintf("%v-%s-of-%d", c.kind, s, c.connections)
}

// TestCutAtEveryByte cuts the connection of a sync behind the k-th byte of what goes to the server (so that the server never gets a command, or half of it), or of what comes from
// it (so that it did what it was told and nobody learned of it). With a Hold, what was sent reaches the server while later syncs run
// already. One more sync puts everything right: nothing is lost, nothing is twice, no flag is wrong, and nothing is left to do.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	for _, rung := range harness.Rungs {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			f := freeze(t, rung)
			perCut := int(f.bytes[0] + f.bytes[1])
			var tried, hit, failed atomic.Int64
			crowd(t, 6, torture.Points(t, perCut*len(cuts), 3*len(cuts)), strconv.Itoa, func(t *testing.T, point int) {
				c, k := cuts[point/perCut], int64(point%perCut)
				fault := harness.Fault{Kind: c.kind, At: k, All: c.all}
				if fault.Up = k >= f.bytes[0]; fault.Up {
					fault.At = k - f.bytes[0]
				} else if c.kind == harness.Hold {
					// What comes down cannot be late: the same byte counts as one that goes up.
					fault.Up, fault.At = true, k%f.bytes[1]
				}
				tried.Add(1)
				struck, code := cutOnce(t, f, c, fault)
				if struck {
					hit.Add(1)
				}
				if code != 0 {
					failed.Add(1)
				}
			})
			t.Logf("%s: %d bytes up, %d down; %d cuts tried, %d met a connection, %d syncs failed of them", rung, f.bytes[1], f.bytes[0], tried.Load(), hit.Load(), failed.Load())
			if hit.Load() < tried.Load()*3/4 || failed.Load() < tried.Load()/4 {
				t.Errorf("too few cuts met anything")
			}
		})
	}
}

// cutOnce tries one cut. It returns whether the cut met a connection, and how the sync ended that it met.
func cutOnce(t *testing.T, f *frozen, c cut, fault harness.Fault) (struck bool, code int) {
	t.Logf("%v behind byte %d, up %v", c, fault.At, fault.Up)
	w := f.world(t, c.connections)
	done := w.proxy.Strike(fault)
	over := make(chan struct{})
	var late sync.WaitGroup
	if c.kind == harness.Hold {
		delay := time.Duration(rand.IntN(400)) * time.Millisecond
		late.Go(func() {
			select {
			case <-done:
			case <-over:
				return
			}
			time.Sleep(20 * time.Millisecond) // what is on its way from the client is taken along
			w.proxy.Drop(true)
			time.Sleep(delay)
			w.proxy.Release()
		})
	}
	code = w.disturbed(f.want).Code
	select {
	case <-done:
		struck = true
	default:
	}
	close(over)
	w.proxy.Mend()
	if c.kind == harness.Hold {
		// What is late may come in the middle of the next sync; what comes after it is another test's matter.
		w.run0or1("sync")
		late.Wait()
		harness.Eventually(t, func() error {
			if n := w.proxy.Outlived(); n > 0 {
				return fmt.Errorf("%d connections left", n)
			}
			return nil
		})
	}
	w.recovers(f.want)
	return struck, code
}

// crowd runs f for every point, so many at a time, each as a subtest of its own. Most of the time they wait.
func crowd(t *testing.T, workers int, points func(func(int) bool), name func(int) string, f func(t *testing.T, point int)) {
	queue := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for point := range queue {
				t.Run(name(point), func(t *testing.T) { f(t, point) })
			}
		})
	}
	for point := range points {
		queue <- point
	}
	close(queue)
	wg.Wait()
}
