package engine

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"driftless/drivers/drivertest"
	"driftless/merge"
	"driftless/tests/torture"
)

// crowdBoxes are the mailboxes in which a crowd works.
var crowdBoxes = []string{"INBOX", "A", "B"}

// crowdMail is a message of a crowd.
type crowdMail struct {
	n       int
	home    merge.Side
	box     string // at home; meaningful while nobody touches it on the other side
	flags   []string
	removed bool
}

// crowd is users of both sides who act at many moments of a sync. What they do at a moment depends on the seed and on the name of the moment alone, so that a round can be played again.
type crowd struct {
	w         *world
	seed      uint64
	often     uint64 // they act at one of so many moments
	most      int    // how many changes they make at the most
	strangers bool   // a message is changed on both sides; else only at home, so that what must be there in the end is known exactly

	mu    sync.Mutex
	mail  []*crowdMail
	did   []string
	wrong []string // what somebody found amiss in the middle
}

// pass lets the users act at a moment, perhaps.
func (c *crowd) pass(moment string) {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", c.seed, moment)
	r := rand.New(rand.NewPCG(h.Sum64(), c.seed))
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Uint64N(c.often) == 0 && len(c.did) < c.most {
		c.act(r, moment)
	}
}

// act makes one change.
func (c *crowd) act(r *rand.Rand, moment string) {
	var there []*crowdMail
	for _, m := range c.mail {
		if !m.removed {
			there = append(there, m)
		}
	}
	what, box := r.IntN(8), crowdBoxes[r.IntN(len(crowdBoxes))]
	if len(there) == 0 || len(c.mail) < 6 && what == 0 {
		m := &crowdMail{n: 100 + len(c.mail), home: merge.Side(r.IntN(2)), box: box}
		c.mail = append(c.mail, m)
		c.w.put(m.home, box, m.n)
		c.note(moment, m.home, m, "delivered to "+box)
		return
	}
	m := there[r.IntN(len(there))]
	side, from := m.home, m.box
	if c.strangers {
		side = merge.Side(r.IntN(2))
		from = ""
		for _, b := range crowdBoxes {
			if c.w.find(side, b, m.n) != "" {
				from = b
			}
		}
		if from == "" {
			return // not there yet, or just on its way
		}
	}
	srv, id := c.w.srv[side], c.w.find(side, from, m.n)
	if id == "" {
		c.wrong = append(c.wrong, fmt.Sprintf("%d is not in %s at %q: somebody else moved or removed it", m.n, from, moment))
		return
	}
	switch {
	case what <= 3 && box != from:
		_, err := srv.Move(from, id, box)
		c.w.must(err)
		m.box = box
		c.note(moment, side, m, "moved from "+from+" to "+box)
	case what == 4:
		c.w.must(srv.Remove(from, id))
		m.removed = true
		c.note(moment, side, m, "removed from "+from)
	case what == 5 && !c.strangers:
		srv.Deliver(from, merge.NewFlags(m.flags...), drivertest.MessageDate(m.n), mail(m.n))
		c.w.must(srv.Remove(from, id))
		c.note(moment, side, m, "renumbered in "+from)
	default:
		flag := []string{`\Seen`, `\Flagged`, "work"}[r.IntN(3)]
		if i := slices.Index(m.flags, flag); i >= 0 {
			m.flags = slices.Delete(m.flags, i, i+1)
		} else {
			m.flags = append(m.flags, flag)
		}
		c.w.must(srv.SetFlags(from, id, merge.NewFlags(m.flags...)))
		c.note(moment, side, m, fmt.Sprintf("flagged %v in %s", m.flags, from))
	}
}

func (c *crowd) note(moment string, side merge.Side, m *crowdMail, did string) {
	c.did = append(c.did, fmt.Sprintf("%s: %d %s on the %s", moment, m.n, did, side))
}

// check says what is not as the users left it.
func (c *crowd) check() []string {
	wrong := slices.Clone(c.wrong)
	for _, m := range c.mail {
		got := [2]string{c.w.copies(merge.Left, m.n), c.w.copies(merge.Right, m.n)}
		want := ""
		if !m.removed {
			want = fmt.Sprintf("%s[%s]", m.box, letters(merge.NewFlags(m.flags...)))
		}
		switch n := strings.Count(got[0], "["); {
		case got[0] != got[1]:
			wrong = append(wrong, fmt.Sprintf("DIFFERENT: message %d is %q on the left and %q on the right", m.n, got[0], got[1]))
		case n > 1:
			wrong = append(wrong, fmt.Sprintf("DOUBLED: message %d is %q", m.n, got[0]))
		case n == 0 && !m.removed:
			wrong = append(wrong, fmt.Sprintf("LOST: message %d should be %q", m.n, want))
		case !c.strangers && got[0] != want:
			wrong = append(wrong, fmt.Sprintf("OTHERWISE: message %d is %q, want %q", m.n, got[0], want))
		}
	}
	return wrong
}

// TestCrowd lets users of both sides change messages at many moments of a sync. What only its owner touches is in the end as he left it; what people of both sides touch
// at the same time is nowhere twice, and gone only if somebody removed it.
func TestCrowd(t *testing.T) {
	names := slices.Sorted(maps.Keys(characters))
	rounds, changes := 0, 0
	for round := range torture.Rounds(t, 150) {
		seed := torture.Seed(t, round)
		r := rand.New(rand.NewPCG(seed, 1))
		name := names[r.IntN(len(names))]
		w := newWorld(t, characters[name])
		w.acc.Workers = 1 + r.IntN(2)
		for i, box := range crowdBoxes {
			w.put(merge.Left, box, i, `\Seen`)
		}
		c := &crowd{w: w, seed: seed}
		for range 3 {
			c.act(r, "before the first sync")
		}
		w.sync()
		c.strangers = r.IntN(2) == 0
		for range 1 + r.IntN(2) {
			c.act(r, "before")
		}
		c.often, c.most = 4+r.Uint64N(30), len(c.did)+1+r.IntN(4)
		h := &hand{every: c.pass}
		away := w.hands(h)
		w.sync()
		away()
		rounds, changes = rounds+1, changes+len(c.did)
		w.sync()
		wrong := c.check()
		if len(wrong) > 0 {
			t.Errorf("round %d, seed %d, %s, strangers %v:\n  %s\nafter\n  %s", round, seed, name, c.strangers, strings.Join(wrong, "\n  "), strings.Join(c.did, "\n  "))
			continue
		}
		w.settled()
	}
	t.Logf("%d rounds, %d changes", rounds, changes)
}
