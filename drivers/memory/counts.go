package memory

import "maps"

// Counts tell what was asked of a server through its Stores, and what came of it. The user's hand is not counted.
type Counts struct {
	Calls   map[string]int // calls by method name, such as "Append"; Server.Open is "OpenStore"
	Items   map[string]int // messages named in batch calls, by method name
	Effects map[string]int // changes made: "append", "flags", "expunge", "move", "create", "rename", "delete"
	Bodies  int            // contents that were yielded by Fetch
}

func newCounts() Counts {
	return Counts{Calls: map[string]int{}, Items: map[string]int{}, Effects: map[string]int{}}
}

// Writes returns how many changes were made.
func (c Counts) Writes() int {
	n := 0
	for _, v := range c.Effects {
		n += v
	}
	return n
}

// WriteCalls returns how many calls were made that could have changed something, successful or not.
func (c Counts) WriteCalls() int {
	n := 0
	for _, m := range []string{"Create", "Rename", "Delete", "Append", "SetFlags", "Expunge", "Move"} {
		n += c.Calls[m]
	}
	return n
}

// Counts returns a copy of the counts since New or ResetCounts.
func (s *Server) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Calls, c.Items, c.Effects = maps.Clone(c.Calls), maps.Clone(c.Items), maps.Clone(c.Effects)
	return c
}

// ResetCounts sets all counts to zero.
func (s *Server) ResetCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = newCounts()
}

// OpenContents returns how many contents were yielded by Fetch and not closed yet.
func (s *Server) OpenContents() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// OpenStores returns how many Stores were opened and not closed yet.
func (s *Server) OpenStores() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}
