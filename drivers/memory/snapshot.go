package memory

import (
	"bytes"
	"time"

	"driftless/merge"
)

// Snapshot is all that a server holds, by mailbox name.
type Snapshot map[string]MailboxSnapshot

// MailboxSnapshot is one mailbox of a Snapshot.
type MailboxSnapshot struct {
	Validity   uint32 // UIDVALIDITY
	Subscribed bool
	Messages   []Message // in order of arrival
}

// Message is one message of a Snapshot.
type Message struct {
	ID    merge.ID
	Flags merge.Flags
	Date  time.Time
	Data  []byte
}

// Snapshot returns a copy of everything.
func (s *Server) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Snapshot{}
	for _, b := range s.boxes {
		m := MailboxSnapshot{Validity: b.epoch, Subscribed: b.subscribed}
		for _, o := range b.order {
			m.Messages = append(m.Messages, Message{o.id, o.flags, o.date, bytes.Clone(o.data)})
		}
		out[b.name] = m
	}
	return out
}
