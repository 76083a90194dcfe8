package tests

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"driftless/tests/harness"
)

var mailboxes = []string{"INBOX", "Größe", "日本語/受信箱", "Ümläut & Söhne/Ärger", "Archive/2001", "emoji 😀", "with.dot/and space", "Отправленные"}

var someFlags = []string{`\Seen`, `\Answered`, `\Flagged`, `\Draft`, `\Deleted`, "$Forwarded", "Work", "$Label1", "NonJunk", "todo"}

func randomFlags(r *rand.Rand) []string {
	var out []string
	for _, f := range someFlags {
		// Few messages are flagged \Deleted in real life, and none may be treated as if it were gone.
		if n := r.IntN(100); n < 25 && (f != `\Deleted` || n < 2) {
			out = append(out, f)
		}
	}
	return out
}

// TestCorpus spreads real mail over both sides and many mailboxes, with random flags, keywords and dates. One sync, and both sides are the
// same; a second one does nothing at all.
func TestCorpus(t *testing.T) {
	t.Parallel()
	samples := slices.Concat(harness.Corpus(t, "ordinary"), harness.Corpus(t, "odd"))
	if testing.Short() {
		samples = append(samples[:300:300], samples[len(samples)-390:]...)
	}
	for _, rung := range harness.Rungs {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, rung, "")
			want := spread(w, samples)
			before := w.c.All().Count() + w.m.All().Count()
			s := w.p.Sync(0)
			left, right := w.m.All(), w.c.All()
			// A server cannot hold an empty message: it stays left, quarantined and counted.
			empty := take(left, harness.Digest(nil))
			take(want, harness.Digest(nil))
			if empty != 1 || s.Quarantined != 1 {
				t.Errorf("%d empty messages left, %d quarantined, want 1 and 1", empty, s.Quarantined)
			}
			if diff := harness.Diff(left, right); len(diff) > 0 {
				t.Errorf("left and right: %d differences:\n%s", len(diff), few(diff))
			}
			if diff := harness.Diff(want, right); len(diff) > 0 {
				t.Errorf("what there was and right: %d differences:\n%s", len(diff), few(diff))
			}
			if s.Copied.Left+s.Copied.Right != before-empty || s.Errors != 0 || s.Deleted.Left+s.Deleted.Right != 0 {
				t.Errorf("%d messages to copy, summary %+v", before-empty, s)
			}
			w.idle()
			w.verify()
		})
	}
}

// spread puts the samples into the world and returns what there is.
func spread(w *world, samples []harness.Sample) harness.Mail {
	w.t.Helper()
	r := rng(w.t)
	right := map[string][]harness.Letter{}
	for _, b := range mailboxes {
		if b != "INBOX" {
			w.c.Create(b)
		}
	}
	w.m.Create("INBOX")
	for _, s := range samples {
		box := mailboxes[r.IntN(len(mailboxes))]
		flags, when := randomFlags(r), time.Unix(r.Int64N(1_700_000_000), 0).UTC()
		// Equal messages go to the same side: on first contact they would be paired, which is another test's subject.
		if len(s.Raw) == 0 || harness.Digest(s.Raw)[0]%2 == 0 {
			w.m.Deliver(box, s.Raw, when, flags...)
			continue
		}
		right[box] = append(right[box], harness.Letter{Body: s.Wire(), Date: when, Flags: flags})
	}
	for _, b := range mailboxes {
		if _, refused, err := w.c.TryAppend(b, right[b]...); err != nil || len(refused) > 0 {
			w.t.Fatalf("the server refuses samples: %v, %v", refused, err)
		}
	}
	want := w.m.All()
	for name, msgs := range w.c.All() {
		want[name] = append(want[name], msgs...)
	}
	return want
}

// take removes the messages with that content and returns how many there were.
func take(mail harness.Mail, hash string) int {
	n := 0
	for name, msgs := range mail {
		mail[name] = slices.DeleteFunc(slices.Clone(msgs), func(m harness.Message) bool { return m.Hash == hash })
		n += len(msgs) - len(mail[name])
	}
	return n
}

// TestFirstContact gives both sides much the same mail before the first sync: what is equal is paired, not copied.
func TestFirstContact(t *testing.T) {
	t.Parallel()
	for _, rung := range harness.Rungs {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, rung, "")
			w.c.Create("Größe")
			for i := range 60 {
				box := []string{"INBOX", "Größe"}[i%2]
				if i < 50 {
					w.m.Deliver(box, mail(i, 400), date(i), `\Seen`, "left")
				}
				if i >= 10 {
					w.c.Append(box, harness.Letter{Body: wire(i, 400), Date: date(i), Flags: []string{`\Flagged`, `\Deleted`}})
				}
			}
			s := w.p.Sync(0)
			if s.Copied != (harness.PerSide{Left: 10, Right: 10}) {
				t.Errorf("copied %+v, want 10 and 10", s.Copied)
			}
			// The ten that were only right keep their \Deleted; those that were on both sides lose it.
			left, right := w.m.All(), w.c.All()
			if diff := harness.Diff(left, right); len(diff) > 0 || left.Count() != 60 {
				t.Errorf("%d messages left, %d right, %d differences:\n%s", left.Count(), right.Count(), len(diff), few(diff))
			}
			want := map[string]int{`\Seen left`: 10, `\Flagged \Seen left`: 40, `\Deleted \Flagged`: 10}
			got := map[string]int{}
			for _, m := range append(left["INBOX"], left["Größe"]...) {
				got[m.Flags]++
			}
			if !maps.Equal(got, want) {
				t.Errorf("flags on the left: %v, want %v", got, want)
			}
			w.idle()
			w.verify()
		})
	}
}
