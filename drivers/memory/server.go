package memory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"driftless/drivers"
	"driftless/merge"
)

const inbox = "INBOX"

// errClosed is the cause of a call on a closed Store or Mailbox.
var errClosed = errors.New("closed")

// Server holds mailboxes in memory. Its methods may be called from several goroutines.
type Server struct {
	opt Options

	mu       sync.Mutex
	boxes    map[string]*box // by key()
	serial   uint64          // last box number
	epoch    uint32          // last UIDVALIDITY given
	names    uint64          // last reserved id
	identity string
	counts   Counts
	hook     func(op, mailbox string)
	cut      *cut
	late     []lateAppend
	held     int // contents that were yielded and are not closed
	open     int // stores
}

// New returns a server with an empty INBOX.
func New(opt Options) *Server {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Identity == "" {
		opt.Identity = "memory"
	}
	s := &Server{opt: opt, boxes: map[string]*box{}, identity: opt.Identity, counts: newCounts()}
	s.create(inbox)
	return s
}

// Open returns a new Store on the server. The error is that of ctx.
func (s *Server) Open(ctx context.Context) (drivers.Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, &drivers.Error{Op: "open", Where: "memory", Reach: drivers.ReachStore, Retry: drivers.RetryLater, Err: err}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	s.counts.Calls["OpenStore"]++
	return &store{srv: s}, nil
}

// OnCall sets a function that is called at the start of each call of a Store or Mailbox, without any lock held, with the method's name and the mailbox ("" if none). It lets a test change
// something at an exact moment. nil removes it.
func (s *Server) OnCall(f func(op, mailbox string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = f
}

// key returns the name under which a mailbox is found.
func (s *Server) key(name string) string {
	first, rest, deeper := strings.Cut(name, "/")
	if strings.EqualFold(first, inbox) {
		name = inbox
		if deeper {
			name += "/" + rest
		}
	}
	if s.opt.FoldCase {
		return lower(name)
	}
	return name
}

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// checkName refuses what is not a mailbox name.
func checkName(name string) error {
	if !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return errors.New("not a mailbox name: invalid characters")
	}
	if slices.Contains(strings.Split(name, "/"), "") {
		return errors.New("not a mailbox name: empty level")
	}
	return nil
}

func (s *Server) box(name string) *box { return s.boxes[s.key(name)] }

// create makes a mailbox and its parents.
func (s *Server) create(name string) *box {
	if b := s.box(name); b != nil {
		return b
	}
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		parent := s.create(name[:i])
		name = parent.name + name[i:]
	} else if strings.EqualFold(name, inbox) {
		name = inbox
	}
	s.serial++
	if !s.opt.SameValidity || s.epoch == 0 {
		s.epoch++
	}
	b := &box{srv: s, name: name, serial: s.serial, epoch: s.epoch, next: 1, msgs: map[merge.ID]*message{}, words: map[string]string{}, subscribed: true}
	b.readOnly = slices.Contains(s.opt.ReadOnly, name)
	b.specialUse = s.opt.SpecialUse[name]
	s.boxes[s.key(name)] = b
	return b
}

// remove forgets a mailbox for ever: if the name comes back, it is with another UIDVALIDITY.
func (s *Server) remove(b *box) {
	delete(s.boxes, s.key(b.name))
	s.epoch++
}

// rename gives a mailbox and its children another name. INBOX keeps existing, empty (RFC 9051, section 6.3.6).
func (s *Server) rename(b *box, to string) {
	from := b.name
	if from == inbox {
		d := s.create(to)
		for _, m := range slices.Clone(b.order) {
			s.move(b, m, d)
		}
		return
	}
	var moved []*box
	for _, c := range s.boxes {
		if c == b || strings.HasPrefix(c.name, from+"/") {
			moved = append(moved, c)
		}
	}
	slices.SortFunc(moved, func(a, b *box) int { return strings.Compare(a.name, b.name) })
	for _, c := range moved {
		delete(s.boxes, s.key(c.name))
	}
	if i := strings.LastIndexByte(to, '/'); i >= 0 {
		to = s.create(to[:i]).name + to[i:]
	}
	for _, c := range moved {
		c.name = to + strings.TrimPrefix(c.name, from)
		s.boxes[s.key(c.name)] = c
		if s.opt.RenameBumps {
			c.bump()
		}
	}
}

// move takes m from b to d and returns the id it has there.
func (s *Server) move(b *box, m *message, d *box) merge.ID {
	b.take(m)
	id := merge.ID("")
	if s.opt.StableIDs && d.msgs[m.id] == nil {
		id = m.id
	}
	moved := &message{flags: d.keep(m.flags), date: m.date, data: m.data, identity: m.identity, unreadable: m.unreadable}
	d.add(moved, id)
	return moved.id
}

// reserve returns an id that was never given before.
func (s *Server) reserve() merge.ID {
	s.names++
	return merge.ID(fmt.Sprintf("%d.m%d.memory", 1700000000+s.names, s.names))
}

func (s *Server) sorted() []*box {
	var out []*box
	for _, b := range s.boxes {
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b *box) int { return strings.Compare(a.name, b.name) })
	return out
}
