package logstate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"driftless/merge"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

func openTest(t tester, dir string) *Account {
	t.Helper()
	a, err := Open(ctx, dir, Options{SegmentSize: 4096})
	must(t, err)
	return a
}

func names(i int) [2]string { return [2]string{fmt.Sprintf("box%d", i), fmt.Sprintf("Box/%d", i)} }

func registerTest(t tester, a *Account, n int) []Mailbox {
	t.Helper()
	var out []Mailbox
	for i := range n {
		m, err := a.Register(ctx, names(i))
		must(t, err)
		out = append(out, m)
	}
	return out
}

// Random commits, batches, reopenings, releases and checkpoints give the state that a naive model has, for the account and for a view beside it.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "logstate")
		must(t, err)
		defer os.RemoveAll(dir)
		a := openTest(t, dir)
		defer func() { must(t, a.Close()) }()
		boxes := registerTest(t, a, 3)
		models := map[Mailbox]*model{}
		for _, m := range boxes {
			models[m] = newModel()
		}
		v, err := OpenView(dir)
		must(t, err)
		open := map[merge.Side][]Batch{}
		rt.Repeat(map[string]func(*rapid.T){
			"commit": func(rt *rapid.T) {
				m := rapid.SampledFrom(boxes).Draw(rt, "mailbox")
				var ops []Op
				for range rapid.IntRange(1, 4).Draw(rt, "ops") {
					op := genOp(rt)
					ops = append(ops, op)
					models[m].apply(op)
				}
				must(t, a.Commit(ctx, m, ops))
			},
			"commit all": func(rt *rapid.T) {
				all := map[Mailbox][]Op{}
				for _, m := range boxes {
					for range rapid.IntRange(0, 3).Draw(rt, "ops") {
						op := genOp(rt)
						all[m] = append(all[m], op)
						models[m].apply(op)
					}
				}
				must(t, a.CommitAll(ctx, all))
			},
			"begin": func(rt *rapid.T) {
				in := genIntent(rt, rapid.SampledFrom(boxes).Draw(rt, "mailbox"), boxes)
				b, err := a.Begin(ctx, in)
				must(t, err)
				open[in.Target] = append(open[in.Target], b)
			},
			"finish": func(rt *rapid.T) {
				side := merge.Side(rapid.IntRange(0, 1).Draw(rt, "side"))
				if len(open[side]) == 0 {
					rt.Skip()
				}
				i := rapid.IntRange(0, len(open[side])-1).Draw(rt, "batch")
				b := open[side][i]
				open[side] = append(open[side][:i:i], open[side][i+1:]...)
				out := genOutcome(rt, b.Intent)
				must(t, a.Finish(ctx, b, out))
				play(models, b.Intent, out)
				if err := a.Finish(ctx, b, out); err == nil {
					t.Fatal("a batch was finished twice")
				}
			},
			"reopen": func(rt *rapid.T) {
				must(t, a.Close())
				before := hashTree(t, dir)
				a = openTest(t, dir)
				if after := hashTree(t, dir); before != after {
					t.Fatal("opening an account that is up to date wrote to it")
				}
				if len(a.Repairs()) > 0 {
					t.Fatalf("repairs: %+v", a.Repairs())
				}
				left := a.Unsettled()
				if len(left) != len(open[0])+len(open[1]) {
					t.Fatalf("%d unsettled batches, want %d", len(left), len(open[0])+len(open[1]))
				}
				open = map[merge.Side][]Batch{}
				for _, b := range left {
					open[b.Intent.Target] = append(open[b.Intent.Target], b)
				}
			},
			"release": func(rt *rapid.T) { a.Release(rapid.SampledFrom(boxes).Draw(rt, "mailbox")) },
			"checkpoint": func(rt *rapid.T) {
				if rapid.IntRange(0, 3).Draw(rt, "really") == 0 {
					must(t, a.Checkpoint(ctx, true))
				}
			},
			"": func(rt *rapid.T) {
				checkModels(t, a, models, true)
				_, err := v.Refresh()
				must(t, err)
				checkModels(t, v, models, true)
				if got := v.Unsettled(); got != [2]int{len(open[0]), len(open[1])} {
					t.Fatalf("the view counts %v unsettled batches, want %d and %d", got, len(open[0]), len(open[1]))
				}
			},
		})
	})
}

// hashTree hashes names, contents and times of the log files.
func hashTree(t tester, dir string) [32]byte {
	t.Helper()
	h := sha256.New()
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() || info.Name() == lockName {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintln(h, path, info.ModTime().UnixNano(), len(b))
		h.Write(b)
		return err
	}))
	return [32]byte(h.Sum(nil))
}
