package embedded

import (
	"errors"
	"sort"
	"strings"
	"time"

	"github.com/emersion/go-imap"
)

// view is a mailbox as one connection knows it. Only that connection's goroutine uses it.
type view struct {
	store    *store
	box      *box
	name     string // as it was opened
	readOnly bool
	known    []known
}

// known is a message that the connection has been told of; its sequence number is its index plus one.
type known struct {
	uid uint32
	rev uint64 // of the flags that it was told last
}

// newView is called with the store's lock held.
func newView(s *store, b *box) *view {
	v := &view{store: s, box: b, name: b.name}
	for _, m := range b.msgs {
		v.known = append(v.known, known{m.uid, m.rev})
	}
	return v
}

// Name returns the mailbox's name.
func (v *view) Name() string { return v.name }

// Info returns the mailbox's line in a LIST.
func (v *view) Info() (*imap.MailboxInfo, error) {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	attr := imap.HasNoChildrenAttr
	for n := range v.store.boxes {
		if strings.HasPrefix(n, v.name+"/") {
			attr = imap.HasChildrenAttr
		}
	}
	return &imap.MailboxInfo{Attributes: []string{attr}, Delimiter: "/", Name: v.name}, nil
}

// Status returns the mailbox's numbers. It is only asked of a view that is new; what it tells is what the view knows from then on.
func (v *view) Status(items []imap.StatusItem) (*imap.MailboxStatus, error) {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	v.known = newView(v.store, v.box).known
	st := imap.NewMailboxStatus(v.name, items)
	st.Flags = []string{imap.AnsweredFlag, imap.FlaggedFlag, imap.DeletedFlag, imap.SeenFlag, imap.DraftFlag}
	unseen := uint32(0)
	for i, m := range v.box.msgs {
		for _, f := range m.flags {
			if !hasFlag(st.Flags, f) {
				st.Flags = append(st.Flags, f)
			}
		}
		if !hasFlag(m.flags, imap.SeenFlag) {
			if unseen++; unseen == 1 {
				st.UnseenSeqNum = uint32(i + 1)
			}
		}
	}
	st.PermanentFlags = append(append([]string{}, st.Flags...), `\*`)
	for _, it := range items {
		switch it {
		case imap.StatusMessages:
			st.Messages = uint32(len(v.box.msgs))
		case imap.StatusUidNext:
			st.UidNext = v.box.next
		case imap.StatusUidValidity:
			st.UidValidity = v.box.validity
		case imap.StatusRecent:
			st.Recent = 0
		case imap.StatusUnseen:
			st.Unseen = unseen
		}
	}
	return st, nil
}

// SetSubscribed subscribes or unsubscribes.
func (v *view) SetSubscribed(subscribed bool) error {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	v.box.subscribed = subscribed
	return nil
}

// Check does nothing: memory needs no checkpoint.
func (v *view) Check() error { return nil }

// target is a message that a command names, with its sequence number.
type target struct {
	seq uint32
	m   *message
}

// targets returns the messages that a set without * names, those that are gone left out. It is called with the store's lock held.
func (v *view) targets(uid bool, set *imap.SeqSet) ([]target, error) {
	if v.box.deleted {
		return nil, respond("NONEXISTENT", errDeleted)
	}
	var out []target
	for i, k := range v.known {
		n := uint32(i + 1)
		if uid {
			n = k.uid
		}
		if !set.Contains(n) {
			continue
		}
		if m := v.box.find(k.uid); m != nil {
			out = append(out, target{uint32(i + 1), m})
		}
	}
	return out, nil
}

// normalize replaces * by the largest number in use, whichever side of a range it stands on (RFC 3501, section 9, seq-range).
func (v *view) normalize(uid bool, set *imap.SeqSet) *imap.SeqSet {
	last := uint32(len(v.known))
	if uid && len(v.known) > 0 {
		last = v.known[len(v.known)-1].uid
	}
	last = max(last, 1)
	out := &imap.SeqSet{}
	for _, s := range set.Set {
		start, stop := s.Start, s.Stop
		if start == 0 {
			start = last
		}
		if stop == 0 {
			stop = last
		}
		out.AddRange(min(start, stop), max(start, stop))
	}
	return out
}

// pick is targets with the lock taken and * resolved.
func (v *view) pick(uid bool, set *imap.SeqSet, f func([]target) error) error {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	ts, err := v.targets(uid, v.normalize(uid, set))
	if err != nil {
		return err
	}
	return f(ts)
}

// ListMessages sends the messages with the items asked for.
func (v *view) ListMessages(uid bool, set *imap.SeqSet, items []imap.FetchItem, ch chan<- *imap.Message) error {
	defer close(ch)
	msgs, err := v.list(uid, set, items)
	for _, m := range msgs {
		ch <- m
	}
	return err
}

func (v *view) list(uid bool, set *imap.SeqSet, items []imap.FetchItem) ([]*imap.Message, error) {
	var out []*imap.Message
	err := v.pick(uid, set, func(ts []target) error {
		for _, t := range ts {
			m, reads, err := fetch(t.seq, t.m, items)
			if err != nil {
				return err
			}
			if reads && !v.readOnly && !hasFlag(t.m.flags, imap.SeenFlag) {
				v.setFlags(t, append([]string{imap.SeenFlag}, t.m.flags...))
				m.Flags = t.m.flags
			}
			out = append(out, m)
		}
		return nil
	})
	return out, err
}

// setFlags changes flags and notes that this connection knows. It is called with the store's lock held.
func (v *view) setFlags(t target, flags []string) {
	v.box.setFlags(t.m, flags)
	v.known[t.seq-1].rev = t.m.rev
}

// SearchMessages returns the numbers of the messages that match.
func (v *view) SearchMessages(uid bool, c *imap.SearchCriteria) ([]uint32, error) {
	var out []uint32
	all := &imap.SeqSet{}
	all.AddRange(1, ^uint32(0))
	err := v.pick(false, all, func(ts []target) error {
		s := searcher{v: v}
		for _, t := range ts {
			if !s.matches(t, c) {
				continue
			}
			if uid {
				out = append(out, t.m.uid)
			} else {
				out = append(out, t.seq)
			}
		}
		return nil
	})
	return out, err
}

// CreateMessage is not used: the APPEND of this package answers with the UID.
func (v *view) CreateMessage([]string, time.Time, imap.Literal) error {
	return errors.New("APPEND goes another way")
}

// UpdateMessagesFlags changes flags.
func (v *view) UpdateMessagesFlags(uid bool, set *imap.SeqSet, op imap.FlagsOp, flags []string) error {
	return v.pick(uid, set, func(ts []target) error {
		for _, t := range ts {
			now := append([]string{}, flags...)
			switch op {
			case imap.AddFlags:
				now = append(append([]string{}, t.m.flags...), flags...)
			case imap.RemoveFlags:
				now = nil
				for _, f := range t.m.flags {
					if !hasFlag(flags, f) {
						now = append(now, f)
					}
				}
			}
			v.setFlags(t, now)
		}
		return nil
	})
}

// CopyMessages is not used: the COPY of this package answers with the UIDs.
func (v *view) CopyMessages(bool, *imap.SeqSet, string) error {
	return errors.New("COPY goes another way")
}

// Expunge is not used: the EXPUNGE and CLOSE of this package know sets and read-only mailboxes.
func (v *view) Expunge() error { return errors.New("EXPUNGE goes another way") }

// copyTo copies the messages that a set names and returns their old and new UIDs, and the destination's UIDVALIDITY; with remove they leave
// this mailbox in the same moment.
func (v *view) copyTo(uid bool, set *imap.SeqSet, dest string, remove bool) (validity uint32, from, to []uint32, err error) {
	err = v.pick(uid, set, func(ts []target) error {
		b, err := v.store.get(dest)
		if err != nil {
			return respond(imap.CodeTryCreate, err)
		}
		validity = b.validity
		gone := map[*message]bool{}
		for _, t := range ts {
			from = append(from, t.m.uid)
			to = append(to, b.put(t.m.body, t.m.flags, t.m.date).uid)
			gone[t.m] = remove
		}
		v.box.drop(func(m *message) bool { return gone[m] })
		return nil
	})
	return validity, from, to, err
}

// expunge removes the messages flagged \Deleted, only those in set if it is not nil (UIDs).
func (v *view) expunge(set *imap.SeqSet) error {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	if v.box.deleted {
		return respond("NONEXISTENT", errDeleted)
	}
	if set != nil {
		set = v.normalize(true, set)
	}
	// Only what this connection has been told of: a user did not ask for anything else.
	told := map[uint32]bool{}
	for _, k := range v.known {
		told[k.uid] = true
	}
	v.box.drop(func(m *message) bool {
		return told[m.uid] && hasFlag(m.flags, imap.DeletedFlag) && (set == nil || set.Contains(m.uid))
	})
	return nil
}

// news is what a connection has to be told to be up to date.
type news struct {
	expunged []uint32 // sequence numbers, in the order to tell
	flags    []*imap.Message
	exists   uint32
	grown    bool
}

// catchUp brings the view up to date and returns what to tell.
func (v *view) catchUp() news {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	var n news
	if v.box.deleted {
		return n
	}
	var kept []known
	highest := uint32(0)
	for _, k := range v.known {
		highest = k.uid
		m := v.box.find(k.uid)
		if m == nil {
			n.expunged = append(n.expunged, uint32(len(kept)+1))
			continue
		}
		kept = append(kept, known{k.uid, m.rev})
		if m.rev != k.rev {
			msg := imap.NewMessage(uint32(len(kept)), []imap.FetchItem{imap.FetchUid, imap.FetchFlags})
			msg.Uid, msg.Flags = m.uid, m.flags
			n.flags = append(n.flags, msg)
		}
	}
	first := sort.Search(len(v.box.msgs), func(i int) bool { return v.box.msgs[i].uid > highest })
	for _, m := range v.box.msgs[first:] {
		kept = append(kept, known{m.uid, m.rev})
		n.grown = true
	}
	v.known, n.exists = kept, uint32(len(kept))
	return n
}

// changed returns a channel that is closed at the mailbox's next change. Take it before catchUp, so that nothing falls in between.
func (v *view) changed() <-chan struct{} {
	v.store.mu.Lock()
	defer v.store.mu.Unlock()
	return v.box.changed
}
