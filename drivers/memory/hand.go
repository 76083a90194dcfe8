package memory

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// Deliver puts a message into a mailbox, which is made if it does not exist, and returns its id. A zero date is now.
func (s *Server) Deliver(mailbox string, flags merge.Flags, date time.Time, data []byte) merge.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.create(mailbox)
	m := s.message(flags, date, bytes.Clone(data))
	m.flags = b.keep(m.flags)
	b.add(m, "")
	return m.id
}

// message returns a message that is in no mailbox yet. It takes over data.
func (s *Server) message(flags merge.Flags, date time.Time, data []byte) *message {
	if date.IsZero() {
		date = s.opt.Now()
	}
	d := merge.NewDigest()
	_, _ = d.Write(data)
	identity, _ := d.Sum()
	return &message{flags: flags, date: date.Truncate(time.Second), data: data, identity: identity}
}

// find returns a mailbox and a message in it.
func (s *Server) find(mailbox string, id merge.ID) (*box, *message, error) {
	b := s.box(mailbox)
	if b == nil {
		return nil, nil, fmt.Errorf("%s: %w", mailbox, drivers.ErrNoMailbox)
	}
	m := b.msgs[id]
	if m == nil {
		return nil, nil, fmt.Errorf("%s: message %q: %w", mailbox, id, drivers.ErrGone)
	}
	return b, m, nil
}

// SetFlags replaces the flags of a message. ErrNoMailbox or ErrGone if it is not there.
func (s *Server) SetFlags(mailbox string, id merge.ID, flags merge.Flags) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, m, err := s.find(mailbox, id)
	if err != nil {
		return err
	}
	b.setFlags(m, flags)
	return nil
}

// Remove expunges a message. ErrNoMailbox or ErrGone if it is not there.
func (s *Server) Remove(mailbox string, id merge.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, m, err := s.find(mailbox, id)
	if err != nil {
		return err
	}
	b.take(m)
	return nil
}

// Move moves a message to another mailbox, which is made if it does not exist, and returns its id there. ErrNoMailbox or ErrGone
// if it is not there.
func (s *Server) Move(mailbox string, id merge.ID, to string) (merge.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, m, err := s.find(mailbox, id)
	if err != nil {
		return "", err
	}
	return s.move(b, m, s.create(to)), nil
}

// SetUnreadable makes a message one that Fetch yields with an error, or readable again. ErrNoMailbox or ErrGone if it is not there.
func (s *Server) SetUnreadable(mailbox string, id merge.ID, unreadable bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, m, err := s.find(mailbox, id)
	if err != nil {
		return err
	}
	m.unreadable = unreadable
	return nil
}

// CreateMailbox makes a mailbox and its parents, unless it exists.
func (s *Server) CreateMailbox(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.create(name)
}

// change calls f with a mailbox. ErrNoMailbox if it does not exist.
func (s *Server) change(mailbox string, f func(*box)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.box(mailbox)
	if b == nil {
		return fmt.Errorf("%s: %w", mailbox, drivers.ErrNoMailbox)
	}
	f(b)
	return nil
}

// RenameMailbox renames a mailbox with its children. ErrNoMailbox if it does not exist, ErrExists if the new name does.
func (s *Server) RenameMailbox(from, to string) error {
	var err error
	if nobox := s.change(from, func(b *box) {
		if s.box(to) != nil {
			err = fmt.Errorf("%s: %w", to, drivers.ErrExists)
			return
		}
		s.rename(b, to)
	}); nobox != nil {
		return nobox
	}
	return err
}

// DeleteMailbox removes a mailbox with its messages. ErrNoMailbox if it does not exist.
func (s *Server) DeleteMailbox(name string) error { return s.change(name, s.remove) }

// BumpValidity gives a mailbox a new UIDVALIDITY: every message has another id. Where ids are names, all of them are replaced. ErrNoMailbox if
// it does not exist.
func (s *Server) BumpValidity(mailbox string) error { return s.change(mailbox, (*box).bump) }

// ForgetExpunges makes a QResync mailbox forget what was expunged until now; it lists everything to one who asks from before. ErrNoMailbox
// if it does not exist.
func (s *Server) ForgetExpunges(mailbox string) error {
	return s.change(mailbox, func(b *box) { b.gone, b.floor = nil, b.mod })
}

// LoseExpunges makes a QResync mailbox lose what was expunged until now without noticing, as servers with a bug do: it is never told
// in scope Delta. ErrNoMailbox if it does not exist.
func (s *Server) LoseExpunges(mailbox string) error {
	return s.change(mailbox, func(b *box) { b.gone = nil })
}

// SetReadOnly makes a mailbox read-only for Stores, or writable. ErrNoMailbox if it does not exist.
func (s *Server) SetReadOnly(mailbox string, readOnly bool) error {
	return s.change(mailbox, func(b *box) { b.readOnly = readOnly })
}

// SetNoSelect makes a mailbox a mere parent, or one that can be opened. ErrNoMailbox if it does not exist.
func (s *Server) SetNoSelect(mailbox string, noSelect bool) error {
	return s.change(mailbox, func(b *box) { b.noSelect = noSelect })
}

// SetIdentity changes what Store.Identity returns, as if another store were at the same place.
func (s *Server) SetIdentity(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.identity = id
}

// Backup is a copy of everything a server holds.
type Backup struct{ boxes []*box }

// Backup returns a copy of all mailboxes for Restore.
func (s *Server) Backup() *Backup {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := &Backup{}
	for _, b := range s.sorted() {
		k.boxes = append(k.boxes, b.clone())
	}
	return k
}

// Restore brings all mailboxes back to what they were, as an administrator does with an old copy: UIDs and change counts go back in time.
func (s *Server) Restore(k *Backup) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.boxes)
	for _, b := range k.boxes {
		c := b.clone()
		s.boxes[s.key(c.name)] = c
	}
}

func (b *box) clone() *box {
	c := *b
	c.msgs = make(map[merge.ID]*message, len(b.msgs))
	c.order = make([]*message, len(b.order))
	for i, m := range b.order {
		n := *m
		c.order[i] = &n
		c.msgs[n.id] = &n
	}
	c.gone = slices.Clone(b.gone)
	c.words = make(map[string]string, len(b.words))
	for k, v := range b.words {
		c.words[k] = v
	}
	return &c
}
