package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"driftless/merge"
)

// The oracle of the state machine keeps, for each content, what the users did with messages of that content since the last rest (when both sides were
// equal), and derives what may be there. Its rules, the strictest first; "lost" says that knowledge of pairs was taken away: a log that was deleted, cut or replaced by an
// older copy, a new UIDVALIDITY, a store that was restored, a mailbox that was deleted or renamed on one side.
//
//   - Nobody touched it: both sides have exactly what they had, whatever happened to processes, logs and ids.
//   - One side's user touched it: both sides have exactly what he left, mailboxes, flags and multiplicity. Exceptions: what he deleted while an append of that content was in doubt may come
//     back, as often as he did so. What the right moved more than once may be where it was moved first, if the left store does not tell what it did: our own move there then
//     looks like its user's, and of two moves the left one wins. Of equal messages that were made and moved, such a store may mix up the flags. And if knowledge was lost, nothing of what he left is missing, but a message may also be where it was since the last
//     rest, and flags that were taken off may be there again; for pairing anew never deletes and unites.
//   - Both touched it: no message is missing but by a deletion, and there are no more than were there and were made. A message that both moved to different places while a
//     process died, or when knowledge was lost, may be kept in both. A message that one side made where the other side moved an equal one to
//     is taken for that one, and so is one that was made anywhere while an append was in doubt. Flags of a single message: per flag the last word, or one of both if neither user saw the other's. What one user
//     moved during a sync, while the other one flagged it, may be copied and lose the flag with the original: a sync looks only once at mail that just comes.
//
// While syncs are broken, too, nothing changes on a side for a content that only this side's user, or nobody, touched.

// place is where a message is, and its flags.
type place struct{ box, flags string }

func (p place) String() string { return p.box + "[" + p.flags + "]" }

// word is what a side's user last said about a flag.
type word struct {
	given   bool // it may be the last word
	value   bool
	times   int
	faulted bool // a sync was disturbed since
}

// tally is what happened to one content since the last rest.
type tally struct {
	base    []place
	own     [2][]place // what each side's user last saw
	touched [2]bool
	made    [2]map[string]int // delivered or copied, by mailbox
	moved   [2]map[string]int // by where to
	gone    [2]int            // deleted
	ever    map[string]int    // how many may be in a mailbox at most, if none ever left
	words   map[string]*[2]word
	fresh   bool // made since the last rest, or moved during a sync, so that it may be copied and be in doubt
	doubt   bool // a sync was disturbed while it was fresh
	doubted int  // deletions while in doubt
	faulted bool // a sync was disturbed
	mixed   bool // equal messages were made and moved on one side, and the other side's store does not tell which is which
	raced   bool // moved during a sync
	wavers  bool // moved on the right more than once, and our own move on the left may look like its user's, who wins
	lost    bool
	stale   bool // an older copy of a log is used
	pasts   int  // deletions in the whole history
}

func newTally(places []place, pasts int) *tally {
	t := &tally{base: places, own: [2][]place{places, places}, ever: map[string]int{}, made: [2]map[string]int{{}, {}}, moved: [2]map[string]int{{}, {}}, words: map[string]*[2]word{}, pasts: pasts}
	for _, p := range places {
		t.ever[p.box]++
	}
	return t
}

// said notes that the user of a side changed a flag of a message that showed the opposite.
func (t *tally) said(side merge.Side, flag string, value bool) {
	w := t.words[flag]
	if w == nil {
		w = &[2]word{}
		t.words[flag] = w
	}
	was := len(t.base) == 1 && hasWord(t.base[0].flags, flag)
	if w[side].times > 0 {
		was = w[side].value
	}
	// He saw what the other user had said, if it is not what he had said himself.
	if other := &w[side.Other()]; was == value && other.times == 1 && !other.faulted {
		other.given = false
	}
	w[side].given, w[side].value, w[side].times = true, value, w[side].times+1
}

// disturbed notes that a sync did not come to its end as it should.
func (t *tally) disturbed() {
	t.doubt, t.faulted = t.doubt || t.fresh, true
	for _, w := range t.words {
		w[0].faulted, w[1].faulted = true, true
	}
}

func hasWord(list, w string) bool { return slices.Contains(strings.Fields(list), w) }

// during checks what must hold on a side at any moment.
func (t *tally) during(side merge.Side, now []place) error {
	if t.touched[side.Other()] {
		return nil
	}
	if !t.touched[side] {
		return exactly(t.base, now)
	}
	if t.lost {
		if t.stale {
			return nil
		}
		return t.union(side, now)
	}
	return t.alone(side, now)
}

// atRest checks what both sides show at rest.
func (t *tally) atRest(now []place) error {
	switch l, r := t.touched[merge.Left], t.touched[merge.Right]; {
	case !l && !r:
		return exactly(t.base, now)
	case l && r, t.stale:
		return errors.Join(t.counts(now), t.lastWords(now))
	case l:
		return t.during(merge.Left, now)
	default:
		return t.during(merge.Right, now)
	}
}

// exactly compares two lists of places.
func exactly(want, got []place) error {
	if slices.Equal(want, got) {
		return nil
	}
	return fmt.Errorf("want %v, got %v", want, got)
}

// alone checks what only one side's user touched.
func (t *tally) alone(side merge.Side, now []place) error {
	want := t.own[side]
	if t.wavers {
		return t.counted(len(want), now)
	}
	if t.mixed {
		want, now = unflagged(want), unflagged(now)
	}
	if t.doubted == 0 {
		return exactly(want, now)
	}
	if missing := placesWithout(want, now); len(missing) > 0 || len(now) > len(want)+t.doubted {
		return fmt.Errorf("want %v and at most %d more that were deleted while in doubt, got %v", want, t.doubted, now)
	}
	return nil
}

// unflagged returns places without flags.
func unflagged(places []place) []place {
	var out []place
	for _, p := range places {
		out = append(out, place{box: p.box})
	}
	return out
}

// counted checks all but the mailboxes: those of moves that followed each other.
func (t *tally) counted(want int, now []place) error {
	if len(now) < want || len(now) > want+t.doubted {
		return fmt.Errorf("want %d messages and at most %d more that were deleted while in doubt, got %v", want, t.doubted, now)
	}
	for box := range countBoxes(now) {
		if t.ever[box] == 0 {
			return fmt.Errorf("nobody ever put it into %s: %v", box, now)
		}
	}
	return nil
}

// union checks what only one side's user touched, when knowledge of pairs was lost.
func (t *tally) union(side merge.Side, now []place) error {
	least, got := countBoxes(t.own[side]), countBoxes(now)
	for box, n := range least {
		if got[box] < n {
			return fmt.Errorf("lost: the user left %v, got %v", t.own[side], now)
		}
	}
	for box, n := range got {
		if n > t.ever[box] {
			return fmt.Errorf("doubled: %d in %s, at most %d were ever there; the user left %v, got %v", n, box, t.ever[box], t.own[side], now)
		}
	}
	if len(t.own[side]) == 1 && len(t.base) <= 1 && len(now) == 1 {
		for _, f := range strings.Fields(t.own[side][0].flags) {
			if f != `\Deleted` && !hasWord(now[0].flags, f) {
				return fmt.Errorf("flag %s is lost: the user left %v, got %v", f, t.own[side], now)
			}
		}
	}
	return nil
}

// counts bounds how many messages there are.
func (t *tally) counts(now []place) error {
	made, moved := [2]int{total(t.made[0]), total(t.made[1])}, total(t.moved[0])+total(t.moved[1])
	least := len(t.base) - t.gone[0] - t.gone[1]
	if moved > 0 || t.doubt || t.lost {
		least += max(made[0], made[1])
	} else {
		for box, n := range t.made[0] {
			least += max(n, t.made[1][box])
		}
		for box, n := range t.made[1] {
			if t.made[0][box] == 0 {
				least += n
			}
		}
	}
	for _, side := range merge.Sides {
		theirs := t.moved[side.Other()]
		if t.doubt || total(t.moved[side]) > 0 { // one in doubt is taken for any; one that was made and one that was moved are equal
			least -= min(made[side], total(theirs))
			continue
		}
		for box, n := range t.made[side] {
			least -= min(n, theirs[box])
		}
	}
	if t.stale {
		least -= t.pasts
	}
	most := len(t.base) + made[0] + made[1]
	if t.lost || t.doubt {
		most += moved
	}
	if len(now) < least {
		return fmt.Errorf("lost: %d messages, at least %d must be there: %v, before %v", len(now), least, now, t.base)
	}
	if len(now) > most {
		return fmt.Errorf("doubled: %d messages, at most %d may be there: %v, before %v", len(now), most, now, t.base)
	}
	return nil
}

// lastWords checks the flags of a message that is easy to follow.
func (t *tally) lastWords(now []place) error {
	if len(t.base) != 1 || total(t.made[0])+total(t.made[1]) > 0 || t.gone != [2]int{} || t.lost || t.raced || len(now) != 1 {
		return nil
	}
	for _, f := range flagWords {
		got, want := hasWord(now[0].flags, f), []bool{hasWord(t.base[0].flags, f)}
		if w := t.words[f]; w != nil {
			want = nil
			for _, side := range merge.Sides {
				if w[side].given {
					want = append(want, w[side].value)
				}
			}
		}
		if !slices.Contains(want, got) {
			return fmt.Errorf("flag %s is %v, the last words were %v: %v, before %v", f, got, want, now, t.base)
		}
	}
	return nil
}

func total(boxes map[string]int) int {
	n := 0
	for _, k := range boxes {
		n += k
	}
	return n
}

func countBoxes(places []place) map[string]int {
	out := map[string]int{}
	for _, p := range places {
		out[p.box]++
	}
	return out
}

// placesWithout returns what is in a and not in b, as often as it is missing there.
func placesWithout(a, b []place) []place {
	count := map[place]int{}
	for _, p := range b {
		count[p]++
	}
	var out []place
	for _, p := range a {
		if count[p]--; count[p] < 0 {
			out = append(out, p)
		}
	}
	return out
}
