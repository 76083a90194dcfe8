package maildir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

func TestSyncsPerBatch(t *testing.T) {
	s, _ := tree(t, FS)
	m := openBox(t, s, inbox)
	if err := s.Create(t.Context(), "To"); err != nil {
		t.Fatal(err)
	}
	step := func(what string, want Ops, do func()) {
		t.Helper()
		before := s.Ops()
		do()
		now := s.Ops()
		got := Ops{FileSyncs: now.FileSyncs - before.FileSyncs, DirSyncs: now.DirSyncs - before.DirSyncs}
		if got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	var ids []merge.ID
	step("append of 50 to new and 50 to cur", Ops{FileSyncs: 100, DirSyncs: 2}, func() {
		flags := make([]merge.Flags, 100)
		for i := range 50 {
			flags[2*i] = merge.NewFlags(`\Seen`)
		}
		ids = store(t, m, flags...)
	})
	change := func(names ...string) {
		var changes []drivers.FlagChange
		for _, id := range ids {
			changes = append(changes, drivers.FlagChange{ID: id, Add: merge.NewFlags(names...)})
		}
		res, err := m.SetFlags(t.Context(), changes)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range res {
			if r.Err != nil || !r.Flags.Has(merge.NewFlags(names...)) {
				t.Fatalf("%+v", r)
			}
		}
	}
	step("flag on 100", Ops{DirSyncs: 2}, func() { change(`\Flagged`) })
	step("flag that is there", Ops{}, func() { change(`\Flagged`) })
	step("new keyword on 100: the table and its directory, too", Ops{FileSyncs: 1, DirSyncs: 2}, func() { change("work") })
	step("move of 100", Ops{FileSyncs: 1, DirSyncs: 3}, func() {
		res, err := m.Move(t.Context(), ids, "To")
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range res {
			if r.Err != nil || r.ID != ids[i] {
				t.Fatalf("%+v", r)
			}
		}
	})
	to := openBox(t, s, "To")
	var removals []drivers.Removal
	for _, id := range ids {
		removals = append(removals, drivers.Removal{ID: id, Seen: merge.NewFlags(`\Flagged`, "work").Union(flagOf(t, to, id))})
	}
	step("expunge of 100", Ops{DirSyncs: 1}, func() {
		res, err := to.Expunge(t.Context(), removals)
		if err := errors.Join(append(res, err)...); err != nil {
			t.Fatal(err)
		}
	})
	if got, _ := observe(t, to, "", drivers.Full); len(got) != 0 {
		t.Errorf("%d left", len(got))
	}
}

func flagOf(t *testing.T, m *Mailbox, id merge.ID) merge.Flags {
	t.Helper()
	var f merge.Flags
	err := m.Look(t.Context(), []merge.ID{id}, func(e drivers.Entry) error { f = e.Flags; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestDatesAndPlaces(t *testing.T) {
	s, _ := tree(t, FS)
	m := openBox(t, s, inbox)
	dates := []time.Time{time.Unix(1e9, 999), time.Unix(-86400, 0), {}, time.Date(2106, 2, 7, 6, 28, 16, 0, time.UTC)}
	now := time.Unix(1_700_000_000, 5)
	s.now = func() time.Time { return now }
	for i, d := range dates {
		flags := merge.Flags{}
		if i%2 == 1 {
			flags = merge.NewFlags(`\Seen`)
		}
		id := m.Reserve()
		if _, err := m.Append(t.Context(), []drivers.Append{{Reserved: id, Date: d, Flags: flags, Content: drivers.Bytes("x")}}); err != nil {
			t.Fatal(err)
		}
		if d.IsZero() {
			d = now
		}
		err := m.Describe(t.Context(), []merge.ID{id}, func(got drivers.Description) error {
			if got.Date.Unix() != d.Unix() {
				t.Errorf("date %v, want %v", got.Date, d)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := m.hint(id); !ok || (f.in == inNew) != flags.Empty() {
			t.Errorf("flags %v went to %+v", flags, f)
		}
	}
}

// TestAppendAgain repeats appends whose outcome the caller does not know, as after a crash, by another process.
func TestAppendAgain(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	id := m.Reserve()
	msg := drivers.Append{Reserved: id, Content: drivers.Bytes("Subject: once\r\n\r\n")}
	for i := range 3 {
		if i == 1 {
			m = openBox(t, reopen(t, c.root, FS, false), inbox)
			if err := c.SetFlags(inbox, id, merge.NewFlags(`\Seen`)); err != nil {
				t.Fatal(err)
			}
		}
		res, err := m.Append(t.Context(), []drivers.Append{msg})
		if err != nil || res[0].Err != nil || res[0].ID != id {
			t.Fatalf("%+v, %v", res, err)
		}
		if (i > 0) != res[0].Flags.Equal(merge.NewFlags(`\Seen`)) {
			t.Errorf("append %d answers the flags %v", i, res[0].Flags)
		}
	}
	if got := files(t, c.root+"/INBOX"); len(got) != 1 {
		t.Errorf("files %q", got)
	}
	// One that was cut short in tmp does not hinder.
	left := m.Reserve()
	if err := os.WriteFile(c.root+"/INBOX/tmp/"+string(left), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := openBox(t, reopen(t, c.root, FS, false), inbox)
	if res, err := other.Append(t.Context(), []drivers.Append{{Reserved: left, Content: drivers.Bytes("whole")}}); err != nil || res[0].Err != nil {
		t.Fatal(err, res)
	}
	if got, _ := observe(t, other, "", drivers.Full); len(got) != 2 {
		t.Errorf("%d messages, want 2", len(got))
	}
	for _, bad := range []merge.ID{"../x", "a:b", "a,b", ".x"} {
		if _, err := m.Append(t.Context(), []drivers.Append{{Reserved: bad, Content: drivers.Bytes("")}}); err == nil {
			t.Errorf("reserved id %q is accepted", bad)
		}
	}
}

// TestFlagsMeetAClient changes flags while the handle's memory of the file names is out of date.
func TestFlagsMeetAClient(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	ids := store(t, m, merge.Flags{}, merge.Flags{}, merge.NewFlags(`\Seen`))
	observe(t, m, "", drivers.Full)
	for _, id := range ids[:2] {
		if err := c.SetFlags(inbox, id, merge.NewFlags(`\Flagged`)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Remove(inbox, ids[2]); err != nil {
		t.Fatal(err)
	}
	res, err := m.SetFlags(t.Context(), []drivers.FlagChange{
		{ID: ids[0], Add: merge.NewFlags(`\Seen`)}, {ID: ids[1], Remove: merge.NewFlags(`\Answered`)}, {ID: ids[2], Add: merge.NewFlags(`\Draft`)},
		{ID: "nobody", Add: merge.NewFlags(`\Draft`)}, {ID: ids[0], Add: merge.NewFlags("twice")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{`(\Seen \Flagged)`, `(\Flagged)`, "gone", "gone", `(\Seen \Flagged twice)`} {
		if want == "gone" {
			if !errors.Is(res[i].Err, drivers.ErrGone) {
				t.Errorf("change %d: %+v, want ErrGone", i, res[i])
			}
		} else if res[i].Err != nil || res[i].Flags.String() != want {
			t.Errorf("change %d: %v %v, want %s", i, res[i].Flags, res[i].Err, want)
		}
	}
	// Expunge only what is as it was seen.
	if err := c.SetFlags(inbox, ids[1], merge.NewFlags(`\Flagged`, `\Seen`)); err != nil {
		t.Fatal(err)
	}
	errs, err := m.Expunge(t.Context(), []drivers.Removal{
		{ID: ids[0], Seen: merge.NewFlags(`\Seen`, `\Flagged`, "twice")}, {ID: ids[1], Seen: merge.NewFlags(`\Flagged`)}, {ID: ids[2]},
	})
	if err != nil || errs[0] != nil || !errors.Is(errs[1], drivers.ErrChanged) || errs[2] != nil {
		t.Errorf("%v, %v", errs, err)
	}
	if got, _ := observe(t, m, "", drivers.Full); len(got) != 1 || got[ids[1]].String() != `(\Seen \Flagged)` {
		t.Errorf("left: %v", got)
	}
}

// TestManyKeywords uses more keywords than there are letters.
func TestManyKeywords(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	var names []string
	for i := range 40 {
		names = append(names, fmt.Sprintf("kw%02d", i))
	}
	names[7], names[33] = `odd"\[]%`, "ü\tx"
	all := merge.NewFlags(names...)
	ids := store(t, m, all, merge.NewFlags(names[:3]...))
	if kw := parseKeywords(mustRead(t, c.root+"/INBOX/"+keywordsFile)); slices.Contains(kw.names[:], "") {
		t.Errorf("letters are left: %q", kw.names)
	}
	check := func(m *Mailbox, want merge.Flags) {
		t.Helper()
		if got, _ := observe(t, m, "", drivers.Full); !got[ids[0]].Equal(want) || !got[ids[1]].Equal(merge.NewFlags(names[:3]...)) {
			t.Errorf("got %v", got)
		}
	}
	check(openBox(t, reopen(t, c.root, FS, false), inbox), all)
	// A client renames the file; keywords without letters stay.
	old, err := c.file(inbox, ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if err = os.Rename(old, old+"S"); err == nil {
		err = os.Rename(old+"S", strings.Replace(old, infoMark, infoMark+"F", 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	want := all.Union(merge.NewFlags(`\Flagged`))
	check(m, want)
	gone := merge.NewFlags(names[0], names[33])
	res, err := m.SetFlags(t.Context(), []drivers.FlagChange{{ID: ids[0], Remove: gone, Add: merge.NewFlags("another")}})
	if err != nil || res[0].Err != nil {
		t.Fatal(err, res)
	}
	want = want.Minus(gone).Union(merge.NewFlags("another"))
	if !res[0].Flags.Equal(want) {
		t.Errorf("flags %v, want %v", res[0].Flags, want)
	}
	check(m, want)
	// They move along, to other letters.
	if err := s.Create(t.Context(), "To"); err != nil {
		t.Fatal(err)
	}
	to := openBox(t, s, "To")
	store(t, to, merge.NewFlags("zzz", "another"))
	if res, err := m.Move(t.Context(), ids[:1], "To"); err != nil || res[0].Err != nil {
		t.Fatal(err, res)
	}
	if got := flagOf(t, to, ids[0]); !got.Equal(want) {
		t.Errorf("moved flags %v, want %v", got, want)
	}
	if _, err := os.Stat(c.root + "/INBOX/" + sidecarFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the source keeps a sidecar: %v", err)
	}
	if res, err := to.Expunge(t.Context(), []drivers.Removal{{ID: ids[0], Seen: want}}); err != nil || res[0] != nil {
		t.Fatal(err, res)
	}
	if _, err := os.Stat(c.root + "/To/" + sidecarFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the sidecar of an expunged message stays: %v", err)
	}
	// A damaged sidecar is an error, not the loss of keywords.
	if err := os.WriteFile(c.root+"/INBOX/"+sidecarFile, []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Changes(t.Context(), "", drivers.Full, func(drivers.Entry) error { return nil }); !errors.Is(err, errSidecar) {
		t.Errorf("damaged sidecar: %v", err)
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDovecotTableIsRespected(t *testing.T) {
	s, c := tree(t, FS)
	m := openBox(t, s, inbox)
	path := c.root + "/INBOX/" + keywordsFile
	if err := os.WriteFile(path, []byte("0 NonJunk\n5 later\nnot understood\n30 beyond"), 0o640); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	// A stale lock of a program that died is overridden, as Dovecot does.
	lock := c.root + "/INBOX/" + uidlistLock
	if err := os.WriteFile(lock, []byte("1:elsewhere"), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(lock, old, old); err != nil {
		t.Fatal(err)
	}
	store(t, m, merge.NewFlags("nonjunk", "fresh"))
	// So is a young one of a process that is dead; pids do not go up to this one.
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lock, fmt.Appendf(nil, "%d:%s", 1<<30, host), 0o600); err != nil {
		t.Fatal(err)
	}
	store(t, m, merge.NewFlags("fresher"))
	if got := string(mustRead(t, path)); got != "0 NonJunk\n5 later\nnot understood\n30 beyond\n1 fresh\n2 fresher\n" {
		t.Errorf("table %q", got)
	}
	after, err := os.Stat(path)
	if err != nil || after.ModTime().Unix() <= before.ModTime().Unix() || after.Mode() != before.Mode() {
		t.Errorf("time %v after %v, mode %v after %v (%v)", after.ModTime(), before.ModTime(), after.Mode(), before.Mode(), err)
	}
	for _, left := range []string{lock, path + ".lock"} {
		if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s stays: %v", left, err)
		}
	}
}

// TestTwins has several files with one unique part.
func TestTwins(t *testing.T) {
	s, c := tree(t, FS)
	dir := c.root + "/INBOX/"
	for i, f := range []string{"cur/twin:2,S", "new/twin", "cur/twin,S=4:2,F"} {
		if err := os.WriteFile(dir+f, fmt.Appendf(nil, "%d\n", i), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(dir+"cur/twin:2,S", dir+"cur/twin:2,RS"); err != nil {
		t.Fatal(err)
	}
	before := files(t, c.root)
	dry := openBox(t, reopen(t, c.root, FS, false), inbox)
	got, o := observe(t, dry, "", drivers.Delta)
	if len(got) != 1 || o.Count != 1 {
		t.Errorf("before anything was written: %v", got)
	}
	if _, again := observe(t, dry, o.Cursor, drivers.Delta); !again.All {
		t.Error("the cursor proves that nothing is to be done")
	}
	if after := files(t, c.root); !slices.Equal(before, after) {
		t.Errorf("a listing wrote: %q", after)
	}
	if _, err := s.EnsureIdentity(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := openBox(t, s, inbox)
	got, o = observe(t, m, "", drivers.Delta)
	if len(got) != 3 || o.Count != 3 {
		t.Errorf("after EnsureIdentity: %v", got)
	}
	if _, ok := got["twin"]; !ok {
		t.Error("nobody kept the id")
	}
	if _, again := observe(t, m, o.Cursor, drivers.Delta); again.All {
		t.Error("the cursor proves nothing after the twins were parted")
	}
	var bodies []string
	var ids []merge.ID
	for id := range got {
		ids = append(ids, id)
	}
	err := m.Fetch(t.Context(), ids, func(f drivers.Fetched) error {
		bodies = append(bodies, string(contentBytes(t, f.Content)))
		return nil
	})
	slices.Sort(bodies)
	if err != nil || !slices.Equal(bodies, []string{"0\r\n", "1\r\n", "2\r\n"}) {
		t.Errorf("contents %q, %v", bodies, err)
	}
}

func TestMoveToATwin(t *testing.T) {
	s, c := tree(t, FS)
	if err := s.Create(t.Context(), "To"); err != nil {
		t.Fatal(err)
	}
	m, to := openBox(t, s, inbox), openBox(t, s, "To")
	for _, f := range []string{"INBOX/cur/same:2,S", "INBOX/new/fresh", "To/cur/same:2,F"} {
		if err := os.WriteFile(filepath.Join(c.root, f), []byte(f), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	res, err := m.Move(t.Context(), []merge.ID{"same", "fresh", "absent"}, "To")
	if err != nil || res[0].Err != nil || res[1].Err != nil || !errors.Is(res[2].Err, drivers.ErrGone) {
		t.Fatalf("%+v, %v", res, err)
	}
	if res[0].ID == "same" || res[1].ID != "fresh" {
		t.Errorf("ids %q and %q", res[0].ID, res[1].ID)
	}
	got, _ := observe(t, to, "", drivers.Full)
	if len(got) != 3 || got["same"].String() != `(\Flagged)` || got[res[0].ID].String() != `(\Seen)` {
		t.Errorf("destination has %v", got)
	}
	if _, err := m.Move(t.Context(), []merge.ID{"x"}, "Nowhere"); !errors.Is(err, drivers.ErrNoMailbox) {
		t.Errorf("move to nowhere: %v", err)
	}
	if _, err := m.Move(t.Context(), []merge.ID{"x"}, inbox); err == nil {
		t.Error("move to itself succeeded")
	}
}

// TestFaults makes each kind of operation fail while messages are appended, and checks that what is reported is true.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		op    string
		err   error
		reach drivers.Reach
		retry drivers.Retry
	}{
		{"create", syscall.ENOSPC, drivers.ReachStore, drivers.RetryLater},
		{"write", syscall.EDQUOT, drivers.ReachStore, drivers.RetryLater},
		{"fsync", syscall.EIO, drivers.ReachStore, drivers.RetryLater},
		{"rename", syscall.EROFS, drivers.ReachMailbox, drivers.RetryNever},
		{"create", syscall.EACCES, drivers.ReachMailbox, drivers.RetryNever},
		{"fsyncdir", syscall.EIO, drivers.ReachStore, drivers.RetryLater},
	} {
		t.Run(c.op+" "+c.err.Error(), func(t *testing.T) {
			s, tr := tree(t, FS)
			m := openBox(t, s, inbox)
			msgs := make([]drivers.Append, 40)
			for i := range msgs {
				msgs[i] = drivers.Append{Reserved: m.Reserve(), Content: drivers.Bytes("x")}
			}
			var n atomic.Int64
			s.disk.fault = func(op, _ string) error {
				if op == c.op && (op == "fsyncdir" || n.Add(1) > 10) {
					return c.err
				}
				return nil
			}
			res, err := m.Append(t.Context(), msgs)
			s.disk.fault = nil
			if !errors.Is(err, c.err) || drivers.ReachOf(err) != c.reach || drivers.RetryOf(err) != c.retry {
				t.Errorf("error %v, reach %d, retry %d", err, drivers.ReachOf(err), drivers.RetryOf(err))
			}
			there, _ := observe(t, m, "", drivers.Full)
			for i, r := range res {
				_, ok := there[msgs[i].Reserved]
				switch {
				case errors.Is(r.Err, drivers.ErrUnknown) && c.op == "fsyncdir":
				case ok != (r.Err == nil):
					t.Errorf("message %d: there %v, reported %v", i, ok, r.Err)
				}
			}
			if left := files(t, tr.root+"/INBOX/tmp"); len(left) > 0 {
				t.Errorf("left in tmp: %q", left)
			}
			// The same appends again, without the fault: everything is there once.
			if _, err := m.Append(t.Context(), msgs); err != nil {
				t.Fatal(err)
			}
			if got, _ := observe(t, m, "", drivers.Full); len(got) != len(msgs) {
				t.Errorf("%d messages, want %d", len(got), len(msgs))
			}
		})
	}
}

func TestUnknownOutcomes(t *testing.T) {
	s, _ := tree(t, FS)
	if err := s.Create(t.Context(), "To"); err != nil {
		t.Fatal(err)
	}
	m := openBox(t, s, inbox)
	ids := store(t, m, merge.Flags{}, merge.NewFlags(`\Seen`), merge.NewFlags(`\Seen`))
	s.disk.fault = func(op, _ string) error {
		if op == "fsyncdir" {
			return syscall.EIO
		}
		return nil
	}
	flags, err := m.SetFlags(t.Context(), []drivers.FlagChange{{ID: ids[0], Add: merge.NewFlags(`\Draft`)}})
	if err == nil || !errors.Is(flags[0].Err, drivers.ErrUnknown) {
		t.Errorf("flags: %+v, %v", flags, err)
	}
	gone, err := m.Expunge(t.Context(), []drivers.Removal{{ID: ids[1], Seen: merge.NewFlags(`\Seen`)}})
	if err == nil || !errors.Is(gone[0], drivers.ErrUnknown) {
		t.Errorf("expunge: %v, %v", gone, err)
	}
	moved, err := m.Move(t.Context(), ids[2:], "To")
	if err == nil || !errors.Is(moved[0].Err, drivers.ErrUnknown) {
		t.Errorf("move: %+v, %v", moved, err)
	}
}

// A mailbox of which only tmp and new were made before a crash is one that can be written to: what is missing is made.
func TestHalfMadeMailboxIsWritable(t *testing.T) {
	s, c := tree(t, FS)
	for _, sub := range []string{"tmp", "new"} {
		if err := os.MkdirAll(c.root+"/Box/"+sub, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(c.root+"/Box/new/1.unread.host", []byte("Subject: 1\n\nbody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := openBox(t, s, "Box")
	if m.Status().ReadOnly {
		t.Error("it is said to be read-only")
	}
	res, err := m.SetFlags(t.Context(), []drivers.FlagChange{{ID: "1.unread.host", Add: merge.NewFlags(`\Seen`)}})
	if err != nil || res[0].Err != nil {
		t.Fatalf("flags: %v, %+v", err, res)
	}
	store(t, m, merge.NewFlags(`\Flagged`))
	got, _ := observe(t, openBox(t, s, "Box"), "", drivers.Full)
	if len(got) != 2 {
		t.Errorf("%v", got)
	}
}

// Of a move only the destination's half survived a power cut: the file has both names. Moving it again ends that, without a second message.
func TestMoveThatIsHalfDone(t *testing.T) {
	s, c := tree(t, FS)
	if err := s.Create(t.Context(), "Box"); err != nil {
		t.Fatal(err)
	}
	m := openBox(t, s, inbox)
	ids := store(t, m, merge.NewFlags(`\Seen`), merge.NewFlags(`\Seen`))
	linked, err := c.file(inbox, ids[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(linked, c.root+"/Box/cur/"+filepath.Base(linked)); err != nil {
		t.Fatal(err)
	}
	// The other one has a file of its own there with the same unique part: it stays, and the message gets a fresh name beside it.
	copied, err := c.file(inbox, ids[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.root+"/Box/cur/"+filepath.Base(copied), []byte("Subject: another\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	moved, err := openBox(t, s, inbox).Move(t.Context(), ids, "Box")
	if err != nil || moved[0].Err != nil || moved[0].ID != ids[0] || moved[1].Err != nil || moved[1].ID == ids[1] {
		t.Errorf("%+v, %v", moved, err)
	}
	if got, _ := observe(t, openBox(t, s, inbox), "", drivers.Full); len(got) != 0 {
		t.Errorf("where they were: %v", got)
	}
	if got, _ := observe(t, openBox(t, s, "Box"), "", drivers.Full); len(got) != 3 {
		t.Errorf("where they went: %v", got)
	}
}
