package logstate

import (
	"maps"
	"slices"

	"driftless/merge"
)

// model is the naive state of one mailbox that the real one is compared with.
type model struct {
	pairs  map[[2]merge.ID]merge.Pair
	halves map[halfKey]merge.Half
	cursor [2]string
	known  [2]bool
}

type halfKey struct {
	side merge.Side
	id   merge.ID
}

func newModel() *model {
	return &model{pairs: map[[2]merge.ID]merge.Pair{}, halves: map[halfKey]merge.Half{}}
}

func (m *model) clone() *model {
	return &model{pairs: maps.Clone(m.pairs), halves: maps.Clone(m.halves), cursor: m.cursor, known: m.known}
}

func (m *model) find(id [2]merge.ID) (merge.Pair, bool) {
	for _, p := range m.pairs {
		if (id[0] == "" || id[0] == p.ID[0]) && (id[1] == "" || id[1] == p.ID[1]) && (id[0] != "" || id[1] != "") {
			return p, true
		}
	}
	return merge.Pair{}, false
}

func (m *model) apply(op Op) {
	switch op.Kind {
	case PutPair:
		for k := range m.pairs {
			if k[0] == op.Pair.ID[0] || k[1] == op.Pair.ID[1] {
				delete(m.pairs, k)
			}
		}
		m.pairs[op.Pair.ID] = op.Pair
	case DropPair:
		if p, ok := m.find(op.Pair.ID); ok {
			delete(m.pairs, p.ID)
		}
	case AdjustBase:
		if p, ok := m.find(op.Pair.ID); ok {
			for s := range p.Base {
				if b := p.Base[s].Union(op.Add[s]).Minus(op.Remove[s]); !b.Equal(p.Base[s]) {
					p.Base[s] = b
				}
			}
			m.pairs[p.ID] = p
		}
	case PutHalf:
		m.halves[halfKey{op.Half.Side, op.Half.ID}] = op.Half
	case DropHalf:
		delete(m.halves, halfKey{op.Half.Side, op.Half.ID})
	case SetCursor:
		m.cursor[op.Side] = op.Cursor
	case Clear:
		known := m.known
		*m = *newModel()
		m.known = known
	case KnownOn:
		m.known[op.Side] = true
	case ForgottenOn:
		m.known[op.Side] = false
	}
}

func (m *model) count(s merge.Side) int {
	n := len(m.pairs)
	for k := range m.halves {
		if k.side == s {
			n++
		}
	}
	return n
}

// content returns the pairs and half-pairs of a state as maps.
func content(s *State) (map[[2]merge.ID]merge.Pair, map[halfKey]merge.Half) {
	pairs := map[[2]merge.ID]merge.Pair{}
	s.Pairs(func(p merge.Pair) bool {
		pairs[p.ID] = p
		return true
	})
	halves := map[halfKey]merge.Half{}
	for _, h := range s.Halves() {
		halves[halfKey{h.Side, h.ID}] = h
	}
	return pairs, halves
}

// differs says where a state and its summary are not as the model, "" if nowhere.
func (m *model) differs(s *State, sum Summary) string {
	pairs, halves := content(s)
	switch {
	case !maps.Equal(pairs, m.pairs):
		return "pairs"
	case !maps.Equal(halves, m.halves):
		return "half-pairs"
	case sum.Cursor != m.cursor || s.Cursor(merge.Left) != m.cursor[0] || s.Cursor(merge.Right) != m.cursor[1]:
		return "cursors"
	case sum.Known != m.known:
		return "known"
	}
	reasons := map[merge.Reason]int{}
	for _, h := range m.halves {
		reasons[h.Reason]++
	}
	if !maps.Equal(reasons, sum.Halves) {
		return "half-pairs by reason"
	}
	for _, side := range merge.Sides {
		if s.Count(side) != m.count(side) || sum.Count[side] != m.count(side) {
			return "counts"
		}
		for _, p := range m.pairs {
			if got, ok := s.Pair(side, p.ID[side]); !ok || got != p {
				return "pair by id"
			}
		}
		if _, ok := s.Pair(side, "no such id"); ok {
			return "pair by unknown id"
		}
	}
	for k, h := range m.halves {
		if got, ok := s.Half(k.side, k.id); !ok || got != h {
			return "half-pair by id"
		}
	}
	return ""
}

// tester is what *testing.T, *testing.B and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// must fails the test at once.
func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reader is what Account and View have in common.
type reader interface {
	Mailboxes() []Summary
	State(Mailbox) (*State, error)
}

// checkModels compares all mailboxes; those marked to be paired again are compared only with strict.
func checkModels(t tester, r reader, models map[Mailbox]*model, strict bool) {
	t.Helper()
	sums := r.Mailboxes()
	if len(sums) != len(models) {
		t.Fatalf("%d mailboxes, want %d", len(sums), len(models))
	}
	for _, sum := range sums {
		if sum.Repair {
			if strict {
				t.Fatalf("mailbox %d is marked to be paired again", sum.Mailbox)
			}
			continue
		}
		s, err := r.State(sum.Mailbox)
		must(t, err)
		if d := models[sum.Mailbox].differs(s, sum); d != "" {
			t.Fatalf("mailbox %d: %s differ from the model", sum.Mailbox, d)
		}
	}
}

func sortedKeys[V any](m map[Mailbox]V) []Mailbox { return slices.Sorted(maps.Keys(m)) }
