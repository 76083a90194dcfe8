package embedded

import (
	"fmt"
	"slices"
	"time"
)

// Message is a message as Snapshot shows it.
type Message struct {
	UID   uint32
	Flags []string // sorted, without \Recent
	Date  time.Time
	Body  []byte // in wire form; must not be written to
}

// Create makes a mailbox with its parents, as the user's hand would do it.
func (s *Server) Create(mailbox string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	_, err := s.store.create(mailbox)
	return named(mailbox, err)
}

// Delete removes a mailbox with its messages, but not its children.
func (s *Server) Delete(mailbox string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return named(mailbox, s.store.remove(mailbox))
}

// Rename renames a mailbox with its children.
func (s *Server) Rename(from, to string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return named(from, s.store.rename(from, to))
}

// Deliver stores a message, in wire form, and returns its UID. A zero date means now.
func (s *Server) Deliver(mailbox string, body []byte, date time.Time, flags ...string) (uint32, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	b, err := s.store.get(mailbox)
	if err != nil {
		return 0, named(mailbox, err)
	}
	return b.put(slices.Clone(body), flags, date).uid, nil
}

// SetFlags gives a message just these flags.
func (s *Server) SetFlags(mailbox string, uid uint32, flags ...string) error {
	return s.with(mailbox, uid, func(b *box, m *message) error {
		b.setFlags(m, flags)
		return nil
	})
}

// Remove deletes a message for good.
func (s *Server) Remove(mailbox string, uid uint32) error {
	return s.with(mailbox, uid, func(b *box, m *message) error {
		b.drop(func(x *message) bool { return x == m })
		return nil
	})
}

// Move moves a message to another mailbox and returns its UID there.
func (s *Server) Move(mailbox string, uid uint32, to string) (uint32, error) {
	var there uint32
	err := s.with(mailbox, uid, func(b *box, m *message) error {
		target, err := s.store.get(to)
		if err != nil {
			return named(to, err)
		}
		there = target.put(m.body, m.flags, m.date).uid
		b.drop(func(x *message) bool { return x == m })
		return nil
	})
	return there, err
}

func (s *Server) with(mailbox string, uid uint32, f func(*box, *message) error) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	b, err := s.store.get(mailbox)
	if err != nil {
		return named(mailbox, err)
	}
	m := b.find(uid)
	if m == nil {
		return fmt.Errorf("embedded server: %s: no message with UID %d", mailbox, uid)
	}
	return f(b, m)
}

// Snapshot returns everything in the store: the messages of each mailbox by its name, in UID order.
func (s *Server) Snapshot() map[string][]Message {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	out := map[string][]Message{}
	for name, b := range s.store.boxes {
		msgs := make([]Message, 0, len(b.msgs))
		for _, m := range b.msgs {
			msgs = append(msgs, Message{UID: m.uid, Flags: slices.Clone(m.flags), Date: m.date, Body: m.body})
		}
		out[name] = msgs
	}
	return out
}

func named(mailbox string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("embedded server: %s: %w", mailbox, err)
}
