package imap

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"driftless/drivers"
)

// listed is one mailbox of a LIST response.
type listed struct {
	raw   string
	attrs []string // upper case
	delim byte
}

func (l *listed) has(attr string) bool { return slices.Contains(l.attrs, attr) }

// boxStatus is a STATUS response.
type boxStatus struct {
	messages, next, validity uint32
	modseq                   uint64
	hasMessages              bool
}

// specialUses are the attributes of RFC 6154 by their upper-case form.
var specialUses = map[string]string{`\ALL`: `\All`, `\ARCHIVE`: `\Archive`, `\DRAFTS`: `\Drafts`, `\FLAGGED`: `\Flagged`, `\JUNK`: `\Junk`, `\SENT`: `\Sent`,
	`\TRASH`: `\Trash`, `\IMPORTANT`: `\Important`}

// listing collects the answers of a listing.
type listing struct {
	boxes      []listed
	status     map[string]boxStatus // by server name, INBOX folded
	subscribed map[string]bool
	extended   bool // LIST answers tell subscriptions
}

func (l *listing) data(_ uint32, name string, s *scanner) error {
	switch name {
	case "LIST", "LSUB":
		b, err := parseList(s)
		if err != nil {
			return err
		}
		switch {
		case b.raw == "": // the answer to LIST "" ""
		case name == "LSUB" || b.has(`\SUBSCRIBED`):
			l.subscribed[foldInbox(b.raw)] = true
			if name == "LIST" {
				l.boxes = append(l.boxes, b)
			}
		default:
			l.boxes = append(l.boxes, b)
		}
	case "STATUS":
		raw, st, err := parseBoxStatus(s)
		if err != nil {
			return err
		}
		l.status[foldInbox(raw)] = st
	}
	return nil
}

func foldInbox(raw string) string {
	if strings.EqualFold(raw, inbox) {
		return inbox
	}
	return raw
}

// parseList parses the rest of a LIST or LSUB response (RFC 3501, section 7.2.2; extended data of RFC 5258 is skipped).
func parseList(s *scanner) (listed, error) {
	var b listed
	attrs, err := s.rawList()
	if err != nil {
		return b, err
	}
	b.attrs = strings.Fields(strings.ToUpper(string(attrs)))
	s.spaces()
	delim, null, err := s.astring()
	if err != nil {
		return b, err
	}
	if !null {
		if len(delim) != 1 {
			return b, malformed("delimiter of %d characters", len(delim))
		}
		b.delim = delim[0]
	}
	s.spaces()
	raw, _, err := s.mailbox()
	b.raw = raw
	return b, err
}

// mailbox parses a mailbox name and returns its modified UTF-7 form; NIL is a name here.
func (s *scanner) mailbox() (string, bool, error) {
	at := s.i
	v, null, err := s.astring()
	if null {
		v = s.b[at:s.i]
	}
	if s.utf8 {
		return fromUTF8(string(v)), null, err
	}
	return string(v), null, err
}

// parseBoxStatus parses the rest of a STATUS response (RFC 3501, section 7.2.4). Items that are not known are skipped.
func parseBoxStatus(s *scanner) (raw string, st boxStatus, err error) {
	if raw, _, err = s.mailbox(); err != nil {
		return "", st, err
	}
	s.spaces()
	err = s.list(func() error {
		item, err := s.word()
		if err != nil {
			return err
		}
		s.spaces()
		switch {
		case equalFold(item, "MESSAGES"):
			st.messages, err = s.number32()
			st.hasMessages = true
		case equalFold(item, "UIDNEXT"):
			st.next, err = s.number32()
		case equalFold(item, "UIDVALIDITY"):
			st.validity, err = s.number32()
		case equalFold(item, "HIGHESTMODSEQ"):
			st.modseq, err = s.number()
		default:
			err = s.skip()
		}
		return err
	})
	return raw, st, err
}

// statusItems returns what STATUS is asked for. HIGHESTMODSEQ only where CONDSTORE is offered: it switches CONDSTORE on.
func (c *conn) statusItems() string {
	if c.caps.condstore() {
		return "MESSAGES UIDNEXT UIDVALIDITY HIGHESTMODSEQ"
	}
	return "MESSAGES UIDNEXT UIDVALIDITY"
}

// List returns all mailboxes of the user. On a server with LIST-STATUS this is one command; with CONDSTORE alone one more flight of
// STATUS for the mailboxes that have a cursor; without CONDSTORE no STATUS is sent, for it could not prove anything.
func (st *Store) List(ctx context.Context, seen map[string]drivers.Cursor) ([]drivers.MailboxInfo, error) {
	var out []drivers.MailboxInfo
	st.opened.clear()
	err := st.read(ctx, "list mailboxes", "", func(c *conn) error {
		l, err := c.list(ctx)
		if err != nil {
			return err
		}
		out, err = c.infos(ctx, l, seen)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// list flies the LIST command, together with the setup of a fresh connection.
func (c *conn) list(ctx context.Context) (*listing, error) {
	l := &listing{status: map[string]boxStatus{}, subscribed: map[string]bool{}}
	cmds := c.setup()
	if _, selected := c.selected(); selected {
		// The STATUS of the selected mailbox is what this connection has seen of it, which may be old. A NOOP in the same flight is no
		// help: Dovecot puts off what it would find until it has nothing else to do.
		if c.caps.has("UNSELECT") {
			cmds = append(cmds, cmd("UNSELECT"))
			c.unselect()
		} else if err := c.fly(ctx, newFlight(cmd("NOOP"))); err != nil {
			return nil, err
		}
	}
	own := len(cmds)
	if c.caps.has("LIST-EXTENDED") || c.caps.has("LIST-STATUS") {
		var ret []string
		if c.caps.has("LIST-EXTENDED") {
			ret = append(ret, "SUBSCRIBED")
			l.extended = true
			if c.caps.has("SPECIAL-USE") {
				ret = append(ret, "SPECIAL-USE")
			}
		}
		if c.caps.has("LIST-STATUS") {
			ret = append(ret, "STATUS ("+c.statusItems()+")")
		}
		cmds = append(cmds, cmd(`LIST "" "*" RETURN (%s)`, strings.Join(ret, " ")))
	} else {
		cmds = append(cmds, cmd(`LIST "" "*"`))
	}
	if !l.extended {
		cmds = append(cmds, cmd(`LSUB "" "*"`))
	}
	f := newFlight(cmds...)
	f.data = l.data
	if err := c.fly(ctx, f); err != nil {
		return nil, err
	}
	if err := cmds[own].refused(); err != nil {
		return nil, err
	}
	c.learnDelimiter(l)
	c.settle()
	return l, nil
}

// learnDelimiter takes the delimiter from the listing on servers without NAMESPACE.
func (c *conn) learnDelimiter(l *listing) {
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	if c.st.names.delim != 0 {
		return
	}
	for _, b := range l.boxes {
		if b.delim != 0 && !strings.EqualFold(b.raw, inbox) {
			c.st.names.delim = b.delim
			return
		}
	}
	for _, b := range l.boxes {
		if b.delim != 0 {
			c.st.names.delim = b.delim
			return
		}
	}
}

// infos turns a listing into the driver's answer.
func (c *conn) infos(ctx context.Context, l *listing, seen map[string]drivers.Cursor) ([]drivers.MailboxInfo, error) {
	st := c.st
	var out []drivers.MailboxInfo
	raws := map[string]string{} // local name to server's
	for _, b := range l.boxes {
		if st.isForeign(b.raw) || b.has(`\NONEXISTENT`) && !l.parent(b) {
			continue
		}
		st.mu.Lock()
		local := st.names.toLocal(b.raw)
		st.mu.Unlock()
		if other, dup := raws[local]; dup {
			if foldInbox(other) != foldInbox(b.raw) {
				st.note(fmt.Sprintf("mailbox %q is left out: its name cannot be told from another one's", local))
			}
			continue
		}
		raws[local] = b.raw
		info := drivers.MailboxInfo{Name: local, NoSelect: b.has(`\NOSELECT`) || b.has(`\NONEXISTENT`), Messages: -1, Subscribed: l.subscribed[foldInbox(b.raw)]}
		for _, a := range b.attrs {
			if use, ok := specialUses[a]; ok {
				info.SpecialUse = use
				break
			}
		}
		out = append(out, info)
	}
	if err := c.askStatus(ctx, l, out, raws, seen); err != nil {
		return nil, err
	}
	for i := range out {
		s, ok := l.status[foldInbox(raws[out[i].Name])]
		if !ok {
			continue // a mailbox that went away meanwhile, or that the server could not open: nothing is proven
		}
		if s.hasMessages {
			out[i].Messages = int(s.messages)
		}
		if out[i].Name == inbox {
			st.sawInbox(s.validity)
		}
		out[i].Unchanged = c.unchanged(s, seen[out[i].Name])
	}
	return out, nil
}

// parent reports whether a name that does not exist is shown because it has children.
func (l *listing) parent(b listed) bool {
	return b.delim != 0 && slices.ContainsFunc(l.boxes, func(o listed) bool {
		return strings.HasPrefix(o.raw, b.raw+string(b.delim))
	})
}

// isForeign reports whether the name is in other users' or a shared namespace.
func (st *Store) isForeign(raw string) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return slices.ContainsFunc(st.foreign, func(p string) bool {
		return p != "" && p != st.names.prefix && (strings.HasPrefix(raw, p) || raw == strings.TrimSuffix(p, string(st.names.separator())))
	})
}

// unchanged reports whether the status proves that nothing happened since the cursor: with CONDSTORE, equal HIGHESTMODSEQ, UIDNEXT and count.
// Without, a STATUS says nothing of flags.
func (c *conn) unchanged(s boxStatus, seen drivers.Cursor) bool {
	cur, ok := parseCursor(seen)
	return ok && c.caps.condstore() && s.hasMessages && cur.modseq != 0 && cur.modseq == s.modseq &&
		cur.validity == s.validity && cur.next == s.next && cur.messages == s.messages
}

// askStatus sends STATUS for the mailboxes of which it can prove something, when the listing could not say it.
func (c *conn) askStatus(ctx context.Context, l *listing, infos []drivers.MailboxInfo, raws map[string]string, seen map[string]drivers.Cursor) error {
	if c.caps.has("LIST-STATUS") || !c.caps.condstore() {
		return nil
	}
	var cmds []*command
	for _, info := range infos {
		cur, ok := parseCursor(seen[info.Name])
		if info.NoSelect || !ok || cur.modseq == 0 || !c.quotable(raws[info.Name]) {
			continue
		}
		com := &command{}
		com.text("STATUS ")
		com.mailbox(c, raws[info.Name])
		com.text(" (" + c.statusItems() + ")")
		cmds = append(cmds, com)
	}
	const atOnce = 500
	for part := range slices.Chunk(cmds, atOnce) {
		f := newFlight(part...)
		f.data = l.data
		if err := c.fly(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

// status asks for the state of one mailbox.
func (c *conn) status(ctx context.Context, local, raw, items string) (boxStatus, error) {
	var out boxStatus
	com := &command{}
	com.text("STATUS ")
	com.mailbox(c, raw)
	com.text(" (" + items + ")")
	f := newFlight(com)
	f.data = func(_ uint32, name string, s *scanner) error {
		if name != "STATUS" {
			return nil
		}
		got, st, err := parseBoxStatus(s)
		if err == nil && foldInbox(got) == foldInbox(raw) {
			out = st
		}
		return err
	}
	if err := c.fly(ctx, f); err != nil {
		return out, classify("look at", local, drivers.ReachMailbox, err)
	}
	if err := com.refused(); err != nil {
		return out, classify("look at", local, drivers.ReachMailbox, err)
	}
	if local == inbox {
		c.st.sawInbox(out.validity)
	}
	return out, nil
}

// read leases a connection, runs f on it and classifies its error. f only reads, so it runs a second time when the first time met
// a connection that had been idle and turned out to be dead.
func (st *Store) read(ctx context.Context, op, box string, f func(c *conn) error) error {
	for again := true; ; again = false {
		c, err := st.pool.take(ctx, box)
		if err != nil {
			return err
		}
		in := st.in.Load()
		err = f(c)
		silent := st.in.Load() == in
		lost := c.dead()
		st.pool.give(c)
		if err == nil {
			return nil
		}
		var ye *yieldError
		if errors.As(err, &ye) {
			return ye.err
		}
		var te *timeoutError
		if again && lost && silent && ctx.Err() == nil && !errors.As(err, &te) {
			continue
		}
		return classify(op, box, drivers.ReachMailbox, err)
	}
}
