package logstate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"driftless/merge"
)

// A view shows one moment until it is refreshed, writes nothing, and tells a view that is too old to be read from one that is not.
func TestViewIsPinned(t *testing.T) {
	dir := t.TempDir()
	v, err := OpenView(filepath.Join(dir, "never synced"))
	must(t, err)
	if len(v.Mailboxes()) != 0 {
		t.Fatal("an account that was never synced has mailboxes")
	}
	if _, err := os.Stat(filepath.Join(dir, "never synced")); !os.IsNotExist(err) {
		t.Fatal("a view has made a directory")
	}
	a := openTest(t, dir)
	m := registerTest(t, a, 1)[0]
	must(t, a.SetStoreIdentity(ctx, merge.Right, "uv 7"))
	must(t, a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(1)}}))
	before := hashTree(t, dir)
	v, err = OpenView(dir)
	must(t, err)
	one, err := v.State(m)
	must(t, err)
	must(t, a.Commit(ctx, m, []Op{{Kind: PutPair, Pair: benchPair(2)}}))
	if again, err := v.State(m); err != nil || again.Count(merge.Left) != 1 || v.Mailboxes()[0].Count != [2]int{1, 1} {
		t.Fatalf("the view has moved: %v", err)
	}
	if more, err := v.Refresh(); err != nil || !more {
		t.Fatalf("refresh: %v, %v", more, err)
	}
	if more, err := v.Refresh(); err != nil || more {
		t.Fatalf("second refresh: %v, %v", more, err)
	}
	two, err := v.State(m)
	must(t, err)
	if one.Count(merge.Left) != 1 || two.Count(merge.Left) != 2 || v.StoreIdentity(merge.Right) != "uv 7" {
		t.Fatalf("counts %d and %d, identity %q", one.Count(merge.Left), two.Count(merge.Left), v.StoreIdentity(merge.Right))
	}
	if hashTree(t, dir) == before {
		t.Fatal("the test shows nothing: the logs are as before")
	}
	unread, err := OpenView(dir)
	must(t, err)
	must(t, a.Commit(ctx, m, []Op{{Kind: DropPair, Pair: benchPair(1)}}))
	must(t, a.Checkpoint(ctx, true))
	must(t, a.Close())
	after := hashTree(t, dir)
	if _, err := unread.State(m); !errors.Is(err, ErrStale) {
		t.Fatalf("error %v", err)
	}
	if more, err := unread.Refresh(); err != nil || !more {
		t.Fatalf("refresh after a checkpoint: %v, %v", more, err)
	}
	s, err := unread.State(m)
	must(t, err)
	if _, ok := s.Pair(merge.Left, benchPair(2).ID[0]); !ok || s.Count(merge.Right) != 1 {
		t.Fatal("the state after a checkpoint is wrong")
	}
	if hashTree(t, dir) != after {
		t.Fatal("a view has written to the logs")
	}
}

func TestRecordsInWords(t *testing.T) {
	dir := t.TempDir()
	a := openTest(t, dir)
	boxes := registerTest(t, a, 2)
	p := merge.Pair{ID: [2]merge.ID{"12", "34"}, Base: [2]merge.Flags{merge.NewFlags(`\Seen`), merge.NewFlags(`\Seen`)}}
	must(t, a.Commit(ctx, boxes[0], []Op{{Kind: PutPair, Pair: p}, {Kind: SetCursor, Side: merge.Left, Cursor: "c\x1b1"}}))
	in := Intent{Target: merge.Right, Mailbox: boxes[0], Time: 1000, Effects: []Effect{
		{Kind: EffectCopy, New: merge.Pair{ID: [2]merge.ID{"123", ""}}},
		{Kind: EffectMove, Old: p, New: p, To: boxes[1]},
		{Kind: EffectFlags, Old: p, Add: merge.NewFlags(`\Flagged`)},
		{Kind: EffectDelete, Old: merge.Pair{ID: [2]merge.ID{"", "9 9"}}},
		{Kind: EffectCreateMailbox},
		{Kind: EffectCopy, New: merge.Pair{ID: [2]merge.ID{"bad", ""}}},
	}}
	b, err := a.Begin(ctx, in)
	must(t, err)
	must(t, a.Finish(ctx, b, Outcome{Time: 2000, Results: []Result{
		{Status: Done, ID: "456"}, {Status: Done, ID: "35"}, {Status: Done, Flags: p.Base[0]}, {Status: NotDone}, {Status: Done},
		{Status: Refused, Note: "too\nbig\x1b[2J"},
	}}))
	must(t, a.Close())
	v, err := OpenView(dir)
	must(t, err)
	text := func(log string, from uint64) (string, uint64) {
		var out strings.Builder
		next, err := v.Records(log, from, func(r Record) error {
			if r.Log != log || r.Index < from || r.Kind == "" {
				t.Errorf("record %+v", r)
			}
			for _, l := range r.Lines {
				out.WriteString(r.Mailbox + ": " + l + "\n")
			}
			return nil
		})
		must(t, err)
		return out.String(), next
	}
	left, _ := text("left", 0)
	for _, want := range []string{
		"box0: will copy left 123 to right\n", "box0: copied left 123 to right 456\n", "box0: moved right 34 to box1, there it is 35\n",
		`box0: changed flags of right 34: add (\Flagged), now (\Seen)`, `box0: not done: delete right "9 9"`, "box0: created the mailbox on the right\n",
		"box0: refused: copy left bad to right: too big [2J\n",
	} {
		if !strings.Contains(left, want) {
			t.Errorf("left log lacks %q:\n%s", want, left)
		}
	}
	shared, next := text("shared", 0)
	for _, want := range []string{
		`box0: paired left 12 with right 34 (\Seen)`, `left is observed up to "c\x1b1"`, "box0: batch 1 of the left log (epoch 1) is taken over\n",
		"box0: in box1: paired left 12 with right 35", "box0: left bad stays alone: quarantined, too big [2J\n",
	} {
		if !strings.Contains(shared, want) {
			t.Errorf("shared log lacks %q:\n%s", want, shared)
		}
	}
	if rest, again := text("shared", next); rest != "" || again != next {
		t.Errorf("behind the end there is %q, next %d", rest, again)
	}
	if last, _ := text("left", 3); !strings.Contains(last, "copied left 123 to right 456") {
		t.Errorf("an outcome is told without its intent: %q", last)
	}
	if _, err := v.Records("nothing", 0, nil); err == nil {
		t.Error("a log that does not exist was read")
	}
	stop := errors.New("stop")
	if _, err := v.Records("shared", 0, func(Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}
