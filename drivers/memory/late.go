package memory

import (
	"errors"

	"driftless/drivers"
	"driftless/merge"
)

// Fate is what becomes of a message in whose append the connection dies.
type Fate uint8

const (
	// Lost: it is never stored.
	Lost Fate = iota
	// Stored: it is stored before the connection dies, only the answer is lost.
	Stored
	// Late: the server still works on it; CompleteLate stores it.
	Late
)

type cut struct {
	skip int
	fate Fate
}

type lateAppend struct {
	mailbox  string
	msg      *message
	reserved merge.ID
}

// errCut is the cause of errors after the connection died.
var errCut = errors.New("connection lost")

// CutAppend lets the connection die while a message is appended: skip messages are appended as usual before that, in any mailbox. The caller gets ErrUnknown for that message and a
// connection error for what follows; the Store answers every later call with a connection error, another one can be opened.
func (s *Server) CutAppend(skip int, fate Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = &cut{skip, fate}
}

// CompleteLate stores the messages that are Late, unless their mailbox is gone or their reserved id is there, and returns how many were stored.
func (s *Server) CompleteLate() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.late {
		b := s.box(l.mailbox)
		if b == nil || l.reserved != "" && b.msgs[l.reserved] != nil {
			continue
		}
		l.msg.flags = b.keep(l.msg.flags)
		b.add(l.msg, l.reserved)
		n++
	}
	s.late = nil
	return n
}

// cutHere reports whether the connection dies at this append.
func (s *Server) cutHere() (Fate, bool) {
	if s.cut == nil {
		return 0, false
	}
	if s.cut.skip > 0 {
		s.cut.skip--
		return 0, false
	}
	f := s.cut.fate
	s.cut = nil
	return f, true
}

// lost returns the error of a call on a dead connection.
func lost(op, where string) error {
	return &drivers.Error{Op: op, Where: where, Reach: drivers.ReachStore, Retry: drivers.RetryLater, Err: errCut}
}
