package merge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is two stores with several mailboxes, the state that is kept of them, and users who change both.
type model struct {
	mailboxes int
	store     [2][][]message
	cannot    [2]Flags // flags that a side drops
	pairs     [][]Pair
	halves    [][]Half
	pending   []func() // appends in doubt that the store will show later
	nextID    int
	clock     int64
	torn      bool           // a process died between the commits of one plan
	complete  bool           // identity and content of each message are written to the state
	unsure    map[string]int // moves by content that were not logged, and could not be settled
}

type message struct {
	id      ID
	content string
	flags   Flags
}

func newModel(mailboxes int) *model {
	m := &model{mailboxes: mailboxes, pairs: make([][]Pair, mailboxes), halves: make([][]Half, mailboxes), clock: 10, unsure: map[string]int{}}
	for _, s := range Sides {
		m.store[s] = make([][]message, mailboxes)
	}
	return m
}

func mailboxName(i int) string { return string(rune('A' + i)) }

func (m *model) newID() ID { m.nextID++; return ID(fmt.Sprint("m", m.nextID)) }

func (m *model) add(s Side, mb int, content string, f Flags) message {
	msg := message{m.newID(), content, f.Minus(m.cannot[s])}
	m.store[s][mb] = append(m.store[s][mb], msg)
	return msg
}

func (m *model) find(s Side, mb int, id ID) *message {
	for i := range m.store[s][mb] {
		if m.store[s][mb][i].id == id {
			return &m.store[s][mb][i]
		}
	}
	return nil
}

// unknown reports whether a side's mailbox has a message of this content that the state does not know.
func (m *model) unknown(s Side, mb int, content string) bool {
	known := map[ID]bool{}
	for _, p := range m.pairs[mb] {
		known[p.ID[s]] = true
	}
	return slices.ContainsFunc(m.store[s][mb], func(msg message) bool { return msg.content == content && !known[msg.id] })
}

func (m *model) remove(s Side, mb int, id ID) message {
	for i, msg := range m.store[s][mb] {
		if msg.id == id {
			m.store[s][mb] = slices.Delete(slices.Clone(m.store[s][mb]), i, i+1)
			return msg
		}
	}
	return message{}
}

// move moves a message; the left store keeps ids, as Maildir does, the right gives new ones, as IMAP does.
func (m *model) move(s Side, from, to int, id ID) ID {
	msg := m.remove(s, from, id)
	if s == Right {
		msg.id = m.newID()
	}
	m.store[s][to] = append(m.store[s][to], msg)
	return msg.id
}

// observe compares both stores in full with the state.
func (m *model) observe() View {
	var v View
	for mb := range m.mailboxes {
		view := MailboxView{Name: mailboxName(mb)}
		known := [2]map[ID]bool{{}, {}}
		look := func(s Side, id ID) Look {
			known[s][id] = true
			if msg := m.find(s, mb, id); msg != nil {
				return Look{Flags: msg.flags}
			}
			return Look{Gone: true}
		}
		for _, p := range m.pairs[mb] {
			pv := PairView{Pair: p}
			changed := false
			for _, s := range Sides {
				pv.Now[s] = look(s, p.ID[s])
				changed = changed || pv.Now[s].Gone || !pv.Now[s].Flags.Equal(p.Base[s])
			}
			if changed {
				view.Changed = append(view.Changed, pv)
			}
		}
		for _, h := range m.halves[mb] {
			view.Halves = append(view.Halves, HalfView{Half: h, Now: look(h.Side, h.ID), Due: h.Retry != 0 && h.Retry <= m.clock})
		}
		for _, s := range Sides {
			for _, msg := range m.store[s][mb] {
				if !known[s][msg.id] {
					view.New[s] = append(view.New[s], Arrival{ID: msg.id, Flags: msg.flags})
				}
			}
		}
		v.Mailboxes = append(v.Mailboxes, view)
	}
	return v
}

// plan observes, answers and builds.
func (m *model) plan(t *testing.T, r Rules) (View, Plan) {
	v := m.observe()
	tr := &truth{content: map[Question]string{}, unreadable: map[Question]bool{}, asked: map[Question]bool{}}
	for _, s := range Sides {
		for mb, msgs := range m.store[s] {
			for _, msg := range msgs {
				tr.content[Question{Mailbox: mailboxName(mb), Side: s, ID: msg.id}] = msg.content
			}
		}
	}
	return v, tr.plan(t, &v, r)
}

func (m *model) putPair(mb int, p Pair) {
	m.pairs[mb] = slices.DeleteFunc(m.pairs[mb], func(q Pair) bool { return q.ID[0] == p.ID[0] || q.ID[1] == p.ID[1] })
	m.pairs[mb] = append(m.pairs[mb], p)
}

func (m *model) dropPair(mb int, p Pair) {
	m.pairs[mb] = slices.DeleteFunc(m.pairs[mb], func(q Pair) bool { return q.ID == p.ID })
}

func (m *model) putHalf(mb int, h Half) {
	m.dropHalf(mb, h)
	m.halves[mb] = append(m.halves[mb], h)
}

func (m *model) dropHalf(mb int, h Half) {
	m.halves[mb] = slices.DeleteFunc(m.halves[mb], func(q Half) bool { return q.ID == h.ID && q.Side == h.Side })
}

func (m *model) commitDrop(mb int, c Commit) {
	for _, p := range c.Drop {
		m.dropPair(mb, p)
	}
}

func (m *model) commitRest(mb int, c Commit) {
	for _, o := range c.Orphan {
		m.dropPair(mb, o.Pair)
		m.putHalf(mb, o.Half)
	}
	for _, h := range c.DropHalf {
		m.dropHalf(mb, h)
	}
	for _, p := range c.Put {
		m.putPair(mb, p)
	}
	for _, h := range c.PutHalf {
		m.putHalf(mb, h)
	}
}

// fate is what becomes of an action.
type fate int

const (
	fine     fate = iota
	notDone       // a passing error
	unlogged      // done, but the process died before the outcome was logged
	doubt         // a copy: its outcome is unknown, it was done
	doubtNot      // a copy: its outcome is unknown, it was not done
	late          // a copy: its outcome is unknown, it shows up in the next round
)

// act applies an action and its outcome, as logstate plays it.
func (m *model) act(mb int, target Side, a Action, f fate) {
	src := target.Other()
	if f == notDone {
		return
	}
	dropHalf := func() {
		if a.Half != nil {
			m.dropHalf(mb, *a.Half)
		}
	}
	switch a.Kind {
	case Copy:
		source := m.find(src, mb, a.New.ID[src])
		if source == nil {
			return
		}
		content, reserved := source.content, ID("")
		if target == Left {
			reserved = m.newID()
		}
		landed := func() message {
			msg := m.add(target, mb, content, a.New.Base[target])
			if reserved != "" {
				m.store[target][mb][len(m.store[target][mb])-1].id = reserved
				msg.id = reserved
			}
			return msg
		}
		var msg message
		switch f {
		case late:
			m.pending = append(m.pending, func() { landed() })
		case doubtNot:
		default:
			msg = landed()
		}
		p := a.New
		if m.complete { // the copy saw all of it
			p.Identity, p.Content = identityOf(content), contentOf(content)
		}
		if f != fine { // an unlogged copy is settled as in doubt
			mark := ""
			if reserved == "" {
				mark = "mark"
			}
			m.putHalf(mb, Half{
				Mark: mark, Side: src, ID: p.ID[src], Base: p.Base[src], Reason: InDoubt, Retry: m.clock + 3, Reserved: reserved,
				Identity: p.Identity, Content: p.Content,
			})
			return
		}
		dropHalf()
		p.ID[target], p.Base[target] = msg.id, msg.flags
		m.putPair(mb, p)
	case Move:
		to := int(a.To[0] - 'A')
		if m.find(target, mb, a.Old.ID[target]) == nil {
			return
		}
		content := m.find(target, mb, a.Old.ID[target]).content
		sure := m.complete && !m.unknown(target, to, content)
		id := m.move(target, mb, to, a.Old.ID[target])
		if f != fine && !sure {
			m.unsure[content]++
			return // whoever settles it finds equal ones where it went
		}
		if a.Half != nil && a.Half.Side == target {
			m.dropHalf(mb, *a.Half)
		} else if a.Half != nil {
			m.dropHalf(to, *a.Half)
		}
		if a.Old.ID[0] != "" && a.Old.ID[1] != "" {
			m.dropPair(mb, a.Old)
		}
		p := a.New
		p.ID[target] = id
		m.putPair(to, p)
	case SetFlags:
		msg := m.find(target, mb, a.Old.ID[target])
		if msg == nil {
			return
		}
		msg.flags = msg.flags.Union(a.Add.Minus(m.cannot[target])).Minus(a.Remove)
		if f != fine {
			return
		}
		for i, p := range m.pairs[mb] {
			if p.ID == a.Old.ID {
				p.Base[src] = p.Base[src].Union(a.Add).Minus(a.Remove)
				p.Base[target] = p.Base[target].Union(a.Add.Intersect(msg.flags)).Minus(a.Remove.Minus(msg.flags))
				m.pairs[mb][i] = p
			}
		}
	case Delete:
		// That a message is gone is seen by whoever settles what was not logged, before anything else is looked at.
		m.remove(target, mb, a.Old.ID[target])
		dropHalf()
		m.dropPair(mb, a.Old)
		if a.To != "" {
			m.dropPair(int(a.To[0]-'A'), a.New)
		}
	}
}

// apply applies a plan; it stops after so many steps if cut is not negative. It reports whether it was applied completely.
func (m *model) apply(p Plan, cut int, fates func(Kind) fate) bool {
	step := func() bool { cut--; return cut != -1 }
	whole := true
	for i, commit := range []func(int, Commit){m.commitDrop, m.commitRest} {
		for mb, plan := range p.Mailboxes {
			if !plan.Commit.Empty() {
				if !step() {
					m.torn = m.torn || i > 0 || mb > 0
					return false
				}
				commit(mb, plan.Commit)
			}
		}
	}
	for mb, plan := range p.Mailboxes {
		for _, s := range Sides {
			for _, a := range plan.Actions[s] {
				if !step() {
					return false
				}
				f := fates(a.Kind)
				whole = whole && f == fine
				m.act(mb, s, a, f)
			}
		}
	}
	return whole
}

func (m *model) tick() {
	m.clock++
	for _, land := range m.pending {
		land()
	}
	m.pending = nil
}

func alwaysFine(Kind) fate { return fine }

// settle syncs until nothing is to be done, and fails if that takes too long.
func (m *model) settle(t *testing.T, rt *rapid.T, r Rules) {
	for range 12 {
		m.tick()
		_, p := m.plan(t, r)
		empty := true
		for _, mp := range p.Mailboxes {
			empty = empty && mp.Empty() && mp.Waiting == 0
			for _, s := range Sides {
				if !slices.IsSortedFunc(mp.Actions[s], func(a, b Action) int { return int(a.Kind) - int(b.Kind) }) {
					rt.Fatalf("actions out of order: %s", planString(p))
				}
			}
		}
		if empty {
			return
		}
		m.apply(p, -1, alwaysFine)
	}
	_, p := m.plan(t, r)
	rt.Fatalf("no end in sight: %s\n%s", planString(p), m)
}

func (m *model) String() string {
	var b strings.Builder
	for mb := range m.mailboxes {
		for _, s := range Sides {
			fmt.Fprintf(&b, "%s %s:", mailboxName(mb), s)
			for _, msg := range m.store[s][mb] {
				fmt.Fprintf(&b, " %s=%s[%s]", msg.id, msg.content, flagString(msg.flags))
			}
			b.WriteByte('\n')
		}
		for _, p := range m.pairs[mb] {
			fmt.Fprintf(&b, "  %s", pairString(p))
		}
		for _, h := range m.halves[mb] {
			fmt.Fprintf(&b, "  %s", halfString(h))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// census counts messages per mailbox and content.
func (m *model) census(s Side) map[string]int {
	out := map[string]int{}
	for mb, msgs := range m.store[s] {
		for _, msg := range msgs {
			out[mailboxName(mb)+" "+msg.content]++
		}
	}
	return out
}

func (m *model) total(s Side, content string) int {
	n := 0
	for _, msgs := range m.store[s] {
		for _, msg := range msgs {
			if msg.content == content {
				n++
			}
		}
	}
	return n
}

// checkEqual fails unless both sides hold the same, as far as they can, and the state knows just that.
func (m *model) checkEqual(rt *rapid.T) {
	l, r := m.census(Left), m.census(Right)
	if fmt.Sprint(l) != fmt.Sprint(r) {
		rt.Fatalf("sides differ\nleft  %v\nright %v\n%s", l, r, m)
	}
	ignore := m.cannot[0].Union(m.cannot[1])
	for mb := range m.mailboxes {
		if len(m.halves[mb]) > 0 {
			rt.Fatalf("half-pairs are left\n%s", m)
		}
		if len(m.pairs[mb]) != len(m.store[0][mb]) {
			rt.Fatalf("state and stores differ\n%s", m)
		}
		for _, p := range m.pairs[mb] {
			a, b := m.find(Left, mb, p.ID[0]), m.find(Right, mb, p.ID[1])
			if a == nil || b == nil || a.content != b.content {
				rt.Fatalf("pair %s is not two equal messages\n%s", pairString(p), m)
			}
			if !a.flags.Minus(ignore).Equal(b.flags.Minus(ignore)) {
				rt.Fatalf("pair %s has different flags\n%s", pairString(p), m)
			}
		}
	}
}
