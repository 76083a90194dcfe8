package imap_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/imap"
	"driftless/merge"
	"driftless/tests/harness"
)

// observe lists a mailbox and returns what was yielded.
func observe(t testing.TB, m drivers.Mailbox, since drivers.Cursor, scope drivers.Scope) (map[merge.ID]drivers.Entry, drivers.Observed) {
	t.Helper()
	out := map[merge.ID]drivers.Entry{}
	obs, err := m.Changes(context.Background(), since, scope, func(e drivers.Entry) error {
		if _, dup := out[e.ID]; dup {
			t.Errorf("%q is yielded twice", e.ID)
		}
		out[e.ID] = e
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, obs
}

func openBox(t testing.TB, st drivers.Store, name string) drivers.Mailbox {
	t.Helper()
	m, err := st.Open(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// letters are messages to append.
func letters(from, to int) []drivers.Append {
	var out []drivers.Append
	for n := from; n < to; n++ {
		out = append(out, drivers.Append{Date: time.Unix(1600000000+int64(n), 0), Content: drivers.Bytes(drivertest.Message(n, drivertest.MessageOptions{}))})
	}
	return out
}

func appendAll(t testing.TB, m drivers.Mailbox, msgs []drivers.Append) []merge.ID {
	t.Helper()
	res, err := m.Append(context.Background(), msgs)
	if err != nil {
		t.Fatal(err)
	}
	var ids []merge.ID
	for i, r := range res {
		if r.Err != nil {
			t.Fatalf("message %d: %v", i, r.Err)
		}
		ids = append(ids, r.ID)
	}
	return ids
}

// TestNothingToDo counts what a sync costs in which nothing changed: login and listing of 200 mailboxes in three round trips.
func TestNothingToDo(t *testing.T) {
	d := harness.StartDovecot(t, harness.Options{})
	c := d.Client("u")
	var names []string
	for i := range 200 {
		names = append(names, fmt.Sprintf("box %03d", i))
	}
	c.Create(names...)
	for i, name := range names {
		if i%10 == 0 {
			c.Append(name, harness.Letter{Body: drivertest.Message(i, drivertest.MessageOptions{})})
		}
	}
	first := open(t, options(t, d.Addr(), "u"))
	cursors := map[string]drivers.Cursor{}
	for _, name := range append(names, "INBOX") {
		_, obs := observe(t, openBox(t, first, name), "", drivers.Delta)
		cursors[name] = obs.Cursor
	}
	st := open(t, options(t, d.Addr(), "u"))
	infos, err := st.List(context.Background(), cursors)
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range infos {
		if !in.Unchanged {
			t.Errorf("%s is not said to be unchanged", in.Name)
		}
	}
	if id, err := st.Identity(context.Background()); err != nil || id == "" {
		t.Errorf("identity %q, %v", id, err)
	}
	if len(infos) != 201 {
		t.Errorf("%d mailboxes", len(infos))
	}
	if s := st.Stats(); s.RoundTrips != 3 {
		t.Errorf("%d round trips, %d bytes in; want 3: greeting, login, listing", s.RoundTrips, s.BytesIn)
	}
}

// TestDeltaCosts wants the cost of a delta to be that of the delta, not of the mailbox.
func TestDeltaCosts(t *testing.T) {
	for _, r := range []harness.Rung{harness.Full, harness.Condstore} {
		t.Run(r.String(), func(t *testing.T) {
			d := harness.StartDovecot(t, harness.Options{Rung: r})
			st := open(t, options(t, d.Addr(), "u"))
			m := openBox(t, st, "INBOX")
			ids := appendAll(t, m, letters(0, 2000))
			_, obs := observe(t, m, "", drivers.Delta)
			if !obs.All || obs.Count != 2000 {
				t.Fatalf("first observation: %+v", obs)
			}
			before := st.Stats()
			got, obs := observe(t, m, obs.Cursor, drivers.Delta)
			if len(got) != 0 || obs.All || obs.Count != 2000 {
				t.Errorf("nothing changed: %d entries, %+v", len(got), obs)
			}
			after := st.Stats()
			if n := after.RoundTrips - before.RoundTrips; n != 1 {
				t.Errorf("%d round trips", n)
			}
			if n := after.BytesIn - before.BytesIn; n > 2000 {
				t.Errorf("%d bytes in for nothing", n)
			}
			other := openBox(t, open(t, options(t, d.Addr(), "u")), "INBOX")
			if _, err := other.SetFlags(context.Background(), []drivers.FlagChange{{ID: ids[7], Add: merge.NewFlags(`\Flagged`, "work")}}); err != nil {
				t.Fatal(err)
			}
			if _, err := other.Expunge(context.Background(), []drivers.Removal{{ID: ids[9]}}); err != nil {
				t.Fatal(err)
			}
			got, obs = observe(t, m, obs.Cursor, drivers.Delta)
			if !got[ids[7]].Flags.Equal(merge.NewFlags(`\Flagged`, "work")) || obs.Count != 1999 {
				t.Errorf("flag change: %+v, %+v", got[ids[7]], obs)
			}
			_, present := got[ids[9]]
			switch {
			case r == harness.Full && (len(got) != 2 || !got[ids[9]].Gone || obs.All):
				t.Errorf("QRESYNC: %d entries, %+v", len(got), obs)
			case r == harness.Condstore && (!obs.All || present || len(got) != 1999):
				t.Errorf("CONDSTORE: %d entries, %+v", len(got), obs)
			}
		})
	}
}

// TestDisable goes down the ladder by configuration, on one server with everything.
func TestDisable(t *testing.T) {
	d := harness.StartDovecot(t, harness.Options{})
	for i, off := range [][]string{{"QRESYNC"}, {"QRESYNC", "CONDSTORE"}, {"UIDPLUS", "MOVE"}, {"LITERAL+"}, {"MULTIAPPEND"}, {"LITERAL+", "LITERAL-", "MULTIAPPEND"},
		{"ESEARCH", "QRESYNC"}, {"LIST-STATUS"}, {"LIST-EXTENDED", "LIST-STATUS"}, {"NAMESPACE"}, {"SASL-IR"}, {"SASL-IR", "AUTH=PLAIN"}, {"ENABLE"}, {"UNSELECT"}, {"BINARY"}} {
		t.Run(fmt.Sprint(off), func(t *testing.T) {
			o := options(t, d.Addr(), fmt.Sprintf("d%d", i))
			o.DisableExtensions = off
			st := open(t, o)
			ctx := context.Background()
			if err := st.Create(ctx, "Archiv/ä"); err != nil {
				t.Fatal(err)
			}
			m := openBox(t, st, "INBOX")
			ids := appendAll(t, m, letters(0, 20))
			for _, id := range ids {
				if id == "" {
					t.Fatal("an append without an id")
				}
			}
			_, obs := observe(t, m, "", drivers.Delta)
			res, err := m.SetFlags(ctx, []drivers.FlagChange{{ID: ids[1], Add: merge.NewFlags(`\Seen`)}, {ID: ids[2], Add: merge.NewFlags(`\Seen`)}})
			if err != nil || res[0].Err != nil || !res[1].Flags.Equal(merge.NewFlags(`\Seen`)) {
				t.Fatalf("flags: %+v, %v", res, err)
			}
			if errs, err := m.Expunge(ctx, []drivers.Removal{{ID: ids[3]}}); err != nil || errs[0] != nil {
				t.Fatalf("expunge: %v, %v", errs, err)
			}
			moved, err := m.Move(ctx, ids[4:6], "Archiv/ä")
			if err != nil || moved[0].Err != nil || moved[1].Err != nil {
				t.Fatalf("move: %+v, %v", moved, err)
			}
			got, obs := observe(t, m, obs.Cursor, drivers.Delta)
			if obs.Count != 17 || !got[ids[1]].Flags.Equal(merge.NewFlags(`\Seen`)) {
				t.Errorf("afterwards: %+v, %+v", got[ids[1]], obs)
			}
			infos, err := st.List(ctx, map[string]drivers.Cursor{"INBOX": obs.Cursor})
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, in := range infos {
				found = found || in.Name == "Archiv/ä" && in.Subscribed
			}
			if !found {
				t.Errorf("listing: %+v", infos)
			}
			if all, _ := observe(t, openBox(t, st, "Archiv/ä"), "", drivers.Full); len(all) != 2 {
				t.Errorf("%d messages moved", len(all))
			}
		})
	}
}

// TestSyncCosts counts the round trips of what a first sync does with each of several new mailboxes, one phase for all mailboxes after the other, on one
// connection: as it is, most of the time goes into waiting for a server that is far away.
func TestSyncCosts(t *testing.T) {
	for _, r := range harness.Rungs {
		t.Run(r.String(), func(t *testing.T) {
			ctx := context.Background()
			d := harness.StartDovecot(t, harness.Options{Rung: r})
			o := options(t, d.Addr(), "u")
			o.Connections = 1
			st := open(t, o)
			if _, err := st.List(ctx, nil); err != nil {
				t.Fatal(err)
			}
			names := []string{"a", "b/c", "d"}
			cursors := map[string]drivers.Cursor{}
			ids := map[string][]merge.ID{}
			each := func(phase string, store *imap.Store, want int64, f func(name string, m drivers.Mailbox)) {
				t.Helper()
				before := store.Stats().RoundTrips
				for _, name := range names {
					m, err := store.Open(ctx, name)
					if err != nil {
						t.Fatalf("%s: %v", phase, err)
					}
					f(name, m)
				}
				if n := store.Stats().RoundTrips - before; n != want*int64(len(names)) {
					t.Errorf("%s: %d round trips for %d mailboxes, want %d each", phase, n, len(names), want)
				}
			}
			before := st.Stats().RoundTrips
			for _, name := range names {
				if err := st.Create(ctx, name); err != nil {
					t.Fatal(err)
				}
			}
			if n := st.Stats().RoundTrips - before; n != int64(len(names)) {
				t.Errorf("create: %d round trips for %d mailboxes", n, len(names))
			}
			each("first look", st, 1, func(name string, m drivers.Mailbox) {
				if got, _ := observe(t, m, "", drivers.Delta); len(got) != 0 {
					t.Errorf("%d messages in a new mailbox", len(got))
				}
			})
			each("push", st, pushCosts[r], func(name string, m drivers.Mailbox) {
				mark, err := m.Mark(ctx)
				if err != nil || mark == "" {
					t.Fatal(err)
				}
				ids[name] = appendAll(t, m, letters(0, 3))
			})
			each("second look", st, 1, func(name string, m drivers.Mailbox) {
				if n := m.Status().Messages; n != 3 {
					t.Errorf("opening %q tells %d messages", name, n)
				}
				got, obs := observe(t, m, "", drivers.Delta)
				if len(got) != 3 {
					t.Errorf("%d messages", len(got))
				}
				cursors[name] = obs.Cursor
			})
			pull := open(t, o)
			if _, err := pull.List(ctx, nil); err != nil {
				t.Fatal(err)
			}
			each("open", pull, 1, func(string, drivers.Mailbox) {})
			each("list", pull, 1, func(name string, m drivers.Mailbox) {
				if got, _ := observe(t, m, "", drivers.Delta); len(got) != 3 {
					t.Errorf("%d messages", len(got))
				}
			})
			each("fetch", pull, 1, func(name string, m drivers.Mailbox) {
				n := 0
				err := m.Fetch(ctx, ids[name], func(f drivers.Fetched) error { n++; return errors.Join(f.Err, f.Content.Close()) })
				if err != nil || n != 3 {
					t.Errorf("%d messages fetched: %v", n, err)
				}
			})
			each("look", pull, 1, func(name string, m drivers.Mailbox) {
				n := 0
				if err := m.Look(ctx, ids[name], func(e drivers.Entry) error { n++; return nil }); err != nil || n != 3 {
					t.Errorf("%d messages looked at: %v", n, err)
				}
			})
			each("describe", pull, 1, func(name string, m drivers.Mailbox) {
				n := 0
				if err := m.Describe(ctx, ids[name], func(drivers.Description) error { n++; return nil }); err != nil || n != 3 {
					t.Errorf("%d messages described: %v", n, err)
				}
			})
		})
	}
}

// pushCosts are the round trips of a mark and an append of three messages: without LITERAL+ each message waits for leave, and without
// UIDPLUS the ids must be found out.
var pushCosts = map[harness.Rung]int64{harness.Full: 2, harness.Condstore: 1 + 3*2, harness.Plain: 1 + 1 + 3*2 + 2}

// TestOpenAgain wants an opening from memory to notice what this store did itself, and every question to notice what others did.
func TestOpenAgain(t *testing.T) {
	d := harness.StartDovecot(t, harness.Options{})
	ctx := context.Background()
	st := open(t, options(t, d.Addr(), "u"))
	for _, name := range []string{"own", "others", "old", "replaced"} {
		if err := st.Create(ctx, name); err != nil {
			t.Fatal(err)
		}
		appendAll(t, openBox(t, st, name), letters(0, 1))
	}
	if err := st.Delete(ctx, "own"); err != nil {
		t.Fatal(err)
	}
	if err := st.Rename(ctx, "old", "new"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"own", "old"} {
		if _, err := st.Open(ctx, name); !errors.Is(err, drivers.ErrNoMailbox) {
			t.Errorf("open %q: %v", name, err)
		}
	}
	ids, _ := observe(t, openBox(t, st, "replaced"), "", drivers.Full)
	other := open(t, options(t, d.Addr(), "u"))
	for _, name := range []string{"others", "replaced"} {
		if err := other.Delete(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Create(ctx, "replaced"); err != nil {
		t.Fatal(err)
	}
	nothing := func(drivers.Entry) error { return nil }
	if m, err := st.Open(ctx, "others"); err == nil {
		if _, err := m.Changes(ctx, "", drivers.Full, nothing); !errors.Is(err, drivers.ErrNoMailbox) {
			t.Errorf("changes of a mailbox that others deleted: %v", err)
		}
	} else if !errors.Is(err, drivers.ErrNoMailbox) {
		t.Error(err)
	}
	if _, err := st.Open(ctx, "others"); !errors.Is(err, drivers.ErrNoMailbox) {
		t.Errorf("open again: %v", err)
	}
	m := openBox(t, st, "replaced")
	for id := range ids {
		one := []merge.ID{id}
		fetched := func(f drivers.Fetched) error { return errors.New("a message of the mailbox that was replaced") }
		if err := m.Fetch(ctx, one, fetched); !errors.Is(err, drivers.ErrStale) {
			t.Errorf("fetch: %v", err)
		}
		if err := m.Look(ctx, one, nothing); !errors.Is(err, drivers.ErrStale) {
			t.Errorf("look: %v", err)
		}
		if err := m.Describe(ctx, one, func(drivers.Description) error { return nil }); !errors.Is(err, drivers.ErrStale) {
			t.Errorf("describe: %v", err)
		}
	}
	infos, err := st.List(ctx, nil)
	if err != nil || len(infos) != 3 {
		t.Errorf("%d mailboxes, %v", len(infos), err)
	}
}

// TestFewerConnections goes on when the server allows fewer connections than the configuration.
func TestFewerConnections(t *testing.T) {
	d := harness.StartDovecot(t, harness.Options{MaxConnections: 2})
	o := options(t, d.Addr(), "u")
	o.Connections = 8
	st := open(t, o)
	names := make([]string, 12)
	for i := range names {
		names[i] = fmt.Sprintf("b%d", i)
		if err := st.Create(context.Background(), names[i]); err != nil {
			t.Fatal(err)
		}
	}
	errs := make(chan error, len(names))
	for i, name := range names {
		go func() { errs <- fill(st, name, i) }()
	}
	for range names {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func fill(st *imap.Store, name string, n int) error {
	m, err := st.Open(context.Background(), name)
	if err != nil {
		return err
	}
	res, err := m.Append(context.Background(), letters(n*10, n*10+10))
	if err != nil {
		return err
	}
	for _, r := range res {
		if r.Err != nil {
			return r.Err
		}
	}
	return m.Close()
}
