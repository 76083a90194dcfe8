package memory

import "maps"

// Clone returns a server that holds what this one holds at this moment and goes on from there by itself, as if all its clients had just lost their
// connections: no Store is open on it, and what CutAppend left unfinished is finished nowhere. Counts, hooks and cuts are not taken over.
func (s *Server) Clone() *Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Server{
		opt: s.opt, boxes: make(map[string]*box, len(s.boxes)), serial: s.serial, epoch: s.epoch, names: s.names,
		identity: s.identity, counts: newCounts(),
	}
	for key, b := range s.boxes {
		copied := b.clone()
		copied.srv = c
		c.boxes[key] = copied
	}
	c.opt.SpecialUse = maps.Clone(s.opt.SpecialUse)
	return c
}
