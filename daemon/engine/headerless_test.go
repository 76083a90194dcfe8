package engine

import (
	"testing"
	"time"

	"driftless/merge"
)

func bare(s string) []byte { return []byte("X-Note: " + s + "\r\n\r\nbody " + s + "\r\n") }

func (w *world) bodies(side merge.Side, mailbox string) map[string]int {
	out := map[string]int{}
	for _, m := range w.srv[side].Snapshot()[mailbox].Messages {
		out[string(m.Data)]++
	}
	return out
}

// Two different mails without identity fields and of one size are taken for one: neither is copied, both sides are "in sync".
func TestHeaderlessFirstContact(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		w.srv[l].Deliver("INBOX", merge.Flags{}, time.Unix(1e9, 0), bare("aaaa"))
		w.srv[r].Deliver("INBOX", merge.Flags{}, time.Unix(1e9+999, 0), bare("bbbb"))
		rep := w.sync()
		if w.bodies(l, "INBOX")[string(bare("bbbb"))] != 1 || w.bodies(r, "INBOX")[string(bare("aaaa"))] != 1 {
			t.Errorf("two different mails were paired: left %v right %v, report %+v", w.bodies(l, "INBOX"), w.bodies(r, "INBOX"), rep)
		}
	})
}

// A mail is removed on both sides; an unrelated header-less mail of the same size arrives in another mailbox: it is deleted unread.
func TestHeaderlessNewMailIsDeleted(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 5 {
			w.put(l, "INBOX", n)
			w.put(l, "Box", 100+n)
		}
		w.srv[l].Deliver("INBOX", merge.Flags{}, time.Unix(1e9, 0), bare("aaaa"))
		w.sync()
		for _, s := range merge.Sides {
			for _, m := range w.srv[s].Snapshot()["INBOX"].Messages {
				if string(m.Data) == string(bare("aaaa")) {
					w.must(w.srv[s].Remove("INBOX", m.ID))
				}
			}
		}
		w.srv[l].Deliver("Box", merge.Flags{}, time.Unix(1e9+999, 0), bare("bbbb"))
		rep := w.sync()
		if w.bodies(l, "Box")[string(bare("bbbb"))] != 1 {
			t.Errorf("a brand-new mail was deleted: %+v", rep)
		}
	})
}

// A mail is removed on the left; an unrelated header-less mail of the same size arrives in another mailbox of the left.
func TestHeaderlessTakenForMove(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 5 {
			w.put(l, "INBOX", n)
			w.put(l, "Box", 100+n)
		}
		w.srv[l].Deliver("INBOX", merge.Flags{}, time.Unix(1e9, 0), bare("aaaa"))
		w.sync()
		for _, m := range w.srv[l].Snapshot()["INBOX"].Messages {
			if string(m.Data) == string(bare("aaaa")) {
				w.must(w.srv[l].Remove("INBOX", m.ID))
			}
		}
		w.srv[l].Deliver("Box", merge.Flags{}, time.Unix(1e9+999, 0), bare("bbbb"))
		rep := w.sync()
		if w.bodies(r, "Box")[string(bare("bbbb"))] != 1 {
			t.Errorf("a new mail was never copied: right Box %v, report %+v", w.bodies(r, "Box"), rep)
		}
	})
}
