package maildir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// plant makes n message files in a directory without any sync.
func plant(t testing.TB, dir, suffix string, n int) {
	t.Helper()
	for i := range n {
		if err := os.WriteFile(fmt.Sprintf("%s/m%06d.host%s", dir, i, suffix), []byte("Subject: x\n\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRenamesHideNothing renames files as a mail client that sets flags does, in bursts, while the mailbox is listed again and again.
func TestRenamesHideNothing(t *testing.T) {
	const n = 3000
	s, c := tree(t, FS)
	plant(t, c.root+"/INBOX/cur", ":2,", n/2)
	for i := n / 2; i < n; i++ {
		if err := os.WriteFile(fmt.Sprintf("%s/INBOX/new/m%06d.host", c.root, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var renames atomic.Int64
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			now := make([]string, n)
			for i := range now {
				now[i] = fmt.Sprintf("cur/m%06d.host:2,", i)
				if i >= n/2 {
					now[i] = fmt.Sprintf("new/m%06d.host", i)
				}
			}
			for k := 0; ctx.Err() == nil; k++ {
				// About 1,500 a second: bursts of 60, then a pause in which a listing can succeed.
				for j := range 60 {
					i := (k*60*7 + j*7) % n
					next := fmt.Sprintf("cur/m%06d.host:2,%s", i, []string{"S", "FS", "", "R"}[(k+j)%4])
					if err := os.Rename(c.root+"/INBOX/"+now[i], c.root+"/INBOX/"+next); err != nil {
						return err
					}
					now[i] = next
					renames.Add(1)
				}
				time.Sleep(40 * time.Millisecond)
			}
			return nil
		}()
	}()
	m := openBox(t, s, inbox)
	listed, naive, united := 0, 0, 0
	for renames.Load() < 3000 && len(done) == 0 {
		seen := 0
		o, err := m.Changes(t.Context(), "", drivers.Full, func(drivers.Entry) error { seen++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		if o.All {
			listed++
		} else {
			united++
		}
		if seen != n || o.Count != n {
			t.Fatalf("listing %d has %d messages and says %d, want %d", listed+united, seen, o.Count, n)
		}
		if p, err := m.pass(t.Context()); err != nil || len(p.entries) != n {
			naive++
		}
		// Look for some that are renamed at this moment.
		ids := []merge.ID{"m000000.host", "m000007.host", merge.ID(fmt.Sprintf("m%06d.host", n-1)), "absent"}
		err = m.Look(t.Context(), ids, func(e drivers.Entry) error {
			if e.Gone != (e.ID == "absent") {
				t.Errorf("%q: gone is %v", e.ID, e.Gone)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d renames, %d proven listings, %d of united passes; a single pass would have been wrong %d times", renames.Load(), listed, united, naive)
}

// TestPassThatChangesIsRepeated makes a change during the first pass that the pass cannot see.
func TestPassThatChangesIsRepeated(t *testing.T) {
	s, c := tree(t, FS)
	plant(t, c.root+"/INBOX/cur", ":2,", 3)
	m := openBox(t, s, inbox)
	passes := 0
	s.disk.fault = func(op, path string) error {
		if op == "readdir" && filepath.Base(path) == "cur" {
			passes++ // away while the first pass reads, back in the second
			if passes == 1 {
				return os.Rename(c.root+"/INBOX/cur/m000001.host:2,", c.root+"/away")
			}
			if passes == 2 {
				return os.Rename(c.root+"/away", c.root+"/INBOX/cur/m000001.host:2,F")
			}
		}
		return nil
	}
	got, o := observe(t, m, "", drivers.Delta)
	if len(got) != 3 || o.Count != 3 {
		t.Errorf("%d messages after %d passes, want 3", len(got), passes)
	}
	if passes < 3 {
		t.Errorf("%d passes, want a third, for both before it were disturbed", passes)
	}
}

func TestCancelledListing(t *testing.T) {
	s, c := tree(t, FS)
	plant(t, c.root+"/INBOX/cur", ":2,", 10)
	m := openBox(t, s, inbox)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Changes(ctx, "", drivers.Full, func(drivers.Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	boom := errors.New("enough")
	if _, err := m.Changes(t.Context(), "", drivers.Full, func(drivers.Entry) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

func TestSecondListingReadsNothing(t *testing.T) {
	for _, layout := range layouts {
		s, c := tree(t, layout)
		m := openBox(t, s, inbox)
		store(t, m, merge.Flags{}, merge.NewFlags(`\Seen`, "work"))
		_, first := observe(t, m, "", drivers.Delta)
		if !first.All || first.Count != 2 {
			t.Fatalf("%v: %+v", layout, first)
		}
		reads := s.Ops().DirReads
		got, second := observe(t, m, first.Cursor, drivers.Delta)
		if len(got) != 0 || second.All || second.Count != 2 || second.Cursor != first.Cursor {
			t.Errorf("%v: %d entries, %+v right after a listing", layout, len(got), second)
		}
		if n := s.Ops().DirReads - reads; n != 0 {
			t.Errorf("%v: %d directories read", layout, n)
		}
		// Another process sees the same.
		other := reopen(t, c.root, layout, false)
		list, err := other.List(t.Context(), map[string]drivers.Cursor{inbox: first.Cursor})
		if err != nil || len(list) != 1 || !list[0].Unchanged || list[0].Messages != 2 {
			t.Errorf("%v: listed as %+v, %v", layout, list, err)
		}
		// Present and Full do not trust the cursor.
		for _, scope := range []drivers.Scope{drivers.Present, drivers.Full} {
			if got, o := observe(t, m, first.Cursor, scope); len(got) != 2 || !o.All {
				t.Errorf("%v: scope %d yields %d, %+v", layout, scope, len(got), o)
			}
		}
	}
}

func TestEveryChangeShows(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	store(t, m, merge.NewFlags(`\Seen`, "one"), merge.Flags{})
	dir := c.root + "/INBOX"
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"delivery", func() error { return os.WriteFile(dir+"/new/fresh", nil, 0o600) }},
		{"new to cur", func() error { return os.Rename(dir+"/new/fresh", dir+"/cur/fresh:2,") }},
		{"flag", func() error { return os.Rename(dir+"/cur/fresh:2,", dir+"/cur/fresh:2,F") }},
		{"removal", func() error { return os.Remove(dir + "/cur/fresh:2,F") }},
		{"keyword table", func() error { return os.WriteFile(dir+"/"+keywordsFile, []byte("0 two\n"), 0o600) }},
		{"sidecar", func() error { return os.WriteFile(dir+"/"+sidecarFile, []byte(sidecarHead+"\n\"x\" \"y\"\n"), 0o600) }},
		{"new directory", func() error {
			return errors.Join(os.Rename(dir+"/new", dir+"/x"), os.Mkdir(dir+"/new", 0o700))
		}},
	} {
		// Many times at once after the listing, so that a stamp that did not move would be noticed.
		_, o := observe(t, m, "", drivers.Delta)
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		list, err := s.List(t.Context(), map[string]drivers.Cursor{inbox: o.Cursor})
		if err != nil || list[0].Unchanged {
			t.Errorf("%s: listed as unchanged (%v)", change.name, err)
		}
		if _, o := observe(t, m, o.Cursor, drivers.Delta); !o.All {
			t.Errorf("%s: not listed again", change.name)
		}
	}
}

// TestRacySecond changes the mailbox at once after each listing; with a cursor taken too early, some change would share its stamp.
func TestRacySecond(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	for i := range 40 {
		_, o := observe(t, m, "", drivers.Delta)
		for range i % 3 {
			if err := os.WriteFile(fmt.Sprintf("%s/INBOX/new/n%d", c.root, i), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, after := observe(t, m, o.Cursor, drivers.Delta); !after.All || after.Count == o.Count {
				t.Fatalf("round %d: the change is not seen: %+v", i, after)
			}
			if err := os.Remove(fmt.Sprintf("%s/INBOX/new/n%d", c.root, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestCoarseClockNeverProves(t *testing.T) {
	s, _ := tree(t, FS)
	m := openBox(t, s, inbox)
	store(t, m, merge.Flags{})
	m.clock = clockCoarse
	_, o := observe(t, m, "", drivers.Delta)
	if _, again := observe(t, m, o.Cursor, drivers.Delta); !again.All {
		t.Error("a fresh cursor on a coarse file system proved that nothing changed")
	} else if again.Cursor != o.Cursor {
		t.Error("two listings of an unchanged mailbox have different cursors")
	}
	// Once the stamps are old enough, the cursor is good.
	s.clock = func() time.Time { return time.Now().Add(time.Hour) }
	_, o = observe(t, m, "", drivers.Delta)
	if _, again := observe(t, m, o.Cursor, drivers.Delta); again.All {
		t.Error("an old cursor on a coarse file system proves nothing")
	}
}

func TestForeignCursors(t *testing.T) {
	s, _ := tree(t, FS)
	m := openBox(t, s, inbox)
	store(t, m, merge.Flags{})
	_, o := observe(t, m, "", drivers.Delta)
	for _, c := range []drivers.Cursor{"", "m2" + o.Cursor[2:], "x", o.Cursor + " 1", o.Cursor[:len(o.Cursor)-1]} {
		if got, o := observe(t, m, c, drivers.Delta); len(got) != 1 || !o.All || o.Reset {
			t.Errorf("cursor %q: %d entries, %+v", c, len(got), o)
		}
	}
}

func TestVanishedDirectoryIsAnError(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	store(t, m, merge.NewFlags(`\Seen`))
	_, o := observe(t, m, "", drivers.Delta)
	if err := os.Rename(c.root+"/INBOX/cur", c.root+"/INBOX/gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Changes(t.Context(), o.Cursor, drivers.Delta, func(drivers.Entry) error { return nil }); err == nil {
		t.Error("all messages of a vanished cur are gone without an error")
	}
	if err := os.Rename(c.root+"/INBOX/new", c.root+"/INBOX/gone2"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Changes(t.Context(), "", drivers.Delta, func(drivers.Entry) error { return nil }); !errors.Is(err, drivers.ErrNoMailbox) {
		t.Errorf("without cur and new: %v", err)
	}
}

// TestOddFiles puts into a mailbox what is not mail, and mail under odd names.
func TestOddFiles(t *testing.T) {
	s, c := tree(t, FS)
	dir := c.root + "/INBOX/"
	for _, f := range []string{"new/info:2,FS", "new/plain", "cur/noinfo", "cur/odd;2,S", "cur/old:1,x", "cur/:2,S", "cur/zero:2,", "cur/.hidden", "new/.nfs000", "tmp/unfinished"} {
		if err := os.WriteFile(dir+f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Mkdir(dir+"cur/directory:2,S", 0o700), os.Symlink("/etc/hostname", dir+"cur/link:2,S"),
		os.Symlink("loop", dir+"cur/loop"), syscall.Mkfifo(dir+"cur/pipe:2,", 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m := openBox(t, s, inbox)
	got, o := observe(t, m, "", drivers.Full)
	want := map[merge.ID]string{
		"info": `(\Seen \Flagged)`, "plain": "()", "noinfo": "()", "odd;2": "()", "old": "()", noUnique: `(\Seen)`, "zero": "()",
	}
	if len(got) != len(want) || o.Count != len(want) {
		t.Errorf("got %v", got)
	}
	var ids []merge.ID
	for id, flags := range want {
		ids = append(ids, id)
		if got[id].String() != flags {
			t.Errorf("%q has flags %v, want %s", id, got[id], flags)
		}
	}
	n := 0
	err := m.Fetch(t.Context(), append(ids, "link", "pipe", "directory"), func(f drivers.Fetched) error {
		n++
		if f.Err != nil || f.Content.Size() != 0 {
			t.Errorf("%q: %v", f.ID, f.Err)
		}
		return nil
	})
	if err != nil || n != len(want) {
		t.Errorf("%d fetched, %v", n, err)
	}
	// All of them can be flagged and keep their content and id.
	for _, id := range ids {
		res, err := m.SetFlags(t.Context(), []drivers.FlagChange{{ID: id, Add: merge.NewFlags(`\Answered`)}})
		if err != nil || res[0].Err != nil {
			t.Errorf("%q: %v %v", id, err, res[0].Err)
		}
	}
	got, _ = observe(t, m, "", drivers.Full)
	for _, id := range ids {
		if !got[id].Has(merge.NewFlags(`\Answered`)) {
			t.Errorf("%q has flags %v", id, got[id])
		}
	}
}

func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, c := tree(b, FS)
			plant(b, c.root+"/INBOX/cur", ":2,S", n)
			m := openBox(b, s, inbox)
			b.ReportAllocs()
			for b.Loop() {
				o, err := m.Changes(b.Context(), "", drivers.Full, func(drivers.Entry) error { return nil })
				if err != nil || o.Count != n {
					b.Fatal(o.Count, err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, workers := range []int{1, 16} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			root := b.TempDir()
			s, err := Open(b.Context(), Options{Path: root, Layout: MaildirPlusPlus, Workers: workers})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Create(b.Context(), inbox); err != nil {
				b.Fatal(err)
			}
			m := openBox(b, s, inbox)
			msgs := make([]drivers.Append, 200)
			data := make(drivers.Bytes, 20_000)
			for b.Loop() {
				for i := range msgs {
					msgs[i] = drivers.Append{Reserved: m.Reserve(), Content: data}
				}
				if _, err := m.Append(b.Context(), msgs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(msgs))/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}
