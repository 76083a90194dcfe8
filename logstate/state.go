package logstate

import (
	"sync"

	"driftless/merge"
)

// State is the folded state of one mailbox. It is safe for concurrent use, also while commits change it.
type State struct {
	mu     sync.RWMutex
	table  *table
	cursor [2]string
}

// Count returns how many messages are known on a side: pairs and half-pairs.
func (s *State) Count(side merge.Side) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.table.count.on(side)
}

// Pair returns the pair with this id on this side.
func (s *State) Pair(side merge.Side, id merge.ID) (merge.Pair, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, slot := s.table.findPair(side, []byte(id))
	if slot < 0 {
		return merge.Pair{}, false
	}
	return rawOf(s.table.arena.slabs, s.table.flags, s.table.pairs.at(i)).pair(), true
}

// Half returns the half-pair with this id on this side.
func (s *State) Half(side merge.Side, id merge.ID) (merge.Half, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i, slot := s.table.findHalf(side, []byte(id))
	if slot < 0 {
		return merge.Half{}, false
	}
	return decodeHalfEntry(s.table.arena.slabs, s.table.halves.at(i)), true
}

func (s *State) pin() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.pin()
}

func (s *State) unpin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.unpin()
}

// Pairs calls f for each pair until it returns false. It goes over the pairs that there were when it was called: a commit
// meanwhile neither waits for it nor shows in it.
func (s *State) Pairs(f func(merge.Pair) bool) {
	v := s.pin()
	defer s.unpin()
	v.eachPair(func(p rawPair) bool { return f(p.pair()) })
}

// Halves returns all half-pairs, in no particular order.
func (s *State) Halves() []merge.Half {
	v := s.pin()
	defer s.unpin()
	var out []merge.Half
	v.eachHalf(func(e *halfEntry, _ []byte) bool {
		out = append(out, decodeHalfEntry(v.slabs, e))
		return true
	})
	return out
}

// Cursor returns the committed cursor of a side, "" if there is none.
func (s *State) Cursor(side merge.Side) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cursor[side]
}
