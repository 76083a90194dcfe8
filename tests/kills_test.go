package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

// TestKills kills syncs with SIGKILL while people work on both sides, and starts the next one at once, again and again; at the end of a round they
// stop, one sync runs to its end, and both stores must be just what the ledger says.
//
// The moment of a kill is drawn from four kinds, so that they are spread over the whole of a sync: a time within the length of a sync that nobody disturbs; the k-th
// chunk of data on the network, before the other end learns of it; the k-th write to a log; the k-th change in a Maildir. A kill counts only if the sync was still running.
func TestKills(t *testing.T) {
	t.Parallel()
	pairs := []struct {
		name  string
		start func(*testing.T) *pairOfStores
	}{
		{"Maildir-Full", func(t *testing.T) *pairOfStores { return maildirAndServer(t, harness.Full) }},
		{"Maildir-Condstore", func(t *testing.T) *pairOfStores { return maildirAndServer(t, harness.Condstore) }},
		{"Maildir-Plain", func(t *testing.T) *pairOfStores { return maildirAndServer(t, harness.Plain) }},
		{"Full-Full", func(t *testing.T) *pairOfStores { return serverAndServer(t, harness.Full) }},
		{"Maildir-Maildir", maildirAndMaildir},
	}
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			p.start(t).killRounds(3, 14)
		})
	}
}

// TestKillsInPlainMoves is TestKills with moves on a server that can only copy and then remove.
func TestKillsInPlainMoves(t *testing.T) {
	t.Parallel()
	if _, on := torture.On(t); !on {
		t.Skip("fails now and then: while a mailbox fails because others have marked messages there, what its owner moves on is copied, and a copy of a half-done move may stay")
	}
	k := maildirAndServer(t, harness.Plain)
	k.still = false
	k.killRounds(3, 14)
}

// pairOfStores is a world in which syncs are killed.
type pairOfStores struct {
	t      *testing.T
	p      *harness.Program
	logs   string // directory of the account's logs
	hands  [2]hand
	roots  []string // of the Maildirs
	proxy  []*harness.Proxy
	events *harness.Watcher
	cross  bool // see people
	server *harness.Dovecot
	people *people
	still  bool // see people

	shaky bool // the server may refuse a connection now and then

	usual shape // of a sync that nobody disturbs
	tally tally
}

// shape is how long a sync is, in several measures.
type shape struct {
	time              time.Duration
	wire, logs, files int
}

// noGuard lets all deletions through: people here delete a lot of what they have.
const noGuard = "guard = { deletions = \"100%\", at_least = 100000, at_most = 1000000 }\n"

func newPair(t *testing.T, p *harness.Program) *pairOfStores {
	return &pairOfStores{t: t, p: p, logs: filepath.Join(p.State, "work"), events: harness.NewWatcher(t)}
}

func maildirAndServer(t *testing.T, rung harness.Rung) *pairOfStores {
	w := newWorld(t, rung, noGuard)
	k := newPair(t, w.p)
	k.hands = [2]hand{&dirHand{t, w.m}, newMailHand(t, w.d, "u")}
	k.roots, k.proxy, k.server = []string{w.m.Root}, []*harness.Proxy{w.proxy}, w.d
	k.still = rung == harness.Plain // see TestKillsInPlainMoves
	return k
}

func serverAndServer(t *testing.T, rung harness.Rung) *pairOfStores {
	d := harness.StartDovecot(t, harness.Options{Rung: rung})
	k := newPair(t, harness.NewProgram(t))
	k.server = d
	var sides []string
	for i, user := range []string{"u", "v"} {
		proxy := harness.StartProxy(t, d.Addr())
		k.proxy = append(k.proxy, proxy)
		k.hands[i] = newMailHand(t, d, user)
		sides = append(sides, harness.IMAPSide(proxy.Port(), user))
	}
	k.p.WriteConfig(harness.Account("work", noGuard, sides[0], sides[1]))
	return k
}

func maildirAndMaildir(t *testing.T) *pairOfStores {
	k := newPair(t, harness.NewProgram(t))
	k.cross = true
	var sides []string
	for i, name := range []string{"A", "B"} {
		m := harness.NewMaildir(t, filepath.Join(k.p.Home, name))
		k.roots = append(k.roots, m.Root)
		k.hands[i] = &dirHand{t, m}
		sides = append(sides, harness.MaildirSide(m.Root))
	}
	k.p.WriteConfig(harness.Account("work", noGuard, sides[0], sides[1]))
	return k
}

// populate makes the people, their first mailboxes and mails, and has them synced.
func (k *pairOfStores) populate(seed uint64) *people {
	k.t.Helper()
	c := newPeople(k.t, k.hands, seed, k.cross)
	c.history, c.still = k.history, k.still
	k.people = c
	for side, h := range k.hands {
		if _, maildir := h.(*dirHand); maildir {
			c.create(side, "INBOX")
		} else {
			c.boxes[side] = append(c.boxes[side], "INBOX") // a server has it
		}
	}
	c.create(0, "Archive/2001")
	c.create(1, "Größe")
	for range 30 {
		c.step(0)
		c.step(1)
	}
	k.p.Sync(0)
	c.share()
	return c
}

// killRounds plays rounds of so many hits each.
func (k *pairOfStores) killRounds(rounds, hits int) {
	t := k.t
	seed := torture.Seed(t, 0)
	c := k.populate(seed)
	rng := rand.New(rand.NewPCG(seed, 99))
	for round := range torture.Rounds(t, rounds) {
		c.create(round%2, fmt.Sprintf("Round %d", round))
		stop := c.start()
		k.measure()
		for tried, hit := 0, 0; hit < hits && !t.Failed(); tried++ {
			if tried == 5*hits {
				t.Errorf("only %d of %d syncs were still running when they were to be killed", hit, tried)
			}
			if k.kill(k.moment(rng)) {
				hit++
			} else {
				k.measure() // a sync runs to its end now and then
			}
		}
		stop()
		k.quiet(c, fmt.Sprintf("round %d", round))
		c.share()
		c.trimmed()
		if t.Failed() {
			t.Logf("seed %d, round %d", seed, round)
		}
	}
	t.Logf("%v\npeople: %s\na sync that nobody disturbs, at the end: %+v", &k.tally, c.counts(), k.usual)
}

// quiet has one sync run, and looks at everything.
func (k *pairOfStores) quiet(c *people, what string) {
	t := k.t
	t.Helper()
	if r := k.p.Run("sync", "--no-wait", "--json"); r.Code == 1 && k.marksLeft(r) {
		// What a killed sync had marked was in the way of its next moves; it is gone now.
		k.tally.blocked++
		k.p.Sync(0, "--no-wait")
	} else if r.Code != 0 {
		t.Errorf("%s: %v", what, r)
	}
	c.check(what)
	if r := k.p.Run("verify", "--content"); r.Code != 0 {
		t.Errorf("%s: %v", what, r)
	}
	if s := k.p.Sync(0, "--no-wait"); !s.Idle() || s.Errors != 0 || s.Quarantined != 0 {
		t.Errorf("%s: a second sync had something to do: %+v", what, s)
	}
	k.litter(what)
}

// marksLeft reports whether a sync failed for nothing else than what a server without UIDPLUS cannot do: to remove some of the messages that are marked as deleted while others
// are marked, too, by people or by a sync that was killed.
func (k *pairOfStores) marksLeft(r harness.Result) bool {
	if k.server == nil || k.server.Opts.Rung != harness.Plain {
		return false
	}
	return onlyForeignMarks(r)
}

// onlyForeignMarks reports whether all errors of a sync come from a server that cannot expunge ours because others have marked messages, too: that itself, or a mailbox with
// which messages were exchanged.
func onlyForeignMarks(r harness.Result) bool {
	causes := 0
	for line := range strings.Lines(r.Stdout) {
		switch {
		case !strings.Contains(line, `"kind":"error"`):
		case strings.Contains(line, "others have marked messages here"):
			causes++
		case !strings.Contains(line, "and that mailbox failed; both are synced again together"):
			return false
		}
	}
	return causes > 0
}

// litter looks for what killed syncs left in the Maildirs.
func (k *pairOfStores) litter(what string) {
	k.t.Helper()
	for _, root := range k.roots {
		err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err == nil && !e.IsDir() && filepath.Base(filepath.Dir(path)) == "tmp" {
				k.t.Errorf("%s: left over: %s", what, path)
			}
			return err
		})
		if err != nil {
			k.t.Error(err)
		}
	}
}

// moment is when a sync is to be killed.
type moment struct {
	kind string // time, wire, logs, files
	time time.Duration
	nth  int
}

// moment draws one.
func (k *pairOfStores) moment(rng *rand.Rand) moment {
	kinds := []string{"time", "logs"}
	if k.usual.wire > 0 {
		kinds = append(kinds, "wire", "wire")
	}
	if k.usual.files > 0 {
		kinds = append(kinds, "files")
	}
	m := moment{kind: kinds[rng.IntN(len(kinds))]}
	most := map[string]int{"wire": k.usual.wire, "logs": k.usual.logs, "files": k.usual.files}[m.kind]
	m.nth = 1 + rng.IntN(max(most, 1))
	m.time = time.Duration(rng.Int64N(int64(k.usual.time) + 1))
	return m
}

// watch prepares for events of a sync: each calls f with its kind.
func (k *pairOfStores) watch(f func(kind string)) {
	var files []string
	for _, root := range k.roots {
		for _, box := range (&dirHand{k.t, harness.NewMaildir(k.t, root)}).m.List() {
			for _, sub := range []string{"tmp", "new", "cur"} {
				files = append(files, filepath.Join(root, filepath.FromSlash(box), sub))
			}
		}
	}
	k.events.Add(files...)
	k.events.Add(filepath.Join(k.logs, "left"), filepath.Join(k.logs, "right"), filepath.Join(k.logs, "shared"))
	if f == nil {
		k.events.Hook(nil)
	} else {
		k.events.Hook(func(dir, _ string) {
			switch {
			case dir == k.logs:
				f("account")
			case filepath.Dir(dir) == k.logs:
				f("logs")
			default:
				f("files")
			}
		})
	}
	for _, p := range k.proxy {
		if f == nil {
			p.Hook(nil)
		} else {
			p.Hook(func(bool) { f("wire") })
		}
	}
}

// measure runs a sync to its end while people go on, to learn how long one is.
func (k *pairOfStores) measure() {
	k.t.Helper()
	var wire, logs, files atomic.Int64
	k.watch(func(kind string) {
		map[string]*atomic.Int64{"wire": &wire, "logs": &logs, "files": &files, "account": new(atomic.Int64)}[kind].Add(1)
	})
	defer k.watch(nil)
	k.people.era.Add(1)
	start := time.Now()
	r := k.p.Run("sync", "--no-wait", "--json")
	took := time.Since(start)
	if r.Code == 1 && k.marksLeft(r) {
		k.tally.blocked++
	} else if r.Code == 1 && k.shaky {
		return
	} else if r.Code != 0 {
		k.t.Errorf("a sync that nobody disturbed: %v", r)
	}
	k.tally.whole++
	if took > 4*time.Second { // it waited for an append in doubt, in which nothing happens
		took = k.usual.time
	}
	k.usual = shape{took, int(wire.Load()), int(logs.Load()), int(files.Load())}
	k.people.pace.Store(int64(took / 8))
}

// kill runs a sync and kills it at a moment. It reports whether the sync was still running.
func (k *pairOfStores) kill(m moment) bool {
	t := k.t
	t.Helper()
	before := k.look(nil)
	got, _ := k.strike(m, func(r *harness.Running) { r.Signal(syscall.SIGKILL) })
	if got.Code != -1 {
		if got.Code == 1 && k.marksLeft(got) {
			k.tally.blocked++
		} else if got.Code != 0 {
			t.Errorf("a sync that was not killed in time: %v", got)
		}
		k.tally.missed++
		return false
	}
	k.tally.hit(m.kind, before, k.look(before))
	return true
}

// strike runs a sync and does something at a moment of it. It returns how the sync ended, and whether it was still running when it was struck.
func (k *pairOfStores) strike(m moment, act func(*harness.Running), args ...string) (got harness.Result, struck bool) {
	k.t.Helper()
	var counted atomic.Int64
	fire := make(chan struct{})
	var run atomic.Pointer[harness.Running]
	k.watch(func(kind string) {
		if kind == m.kind && run.Load() != nil && counted.Add(1) == int64(m.nth) {
			act(run.Load()) // here, so that nobody learns of the event before
			close(fire)
		}
	})
	defer k.watch(nil)
	if k.people != nil {
		k.people.era.Add(1)
	}
	if len(args) == 0 {
		args = []string{"sync", "--no-wait", "--json"}
	}
	r := k.p.Start(args...)
	run.Store(r)
	var clock <-chan time.Time
	if m.kind == "time" {
		timer := time.NewTimer(m.time)
		defer timer.Stop()
		clock = timer.C
	}
	select {
	case <-r.Done():
	case <-fire:
		struck = true
	case <-clock:
		act(r)
		struck = true
	}
	return r.Wait(), struck
}
