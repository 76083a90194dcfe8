package embedded

import (
	"errors"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/backend"
)

// session is one connection's user.
type session struct {
	store *store
	user  string
}

// Username returns the name that the connection logged in with.
func (s *session) Username() string { return s.user }

// Logout does nothing: a session holds nothing.
func (s *session) Logout() error { return nil }

// ListMailboxes returns all mailboxes, or the subscribed ones.
func (s *session) ListMailboxes(subscribed bool) ([]backend.Mailbox, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	var out []backend.Mailbox
	for _, n := range s.store.names() {
		if b := s.store.boxes[n]; b.subscribed || !subscribed {
			out = append(out, &view{store: s.store, box: b, name: b.name})
		}
	}
	return out, nil
}

// GetMailbox returns a view of a mailbox as it is now.
func (s *session) GetMailbox(name string) (backend.Mailbox, error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	b, err := s.store.get(name)
	if err != nil {
		return nil, respond("NONEXISTENT", err)
	}
	return newView(s.store, b), nil
}

// CreateMailbox makes a mailbox.
func (s *session) CreateMailbox(name string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	_, err := s.store.create(name)
	return respond("", err)
}

// DeleteMailbox removes a mailbox.
func (s *session) DeleteMailbox(name string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return respond("", s.store.remove(name))
}

// RenameMailbox renames a mailbox.
func (s *session) RenameMailbox(from, to string) error {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	return respond("", s.store.rename(from, to))
}

// respond gives an error the response code (RFC 5530) that clients look for.
func respond(code imap.StatusRespCode, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errExists):
		code = "ALREADYEXISTS"
	case errors.Is(err, errBadName):
		code = "CANNOT"
	case errors.Is(err, errNoBox) && code == "":
		code = "NONEXISTENT"
	}
	return &imap.ErrStatusResp{Resp: &imap.StatusResp{Type: imap.StatusRespNo, Code: code, Info: err.Error()}}
}
