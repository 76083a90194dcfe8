package faultfs

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"driftless/tests/torture"
)

// show lists a directory: "name=content" for a file, "name/" for a directory.
func show(t *testing.T, dir string) string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel := strings.TrimPrefix(p, dir+"/")
		if e.IsDir() {
			out = append(out, rel+"/")
			return nil
		}
		data, err := os.ReadFile(p)
		out = append(out, rel+"="+strings.ReplaceAll(string(data), "\x00", "0"))
		return err
	}))
	return strings.Join(out, " ")
}

func create(p string) Op { return Op{Kind: Create, Path: p, Done: true, Mode: 0o600} }
func mkdir(p string) Op  { return Op{Kind: Mkdir, Path: p, Done: true, Mode: 0o700} }
func write(p string, o int64, d string) Op {
	return Op{Kind: Write, Path: p, Off: o, Data: []byte(d), Done: true}
}
func cut(p string, n int64) Op { return Op{Kind: Truncate, Path: p, Off: n, Done: true} }
func syncs(p string) Op        { return Op{Kind: Sync, Path: p, Done: true} }
func fails(p string) Op        { return Op{Kind: Sync, Path: p, Err: syscall.EIO} }
func dirsync(p string) Op      { return Op{Kind: SyncDir, Path: p, Done: true} }
func rename(p, to string) Op   { return Op{Kind: Rename, Path: p, To: to, Done: true} }
func link(p, to string) Op     { return Op{Kind: Link, Path: p, To: to, Done: true} }
func unlink(p string) Op       { return Op{Kind: Unlink, Path: p, Done: true} }

// TestEverythingLost says what of a sequence of ops survives a power cut, op by op as much as a disk may lose.
func TestEverythingLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		ops  []Op
		want string
	}{
		{"a new file without any sync", []Op{create("a"), write("a", 0, "x")}, ""},
		{"a new file that is synced in a directory that is not", []Op{create("a"), write("a", 0, "x"), syncs("a")}, ""},
		{"a new file in a directory that is synced", []Op{create("a"), write("a", 0, "x"), dirsync("")}, "a="},
		{"both are synced", []Op{create("a"), write("a", 0, "x"), syncs("a"), dirsync("")}, "a=x"},
		{"written after the sync", []Op{create("a"), write("a", 0, "x"), syncs("a"), dirsync(""), write("a", 1, "y")}, "a=x"},
		{"overwritten after the sync", []Op{create("a"), write("a", 0, "xx"), syncs("a"), dirsync(""), write("a", 1, "y"), cut("a", 1)}, "a=xx"},
		{"cut, and synced", []Op{create("a"), write("a", 0, "xx"), cut("a", 1), cut("a", 3), syncs("a"), dirsync("")}, "a=x00"},
		{"a rename", []Op{create("a"), dirsync(""), rename("a", "b")}, "a="},
		{"a rename that is synced", []Op{create("a"), dirsync(""), rename("a", "b"), dirsync("")}, "b="},
		{"a rename over a file", []Op{create("a"), write("a", 0, "x"), syncs("a"), create("b"), dirsync(""), rename("a", "b")}, "a=x b="},
		{"a rename between directories, new one synced", []Op{mkdir("p"), mkdir("q"), dirsync(""), create("p/a"), dirsync("p"), rename("p/a", "q/a"), dirsync("q")}, "p/ p/a= q/ q/a="},
		{"a rename between directories, old one synced", []Op{mkdir("p"), mkdir("q"), dirsync(""), create("p/a"), dirsync("p"), rename("p/a", "q/a"), dirsync("p")}, "p/ q/"},
		{"a removal", []Op{create("a"), dirsync(""), unlink("a")}, "a="},
		{"a removal that is synced", []Op{create("a"), dirsync(""), unlink("a"), dirsync("")}, ""},
		{"a link", []Op{create("a"), dirsync(""), link("a", "b"), write("b", 0, "x"), syncs("b"), unlink("a")}, "a=x"},
		{"a directory whose parent is not synced", []Op{mkdir("p"), create("p/a"), dirsync("p")}, ""},
		{"a file through a renamed directory", []Op{mkdir("p"), dirsync(""), create("p/a"), rename("p", "q"), dirsync("q")}, "p/ p/a="},
		{"an fsync that failed", []Op{create("a"), dirsync(""), write("a", 0, "x"), fails("a")}, "a="},
		{"an fsync after one that failed", []Op{create("a"), dirsync(""), write("a", 0, "x"), fails("a"), syncs("a")}, "a="},
		{"written after an fsync that failed", []Op{create("a"), dirsync(""), write("a", 0, "x"), fails("a"), write("a", 1, "y"), syncs("a")}, "a=0y"},
		{"written again after an fsync that failed", []Op{create("a"), dirsync(""), write("a", 0, "x"), fails("a"), write("a", 0, "y"), syncs("a")}, "a=y"},
		{"an op that did not take place", []Op{{Kind: Create, Path: "a", Err: syscall.EIO}, dirsync("")}, ""},
		{"attributes of a file without a name", []Op{create("a"), unlink("a"), {Kind: Write, Data: []byte("x"), Done: true}, dirsync("")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, err := newDisk().after(c.ops, Everything)
			must(t, err)
			dst := t.TempDir()
			must(t, d.write(dst))
			if got := show(t, dst); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestTornKeepsWhatWasSynced draws many torn disks: each has what was synced, none has what never was, and all states in between turn up.
func TestTornKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	ops := []Op{create("a"), write("a", 0, "xx"), syncs("a"), dirsync(""), write("a", 2, "yyy"), write("a", 5, "zz"), create("b"), rename("b", "c")}
	seen := map[string]int{}
	for seed := range uint64(2000) {
		d, err := newDisk().after(ops, Torn(seed))
		must(t, err)
		s := string(d.root.entries[kept]["a"].data)
		for i := range s {
			if s[i] != "xxyyyzz"[i] && s[i] != 0 || i < 2 && s[i] == 0 {
				t.Fatalf("seed %d: %q", seed, s)
			}
		}
		seen["a="+strings.ReplaceAll(s, "\x00", "0")+" "+strings.Join(sortedNames(d.root.entries[kept]), ",")]++
	}
	for _, want := range []string{"a=xx a", "a=xxy a,b", "a=xxyyy a,c", "a=xxyyyzz a,c", "a=xx000 a", "a=xxy00 a,c", "a=xx000zz a"} {
		if seen[want] == 0 {
			t.Errorf("never seen: %s", want)
		}
	}
	t.Logf("%d different disks of %d", len(seen), 2000)
}

// TestTimes says which times survive.
func TestTimes(t *testing.T) {
	t.Parallel()
	at := time.Unix(1e9, 0)
	times := Op{Kind: Times, Path: "a", Time: at, Done: true}
	for _, c := range []struct {
		ops  []Op
		loss Loss
		want bool
	}{
		{[]Op{create("a"), times, syncs("a"), dirsync("")}, Everything, true},
		{[]Op{create("a"), syncs("a"), dirsync(""), times}, Everything, false},
		{[]Op{create("a"), syncs("a"), dirsync(""), times}, Nothing, true},
		{[]Op{create("a"), times, write("a", 0, "x"), syncs("a"), dirsync("")}, Everything, false},
	} {
		d, err := newDisk().after(c.ops, c.loss)
		must(t, err)
		dst := t.TempDir()
		must(t, d.write(dst))
		info, err := os.Stat(dst + "/a")
		must(t, err)
		if got := info.ModTime().Equal(at); got != c.want {
			t.Errorf("%v, %v: modified %v", c.ops, c.loss, info.ModTime())
		}
	}
}

// TestModelEqualsDirectory does random things to a mounted file system, with random faults, and compares the model with what is there.
func TestModelEqualsDirectory(t *testing.T) {
	f := Mount(t, nil)
	rounds, ops := 0, 0
	for round := range torture.Rounds(t, 20) {
		seed := torture.Seed(t, round)
		must(t, f.Reset())
		if round%2 == 1 { // with something there from the beginning
			must(t, os.MkdirAll(f.Backing()+"/d1/d2", 0o700))
			must(t, os.WriteFile(f.Backing()+"/d1/f1", []byte("old"), 0o600))
			must(t, os.Link(f.Backing()+"/d1/f1", f.Backing()+"/f2"))
			must(t, f.Mark())
		}
		faults := rand.New(rand.NewPCG(seed, 2))
		f.SetHook(func(op Op) Verdict { // under the file system's lock: only one at a time
			switch faults.IntN(30) {
			case 0:
				return Verdict{Before: syscall.ENOSPC}
			case 1:
				return Verdict{After: syscall.EIO}
			case 2:
				return Verdict{Short: 1}
			}
			return Verdict{}
		})
		play(t, f.Dir(), rand.New(rand.NewPCG(seed, 1)))
		f.SetHook(nil)
		trace := f.Trace()
		dst := filepath.Join(t.TempDir(), "image")
		must(t, f.Image(dst, len(trace), Nothing))
		if got, want := show(t, dst), show(t, f.Backing()); got != want {
			t.Fatalf("seed %d: the model has\n%s\nand the directory\n%s\nafter %v", seed, got, want, trace)
		}
		if got, want := show(t, f.Dir()), show(t, f.Backing()); got != want {
			t.Fatalf("seed %d: the mount shows\n%s\nand the directory\n%s", seed, got, want)
		}
		// Every earlier moment must be one that can be written down, with every loss.
		for range 5 {
			n := faults.IntN(len(trace) + 1)
			for _, loss := range []Loss{Nothing, Everything, Torn(seed)} {
				must(t, f.Image(filepath.Join(t.TempDir(), "image"), n, loss))
			}
		}
		rounds++
		ops += len(trace)
	}
	t.Logf("%d rounds, %d effects", rounds, ops)
}

// play does random things in a directory. What is refused is of no interest.
func play(t *testing.T, root string, rng *rand.Rand) {
	t.Helper()
	dirs := []string{"", "/d1", "/d1/d2", "/d3"}
	name := func() string { return root + dirs[rng.IntN(len(dirs))] + fmt.Sprintf("/f%d", rng.IntN(4)) }
	dir := func() string { return root + dirs[rng.IntN(len(dirs))] }
	var open []*os.File
	ignore := func(error) {}
	for range 150 {
		switch rng.IntN(14) {
		case 0, 1, 2:
			flags := []int{os.O_TRUNC, os.O_EXCL, os.O_APPEND, 0}[rng.IntN(4)]
			file, err := os.OpenFile(name(), os.O_CREATE|os.O_RDWR|flags, 0o600)
			if err == nil {
				open = append(open, file)
			}
		case 3, 4, 5:
			if len(open) > 0 {
				file := open[rng.IntN(len(open))]
				ignore(second(file.WriteString(strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(9)))))
			}
		case 6:
			if len(open) > 0 {
				ignore(open[rng.IntN(len(open))].Truncate(int64(rng.IntN(12))))
			}
		case 7:
			if len(open) > 0 {
				i := rng.IntN(len(open))
				ignore(open[i].Sync())
				ignore(open[i].Close())
				open = slices.Delete(open, i, i+1)
			}
		case 8:
			ignore(os.Rename(name(), name()))
		case 9:
			ignore(os.Link(name(), name()))
		case 10:
			ignore(os.Remove(name()))
		case 11:
			ignore(os.Mkdir(dir(), 0o700))
		case 12:
			if rng.IntN(2) == 0 {
				ignore(os.Rename(dir(), dir()))
			} else {
				ignore(os.Remove(dir()))
			}
		case 13:
			ignore(syncDir(dir()))
		}
	}
	for _, file := range open {
		ignore(file.Close())
	}
}
