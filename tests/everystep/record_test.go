package everystep

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
	"driftless/tests/faultfs"
)

// cut is a moment of a sync at which the process, or the machine, can end: between two effects, wherever they are. Which effects are
// known to those who asked for them, nobody can tell any more.
type cut struct {
	op  int               // so many effects on files have happened
	srv [2]*memory.Server // what the servers hold by then
	at  string            // the effect that comes next or was the last one
}

// recording is a sync that nobody interrupted, and every moment at which it could have been.
type recording struct {
	base  *world      // before the sync
	disk  *faultfs.FS // has the trace until it is reset
	cuts  []cut
	ops   []string // the effects on files, as opNames names them
	err   error    // of the sync
	story string   // what had happened before
}

// writes are the driver's methods that change a store.
var writes = map[string]bool{"Create": true, "Rename": true, "Delete": true, "Append": true, "SetFlags": true, "Expunge": true, "Move": true}

// record plays what is to be interrupted on the file system and notes every moment. base stays as it is.
//
// A moment must be one that can have been: with an effect that has happened its intent must have, too, and with an outcome its effect. Effects on files happen one
// at a time. Before each of them the servers are cloned: what they have done by then, they have done before it. After each effect on a server they are
// cloned, too, together with the number of the last effect on a file that has begun: it may have happened or not, since nothing depends on
// it but what comes later.
func record(t testing.TB, disk *faultfs.FS, base *world) *recording {
	t.Helper()
	w := base.on(t, disk)
	r := &recording{base: base, disk: disk}
	var mu sync.Mutex
	var version, current [2]int
	var clones [2]*memory.Server
	last := 0
	key := func(op int) [3]int { return [3]int{op, version[0], version[1]} }
	seen := map[[3]int]bool{}
	note := func(op int, at string) {
		if seen[key(op)] {
			return
		}
		seen[key(op)] = true
		for i, s := range w.srv {
			if s != nil && (clones[i] == nil || current[i] != version[i]) {
				clones[i], current[i] = s.Clone(), version[i]
			}
		}
		r.cuts = append(r.cuts, cut{op, clones, at})
	}
	name := opNames()
	disk.SetHook(func(op faultfs.Op) faultfs.Verdict {
		mu.Lock()
		defer mu.Unlock()
		n := name(op)
		note(op.N-1, "before "+n)
		r.ops = append(r.ops, n)
		last = op.N
		return faultfs.Verdict{}
	})
	plan := &drivertest.Plan{}
	plan.Watch = func(label, op string, done bool) {
		side := merge.Left
		if label == merge.Right.String() {
			side = merge.Right
		}
		if !done || !writes[op] || w.srv[side] == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		version[side]++
		note(last, "after "+label+" "+op)
	}
	w.wrap(plan)
	r.err = w.perform(t.Context())
	disk.SetHook(nil)
	note(last, "after all")
	return r
}

// on returns a copy of the world on the file system, where everything counts as durable.
func (w *world) on(t testing.TB, disk *faultfs.FS) *world {
	t.Helper()
	if err := disk.Reset(); err != nil {
		t.Fatal(err)
	}
	copyTree(t, w.dir, disk.Backing())
	if err := disk.Mark(); err != nil {
		t.Fatal(err)
	}
	return newWorld(t, w.setup, disk.Dir(), cloned(w.srv))
}

// wrap puts the faults of a plan between the engine and its stores.
func (w *world) wrap(plan *drivertest.Plan) {
	for _, side := range merge.Sides {
		open := w.acc.Open[side]
		w.acc.Open[side] = func(ctx context.Context) (drivers.Store, error) {
			s, err := open(ctx)
			if err != nil {
				return nil, err
			}
			return drivertest.FaultyNamed(s, plan, side.String()), nil
		}
	}
}

// opNames returns a function that names effects on files, so that the same effect has the same name in another run: by what it does, the
// directory in which it does it and how many of the kind were there before. Which file it is about is no part of the name: several are written at the
// same time, and a Maildir's names are never the same.
func opNames() func(faultfs.Op) string {
	count := map[string]int{}
	return func(op faultfs.Op) string {
		dir, file := path.Split(op.Path)
		if op.Kind == faultfs.SyncDir || op.Kind == faultfs.Mkdir || op.Kind == faultfs.Rmdir {
			dir, file = op.Path+"/", ""
		}
		if strings.HasPrefix(op.Path, "account/") && dir != "account/" && file != "" {
			file = "segment" + filepath.Ext(file)
		} else if file != "" && !strings.HasPrefix(file, ".") && file != "dovecot-keywords" {
			file = "file"
		}
		if strings.HasPrefix(file, ".driftless-store-") {
			file = "marker"
		}
		n := fmt.Sprintf("%s %s%s", op.Kind, dir, file)
		if op.To != "" {
			n += " to " + path.Dir(op.To)
		}
		count[n]++
		return fmt.Sprintf("%s #%d", n, count[n])
	}
}

// reboot makes what a power cut leaves as old as it is once a machine is up again: locks that other programs respect are told to be stale by their age.
func reboot(t testing.TB, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".lock") {
			return err
		}
		before := time.Now().Add(-10 * time.Minute)
		return os.Chtimes(path, before, before)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// at returns the world that is found after a cut and a loss, in a directory of its own.
func (r *recording) at(t testing.TB, c cut, loss faultfs.Loss, dir string) *world {
	t.Helper()
	if err := r.disk.Image(dir, c.op, loss); err != nil {
		t.Fatal(err)
	}
	if loss != faultfs.Nothing {
		reboot(t, dir)
	}
	return newWorld(t, r.base.setup, dir, cloned(c.srv))
}
