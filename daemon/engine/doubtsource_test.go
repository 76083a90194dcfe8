package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"driftless/drivers/memory"
	"driftless/merge"
)

// lateAppend is a world in which the connection died while message 1 was appended to the target's INBOX, and the server still works on it.
func lateAppend(t *testing.T, opts [2]memory.Options, from merge.Side) *world {
	w := newWorld(t, opts)
	for _, s := range merge.Sides {
		w.srv[s].CreateMailbox("Archive")
		w.srv[s].CreateMailbox("Other")
	}
	w.put(merge.Left, "INBOX", 0)
	w.put(merge.Left, "Archive", 90)
	w.settled()
	w.put(from, "INBOX", 1, `\Seen`)
	w.srv[from.Other()].CutAppend(0, memory.Late)
	w.cut = time.Now()
	w.acc.Now = func() time.Time { return w.cut }
	if _, err := w.trySync(Request{}); err == nil {
		t.Fatal("the connection died: the sync must fail")
	}
	w.acc.Now = nil
	return w
}

// syncLanding lets the append complete when an event of the next sync says that it waits for it, and then gives the hand a turn. Until that the clock stands still: on a slow machine the
// grace time would be over before.
func (w *world) syncLanding(side merge.Side, hand func()) Report {
	w.t.Helper()
	w.acc.Grace = 50 * time.Millisecond
	var landed atomic.Bool
	w.acc.Now = func() time.Time {
		if landed.Load() {
			return time.Now().Add(w.acc.Grace)
		}
		return w.cut
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	r, err := Sync(ctx, w.acc, Request{}, func(e Event) {
		if e.Kind == EventWaiting && !landed.Swap(true) {
			w.srv[side].CompleteLate()
			if hand != nil {
				hand()
			}
		}
	})
	if err != nil || r.Errors > 0 {
		w.t.Fatalf("sync: %v, %+v", err, r.Problems)
	}
	if !landed.Load() {
		w.srv[side].CompleteLate()
	}
	w.acc.Grace, w.acc.Now = time.Millisecond, nil
	return r
}

// While an append is in doubt, its source is moved or deleted and the copy lands, is moved or deleted: in whatever order, the message ends where its owner put it, once.
func TestAppendInDoubtWhoseSourceLeft(t *testing.T) {
	type hand func(w *world, src, dst merge.Side)
	moveSource := func(w *world, src, dst merge.Side) { w.move(src, "INBOX", 1, "Archive") }
	deleteSource := func(w *world, src, dst merge.Side) { w.remove(src, "INBOX", 1) }
	moveCopy := func(w *world, src, dst merge.Side) { w.move(dst, "INBOX", 1, "Other") }
	land := func(w *world, src, dst merge.Side) { w.srv[dst].CompleteLate() }
	renumber := func(source bool) hand {
		return func(w *world, src, dst merge.Side) {
			if !source {
				src = dst
			}
			w.must(w.srv[src].BumpValidity("INBOX"))
		}
	}
	sync := func(w *world, src, dst merge.Side) { w.sync() }
	landing := func(w *world, src, dst merge.Side) { w.syncLanding(dst, nil) }
	for _, tc := range []struct {
		name  string
		steps []hand
		where string // "" = nowhere
	}{
		{"landed, moved at the source", []hand{land, moveSource}, "Archive"},
		{"moved at the source, landed", []hand{moveSource, land}, "Archive"},
		{"moved at the source, lands in the next sync", []hand{moveSource, landing}, "Archive"},
		{"landed, deleted at the source", []hand{land, deleteSource}, ""},
		{"deleted at the source, landed", []hand{deleteSource, land}, ""},
		{"deleted at the source, lands in the next sync", []hand{deleteSource, landing}, ""},
		{"lands in the next sync", []hand{landing}, "INBOX"},
		{"landed, the copy was moved", []hand{land, moveCopy}, "Other"},
		{"lands in the next sync and is moved", []hand{func(w *world, src, dst merge.Side) {
			w.syncLanding(dst, func() { w.move(dst, "INBOX", 1, "Other") })
		}}, "Other"},
		{"the source was numbered anew, lands in the next sync", []hand{renumber(true), landing}, "INBOX"},
		{"the target was numbered anew, lands in the next sync", []hand{renumber(false), landing}, "INBOX"},
		{"never lands, moved at the source", []hand{moveSource, sync}, "Archive"},
		{"moved at the source twice, lands in between", []hand{moveSource, func(w *world, src, dst merge.Side) {
			w.syncLanding(dst, func() { w.move(src, "Archive", 1, "Other") })
		}}, "Other"},
		{"moved at the source, deleted while it lands", []hand{moveSource, func(w *world, src, dst merge.Side) {
			w.syncLanding(dst, func() { w.remove(src, "Archive", 1) })
		}}, ""},
	} {
		for name, opts := range characters {
			for _, src := range merge.Sides {
				dst := src.Other()
				if opts[dst].Reserves {
					continue // nothing lands late in a file system whose process is dead
				}
				t.Run(tc.name+"/"+name, func(t *testing.T) {
					t.Parallel()
					w := lateAppend(t, opts, src)
					for _, step := range tc.steps {
						step(w, src, dst)
					}
					w.settled()
					for _, mb := range []string{"INBOX", "Archive", "Other"} {
						want := map[string][]int{"INBOX": {0}, "Archive": {90}}[mb]
						if mb == tc.where {
							want = append(want, 1)
						}
						w.has(mb, want...)
					}
					if tc.where != "" {
						w.flags(tc.where, 1, `\Seen`)
					}
				})
			}
		}
	}
}
