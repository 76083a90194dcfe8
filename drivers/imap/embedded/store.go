package embedded

import (
	"errors"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

var (
	errNoBox   = errors.New("no such mailbox")
	errExists  = errors.New("mailbox exists already")
	errBadName = errors.New("mailbox name is not allowed")
	errDeleted = errors.New("mailbox was deleted")
)

// store is the user's mail. One lock guards all of it: what is done under it is short, for contents are never copied.
type store struct {
	mu       sync.Mutex
	boxes    map[string]*box
	validity uint32 // of the newest mailbox
}

// box is a mailbox. Its fields are guarded by the store's lock.
type box struct {
	name       string
	validity   uint32
	next       uint32 // UIDNEXT
	rev        uint64 // of the newest change
	msgs       []*message
	subscribed bool
	deleted    bool
	changed    chan struct{} // closed at the next change, then replaced
}

// message is one message. uid, date and body never change.
type message struct {
	uid   uint32
	date  time.Time
	body  []byte
	flags []string // sorted
	rev   uint64   // box.rev when the flags last changed
}

func newStore(validity uint32) *store {
	s := &store{boxes: map[string]*box{}, validity: validity}
	s.add("INBOX")
	return s
}

// touch notes a change and wakes who waits for one.
func (b *box) touch() {
	b.rev++
	close(b.changed)
	b.changed = make(chan struct{})
}

// cleanName returns a name without a trailing delimiter, INBOX in its canonical spelling.
func cleanName(name string) (string, error) {
	name = strings.TrimSuffix(name, "/")
	levels := strings.Split(name, "/")
	for _, l := range levels {
		if l == "" || strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r == '*' || r == '%' || r == 0x7f }) {
			return "", errBadName
		}
	}
	if strings.EqualFold(levels[0], "INBOX") {
		levels[0] = "INBOX"
	}
	return strings.Join(levels, "/"), nil
}

func (s *store) get(name string) (*box, error) {
	clean, err := cleanName(name)
	if err != nil {
		return nil, errNoBox
	}
	b := s.boxes[clean]
	if b == nil {
		return nil, errNoBox
	}
	return b, nil
}

// add makes a mailbox that does not exist, without its parents.
func (s *store) add(name string) *box {
	s.validity++
	b := &box{name: name, validity: s.validity, next: 1, changed: make(chan struct{})}
	s.boxes[name] = b
	return b
}

// create makes a mailbox and the parents that are missing.
func (s *store) create(name string) (*box, error) {
	name, err := cleanName(name)
	if err != nil {
		return nil, err
	}
	if s.boxes[name] != nil {
		return nil, errExists
	}
	for i := range name {
		if name[i] == '/' && s.boxes[name[:i]] == nil {
			s.add(name[:i])
		}
	}
	return s.add(name), nil
}

func (s *store) remove(name string) error {
	b, err := s.get(name)
	if err != nil {
		return err
	}
	if b.name == "INBOX" {
		return errors.New("INBOX cannot be deleted")
	}
	delete(s.boxes, b.name)
	b.deleted = true
	b.touch()
	return nil
}

// rename renames a mailbox and its children. INBOX stays and is emptied instead (RFC 3501, section 6.3.5).
func (s *store) rename(from, to string) error {
	b, err := s.get(from)
	if err != nil {
		return err
	}
	if clean, err := cleanName(to); err == nil && strings.HasPrefix(clean, b.name+"/") {
		return errors.New("a mailbox cannot go below itself")
	}
	target, err := s.create(to)
	if err != nil {
		return err
	}
	if b.name == "INBOX" {
		for _, m := range b.msgs {
			target.put(m.body, m.flags, m.date)
		}
		b.msgs = nil
		b.touch()
		return nil
	}
	old := b.name
	for name, child := range s.boxes {
		if rest, ok := strings.CutPrefix(name, old+"/"); ok {
			delete(s.boxes, name)
			child.name = target.name + "/" + rest
			s.boxes[child.name] = child
		}
	}
	delete(s.boxes, old)
	b.name = target.name
	s.boxes[b.name] = b // the one that create made is forgotten
	return nil
}

// names returns the names of all mailboxes, sorted.
func (s *store) names() []string {
	out := make([]string, 0, len(s.boxes))
	for n := range s.boxes {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

func (b *box) put(body []byte, flags []string, date time.Time) *message {
	if date.IsZero() {
		date = time.Now()
	}
	b.touch()
	m := &message{uid: b.next, date: date.Truncate(time.Second), body: body, flags: cleanFlags(flags), rev: b.rev}
	b.next++
	b.msgs = append(b.msgs, m)
	return m
}

// find returns the message with a UID, nil if it is not there.
func (b *box) find(uid uint32) *message {
	i := sort.Search(len(b.msgs), func(i int) bool { return b.msgs[i].uid >= uid })
	if i < len(b.msgs) && b.msgs[i].uid == uid {
		return b.msgs[i]
	}
	return nil
}

func (b *box) setFlags(m *message, flags []string) {
	flags = cleanFlags(flags)
	if slices.Equal(flags, m.flags) {
		return
	}
	b.touch()
	m.flags, m.rev = flags, b.rev
}

// drop removes messages for good.
func (b *box) drop(which func(*message) bool) {
	kept := make([]*message, 0, len(b.msgs))
	for _, m := range b.msgs {
		if !which(m) {
			kept = append(kept, m)
		}
	}
	if len(kept) < len(b.msgs) {
		b.msgs = kept
		b.touch()
	}
}

// cleanFlags returns a sorted set without \Recent; flags compare without regard to case.
func cleanFlags(flags []string) []string {
	out := make([]string, 0, len(flags))
	for _, f := range flags {
		if !strings.EqualFold(f, `\Recent`) && !hasFlag(out, f) {
			out = append(out, f)
		}
	}
	sort.Strings(out)
	return out
}

func hasFlag(flags []string, flag string) bool {
	return slices.ContainsFunc(flags, func(f string) bool { return strings.EqualFold(f, flag) })
}
