package merge

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The notation of the tables: one mailbox is "NAME: item item ...", mailboxes are separated by "; ".
//
//	+l1=x[S]            l1 is new on the left, with content x and flag \Seen
//	l1/r1=x[S|S>F|-]    a pair, last seen with \Seen on both sides; the left shows \Flagged now, the right is gone
//	held:l1=x[S>F]      a half-pair on the left; reasons doubt quar held policy window; "doubt!" is due, "doubt~" was sent,
//	                      "doubt^" was sent and its message moved since, "doubt@r7" has reserved r7
//
// A content is HEADER or HEADER.SIZE or HEADER.SIZE.VARIANT. Flags are Maildir letters, lower-case letters are keywords, "." is none.
// A "%" after a content: nobody can read it.
var (
	arrivalItem = regexp.MustCompile(`^\+([lr])(\w+)=([\w.]+)(%?)(?:\[(\S+)\])?$`)
	pairItem    = regexp.MustCompile(`^(\w+)/(\w+)=([\w.]+)(%?)(?:\[(\S+)\|(\S+)>(\S+)\|(\S+)\])$`)
	halfItem    = regexp.MustCompile(`^(doubt|quar|held|policy|window)(!?)([~^]?)(?:@(\w+))?:([lr])(\w+)=([\w.]+)(%?)(?:\[([^>\s]+)(?:>(\S+))?\])?$`)
)

var letters = map[rune]string{'S': `\Seen`, 'R': `\Answered`, 'F': `\Flagged`, 'T': `\Deleted`, 'D': `\Draft`, 'P': `$Forwarded`}

func flagsOf(s string) Flags {
	var names []string
	for _, c := range s {
		if n, ok := letters[c]; ok {
			names = append(names, n)
		} else if c >= 'a' && c <= 'z' {
			names = append(names, string(c))
		}
	}
	return NewFlags(names...)
}

func flagString(f Flags) string {
	out := ""
	for _, c := range "SRFTDP" {
		if f.Has(NewFlags(letters[c])) {
			out += string(c)
		}
	}
	out += strings.Join(f.Keywords(), "")
	if out == "" {
		return "."
	}
	return out
}

func lookOf(s string) Look {
	if s == "-" {
		return Look{Gone: true}
	}
	return Look{Flags: flagsOf(s)}
}

func identityOf(content string) Identity {
	parts := strings.Split(content, ".")
	h := fnv.New64a()
	h.Write([]byte(parts[0]))
	id := Identity{Header: h.Sum64() &^ weakHeader, Size: 100}
	if len(parts) > 1 {
		n, err := strconv.Atoi(parts[1])
		if err != nil {
			panic(err)
		}
		id.Size = int64(n)
	}
	return id
}

func contentOf(content string) Content {
	var c Content
	sum := sha256.Sum256([]byte(content))
	copy(c[:], sum[:])
	return c
}

// truth knows the contents of a written view, to answer questions.
type truth struct {
	content    map[Question]string // by mailbox, side and id
	unreadable map[Question]bool
	asked      map[Question]bool
	count      [3]int // questions by Want
}

func parse(t *testing.T, text string) (View, *truth) {
	t.Helper()
	tr := &truth{content: map[Question]string{}, unreadable: map[Question]bool{}, asked: map[Question]bool{}}
	var v View
	for part := range strings.SplitSeq(text, ";") {
		name, items, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			t.Fatalf("no mailbox name in %q", part)
		}
		m := MailboxView{Name: name}
		know := func(s Side, id ID, content, bad string) {
			q := Question{Mailbox: name, Side: s, ID: id}
			tr.content[q], tr.unreadable[q] = content, bad != ""
		}
		for w := range strings.FieldsSeq(items) {
			if g := arrivalItem.FindStringSubmatch(w); g != nil {
				s := side(g[1])
				id := ID(g[1] + g[2])
				m.New[s] = append(m.New[s], Arrival{ID: id, Flags: flagsOf(g[5])})
				know(s, id, g[3], g[4])
			} else if g := halfItem.FindStringSubmatch(w); g != nil {
				sent := g[3]
				g = append(g[:3:3], g[4:]...)
				s := side(g[4])
				id := ID(g[4] + g[5])
				reasons := map[string]Reason{"doubt": InDoubt, "quar": Quarantined, "held": Held, "policy": Policy, "window": Window}
				h := HalfView{Half: Half{Side: s, ID: id, Reason: reasons[g[1]], Base: flagsOf(g[8]), Reserved: ID(g[3])}, Due: g[2] != ""}
				if sent != "" {
					h.Mark, h.Moved = "m", sent == "^"
				}
				h.Now = Look{Flags: h.Base}
				if g[9] != "" {
					h.Now = lookOf(g[9])
				}
				if h.Now.Gone { // it cannot be asked any more
					h.Identity, h.Half.Content = identityOf(g[6]), contentOf(g[6])
				}
				m.Halves = append(m.Halves, h)
				know(s, id, g[6], g[7])
			} else if g := pairItem.FindStringSubmatch(w); g != nil {
				p := PairView{Pair: Pair{ID: [2]ID{ID(g[1]), ID(g[2])}, Base: [2]Flags{flagsOf(g[5]), flagsOf(g[6])}}}
				p.Now = [2]Look{lookOf(g[7]), lookOf(g[8])}
				if p.Now[0].Gone && p.Now[1].Gone {
					p.Identity, p.Content = identityOf(g[3]), contentOf(g[3])
				}
				m.Changed = append(m.Changed, p)
				know(Left, p.ID[0], g[3], g[4])
				know(Right, p.ID[1], g[3], g[4])
			} else {
				t.Fatalf("cannot read item %q", w)
			}
		}
		v.Mailboxes = append(v.Mailboxes, m)
	}
	return v, tr
}

func side(s string) Side {
	if s == "r" {
		return Right
	}
	return Left
}

// answer puts the answers into the view, as an engine does.
func (tr *truth) answer(t *testing.T, v *View, qs []Question) {
	t.Helper()
	want := qs[0].Want
	for _, q := range qs {
		if q.Want != want {
			t.Fatalf("identities and contents are asked at the same time: %v", qs)
		}
		if tr.asked[q] {
			t.Fatalf("asked twice: %+v", q)
		}
		tr.asked[q] = true
		tr.count[q.Want]++
		key := Question{Mailbox: q.Mailbox, Side: q.Side, ID: q.ID}
		content, ok := tr.content[key]
		if !ok {
			t.Fatalf("asked about a message that is not there: %+v", q)
		}
		found := false
		set := func(id *Identity, c *Content) {
			found = true
			switch {
			case tr.unreadable[key]:
				*c = Unreadable
			case q.Want == WantIdentity:
				*id = identityOf(content)
			default:
				*c = contentOf(content)
			}
		}
		for i := range v.Mailboxes {
			m := &v.Mailboxes[i]
			if m.Name != q.Mailbox {
				continue
			}
			for j := range m.New[q.Side] {
				if a := &m.New[q.Side][j]; a.ID == q.ID {
					set(&a.Identity, &a.Content)
				}
			}
			for j := range m.Changed {
				if p := &m.Changed[j]; p.ID[q.Side] == q.ID {
					if p.Now[q.Side].Gone {
						t.Fatalf("asked about a message that is gone: %+v", q)
					}
					set(&p.Identity, &p.Content)
				}
			}
			for j := range m.Halves {
				if h := &m.Halves[j]; h.Side == q.Side && h.ID == q.ID {
					if h.Now.Gone {
						t.Fatalf("asked about a message that is gone: %+v", q)
					}
					set(&h.Identity, &h.Half.Content)
				}
			}
		}
		if !found {
			t.Fatalf("asked about a message that is not in the view: %+v", q)
		}
	}
}

// plan builds until there are no questions.
func (tr *truth) plan(t *testing.T, v *View, r Rules) Plan {
	t.Helper()
	for range 10 {
		p, qs := Build(*v, r)
		if len(qs) == 0 {
			return p
		}
		if len(p.Mailboxes) != 0 {
			t.Fatal("a plan came with questions")
		}
		tr.answer(t, v, qs)
	}
	t.Fatal("questions without end")
	return Plan{}
}

func mirrorPair(p Pair) Pair {
	p.ID[0], p.ID[1] = p.ID[1], p.ID[0]
	p.Base[0], p.Base[1] = p.Base[1], p.Base[0]
	return p
}

func mirrorHalf(h Half) Half { h.Side = h.Side.Other(); return h }

func mirrorView(v View) View {
	var out View
	for _, m := range v.Mailboxes {
		n := MailboxView{Name: m.Name, New: [2][]Arrival{slices.Clone(m.New[1]), slices.Clone(m.New[0])}}
		for _, p := range m.Changed {
			n.Changed = append(n.Changed, PairView{Pair: mirrorPair(p.Pair), Now: [2]Look{p.Now[1], p.Now[0]}})
		}
		for _, h := range m.Halves {
			h.Half = mirrorHalf(h.Half)
			n.Halves = append(n.Halves, h)
		}
		out.Mailboxes = append(out.Mailboxes, n)
	}
	return out
}

func mirrorRules(r Rules) Rules {
	for _, d := range []*Direction{&r.New, &r.Flags, &r.Deletions} {
		d[0], d[1] = d[1], d[0]
	}
	switch r.Conflict {
	case ConflictLeft:
		r.Conflict = ConflictRight
	case ConflictRight:
		r.Conflict = ConflictLeft
	}
	return r
}

func mirrorTruth(tr *truth) *truth {
	out := &truth{content: map[Question]string{}, unreadable: map[Question]bool{}, asked: map[Question]bool{}}
	for q, c := range tr.content {
		m := q
		m.Side = q.Side.Other()
		out.content[m], out.unreadable[m] = c, tr.unreadable[q]
	}
	return out
}

func mirrorPlan(p Plan) Plan {
	var out Plan
	for _, m := range p.Mailboxes {
		n := m
		n.Commit = Commit{}
		for _, x := range m.Commit.Put {
			n.Commit.Put = append(n.Commit.Put, mirrorPair(x))
		}
		for _, x := range m.Commit.Drop {
			n.Commit.Drop = append(n.Commit.Drop, mirrorPair(x))
		}
		for _, x := range m.Commit.PutHalf {
			n.Commit.PutHalf = append(n.Commit.PutHalf, mirrorHalf(x))
		}
		for _, x := range m.Commit.DropHalf {
			n.Commit.DropHalf = append(n.Commit.DropHalf, mirrorHalf(x))
		}
		for _, x := range m.Commit.Orphan {
			n.Commit.Orphan = append(n.Commit.Orphan, Orphan{Pair: mirrorPair(x.Pair), Half: mirrorHalf(x.Half)})
		}
		for _, s := range Sides {
			n.Actions[s.Other()] = nil
			for _, a := range m.Actions[s] {
				a.Old, a.New = mirrorPair(a.Old), mirrorPair(a.New)
				if a.Half != nil {
					h := mirrorHalf(*a.Half)
					a.Half = &h
				}
				n.Actions[s.Other()] = append(n.Actions[s.Other()], a)
			}
		}
		n.Conflicts = nil
		for _, c := range m.Conflicts {
			c.Pair, c.Now = mirrorPair(c.Pair), [2]Look{c.Now[1], c.Now[0]}
			c.MoveTo[0], c.MoveTo[1] = c.MoveTo[1], c.MoveTo[0]
			switch c.Resolution {
			case LeftWon:
				c.Resolution = RightWon
			case RightWon:
				c.Resolution = LeftWon
			}
			n.Conflicts = append(n.Conflicts, c)
		}
		out.Mailboxes = append(out.Mailboxes, n)
	}
	return out
}

func idString(p Pair) string {
	part := func(id ID) string {
		if id == "" {
			return "?"
		}
		return string(id)
	}
	return part(p.ID[0]) + "/" + part(p.ID[1])
}

func pairString(p Pair) string {
	return fmt.Sprintf("%s[%s|%s]", idString(p), flagString(p.Base[0]), flagString(p.Base[1]))
}

func halfString(h Half) string {
	words := map[Reason]string{InDoubt: "doubt", Quarantined: "quar", Held: "held", Policy: "policy", Window: "window"}
	word := words[h.Reason]
	switch {
	case h.Moved:
		word += "^"
	case h.Mark != "":
		word += "~"
	}
	return fmt.Sprintf("%s:%s[%s]", word, h.ID, flagString(h.Base))
}

// planString writes a plan as sorted items, mailboxes without any left out.
func planString(p Plan) string {
	var parts []string
	for _, m := range p.Mailboxes {
		var out []string
		for _, x := range m.Commit.Put {
			out = append(out, "put "+pairString(x))
		}
		for _, x := range m.Commit.Drop {
			out = append(out, "drop "+idString(x))
		}
		for _, x := range m.Commit.PutHalf {
			out = append(out, "half "+halfString(x))
		}
		for _, x := range m.Commit.DropHalf {
			out = append(out, "end "+string(x.ID))
		}
		for _, x := range m.Commit.Orphan {
			out = append(out, "orphan "+idString(x.Pair)+" "+halfString(x.Half))
		}
		for _, s := range Sides {
			for _, a := range m.Actions[s] {
				suffix := ""
				if a.Half != nil {
					suffix = " for " + string(a.Half.ID)
				}
				switch a.Kind {
				case Copy:
					out = append(out, fmt.Sprintf("copy %s%s", pairString(a.New), suffix))
				case Move:
					out = append(out, fmt.Sprintf("move %s to %s as %s%s", a.Old.ID[s], a.To, pairString(a.New), suffix))
				case SetFlags:
					out = append(out, fmt.Sprintf("flags %s+%s-%s", a.Old.ID[s], flagString(a.Add), flagString(a.Remove)))
				case Delete:
					if a.To != "" {
						suffix += fmt.Sprintf(" with %s in %s", idString(a.New), a.To)
					}
					out = append(out, fmt.Sprintf("delete %s%s", a.Old.ID[s], suffix))
				}
			}
		}
		names := [...]string{"unresolved", "deleted-both", "copied-back", "left-won", "right-won"}
		for _, c := range m.Conflicts {
			out = append(out, "conflict "+idString(c.Pair)+" "+names[c.Resolution])
		}
		if m.Waiting > 0 {
			out = append(out, fmt.Sprintf("waiting %d", m.Waiting))
		}
		if m.Failed {
			out = append(out, "failed")
		}
		slices.Sort(out)
		if len(out) > 0 {
			parts = append(parts, m.Name+": "+strings.Join(out, ", "))
		}
	}
	return strings.Join(parts, "; ")
}
