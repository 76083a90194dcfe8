package drivertest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"driftless/drivers"
	"driftless/merge"
)

var mailboxTests = []test{
	{"Mailboxes/Inbox", testInbox},
	{"Mailboxes/Names", testNames},
	{"Mailboxes/NamesStayInside", testNamesStayInside},
	{"Mailboxes/CreateParents", testCreateParents},
	{"Mailboxes/Rename", testRename},
	{"Mailboxes/Delete", testDelete},
	{"Mailboxes/Missing", testMissing},
	{"Mailboxes/ListUnchanged", testListUnchanged},
	{"Mailboxes/Info", testInfo},
}

func testInbox(e *env) {
	got := e.list(nil)
	i, ok := got["INBOX"]
	if !ok || i.NoSelect {
		e.Fatalf("List has no INBOX that can be opened: %v", slices.Collect(maps.Keys(got)))
	}
	b := e.box("INBOX")
	if b.Name() != "INBOX" {
		e.Errorf("the inbox is called %q", b.Name())
	}
	if n := b.Status().Messages; n != 0 {
		e.Errorf("INBOX is not empty: %d", n)
	}
	e.put(b, 1, 2, 3)
	if n := e.box("INBOX").Status().Messages; n != 3 {
		e.Errorf("Status tells %d messages, there are 3", n)
	}
	i = e.list(nil)["INBOX"]
	switch {
	case e.sub.Counts && i.Messages != 3:
		e.Errorf("List tells %d messages, there are 3", i.Messages)
	case !e.sub.Counts && i.Messages != -1 && i.Messages != 3:
		e.Errorf("List tells %d messages, there are 3 (-1 is allowed)", i.Messages)
	}
	e.ok("create INBOX, which exists", e.store.Create(e.ctx, "INBOX"))
	if len(e.full(b)) != 3 {
		e.Error("creating INBOX again changed what is in it")
	}
}

// oddNames are names that some store cannot hold as they are.
func oddNames() []string {
	return []string{
		"plain", "two words", " leading and trailing ", "Entwürfe", "日本語", "emoji 😀", "e\u0301 decomposed", "é composed",
		`quo"te`, "apo'strophe", `back\slash`, "100%", "%2e", "%41", "a.b", ".hidden", "trailing.", "...", "&amp", "&AOQ-", "a&b", "*star*", "{5}",
		"(paren)", "[bracket]", "ti~lde", "~home", "pi|pe", "col:on", "com,ma", "semi;colon", "#hash", "<angle>", "!bang", "^caret", "dollar$", "tab\there", "a\u00a0b",
		"new", "cur", "tmp", "UPPER", "Mixed Case", "NIL", "INBOX.sub", "inboxes", "=", "_", "-dash", "dovecot-keywords",
		"INBOX/child", "deep/er/and/deeper", "umlaut ü/日本/x", "dots./.dots", "new/cur/tmp",
		strings.Repeat("long", 50), strings.Repeat("ü", 100),
	}
}

// testNames wants every name back as it was given, and each mailbox to be one of its own.
func testNames(e *env) {
	held := map[string]int{}
	for n, name := range oddNames() {
		err := e.store.Create(e.ctx, name)
		if e.sub.Refuses != nil && e.sub.Refuses(name) {
			if err == nil {
				e.Errorf("create %q: no error, but the store is declared to refuse it", name)
			}
			continue
		}
		if err != nil {
			e.Errorf("create %q: %v", name, err)
			continue
		}
		b, err := e.store.Open(e.ctx, name)
		if err != nil {
			e.Errorf("open %q: %v", name, err)
			continue
		}
		if b.Name() != name {
			e.Errorf("the mailbox %q calls itself %q", name, b.Name())
		}
		if len(e.full(b)) != 0 {
			e.Errorf("the new mailbox %q is not empty: it is another one", name)
		}
		e.appendAll(b, numbered(n)...)
		e.ok("close", b.Close())
		held[name] = n
	}
	fresh := e.open() // what is on disk or on the server, not what this Store remembers
	l, err := fresh.List(e.ctx, nil)
	e.ok("list", err)
	listed := map[string]drivers.MailboxInfo{}
	for _, i := range l {
		listed[i.Name] = i
	}
	for name, n := range held {
		i, ok := listed[name]
		if !ok || i.NoSelect {
			e.Errorf("%q is not listed, or cannot be opened", name)
			continue
		}
		b := e.boxOf(fresh, name)
		want, _ := digest(numbered(n)[0].data)
		ids := slices.Collect(maps.Keys(e.full(b)))
		descs := e.describe(b, ids...)
		if len(ids) != 1 || descs[ids[0]].Identity != want {
			e.Errorf("%q does not hold just its own message", name)
		}
	}
}

// testNamesStayInside uses names that try to lead elsewhere. A store may refuse them or hold them, but not as another mailbox.
func testNamesStayInside(e *env) {
	e.put(e.box("INBOX"), 1)
	before := e.list(nil)
	for _, name := range []string{"..", ".", "../outside", "a/../../outside", "../../../../tmp/outside", "./INBOX", "a/..", "a/./b", "/absolute", "trailing/", "a//b", "", "nul\x00byte", "line\nfeed", "bad\xffutf8"} {
		if err := e.store.Create(e.ctx, name); err != nil {
			if b, err := e.store.Open(e.ctx, name); err == nil {
				e.ok("close", b.Close())
				e.Errorf("%q is refused by Create, but can be opened", name)
			}
			continue
		}
		if _, ok := e.list(nil)[name]; !ok {
			e.Errorf("%q was created, but is not listed by that name", name)
			continue
		}
		if _, old := before[name]; old {
			e.Errorf("%q is a mailbox that existed before", name)
		}
		b := e.box(name)
		if len(e.full(b)) != 0 {
			e.Errorf("%q is another mailbox", name)
		}
	}
	if n := len(e.full(e.box("INBOX"))); n != 1 {
		e.Errorf("INBOX has %d messages, it had 1", n)
	}
}

func testCreateParents(e *env) {
	e.ok("create", e.store.Create(e.ctx, "A/B/C"))
	got := e.list(nil)
	for _, p := range []string{"A", "A/B"} {
		if _, ok := got[p]; ok {
			continue // a mere parent or a mailbox: both will do
		}
		e.ok("create the parent "+p+" of its own", e.store.Create(e.ctx, p))
	}
	if i, ok := got["A/B/C"]; !ok || i.NoSelect {
		e.Error("A/B/C is not listed or cannot be opened")
	}
	e.put(e.box("A/B/C"), 1)
	e.ok("create once more", e.store.Create(e.ctx, "A/B/C"))
	e.ok("create the parent", e.store.Create(e.ctx, "A"))
	e.put(e.box("A"), 2)
	if n := len(e.full(e.box("A/B/C"))); n != 1 {
		e.Errorf("A/B/C has %d messages, want 1", n)
	}
	if i := e.list(nil)["A/B/C"]; e.sub.Subscribes && !i.Subscribed {
		e.Error("a mailbox that was created is not subscribed")
	}
}

func testRename(e *env) {
	b := e.made("Old")
	e.put(b, upTo(0, 12)...)
	e.ok("close", b.Close())
	e.ok("create child", e.store.Create(e.ctx, "Old/Child"))
	e.put(e.box("Old/Child"), 20)
	e.ok("create other", e.store.Create(e.ctx, "Taken"))
	e.put(e.box("Taken"), 30)

	if err := e.store.Rename(e.ctx, "Old", "Taken"); err == nil {
		e.Error("rename to a name that exists: no error")
	}
	if err := e.store.Rename(e.ctx, "Nowhere", "Else"); err == nil {
		e.Error("rename of a missing mailbox: no error")
	} else if _, ok := e.list(nil)["Else"]; ok {
		e.Error("rename of a missing mailbox made one")
	}
	if n := len(e.full(e.box("Taken"))); n != 1 {
		e.Errorf("Taken has %d messages, want 1", n)
	}
	for _, to := range []string{"New", "Some/Where/New", "Ünïcode new"} {
		if e.sub.Refuses != nil && e.sub.Refuses(to) {
			continue
		}
		from := "Old"
		e.ok("rename to "+to, e.store.Rename(e.ctx, from, to))
		e.wantErr("open the old name", openErr(e, from), drivers.ErrNoMailbox)
		got := e.list(nil)
		if i, ok := got[from]; ok && !i.NoSelect {
			e.Errorf("%q is still listed", from)
		}
		if _, ok := got[to]; !ok {
			e.Fatalf("%q is not listed", to)
		}
		nb := e.box(to)
		var order []int
		numbers := map[merge.ID]int{}
		s := e.changes(nb, "", drivers.Full)
		known := identities(upTo(0, 12)...)
		for _, x := range s.entries {
			maps.Copy(numbers, e.numbers(nb, []merge.ID{x.ID}, known))
			order = append(order, numbers[x.ID])
		}
		if len(order) != 12 {
			e.Errorf("%q has %d messages, want 12", to, len(order))
		}
		if !e.sub.Reserves && !slices.IsSorted(order) {
			e.Errorf("messages are in another order after a rename: %v", order)
		}
		for id, f := range e.full(nb) {
			if want := MessageFlags(numbers[id]); !f.Equal(want) {
				e.Errorf("message %d has flags %v after a rename, want %v", numbers[id], f, want)
			}
		}
		child := to + "/Child"
		if _, ok := got[child]; ok {
			if n := len(e.full(e.box(child))); n != 1 {
				e.Errorf("the child has %d messages after a rename, want 1", n)
			}
			_, stays := got[from+"/Child"]
			if stays {
				e.Error("the child is at both places after a rename")
			}
		} else if _, ok := got[from+"/Child"]; !ok {
			e.Error("the child is lost in a rename")
		}
		e.ok("rename back", e.store.Rename(e.ctx, to, from))
	}
}

// identities returns the numbers of messages by the hash of their identity.
func identities(numbers ...int) map[uint64]int {
	out := map[uint64]int{}
	for _, n := range numbers {
		id, _ := digest(numbered(n)[0].data)
		out[id.Header] = n
	}
	return out
}

func openErr(e *env, name string) error {
	b, err := e.store.Open(e.ctx, name)
	switch {
	case err == nil:
		e.boxes = append(e.boxes, b)
	case b != nil:
		e.Errorf("open %s: a mailbox (%T) beside the error: %v", name, b, err)
	}
	return err
}

func testDelete(e *env) {
	b := e.made("Parent")
	ids := e.put(b, 1, 2)
	cur := e.cursor(b)
	e.ok("close", b.Close())
	e.put(e.made("Parent/Child"), 3)
	e.ok("create", e.store.Create(e.ctx, "Empty"))

	e.ok("delete an empty mailbox", e.store.Delete(e.ctx, "Empty"))
	e.ok("delete a mailbox with messages and a child", e.store.Delete(e.ctx, "Parent"))
	e.wantErr("open a deleted mailbox", openErr(e, "Parent"), drivers.ErrNoMailbox)
	e.wantErr("open a deleted mailbox", openErr(e, "Empty"), drivers.ErrNoMailbox)
	got := e.list(nil)
	if i, ok := got["Parent"]; ok && !i.NoSelect {
		e.Error("a deleted mailbox is still listed as one that can be opened")
	}
	if n := len(e.full(e.box("Parent/Child"))); n != 1 {
		e.Errorf("the child of a deleted mailbox has %d messages, want 1", n)
	}

	// The same name again is another mailbox: nothing that was known of the old one may be taken for something in it.
	b = e.made("Parent")
	if n := len(e.full(b)); n != 0 {
		e.Fatalf("a mailbox that was deleted and created has %d messages", n)
	}
	fresh := e.put(b, 11, 12)
	now := e.full(b)
	for _, id := range fresh {
		if slices.Contains(ids, id) {
			e.Errorf("id %q is given a second time", id)
		}
	}
	s := e.changes(b, cur, drivers.Delta)
	base := map[merge.ID]merge.Flags{ids[0]: MessageFlags(1), ids[1]: MessageFlags(2)}
	if !s.end.All && !e.sub.TellsGone {
		e.Error("Changes with a cursor of a mailbox that was replaced: neither All nor gone")
	}
	e.wantFlags("after the mailbox was replaced", e.apply(base, s), now)
	e.refusesOld(b, ids)
	e.wantFlags("after effects on old ids", e.full(b), now)
}

// refusesOld wants every effect on these ids, whose messages are gone for good, to be refused or to do nothing.
func (e *env) refusesOld(b drivers.Mailbox, ids []merge.ID) {
	e.Helper()
	refused := func(what string, err error) {
		if !isOld(err) {
			e.Errorf("%s on an id from before: error is %v, want ErrStale or ErrGone", what, err)
		}
	}
	for _, id := range ids {
		res, err := b.SetFlags(e.ctx, []drivers.FlagChange{{ID: id, Add: merge.SystemFlags(merge.Flagged | merge.Deleted)}})
		if err == nil {
			err = res[0].Err
		}
		refused("SetFlags", err)
		moved, err := b.Move(e.ctx, []merge.ID{id}, "INBOX")
		if err == nil {
			err = moved[0].Err
		}
		refused("Move", err)
		errs, err := b.Expunge(e.ctx, []drivers.Removal{{ID: id}})
		if err == nil {
			err = errs[0]
		}
		if err != nil { // one that is gone is done
			refused("Expunge", err)
		}
		err = b.Fetch(e.ctx, []merge.ID{id}, func(f drivers.Fetched) error {
			if f.Content != nil {
				e.Errorf("Fetch yields a message for an id from before")
				return f.Content.Close()
			}
			return nil
		})
		if err != nil {
			refused("Fetch", err)
		}
		err = b.Describe(e.ctx, []merge.ID{id}, func(drivers.Description) error {
			e.Error("Describe yields a message for an id from before")
			return nil
		})
		if err != nil {
			refused("Describe", err)
		}
		err = b.Look(e.ctx, []merge.ID{id}, func(x drivers.Entry) error {
			if !x.Gone {
				e.Error("Look shows a message for an id from before")
			}
			return nil
		})
		if err != nil {
			refused("Look", err)
		}
	}
}

func testMissing(e *env) {
	err := openErr(e, "Not there")
	e.wantErr("open", err, drivers.ErrNoMailbox)
	if r := drivers.ReachOf(err); r != drivers.ReachMailbox {
		e.Errorf("a missing mailbox is an error of reach %d", r)
	}
	e.wantErr("open a child", openErr(e, "Not there/child"), drivers.ErrNoMailbox)
	if err := e.store.Delete(e.ctx, "Not there"); err == nil {
		e.Error("delete of a missing mailbox: no error")
	}
	if _, ok := e.list(nil)["Not there"]; ok {
		e.Error("opening or deleting a missing mailbox made it")
	}
	b := e.box("INBOX")
	ids := e.put(b, 1)
	res, err := b.Move(e.ctx, ids, "Not there")
	if err == nil {
		err = res[0].Err
	}
	if err == nil {
		e.Error("move to a missing mailbox: no error")
	}
	e.wantFlags("after a move to nowhere", e.full(b), map[merge.ID]merge.Flags{ids[0]: MessageFlags(1)})

	// A mailbox that goes away under an open handle.
	gone := e.made("Goes away")
	e.put(gone, 2)
	e.ok("delete elsewhere", e.open().Delete(e.ctx, "Goes away"))
	if res, err := gone.Append(e.ctx, []drivers.Append{{Reserved: gone.Reserve(), Content: drivers.Bytes(Message(3, MessageOptions{}))}}); err == nil && res[0].Err == nil {
		if _, ok := e.list(nil)["Goes away"]; !ok {
			e.Error("append to a deleted mailbox is reported as done, and there is no mailbox")
		}
	}
}

func testListUnchanged(e *env) {
	b := e.made("Quiet")
	e.put(b, upTo(0, 10)...)
	other := e.made("Other")
	e.put(other, 20)
	s := e.changes(b, "", drivers.Full)
	s = e.changes(b, s.end.Cursor, drivers.Delta) // a look again, as after writing
	cur := map[string]drivers.Cursor{"Quiet": s.end.Cursor, "Other": e.cursor(other)}
	for range 2 {
		got := e.list(cur)
		if e.sub.Unchanged && (!got["Quiet"].Unchanged || !got["Other"].Unchanged) {
			e.Error("List does not say Unchanged of mailboxes in which nothing changed")
		}
	}
	if got := e.list(nil); got["Quiet"].Unchanged {
		e.Error("List says Unchanged without a cursor")
	}
	if got := e.list(map[string]drivers.Cursor{"Quiet": "", "Other": "no such cursor"}); got["Quiet"].Unchanged || got["Other"].Unchanged {
		e.Error("List says Unchanged for a cursor that means nothing")
	}
	// Every kind of change must take Unchanged away, again and again: mailbox by mailbox, each from a fresh cursor.
	ids := slices.Sorted(maps.Keys(e.full(b)))
	changes := []func() error{
		func() error { return e.hand.SetFlags("Quiet", ids[0], merge.NewFlags(`\Flagged`, `\Seen`)) },
		func() error { return e.hand.Remove("Quiet", ids[1]) },
		func() error {
			return e.hand.Deliver("Quiet", merge.Flags{}, MessageDate(50), Message(50, MessageOptions{}))
		},
		func() error { return e.hand.Move("Quiet", ids[2], "Other") },
		func() error { return e.hand.SetFlags("Quiet", ids[0], merge.NewFlags(`\Seen`)) },
		// One goes and one comes: no count differs.
		func() error {
			if err := e.hand.Remove("Quiet", ids[3]); err != nil {
				return err
			}
			return e.hand.Deliver("Quiet", merge.Flags{}, MessageDate(51), Message(51, MessageOptions{}))
		},
	}
	for i, change := range changes {
		before := e.full(b)
		c := e.changes(b, "", drivers.Full).end.Cursor
		e.byHand(fmt.Sprintf("change %d", i), change())
		if e.list(map[string]drivers.Cursor{"Quiet": c})["Quiet"].Unchanged {
			e.Errorf("List says Unchanged after change %d", i)
		}
		e.wantObserved(fmt.Sprintf("change %d", i), b, c, before, e.full(b))
	}
}

func testInfo(e *env) {
	i := e.store.Info()
	if i.Kind == "" || i.Address == "" {
		e.Errorf("Info does not say what the store is: %+v", i)
	}
	first, err := e.store.Identity(e.ctx)
	e.ok("identity", err)
	e.put(e.box("INBOX"), 1)
	e.ok("create", e.store.Create(e.ctx, "X"))
	again, err := e.store.Identity(e.ctx)
	e.ok("identity", err)
	if first != again && first != "" {
		e.Errorf("the identity of the store changed from %q to %q", first, again)
	}
	other, err := e.open().Identity(e.ctx)
	e.ok("identity", err)
	if other != again {
		e.Errorf("the identity of the store is %q now and %q when opened again", again, other)
	}
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	if _, err := e.store.List(ctx, nil); err == nil {
		e.Error("List with a cancelled context: no error")
	}
}
