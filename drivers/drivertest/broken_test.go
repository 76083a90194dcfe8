package drivertest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
)

// broken is a store with one bug that a driver may have. What is nil works as it should.
type broken struct {
	test     string // the part of the suite that must find it
	opt      memory.Options
	traits   func(*drivertest.Traits)
	store    func(drivers.Store) drivers.Store
	mailbox  func(drivers.Mailbox) drivers.Mailbox
	openLeak bool
}

type brokenStore struct {
	drivers.Store
	b broken
}

func (s brokenStore) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	if err != nil || s.b.mailbox == nil {
		return m, err
	}
	return s.b.mailbox(m), nil
}

// box overrides single methods of a mailbox.
type box struct {
	drivers.Mailbox
	changes  func(context.Context, drivers.Mailbox, drivers.Cursor, drivers.Scope, func(drivers.Entry) error) (drivers.Observed, error)
	describe func(drivers.Description) drivers.Description
	fetch    func(drivers.Fetched) drivers.Fetched
	append   func(drivers.Mailbox, context.Context, []drivers.Append) ([]drivers.Appended, error)
	setFlags func(drivers.Mailbox, context.Context, []drivers.FlagChange) ([]drivers.FlagResult, error)
	expunge  func(drivers.Mailbox, context.Context, []drivers.Removal) ([]error, error)
	move     func(drivers.Mailbox, context.Context, []merge.ID, string) ([]drivers.Moved, error)
	since    func(drivers.Mailbox, context.Context, drivers.Mark, func(drivers.Description) error) error
	look     func(drivers.Entry) (drivers.Entry, bool)
	ctx      func(context.Context) context.Context
}

func (b box) Changes(ctx context.Context, since drivers.Cursor, scope drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	if b.changes != nil {
		return b.changes(ctx, b.Mailbox, since, scope, yield)
	}
	return b.Mailbox.Changes(ctx, since, scope, yield)
}

func (b box) Describe(ctx context.Context, ids []merge.ID, yield func(drivers.Description) error) error {
	return b.Mailbox.Describe(ctx, ids, func(d drivers.Description) error {
		if b.describe != nil {
			d = b.describe(d)
		}
		return yield(d)
	})
}

func (b box) Look(ctx context.Context, ids []merge.ID, yield func(drivers.Entry) error) error {
	return b.Mailbox.Look(ctx, ids, func(e drivers.Entry) error {
		if b.look != nil {
			x, ok := b.look(e)
			if !ok {
				return nil
			}
			e = x
		}
		return yield(e)
	})
}

func (b box) Fetch(ctx context.Context, ids []merge.ID, yield func(drivers.Fetched) error) error {
	if b.ctx != nil {
		ctx = b.ctx(ctx)
	}
	return b.Mailbox.Fetch(ctx, ids, func(f drivers.Fetched) error {
		if b.fetch != nil {
			f = b.fetch(f)
		}
		return yield(f)
	})
}

func (b box) Since(ctx context.Context, m drivers.Mark, yield func(drivers.Description) error) error {
	if b.since != nil {
		return b.since(b.Mailbox, ctx, m, yield)
	}
	return b.Mailbox.Since(ctx, m, yield)
}

func (b box) Append(ctx context.Context, m []drivers.Append) ([]drivers.Appended, error) {
	if b.append != nil {
		return b.append(b.Mailbox, ctx, m)
	}
	return b.Mailbox.Append(ctx, m)
}

func (b box) SetFlags(ctx context.Context, c []drivers.FlagChange) ([]drivers.FlagResult, error) {
	if b.setFlags != nil {
		return b.setFlags(b.Mailbox, ctx, c)
	}
	return b.Mailbox.SetFlags(ctx, c)
}

func (b box) Expunge(ctx context.Context, r []drivers.Removal) ([]error, error) {
	if b.expunge != nil {
		return b.expunge(b.Mailbox, ctx, r)
	}
	return b.Mailbox.Expunge(ctx, r)
}

func (b box) Move(ctx context.Context, ids []merge.ID, to string) ([]drivers.Moved, error) {
	if b.move != nil {
		return b.move(b.Mailbox, ctx, ids, to)
	}
	return b.Mailbox.Move(ctx, ids, to)
}

// with returns a mailbox function that overrides methods.
func with(b box) func(drivers.Mailbox) drivers.Mailbox {
	return func(m drivers.Mailbox) drivers.Mailbox { b.Mailbox = m; return b }
}

// edit returns a changes function that edits or drops entries and the end.
func edit(entry func(drivers.Entry) (drivers.Entry, bool), end func(*drivers.Observed)) box {
	return box{changes: func(ctx context.Context, m drivers.Mailbox, c drivers.Cursor, s drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
		o, err := m.Changes(ctx, c, s, func(e drivers.Entry) error {
			if entry != nil {
				x, ok := entry(e)
				if !ok {
					return nil
				}
				e = x
			}
			return yield(e)
		})
		if end != nil && err == nil {
			end(&o)
		}
		return o, err
	}}
}

// content replaces what Fetch yields.
func content(f func([]byte) []byte) box {
	return box{fetch: func(x drivers.Fetched) drivers.Fetched {
		r, err := x.Content.Open()
		if err != nil {
			return x
		}
		var b bytes.Buffer
		_, _ = b.ReadFrom(r)
		_ = r.Close()
		_ = x.Content.Close()
		x.Content = drivers.Bytes(f(b.Bytes()))
		return x
	}}
}

type listStore struct {
	drivers.Store
	list   func(drivers.MailboxInfo) drivers.MailboxInfo
	name   func(string) string
	delete func(context.Context, drivers.Store, string) error
}

func (l listStore) List(ctx context.Context, seen map[string]drivers.Cursor) ([]drivers.MailboxInfo, error) {
	out, err := l.Store.List(ctx, seen)
	for i := range out {
		if l.list != nil {
			out[i] = l.list(out[i])
		}
	}
	return out, err
}

func (l listStore) Create(ctx context.Context, name string) error {
	if l.name != nil {
		name = l.name(name)
	}
	return l.Store.Create(ctx, name)
}

func (l listStore) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	if l.name != nil {
		name = l.name(name)
	}
	return l.Store.Open(ctx, name)
}

func (l listStore) Delete(ctx context.Context, name string) error {
	if l.delete != nil {
		return l.delete(ctx, l.Store, name)
	}
	return l.Store.Delete(ctx, name)
}

func stores(l listStore) func(drivers.Store) drivers.Store {
	return func(s drivers.Store) drivers.Store { l.Store = s; return l }
}

var bugs = map[string]broken{
	"none": {test: "Content"},
	"final newline added": {test: "Content/Bytes", mailbox: with(content(func(b []byte) []byte {
		if bytes.HasSuffix(b, []byte("\n")) {
			return b
		}
		return append(b, "\r\n"...)
	}))},
	"bare CR lost": {test: "Content/Bytes", mailbox: with(content(func(b []byte) []byte {
		return bytes.ReplaceAll(bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\r"), nil), []byte("\n"), []byte("\r\n"))
	}))},
	"cut at NUL":          {test: "Content/Bytes", mailbox: with(content(func(b []byte) []byte { c, _, _ := bytes.Cut(b, []byte{0}); return c }))},
	"alters the body":     {test: "Content/Bytes", opt: memory.Options{Alter: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("This"), []byte("That")) }}, traits: func(t *drivertest.Traits) { t.Alters = true }},
	"big cut":             {test: "Content/Big", mailbox: with(content(func(b []byte) []byte { return b[:min(len(b), 1<<20)] }))},
	"date lost":           {test: "Content/Dates", mailbox: with(box{fetch: func(f drivers.Fetched) drivers.Fetched { f.Date = f.Date.Add(time.Hour); return f }})},
	"size of LF form":     {test: "Observe/Describe", mailbox: with(box{describe: func(d drivers.Description) drivers.Description { d.Size--; return d }})},
	"no identity":         {test: "Content/Bytes", mailbox: with(box{describe: func(d drivers.Description) drivers.Description { d.Identity = merge.Identity{}; return d }})},
	"too big is accepted": {test: "Content/TooBig", opt: memory.Options{MaxMessage: 1 << 20, Refuse: func(b []byte) error { return nil }}, mailbox: with(box{append: ignoreTooBig})},
	"keywords lost":       {test: "Flags/Keywords", opt: memory.Options{FixedKeywords: true}, mailbox: func(m drivers.Mailbox) drivers.Mailbox { return lyingStatus{m} }},
	"results unordered": {test: "Flags/Many", mailbox: with(box{setFlags: func(m drivers.Mailbox, ctx context.Context, c []drivers.FlagChange) ([]drivers.FlagResult, error) {
		r, err := m.SetFlags(ctx, c)
		slices.Reverse(r)
		return r, err
	}})},
	"flags of the gone": {test: "Flags/Gone", mailbox: with(box{setFlags: func(m drivers.Mailbox, ctx context.Context, c []drivers.FlagChange) ([]drivers.FlagResult, error) {
		r, err := m.SetFlags(ctx, c)
		for i := range r {
			r[i].Err = nil
		}
		return r, err
	}})},
	"flags replaced": {test: "Flags/Gone", mailbox: with(box{setFlags: func(m drivers.Mailbox, ctx context.Context, c []drivers.FlagChange) ([]drivers.FlagResult, error) {
		c = slices.Clone(c)
		for i := range c {
			c[i].Remove = merge.NewFlags(`\Draft`).Minus(c[i].Add)
		}
		return m.SetFlags(ctx, c)
	}})},
	"gone not told":    {test: "Changes/EachKind", mailbox: with(edit(func(e drivers.Entry) (drivers.Entry, bool) { return e, !e.Gone }, nil))},
	"flags not told":   {test: "Changes/EachKind", mailbox: with(edit(func(e drivers.Entry) (drivers.Entry, bool) { e.FlagsKnown = false; return e, true }, nil))},
	"never all":        {test: "Changes/EachKind", mailbox: with(edit(nil, func(o *drivers.Observed) { o.All = false }))},
	"count wrong":      {test: "Changes/EachKind", mailbox: with(edit(nil, func(o *drivers.Observed) { o.Count++ }))},
	"never quiet":      {test: "Changes/EachKind", mailbox: with(box{changes: alwaysFull})},
	"expunges lost":    {test: "Changes/OldCursors", opt: memory.Options{Mode: memory.CondStore}},
	"cursor too new":   {test: "Changes/DuringYield", mailbox: with(box{changes: newerCursor})},
	"seems gone":       {test: "Changes/NoneGoneWhileFlagged", mailbox: with(edit(nil, func(o *drivers.Observed) { o.Count-- }))},
	"no reset":         {test: "Changes/Replaced", mailbox: with(edit(nil, func(o *drivers.Observed) { o.Reset = false }))},
	"yielded twice":    {test: "Changes/Own", mailbox: with(box{changes: twice})},
	"yield goes on":    {test: "Changes/YieldFails", mailbox: with(box{changes: deafToYield})},
	"unchanged always": {test: "Mailboxes/ListUnchanged", store: stores(listStore{list: func(i drivers.MailboxInfo) drivers.MailboxInfo { i.Unchanged = true; return i }})},
	"names folded":     {test: "Mailboxes/Names", store: stores(listStore{name: strings.ToLower})},
	"names composed":   {test: "Mailboxes/Names", store: stores(listStore{name: func(s string) string { return strings.ReplaceAll(s, "e\u0301", "é") }})},
	"percent decoded":  {test: "Mailboxes/Names", store: stores(listStore{name: func(s string) string { return strings.ReplaceAll(s, "%41", "A") }})},
	"dots collapse":    {test: "Mailboxes/NamesStayInside", store: stores(listStore{name: func(s string) string { return strings.TrimPrefix(s, "./") }})},
	"children deleted": {test: "Mailboxes/Delete", store: stores(listStore{delete: func(ctx context.Context, s drivers.Store, n string) error {
		_ = s.Delete(ctx, n+"/Child")
		return s.Delete(ctx, n)
	}})},
	"look skips gone": {test: "Observe/Look", mailbox: with(box{look: func(e drivers.Entry) (drivers.Entry, bool) { return e, !e.Gone }})},
	"since skips": {test: "Observe/Since", mailbox: with(box{since: func(drivers.Mailbox, context.Context, drivers.Mark, func(drivers.Description) error) error {
		return nil
	}})},
	"reserved twice":    {test: "Observe/ReserveTwice", opt: memory.Options{Reserves: true}, traits: func(t *drivertest.Traits) { t.Reserves = true }, mailbox: with(box{append: forgetReserved})},
	"unguarded expunge": {test: "Effects/ExpungeChanged", opt: memory.Options{NoChanged: true}},
	"expunges all":      {test: "Effects/ExpungeJustThese", mailbox: with(box{expunge: expungeDeleted})},
	"gone not done": {test: "Effects/Expunge", mailbox: with(box{expunge: func(m drivers.Mailbox, ctx context.Context, r []drivers.Removal) ([]error, error) {
		there := map[merge.ID]bool{}
		_ = m.Look(ctx, idsOf(r), func(e drivers.Entry) error { there[e.ID] = !e.Gone; return nil })
		res, err := m.Expunge(ctx, r)
		for i := range res {
			if !there[r[i].ID] {
				res[i] = drivers.ErrGone
			}
		}
		return res, err
	}})},
	"move unordered": {test: "Effects/Move", mailbox: with(box{move: func(m drivers.Mailbox, ctx context.Context, ids []merge.ID, to string) ([]drivers.Moved, error) {
		r, err := m.Move(ctx, ids, to)
		slices.Reverse(r)
		return r, err
	}})},
	"context ignored": {test: "Rough/Cancelled", mailbox: with(box{ctx: context.WithoutCancel})},
	"goroutine leaks": {test: "Rough/Stats", openLeak: true},
}

func idsOf(r []drivers.Removal) []merge.ID {
	var ids []merge.ID
	for _, x := range r {
		ids = append(ids, x.ID)
	}
	return ids
}

type lyingStatus struct{ drivers.Mailbox }

func (l lyingStatus) Status() drivers.Status {
	s := l.Mailbox.Status()
	s.NewKeywords = true
	return s
}

func ignoreTooBig(m drivers.Mailbox, ctx context.Context, msgs []drivers.Append) ([]drivers.Appended, error) {
	r, err := m.Append(ctx, msgs)
	for i := range r {
		if errors.Is(r[i].Err, drivers.ErrTooBig) {
			r[i].Err = errors.New("no idea why")
		}
	}
	return r, err
}

func forgetReserved(m drivers.Mailbox, ctx context.Context, msgs []drivers.Append) ([]drivers.Appended, error) {
	msgs = slices.Clone(msgs)
	want := make([]merge.ID, len(msgs))
	for i := range msgs {
		want[i], msgs[i].Reserved = msgs[i].Reserved, ""
	}
	r, err := m.Append(ctx, msgs)
	for i := range r {
		r[i].ID = want[i]
	}
	return r, err
}

func expungeDeleted(m drivers.Mailbox, ctx context.Context, rs []drivers.Removal) ([]error, error) {
	var more []drivers.Removal
	_, err := m.Changes(ctx, "", drivers.Full, func(e drivers.Entry) error {
		if e.Flags.Has(merge.NewFlags(`\Deleted`)) {
			more = append(more, drivers.Removal{ID: e.ID, Seen: e.Flags})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r, err := m.Expunge(ctx, append(slices.Clone(rs), more...))
	return r[:len(rs)], err
}

func alwaysFull(ctx context.Context, m drivers.Mailbox, _ drivers.Cursor, _ drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	return m.Changes(ctx, "", drivers.Full, yield)
}

// newerCursor takes the cursor after everything was yielded.
func newerCursor(ctx context.Context, m drivers.Mailbox, c drivers.Cursor, s drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	o, err := m.Changes(ctx, c, s, yield)
	if err != nil {
		return o, err
	}
	later, err := m.Changes(ctx, "", drivers.Full, func(drivers.Entry) error { return nil })
	o.Cursor = later.Cursor
	return o, err
}

func twice(ctx context.Context, m drivers.Mailbox, c drivers.Cursor, s drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	return m.Changes(ctx, c, s, func(e drivers.Entry) error {
		if err := yield(e); err != nil {
			return err
		}
		return yield(e)
	})
}

func deafToYield(ctx context.Context, m drivers.Mailbox, c drivers.Cursor, s drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	var first error
	o, err := m.Changes(ctx, c, s, func(e drivers.Entry) error {
		if err := yield(e); first == nil {
			first = err
		}
		return nil
	})
	return o, errors.Join(first, err)
}

const bugVariable = "DRIVERTEST_BUG"

// TestBroken is run by TestSuiteFinds in a process of its own: it is to fail.
func TestBroken(t *testing.T) {
	b, ok := bugs[os.Getenv(bugVariable)]
	if !ok {
		t.Skip("run by TestSuiteFinds")
	}
	drivertest.Run(t, func(t *testing.T) drivertest.Subject {
		srv := memory.New(b.opt)
		traits := drivertest.Traits{TellsIDs: true, TellsGone: true, Quiet: true, Unchanged: true, Counts: true, Guards: true, Subscribes: true}
		if b.traits != nil {
			b.traits(&traits)
		}
		stop := make(chan struct{})
		t.Cleanup(func() { close(stop) })
		return drivertest.Subject{Traits: traits, Hand: userHand{srv}, Open: func(ctx context.Context) (drivers.Store, error) {
			if b.openLeak {
				go func() { <-stop }()
			}
			s, err := srv.Open(ctx)
			if err != nil {
				return nil, err
			}
			s = brokenStore{s, b}
			if b.store != nil {
				s = b.store(s)
			}
			return s, nil
		}}
	})
}

type userHand struct{ *memory.Server }

func (h userHand) Deliver(mailbox string, flags merge.Flags, date time.Time, data []byte) error {
	h.Server.Deliver(mailbox, flags, date, data)
	return nil
}

func (h userHand) Move(mailbox string, id merge.ID, to string) error {
	_, err := h.Server.Move(mailbox, id, to)
	return err
}

// TestSuiteFinds shows that the suite can fail: each bug is found by the part that is meant to find it.
func TestSuiteFinds(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range bugs {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), exe, "-test.v", "-test.run", fmt.Sprintf("^TestBroken$/^%s", strings.ReplaceAll(b.test, "/", "$/^")))
			cmd.Env = append(os.Environ(), bugVariable+"="+name)
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), "--- PASS: TestBroken/"+b.test) && !strings.Contains(string(out), "--- FAIL: TestBroken/"+b.test) {
				t.Fatalf("the test did not run: %v\n%s", err, out)
			}
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if failed := err != nil; failed != (name != "none") {
				t.Errorf("the suite failed: %v\n%s", failed, out)
			}
		})
	}
}
