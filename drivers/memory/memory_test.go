package memory_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, srv *memory.Server) drivers.Store {
	t.Helper()
	s, err := srv.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func inbox(t *testing.T, s drivers.Store) drivers.Mailbox {
	t.Helper()
	b, err := s.Open(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func msg(n int) []byte { return drivertest.Message(n, drivertest.MessageOptions{}) }

func appends(b drivers.Mailbox, numbers ...int) []drivers.Append {
	var out []drivers.Append
	for _, n := range numbers {
		out = append(out, drivers.Append{Reserved: b.Reserve(), Date: drivertest.MessageDate(n), Content: drivers.Bytes(msg(n))})
	}
	return out
}

func observe(t *testing.T, b drivers.Mailbox, c drivers.Cursor, s drivers.Scope) ([]drivers.Entry, drivers.Observed) {
	t.Helper()
	var out []drivers.Entry
	end, err := b.Changes(t.Context(), c, s, func(e drivers.Entry) error { out = append(out, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return out, end
}

// TestCutAppend tries each fate of a message in whose append the connection dies.
func TestCutAppend(t *testing.T) {
	for _, reserves := range []bool{false, true} {
		for fate, want := range map[memory.Fate][2]int{memory.Lost: {1, 1}, memory.Stored: {2, 2}, memory.Late: {1, 2}} {
			srv := memory.New(memory.Options{Reserves: reserves})
			s := open(t, srv)
			b := inbox(t, s)
			srv.CutAppend(1, fate)
			msgs := appends(b, 1, 2, 3)
			res, err := b.Append(t.Context(), msgs)
			if err == nil || drivers.ReachOf(err) != drivers.ReachStore || drivers.RetryOf(err) != drivers.RetryLater {
				t.Errorf("append over a dying connection: %v", err)
			}
			if res[0].Err != nil || !errors.Is(res[1].Err, drivers.ErrUnknown) || res[2].Err == nil || errors.Is(res[2].Err, drivers.ErrUnknown) {
				t.Errorf("fate %d: results %v, %v, %v", fate, res[0].Err, res[1].Err, res[2].Err)
			}
			if _, err := s.List(t.Context(), nil); err == nil {
				t.Error("a store whose connection died lists")
			}
			count := func() int { return len(srv.Snapshot()["INBOX"].Messages) }
			before := count()
			late := srv.CompleteLate()
			if got := [2]int{before, count()}; got != want || late != want[1]-want[0] {
				t.Errorf("fate %d: %v messages before and after the server is done, %d late; want %v", fate, got, late, want)
			}
			if srv.CompleteLate() != 0 {
				t.Error("a late append is completed twice")
			}
			again := inbox(t, open(t, srv))
			if res, err := again.Append(t.Context(), msgs[1:2]); err != nil || res[0].Err != nil {
				t.Errorf("append after reconnecting: %v, %v", err, res[0].Err)
			}
			wantCount := want[1] + 1
			if reserves {
				wantCount = 2 // the name that was reserved is there at most once
			}
			if got := count(); got != wantCount {
				t.Errorf("reserves %v, fate %d: %d messages after a second try, want %d", reserves, fate, got, wantCount)
			}
		}
	}
}

// TestLateThenRepeated completes a late append after it was repeated under its reserved name: it is there once.
func TestLateThenRepeated(t *testing.T) {
	srv := memory.New(memory.Options{Reserves: true})
	b := inbox(t, open(t, srv))
	msgs := appends(b, 1)
	srv.CutAppend(0, memory.Late)
	if _, err := b.Append(t.Context(), msgs); err == nil {
		t.Fatal("the connection did not die")
	}
	if _, err := inbox(t, open(t, srv)).Append(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	if n := srv.CompleteLate(); n != 0 || len(srv.Snapshot()["INBOX"].Messages) != 1 {
		t.Errorf("%d completed", n)
	}
}

func TestCounts(t *testing.T) {
	srv := memory.New(memory.Options{})
	id := srv.Deliver("INBOX", merge.Flags{}, time.Time{}, msg(1))
	if err := srv.SetFlags("INBOX", id, merge.NewFlags(`\Seen`)); err != nil {
		t.Fatal(err)
	}
	if c := srv.Counts(); c.Writes() != 0 || c.WriteCalls() != 0 {
		t.Errorf("the user's hand is counted: %+v", c)
	}
	s := open(t, srv)
	b := inbox(t, s)
	observe(t, b, "", drivers.Full)
	if err := b.Fetch(t.Context(), []merge.ID{id}, func(f drivers.Fetched) error {
		if srv.OpenContents() != 1 {
			t.Error("an open content is not counted")
		}
		return errors.Join(f.Content.Close(), f.Content.Close())
	}); err != nil {
		t.Fatal(err)
	}
	if c := srv.Counts(); c.Writes() != 0 || c.WriteCalls() != 0 || c.Bodies != 1 || c.Calls["Changes"] != 1 || c.Items["Fetch"] != 1 || srv.OpenContents() != 0 {
		t.Errorf("counts of reading: %+v, %d open", c, srv.OpenContents())
	}
	if _, err := b.SetFlags(t.Context(), []drivers.FlagChange{{ID: id, Add: merge.NewFlags(`\Seen`)}}); err != nil {
		t.Fatal(err)
	}
	if c := srv.Counts(); c.Writes() != 0 || c.WriteCalls() != 1 {
		t.Errorf("counts of setting a flag that is set: %+v", c)
	}
	if _, err := b.Append(t.Context(), appends(b, 2, 3)); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), "A"); err != nil {
		t.Fatal(err)
	}
	if c := srv.Counts(); c.Writes() != 3 || c.Effects["append"] != 2 || c.Effects["create"] != 1 || c.WriteCalls() != 4 {
		t.Errorf("counts of writing: %+v", c)
	}
	srv.ResetCounts()
	if c := srv.Counts(); c.Writes()+c.WriteCalls()+c.Bodies != 0 {
		t.Errorf("counts after a reset: %+v", c)
	}
}

// TestBackInTime restores an old copy: a cursor from after it is worth nothing.
func TestBackInTime(t *testing.T) {
	srv := memory.New(memory.Options{})
	srv.Deliver("INBOX", merge.Flags{}, time.Time{}, msg(1))
	k := srv.Backup()
	srv.Deliver("INBOX", merge.Flags{}, time.Time{}, msg(2))
	b := inbox(t, open(t, srv))
	_, end := observe(t, b, "", drivers.Full)
	srv.Restore(k)
	entries, now := observe(t, b, end.Cursor, drivers.Delta)
	if !now.Reset || !now.All || len(entries) != 1 || now.Count != 1 {
		t.Errorf("after going back in time: %d entries, %+v", len(entries), now)
	}
	srv.Deliver("INBOX", merge.Flags{}, time.Time{}, msg(3))
	srv.Restore(k) // the copy is not what it was restored to
	if n := len(srv.Snapshot()["INBOX"].Messages); n != 1 {
		t.Errorf("%d messages in the copy, want 1", n)
	}
}

// TestExpunges tells the ways in which a QRESYNC server forgets expunges apart.
func TestExpunges(t *testing.T) {
	for name, c := range map[string]struct {
		forget        func(*memory.Server) error
		entries, gone int
		all           bool
	}{
		"remembered": {func(*memory.Server) error { return nil }, 1, 1, false},
		"forgotten":  {func(s *memory.Server) error { return s.ForgetExpunges("INBOX") }, 2, 0, true},
		"lost":       {func(s *memory.Server) error { return s.LoseExpunges("INBOX") }, 0, 0, false},
	} {
		srv := memory.New(memory.Options{})
		for n := range 3 {
			srv.Deliver("INBOX", merge.Flags{}, time.Time{}, msg(n))
		}
		b := inbox(t, open(t, srv))
		all, end := observe(t, b, "", drivers.Full)
		if err := srv.Remove("INBOX", all[1].ID); err != nil {
			t.Fatal(err)
		}
		if err := c.forget(srv); err != nil {
			t.Fatal(err)
		}
		entries, now := observe(t, b, end.Cursor, drivers.Delta)
		gone := 0
		for _, e := range entries {
			if e.Gone {
				gone++
			}
		}
		if len(entries) != c.entries || gone != c.gone || now.All != c.all || now.Count != 2 {
			t.Errorf("%s: %d entries, %d gone, %+v", name, len(entries), gone, now)
		}
		if entries, now := observe(t, b, end.Cursor, drivers.Present); len(entries) != 2 || !now.All {
			t.Errorf("%s: scope Present yields %d, %+v", name, len(entries), now)
		}
	}
}

func TestUnreadable(t *testing.T) {
	srv := memory.New(memory.Options{})
	ids := []merge.ID{srv.Deliver("INBOX", merge.Flags{}, time.Time{}, msg(1)), srv.Deliver("INBOX", merge.Flags{}, time.Time{}, msg(2))}
	if err := srv.SetUnreadable("INBOX", ids[0], true); err != nil {
		t.Fatal(err)
	}
	b := inbox(t, open(t, srv))
	got := map[merge.ID]error{}
	if err := b.Fetch(t.Context(), ids, func(f drivers.Fetched) error {
		got[f.ID] = f.Err
		if f.Content == nil {
			return nil
		}
		return f.Content.Close()
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[ids[0]] == nil || got[ids[1]] != nil || drivers.ReachOf(got[ids[0]]) != drivers.ReachMessage {
		t.Errorf("fetched: %v", got)
	}
}

// TestHook changes a mailbox at the moment of a call.
func TestHook(t *testing.T) {
	srv := memory.New(memory.Options{})
	id := srv.Deliver("INBOX", merge.Flags{}, time.Time{}, msg(1))
	b := inbox(t, open(t, srv))
	var calls []string
	srv.OnCall(func(op, mailbox string) {
		calls = append(calls, op+" "+mailbox)
		if op == "Expunge" {
			if err := srv.SetFlags("INBOX", id, merge.NewFlags(`\Flagged`)); err != nil {
				t.Error(err)
			}
		}
	})
	res, err := b.Expunge(t.Context(), []drivers.Removal{{ID: id}})
	if err != nil || !errors.Is(res[0], drivers.ErrChanged) {
		t.Errorf("expunge of a message whose flags changed just now: %v, %v", res, err)
	}
	srv.OnCall(nil)
	observe(t, b, "", drivers.Delta)
	if !slices.Equal(calls, []string{"Expunge INBOX"}) {
		t.Errorf("calls: %q", calls)
	}
}

func TestHandErrors(t *testing.T) {
	srv := memory.New(memory.Options{})
	_, err := srv.Move("INBOX", "1:1", "A")
	for what, c := range map[string][2]error{
		"flags of a missing message":  {srv.SetFlags("INBOX", "1:9", merge.Flags{}), drivers.ErrGone},
		"removal of a missing one":    {srv.Remove("INBOX", "1:9"), drivers.ErrGone},
		"removal in no mailbox":       {srv.Remove("None", "1:9"), drivers.ErrNoMailbox},
		"move of a missing one":       {err, drivers.ErrGone},
		"bump of no mailbox":          {srv.BumpValidity("None"), drivers.ErrNoMailbox},
		"rename of no mailbox":        {srv.RenameMailbox("None", "Some"), drivers.ErrNoMailbox},
		"rename to one that is there": {srv.RenameMailbox("INBOX", "INBOX"), drivers.ErrExists},
		"deletion of no mailbox":      {srv.DeleteMailbox("None"), drivers.ErrNoMailbox},
	} {
		if !errors.Is(c[0], c[1]) {
			t.Errorf("%s: %v, want %v", what, c[0], c[1])
		}
	}
	if err := open(t, srv).Delete(t.Context(), "INBOX"); err == nil {
		t.Error("INBOX can be deleted")
	}
}

// TestCase wants names that differ in case to be one mailbox where the store folds, and INBOX always.
func TestCase(t *testing.T) {
	for _, fold := range []bool{false, true} {
		srv := memory.New(memory.Options{FoldCase: fold})
		s := open(t, srv)
		for _, name := range []string{"inbox", "Work", "WORK"} {
			if err := s.Create(t.Context(), name); err != nil {
				t.Fatal(err)
			}
		}
		want := 3
		if fold {
			want = 2
		}
		if got := len(srv.Snapshot()); got != want {
			t.Errorf("fold %v: %d mailboxes, want %d", fold, got, want)
		}
	}
}
