package drivertest

import (
	"bytes"
	"io"
	"maps"
	"slices"

	"driftless/drivers"
	"driftless/merge"
)

// seen is what one Changes yielded.
type seen struct {
	entries []drivers.Entry
	byID    map[merge.ID]drivers.Entry
	end     drivers.Observed
}

// changes calls Changes in a mailbox that nobody else changes and checks what is true of every such observation.
func (e *env) changes(b drivers.Mailbox, since drivers.Cursor, scope drivers.Scope) seen {
	e.Helper()
	s := e.changesAmid(b, since, scope)
	if scope != drivers.Delta && !s.end.All {
		e.Errorf("Changes in scope %d: not All", scope)
	}
	return s
}

// changesAmid calls Changes while others may change the mailbox all the time, which a store may be unable to list completely, and checks what is true of
// every observation.
func (e *env) changesAmid(b drivers.Mailbox, since drivers.Cursor, scope drivers.Scope) seen {
	e.Helper()
	s := seen{byID: map[merge.ID]drivers.Entry{}}
	var err error
	s.end, err = b.Changes(e.ctx, since, scope, func(x drivers.Entry) error {
		if _, twice := s.byID[x.ID]; twice {
			e.Errorf("Changes yields %q twice", x.ID)
		}
		s.byID[x.ID] = x
		s.entries = append(s.entries, x)
		return nil
	})
	e.ok("changes", err)
	if s.end.Reset && !s.end.All {
		e.Error("Changes: Reset without All")
	}
	if s.end.Cursor == "" {
		e.Error("Changes: empty cursor")
	}
	present := 0
	for id, x := range s.byID {
		switch {
		case id == "":
			e.Error("Changes yields an empty id")
		case x.Gone:
			continue
		case !x.FlagsKnown && scope == drivers.Full:
			e.Errorf("Changes in scope Full: flags of %q are not known", id)
		case !x.FlagsKnown && (since == "" || s.end.Reset):
			e.Errorf("Changes without a cursor that counts: flags of %q are not known", id)
		}
		present++
	}
	if (s.end.All || scope != drivers.Delta) && present != s.end.Count {
		e.Errorf("Changes in scope %d: %d messages yielded, All is %v, and Count is %d", scope, present, s.end.All, s.end.Count)
	}
	return s
}

// apply returns what a caller who knew base knows after the observation.
func (e *env) apply(base map[merge.ID]merge.Flags, s seen) map[merge.ID]merge.Flags {
	e.Helper()
	out := map[merge.ID]merge.Flags{}
	if !s.end.All {
		maps.Copy(out, base)
	}
	for id, x := range s.byID {
		if x.Gone {
			delete(out, id)
			continue
		}
		f := x.Flags
		if !x.FlagsKnown {
			old, ok := base[id]
			if !ok {
				e.Errorf("Changes yields %q, which is new, without its flags", id)
			}
			f = old
		}
		out[id] = f
	}
	return out
}

// full lists a mailbox in full: flags by id.
func (e *env) full(b drivers.Mailbox) map[merge.ID]merge.Flags {
	e.Helper()
	return e.apply(nil, e.changes(b, "", drivers.Full))
}

// cursor returns a cursor that covers everything.
func (e *env) cursor(b drivers.Mailbox) drivers.Cursor {
	e.Helper()
	return e.changes(b, "", drivers.Full).end.Cursor
}

// fetched is a message as Fetch gave it, read to its end.
type fetched struct {
	drivers.Fetched
	data []byte
}

func (e *env) fetch(b drivers.Mailbox, ids ...merge.ID) map[merge.ID]fetched {
	e.Helper()
	out := map[merge.ID]fetched{}
	e.ok("fetch", b.Fetch(e.ctx, ids, func(f drivers.Fetched) error {
		if _, twice := out[f.ID]; twice {
			e.Errorf("Fetch yields %q twice", f.ID)
		}
		out[f.ID] = fetched{f, e.read(f)}
		return nil
	}))
	return out
}

// read reads a content twice and closes it.
func (e *env) read(f drivers.Fetched) []byte {
	e.Helper()
	if f.Err != nil {
		e.Errorf("fetch %q: %v", f.ID, f.Err)
		return nil
	}
	var data [2][]byte
	for i := range data {
		r, err := f.Content.Open()
		e.ok("open content", err)
		data[i], err = io.ReadAll(r)
		e.ok("read content", err)
		e.ok("close reader", r.Close())
		if int64(len(data[i])) != f.Content.Size() {
			e.Errorf("content of %q has %d bytes, Size says %d", f.ID, len(data[i]), f.Content.Size())
		}
	}
	if !bytes.Equal(data[0], data[1]) {
		e.Errorf("content of %q differs when read again", f.ID)
	}
	e.ok("close content", f.Content.Close())
	return data[0]
}

func (e *env) describe(b drivers.Mailbox, ids ...merge.ID) map[merge.ID]drivers.Description {
	e.Helper()
	out := map[merge.ID]drivers.Description{}
	e.ok("describe", b.Describe(e.ctx, ids, func(d drivers.Description) error {
		if _, twice := out[d.ID]; twice {
			e.Errorf("Describe yields %q twice", d.ID)
		}
		out[d.ID] = d
		return nil
	}))
	return out
}

func (e *env) look(b drivers.Mailbox, ids ...merge.ID) map[merge.ID]drivers.Entry {
	e.Helper()
	out := map[merge.ID]drivers.Entry{}
	e.ok("look", b.Look(e.ctx, ids, func(x drivers.Entry) error {
		if _, twice := out[x.ID]; twice {
			e.Errorf("Look yields %q twice", x.ID)
		}
		out[x.ID] = x
		return nil
	}))
	return out
}

func (e *env) since(b drivers.Mailbox, m drivers.Mark) map[merge.ID]drivers.Description {
	e.Helper()
	out := map[merge.ID]drivers.Description{}
	e.ok("since", b.Since(e.ctx, m, func(d drivers.Description) error {
		if _, twice := out[d.ID]; twice {
			e.Errorf("Since yields %q twice", d.ID)
		}
		out[d.ID] = d
		return nil
	}))
	return out
}

// item is a message to append in a test.
type item struct {
	data  []byte
	flags merge.Flags
	n     int // its number, for the date
}

// numbered returns messages with these numbers.
func numbered(numbers ...int) []item {
	var out []item
	for _, n := range numbers {
		out = append(out, item{Message(n, MessageOptions{NoMessageID: n%5 == 4, Multipart: n%3 == 2}), MessageFlags(n), n})
	}
	return out
}

// upTo returns the numbers from a to b-1.
func upTo(a, b int) []int {
	var out []int
	for ; a < b; a++ {
		out = append(out, a)
	}
	return out
}

// appendAll appends and checks what is true of every answer.
func (e *env) appendAll(b drivers.Mailbox, items ...item) []drivers.Appended {
	e.Helper()
	var msgs []drivers.Append
	for _, i := range items {
		msgs = append(msgs, drivers.Append{Reserved: b.Reserve(), Flags: i.flags, Date: MessageDate(i.n), Content: drivers.Bytes(i.data)})
	}
	res, err := b.Append(e.ctx, msgs)
	e.ok("append", err)
	if len(res) != len(msgs) {
		e.Fatalf("append: %d results for %d messages", len(res), len(msgs))
	}
	for i, r := range res {
		if r.Err == nil && r.ID == "" && e.sub.TellsIDs {
			e.Errorf("append: no id told for message %d", i)
		}
		if r.Err == nil && msgs[i].Reserved != "" && r.ID != msgs[i].Reserved {
			e.Errorf("append: id is %q, %q was reserved", r.ID, msgs[i].Reserved)
		}
	}
	return res
}

// put appends messages with the given numbers and returns their ids, found out where they were not told.
func (e *env) put(b drivers.Mailbox, numbers ...int) []merge.ID {
	e.Helper()
	return e.putItems(b, numbered(numbers...)...)
}

func (e *env) putItems(b drivers.Mailbox, items ...item) []merge.ID {
	e.Helper()
	before := e.full(b)
	res := e.appendAll(b, items...)
	var fresh []merge.ID
	for id := range e.full(b) {
		if _, old := before[id]; !old {
			fresh = append(fresh, id)
		}
	}
	if len(fresh) != len(items) {
		e.Fatalf("%d messages were appended, %d are new", len(items), len(fresh))
	}
	descs := e.describe(b, fresh...)
	out := make([]merge.ID, len(items))
	for i, r := range res {
		e.ok("append", r.Err)
		want, _ := digest(items[i].data)
		if r.ID != "" {
			out[i] = r.ID
			if !slices.Contains(fresh, r.ID) {
				e.Fatalf("append says that message %d is %q, but that is not new", i, r.ID)
			}
			if !e.sub.Alters && descs[r.ID].Identity.Header != want.Header {
				e.Errorf("append says that message %d is %q, but that is another one", i, r.ID)
			}
			continue
		}
		for _, id := range fresh {
			if !slices.Contains(out, id) && descs[id].Identity.Header == want.Header {
				out[i] = id
				break
			}
		}
		if out[i] == "" {
			e.Fatalf("appended message %d is not found", i)
		}
	}
	return out
}

// numbers returns which numbered message each id is, by its identity.
func (e *env) numbers(b drivers.Mailbox, ids []merge.ID, known map[uint64]int) map[merge.ID]int {
	e.Helper()
	out := map[merge.ID]int{}
	for id, d := range e.describe(b, ids...) {
		n, ok := known[d.Identity.Header]
		if !ok {
			e.Fatalf("message %q has an identity that no message of the test has", id)
		}
		out[id] = n
	}
	return out
}

// sameFlags reports whether both maps are equal.
func sameFlags(a, b map[merge.ID]merge.Flags) bool {
	return maps.EqualFunc(a, b, merge.Flags.Equal)
}

// wantFlags fails the test unless got is want.
func (e *env) wantFlags(what string, got, want map[merge.ID]merge.Flags) {
	e.Helper()
	if sameFlags(got, want) {
		return
	}
	for id, f := range want {
		if g, ok := got[id]; !ok {
			e.Errorf("%s: %q %v is missing", what, id, f)
		} else if !g.Equal(f) {
			e.Errorf("%s: %q has flags %v, want %v", what, id, g, f)
		}
	}
	for id, g := range got {
		if _, ok := want[id]; !ok {
			e.Errorf("%s: %q %v should not be there", what, id, g)
		}
	}
}

// names lists the store's mailboxes by name.
func (e *env) list(seen map[string]drivers.Cursor) map[string]drivers.MailboxInfo {
	e.Helper()
	l, err := e.store.List(e.ctx, seen)
	e.ok("list", err)
	out := map[string]drivers.MailboxInfo{}
	for _, i := range l {
		if _, twice := out[i.Name]; twice {
			e.Errorf("List has %q twice", i.Name)
		}
		out[i.Name] = i
	}
	return out
}
