package imap

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/emersion/go-imap/client"

	"driftless/merge"
)

// conn is one connection, logged in. One goroutine at a time uses it (the pool's lease).
type conn struct {
	st     *Store
	w      *wire
	client *client.Client
	caps   capSet // after login

	setUp   bool // ENABLE has been answered
	qresync bool // ENABLED named QRESYNC

	mu  sync.Mutex
	sel *selection // the selected mailbox; nil if none. Its counters are written by the reader

	flags map[string]merge.Flags // interned flag lists; used by handlers only
}

// selection is what is known of the selected mailbox.
type selection struct {
	box         string // local name
	validity    uint32
	next        uint32 // UIDNEXT at SELECT; 0 not told
	modseq      uint64 // HIGHESTMODSEQ at SELECT; 0 none
	exists      uint32 // kept up to date
	atSelect    uint32 // EXISTS at the end of SELECT
	expunged    uint64 // how many expunges were announced since SELECT
	readOnly    bool
	newKeywords bool
	permanent   merge.Flags
	hasPerm     bool
	present     merge.Flags // FLAGS: keywords that the mailbox has
}

// arm starts the time-out of a flight for a read that already waits.
func (c *conn) arm() error {
	return c.w.raw.SetReadDeadline(time.Now().Add(c.w.timeout))
}

// dead reports whether the connection is over.
func (c *conn) dead() bool {
	select {
	case <-c.client.LoggedOut():
		return true
	default:
		return c.w.failure() != nil
	}
}

// close ends the connection and waits for its reader.
func (c *conn) close() {
	_ = c.w.Close() // it is over either way
	<-c.client.LoggedOut()
}

// logout says goodbye and closes. An error is of no interest: the connection ends.
func (c *conn) logout() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if !c.dead() {
		_ = c.fly(ctx, newFlight(cmd("LOGOUT")))
		c.st.trips.Add(-1) // nobody waits for anything but the goodbye
	}
	c.close()
}

// tracker keeps the selection's counters right, whatever is going on (RFC 3501, section 5.2; RFC 7162, section 3.2.10).
func (c *conn) tracker(num uint32, name string, s *scanner) error {
	switch name {
	case "EXISTS", "EXPUNGE", "VANISHED", "FLAGS":
	case "ENABLED":
		c.sawEnabled(s)
		return nil
	case "NAMESPACE":
		return c.sawNamespace(s)
	case "LIST":
		return c.sawRoot(s)
	case "FETCH":
		if num == 0 {
			return malformed("FETCH without a number")
		}
		return nil
	default:
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sel == nil {
		return nil
	}
	switch name {
	case "EXISTS":
		c.sel.exists = num
	case "EXPUNGE":
		if num == 0 {
			return malformed("EXPUNGE without a number")
		}
		c.sel.gone(1)
	case "VANISHED":
		set, earlier, err := parseVanished(s)
		if err != nil {
			return err
		}
		if !earlier {
			c.sel.gone(set.count())
		}
	case "FLAGS":
		list, err := s.rawList()
		if err != nil {
			return err
		}
		c.sel.present = parseFlags(list)
	}
	return nil
}

// gone counts announced expunges.
func (s *selection) gone(n uint64) {
	s.expunged += n
	s.exists -= uint32(min(n, uint64(s.exists)))
}

// parseVanished parses the rest of a VANISHED response (RFC 7162, section 3.2.10).
func parseVanished(s *scanner) (set uidSet, earlier bool, err error) {
	if s.peek() == '(' {
		list, err := s.rawList()
		if err != nil {
			return nil, false, err
		}
		if !equalFold(list, "EARLIER") {
			return nil, false, malformed("VANISHED with an unknown tag")
		}
		earlier = true
		s.spaces()
	}
	w, err := s.word()
	if err != nil {
		return nil, false, err
	}
	set, err = parseUIDSet(w)
	if err != nil {
		return nil, false, malformed("VANISHED: %v", err)
	}
	return set, earlier, nil
}

// selected returns a copy of what is known of the selected mailbox.
func (c *conn) selected() (selection, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sel == nil {
		return selection{}, false
	}
	return *c.sel, true
}

// unselect forgets the selection: the server's view of it is no longer known.
func (c *conn) unselect() {
	c.mu.Lock()
	c.sel = nil
	c.mu.Unlock()
}

// quietLog takes what go-imap wants to log. It logs only what cannot happen behind a wire, so nothing is kept.
type quietLog struct{}

func (quietLog) Printf(string, ...any) {}
func (quietLog) Println(...any)        {}

// errNoStatus is a flight that ended without the answers that it needs.
var errNoStatus = errors.New("server left out a required response")

// leave unselects the mailbox, with UNSELECT (RFC 3691) or by examining one that does not exist (RFC 3501, section 6.3.1).
func (c *conn) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), c.w.timeout)
	defer cancel()
	com := cmd("UNSELECT")
	if !c.caps.has("UNSELECT") {
		com = cmd(`EXAMINE "driftless no such mailbox"`)
	}
	_ = c.fly(ctx, newFlight(com)) // a lost connection shows in the next command
	c.unselect()
}
