package everystep

import (
	"context"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"driftless/daemon/engine"
	"driftless/drivers"
	"driftless/drivers/memory"
	"driftless/merge"
	"driftless/tests/harness"
)

// pairing is a pair of kinds of stores. Its options are those of a memory server; nil is a Maildir of files.
type pairing struct {
	name string
	opts [2]*memory.Options
}

// pairings are all pairs that scenarios are played on, each also mirrored.
var pairings = []pairing{
	{"maildir-qresync", [2]*memory.Options{nil, {Mode: memory.QResync}}},
	{"maildir-plain", [2]*memory.Options{nil, {Mode: memory.ListOnly, NoUIDPlus: true, NoUnchanged: true, NoChanged: true}}},
	{"maildir-maildir", [2]*memory.Options{nil, nil}},
	{"memory-qresync", [2]*memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}}},
	{"memory-condstore", [2]*memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.CondStore}}},
	{"memory-plain", [2]*memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.ListOnly, NoUIDPlus: true, NoUnchanged: true, NoChanged: true}}},
	{"imap-imap", [2]*memory.Options{{Mode: memory.QResync, SameValidity: true}, {Mode: memory.CondStore, SameValidity: true}}},
}

// setup is what a world is made of: a scenario, the kinds of its stores, and which way round.
type setup struct {
	scenario scenario
	pairing  pairing
	mirrored bool
}

func (s setup) String() string {
	name := s.scenario.name + "/" + s.pairing.name
	if s.mirrored {
		name += "-mirrored"
	}
	return strings.ReplaceAll(name, " ", "_")
}

// allSetups returns every scenario on every pair that it is for, both ways round.
func allSetups() []setup {
	var out []setup
	for _, sc := range scenarios {
		for _, p := range pairings {
			for _, mirrored := range []bool{false, true} {
				s := setup{sc, p, mirrored}
				if sc.only == nil || sc.only(s.options()) {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// options returns the options of the stores that the scenario calls near and far.
func (s setup) options() (near, far *memory.Options) { return s.pairing.opts[0], s.pairing.opts[1] }

// near returns the side that the scenario calls near: the first of the pair.
func (s setup) near() merge.Side {
	if s.mirrored {
		return merge.Right
	}
	return merge.Left
}

// world is an account and its two stores, all below one directory but for memory servers. The user's hand and the program's sync both work on it.
type world struct {
	setup

	t   testing.TB
	dir string
	srv [2]*memory.Server // by side; nil: a Maildir in dir/left or dir/right
	acc engine.Account

	calm bool // nothing is interrupted
}

// newWorld returns the world that is in dir, with these servers.
func newWorld(t testing.TB, s setup, dir string, srv [2]*memory.Server) *world {
	w := &world{setup: s, t: t, dir: dir, srv: srv}
	w.acc = engine.Account{
		Name: "test", Dir: filepath.Join(dir, "account"), Open: [2]func(context.Context) (drivers.Store, error){w.store(0).open, w.store(1).open},
		Rules: merge.DefaultRules(), Create: merge.Both, Guard: engine.DefaultGuard(), Grace: time.Millisecond, Workers: 2,
	}
	if s.scenario.tune != nil {
		s.scenario.tune(&w.acc)
	}
	return w
}

// emptyWorld returns a world with nothing but an inbox on both sides.
func emptyWorld(t testing.TB, s setup, dir string) *world {
	var srv [2]*memory.Server
	for i, opt := range s.pairing.opts {
		side := merge.Side(i)
		if s.mirrored {
			side = side.Other()
		}
		if opt != nil {
			o := *opt
			if s.scenario.options != nil {
				s.scenario.options(&o, i == 0)
			}
			srv[side] = memory.New(o)
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, s, dir, srv)
	for _, side := range merge.Sides {
		w.store(side).create("INBOX")
	}
	return w
}

func (w *world) path(side merge.Side) string { return filepath.Join(w.dir, side.String()) }

func (w *world) store(side merge.Side) store {
	if w.srv[side] != nil {
		return memoryStore{w.t, w.srv[side]}
	}
	return maildirStore{w.t, harness.NewMaildir(w.t, w.path(side))}
}

// cloned returns clones of memory servers as they are now.
func cloned(srv [2]*memory.Server) (out [2]*memory.Server) {
	for i, s := range srv {
		if s != nil {
			out[i] = s.Clone()
		}
	}
	return out
}

// copyTo returns a copy of the world in another directory.
func (w *world) copyTo(dir string) *world {
	w.t.Helper()
	copyTree(w.t, w.dir, dir)
	return newWorld(w.t, w.setup, dir, cloned(w.srv))
}

// patience bounds a sync. It is never reached unless something hangs.
const patience = 2 * time.Minute

// sync runs the scenario's sync.
func (w *world) sync(ctx context.Context) (engine.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return engine.Sync(ctx, w.acc, engine.Request{}, nil)
}

// syncs runs a sync that must come to its end without an error.
func (w *world) syncs() (engine.Report, error) {
	r, err := w.sync(w.t.Context())
	if err == nil && r.Errors > 0 {
		err = fmt.Errorf("%+v", r.Problems)
	}
	return r, err
}

// check syncs and returns what is not as the scenario wants it: the oracle of every test here.
func (w *world) check() (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if _, err := w.syncs(); err != nil {
		say("the sync after it: %v", err)
	}
	wrong = append(wrong, w.differences()...)
	if len(wrong) > 0 {
		return wrong
	}
	logs := w.logs()
	var still [2]func() string
	for _, side := range merge.Sides {
		still[side] = w.store(side).still()
	}
	r, err := w.syncs()
	if err != nil || r.Changed() {
		say("one more sync: %v, %+v", err, r)
	}
	for _, side := range merge.Sides {
		if s := still[side](); s != "" {
			say("one more sync wrote on the %s: %s", side, s)
		}
		if s := w.store(side).leftOpen(); s != "" {
			say("left open on the %s: %s", side, s)
		}
	}
	if now := w.logs(); now != logs {
		say("one more sync wrote to the logs:\n%s\nbefore:\n%s", now, logs)
	}
	v, err := engine.Verify(w.t.Context(), w.acc, engine.VerifyRequest{Content: true}, nil)
	if err != nil || len(v.Differences) > 0 {
		say("verify: %v, %+v", err, v.Differences)
	}
	return wrong
}

// differences returns how the sides differ from what the scenario wants, or from the first of what it accepts.
func (w *world) differences() (wrong []string) {
	var got [2][]string
	for _, side := range merge.Sides {
		got[side] = w.store(side).lines()
	}
	for i, wanted := range w.scenario.wanted(w.mirrored, !w.calm) {
		same := true
		for n, side := range []merge.Side{w.near(), w.near().Other()} {
			want := lines(w.t, wanted[n])
			if sameLines(want, got[side]) {
				continue
			}
			same = false
			if i == 0 {
				wrong = append(wrong, fmt.Sprintf("the %s lacks %q and has too much: %q", side, without(want, got[side]), without(got[side], want)))
			}
		}
		if same {
			return nil
		}
	}
	return wrong
}

// sameLines compares what should be there with what is. A mailbox that is there, empty, and not mentioned is not worth a difference; the
// next comparison is that of the two sides with each other, through verify.
func sameLines(want, got []string) bool {
	return len(without(want, got)) == 0 && !slices.ContainsFunc(without(got, want), func(l string) bool { return strings.Contains(l, ": ") })
}

// without returns the lines of a that are not in b, as often as they are missing there.
func without(a, b []string) []string {
	count := map[string]int{}
	for _, s := range b {
		count[s]++
	}
	var out []string
	for _, s := range a {
		if count[s]--; count[s] < 0 {
			out = append(out, s)
		}
	}
	return out
}

// logs returns name, size and checksum of every file of the account but the lock, whose time and content tell when the last sync ran.
func (w *world) logs() string {
	var out strings.Builder
	err := filepath.WalkDir(w.acc.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&out, "%s %d %08x\n", path, len(data), crc32.ChecksumIEEE(data))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.String()
}
