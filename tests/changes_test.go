package tests

import (
	"slices"
	"testing"

	"driftless/tests/harness"
)

// uidOf returns the UID of the message with that number in a mailbox on the server.
func (w *world) uidOf(box string, n int) uint32 {
	w.t.Helper()
	return w.uidWith(box, harness.Digest(wire(n, 600)))
}

// uidWith returns the UID of a message by its digest.
func (w *world) uidWith(box, hash string) uint32 {
	w.t.Helper()
	for _, m := range w.c.Messages(box, true) {
		if m.Hash == hash {
			return m.UID
		}
	}
	w.t.Fatalf("message %s is not in %s on the server", hash, box)
	return 0
}

// fileOf returns the file of the message with that number in a mailbox of the Maildir.
func (w *world) fileOf(box string, n int) string {
	w.t.Helper()
	return w.fileWith(box, harness.Digest(mail(n, 600)))
}

// fileWith returns the file of a message by its digest.
func (w *world) fileWith(box, hash string) string {
	w.t.Helper()
	for _, m := range w.m.Messages(box) {
		if m.Hash == hash {
			return m.Name
		}
	}
	w.t.Fatalf("message %s is not in %s of the Maildir", hash, box)
	return ""
}

// flagsOf returns the flags of a message on the server.
func (w *world) flagsOf(box string, n int) string {
	w.t.Helper()
	uid := w.uidOf(box, n)
	for _, m := range w.c.Messages(box, false) {
		if m.UID == uid {
			return m.Flags
		}
	}
	return "gone"
}

// has reports whether a mailbox on the server has a message.
func (w *world) has(box string, n int) bool {
	hash := harness.Digest(wire(n, 600))
	return slices.ContainsFunc(w.c.Messages(box, true), func(m harness.Message) bool { return m.Hash == hash })
}

// TestChangesBothSides changes everything at once on both sides. One sync brings them together.
func TestChangesBothSides(t *testing.T) {
	t.Parallel()
	for _, rung := range harness.Rungs {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, rung, "")
			w.c.Create("Größe", "日本語/受信箱")
			w.c.Append("INBOX", letters(0, 60, 600, `\Seen`, "old")...)
			w.c.Append("Größe", letters(100, 20, 600)...)
			if s := w.p.Sync(0); s.Copied.Left != 80 {
				t.Fatalf("first sync: %+v", s)
			}
			w.same("first sync")

			// On the server.
			right := func(n int) []uint32 { return []uint32{w.uidOf("INBOX", n)} }
			w.c.Store("INBOX", right(0), "+", `\Flagged`, "new")
			w.c.Store("INBOX", right(1), "-", `\Seen`, "old")
			w.c.Store("INBOX", right(2), "+", `\Answered`) // the other side changes this one too
			w.c.Store("INBOX", right(3), "-", `\Seen`)     // the other side does the same
			w.c.Expunge("INBOX", right(4))
			w.c.Expunge("INBOX", right(5)) // the other side too
			w.c.Append("Größe", letters(200, 3, 600)...)
			w.c.Move("INBOX", right(6), "日本語/受信箱")
			w.c.Create("Отправленные")
			w.c.Append("Отправленные", letters(210, 2, 600)...)
			w.c.Create("empty right")
			// In the Maildir.
			w.m.SetFlags("INBOX", w.fileOf("INBOX", 2), `\Seen`, "old", `\Flagged`)
			w.m.SetFlags("INBOX", w.fileOf("INBOX", 3), "old")
			w.m.SetFlags("INBOX", w.fileOf("INBOX", 7), `\Seen`, "old", "$Forwarded", "newer")
			w.m.SetFlags("INBOX", w.fileOf("INBOX", 8))
			w.m.Remove("INBOX", w.fileOf("INBOX", 5))
			w.m.Remove("INBOX", w.fileOf("INBOX", 9))
			w.m.Deliver("INBOX", mail(300, 600), date(300))
			w.m.Deliver("日本語/受信箱", mail(301, 600), date(301), `\Draft`)
			w.m.Move("INBOX", w.fileOf("INBOX", 10), "Größe")
			w.m.Move("Größe", w.fileOf("Größe", 100), "new left/below")
			w.m.Deliver("new left", mail(302, 600), date(302), `\Seen`)
			w.m.Create("empty left")

			s := w.p.Sync(0)
			w.same("after changes on both sides")
			for n, want := range map[int]string{
				0: `\Flagged \Seen new old`, 1: "", 2: `\Answered \Flagged \Seen old`, 3: "old", 7: `$forwarded \Seen newer old`, 8: "",
			} {
				if got := w.flagsOf("INBOX", n); got != want {
					t.Errorf("message %d has %q, want %q", n, got, want)
				}
			}
			for _, n := range []int{4, 5, 6, 9, 10} {
				if w.has("INBOX", n) {
					t.Errorf("message %d is still in INBOX", n)
				}
			}
			for box, n := range map[string]int{"日本語/受信箱": 6, "Größe": 10, "new left/below": 100, "new left": 302, "Отправленные": 210, "INBOX": 300} {
				if !w.has(box, n) {
					t.Errorf("message %d is not in %s", n, box)
				}
			}
			for _, box := range []string{"empty left", "empty right"} {
				if !slices.Contains(w.c.List(), box) || !slices.Contains(w.m.List(), box) {
					t.Errorf("%s is not on both sides", box)
				}
			}
			if s.Copied != (harness.PerSide{Left: 5, Right: 3}) || s.Moved != (harness.PerSide{Left: 1, Right: 2}) || s.Deleted != (harness.PerSide{Left: 1, Right: 1}) {
				t.Errorf("copied %+v, moved %+v, deleted %+v; want 5 and 3, 1 and 2, 1 and 1", s.Copied, s.Moved, s.Deleted)
			}
			w.idle()
			w.verify()
		})
	}
}

// TestMoveTransfersNoBody moves big messages on both sides, by renaming files and by MOVE. No body may cross the wire.
func TestMoveTransfersNoBody(t *testing.T) {
	t.Parallel()
	for _, rung := range harness.Rungs {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			const size = 400_000
			w := newWorld(t, rung, "")
			w.c.Create("to")
			uids := w.c.Append("INBOX", letters(0, 8, size, `\Seen`)...)
			if s := w.p.Sync(0); s.Copied.Left != 8 {
				t.Fatalf("first sync: %+v", s)
			}
			first := w.proxy.Counts()
			if first.Down < 8*size {
				t.Fatalf("the proxy counted %d bytes for eight bodies", first.Down)
			}
			w.c.Move("INBOX", uids[:4], "to")
			hashes := map[string]bool{}
			for n := 4; n < 8; n++ {
				hashes[harness.Digest(mail(n, size))] = true
			}
			for _, m := range w.m.Messages("INBOX") {
				if hashes[m.Hash] {
					w.m.Move("INBOX", m.Name, "to")
				}
			}
			s := w.p.Sync(0)
			used := w.proxy.Counts().Sub(first)
			if used.Up+used.Down > size/4 {
				t.Errorf("moving eight messages of %d bytes cost %d bytes up and %d down", size, used.Up, used.Down)
			}
			if s.Moved != (harness.PerSide{Left: 4, Right: 4}) || s.Copied != (harness.PerSide{}) || s.Deleted != (harness.PerSide{}) {
				t.Errorf("summary %+v, want four moved on each side and nothing else", s)
			}
			t.Logf("8 moves: %d bytes up, %d down", used.Up, used.Down)
			w.same("after the moves")
			w.idle()
		})
	}
}
