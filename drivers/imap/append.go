package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// Bounds of one flight of appends: what is lost with a connection, and what one refusal makes us send again.
const (
	appendMessages = 64
	appendBytes    = 4 << 20
)

// outgoing is a message on its way.
type outgoing struct {
	i       int // index in the caller's slice
	msg     drivers.Append
	shape   shape
	flags   merge.Flags // to send
	plain   bool        // flags were reduced to what every server takes
	binary  bool        // send as literal8: the server refused NUL in an ordinary literal
	utf8    bool        // send as UTF8 (literal8)
	settled bool
}

// Append stores messages: several per command with MULTIAPPEND (RFC 3502), else several commands at once where the server takes
// literals without being asked (LITERAL+, RFC 7888), else one by one. What was under way when the connection broke is ErrUnknown.
func (m *mailbox) Append(ctx context.Context, msgs []drivers.Append) ([]drivers.Appended, error) {
	res := make([]drivers.Appended, len(msgs))
	notSent := errors.New("not sent")
	for i := range res {
		res[i].Err = &drivers.Error{Op: "append to", Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryLater, Err: notSent}
	}
	c, err := m.st.pool.take(ctx, m.name)
	if err != nil {
		return res, err
	}
	defer m.st.pool.give(c)
	sel, err := m.ensure(ctx, c)
	if err != nil {
		return res, classify("append to", m.name, drivers.ReachMailbox, err)
	}
	if sel.readOnly {
		return res, classify("append to", m.name, drivers.ReachMailbox, drivers.ErrReadOnly)
	}
	var batch []*outgoing
	var size int64
	flush := func() error {
		b := batch
		batch, size = nil, 0
		return m.appendBatch(ctx, c, b, res)
	}
	for i, msg := range msgs {
		o, err := m.weigh(c, sel, i, msg)
		if err != nil {
			res[i].Err = err
			continue
		}
		if n := len(batch); n > 0 && (n == appendMessages || size+o.shape.size > appendBytes || o.utf8 || batch[n-1].utf8) {
			if err := flush(); err != nil {
				return res, err
			}
		}
		batch = append(batch, o)
		size += o.shape.size
	}
	if len(batch) > 0 {
		if err := flush(); err != nil {
			return res, err
		}
	}
	return res, nil
}

// weigh measures a message and refuses what the server said it will refuse.
func (m *mailbox) weigh(c *conn, sel selection, i int, msg drivers.Append) (*outgoing, error) {
	fail := func(retry drivers.Retry, err error) (*outgoing, error) {
		return nil, &drivers.Error{Op: "append to", Where: m.name, Reach: drivers.ReachMessage, Retry: retry, Err: err}
	}
	s, err := measure(msg.Content, !c.caps.uidplus())
	if err != nil {
		return fail(drivers.RetryLater, err)
	}
	if limit := c.caps.maxAppend(); limit > 0 && s.size > limit {
		return fail(drivers.RetryNever, fmt.Errorf("%w: %d bytes, at most %d", drivers.ErrTooBig, s.size, limit))
	}
	if s.size > 1<<32-1 {
		return fail(drivers.RetryNever, fmt.Errorf("%w: %d bytes, more than IMAP can say", drivers.ErrTooBig, s.size))
	}
	// RFC 6855, section 4: once UTF8=ACCEPT is on, 8-bit headers must be announced.
	return &outgoing{i: i, msg: msg, shape: s, flags: sel.storable(msg.Flags), utf8: s.eight && c.w.utf8.Load()}, nil
}

// storable returns the flags that the mailbox can keep: keywords must be atoms, and known or allowed to be new.
func (s selection) storable(f merge.Flags) merge.Flags {
	var out []string
	for _, n := range f.Names() {
		if !isKeyword(strings.TrimPrefix(n, `\`)) {
			continue
		}
		one := merge.NewFlags(n)
		if s.newKeywords && n[0] != '\\' || s.keepable().Has(one) {
			out = append(out, n)
		}
	}
	return merge.NewFlags(out...)
}

// isKeyword reports whether a name is an atom (RFC 3501, section 9), so that it can be sent at all.
func isKeyword(s string) bool {
	if s == "" || len(s) > 200 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}

// appendBatch sends a batch and fills in the results. The error is for what concerns more than single messages.
func (m *mailbox) appendBatch(ctx context.Context, c *conn, batch []*outgoing, res []drivers.Appended) error {
	if c.dead() {
		return classify("append to", m.name, drivers.ReachStore, errServerClosed)
	}
	var since uint32
	if !c.caps.uidplus() {
		st, err := c.status(ctx, m.name, m.raw, "UIDVALIDITY UIDNEXT")
		if err != nil {
			return err
		}
		since = st.next
	}
	var err error
	if c.caps.has("MULTIAPPEND") && len(batch) > 1 {
		err = m.multiAppend(ctx, c, batch, res)
	} else {
		err = m.pipeAppend(ctx, c, batch, res)
	}
	if err == nil && !c.caps.uidplus() && since > 0 {
		return m.findAppended(ctx, c, since, batch, res)
	}
	return err
}

// literal returns how the message is sent. NUL goes in an ordinary literal at first: Dovecot and Courier take that and keep the length, while
// for a literal8 (RFC 3516) Dovecot encodes parts anew, which alters the message.
func (c *conn) literal(o *outgoing) *literal {
	l := &literal{content: o.msg.Content, size: o.shape.size, fix: o.shape.bareLF, binary: o.binary}
	if o.utf8 {
		// Whether the server knows this form shows when it asks for the literal.
		l.binary, l.sync = true, true
		return l
	}
	l.sync = !c.caps.has("LITERAL+") && !(c.caps.has("LITERAL-") && l.size <= 4096)
	return l
}

// message adds one message to an APPEND command.
func (com *command) message(c *conn, o *outgoing) {
	com.text(" (" + strings.Join(o.flags.Names(), " ") + ")")
	if d, ok := appendDate(o.msg.Date); ok {
		com.text(" " + quote(d))
	}
	if com.text(" "); o.utf8 {
		com.text("UTF8 (")
	}
	com.parts[len(com.parts)-1].lit = c.literal(o)
	if o.utf8 {
		com.text(")")
	}
}

// appendDate returns the date-time for APPEND. Servers refuse dates before 1970, so those become its first day; a zero date is left to the server.
func appendDate(t time.Time) (string, bool) {
	if t.IsZero() {
		return "", false
	}
	const maxTime = 253402214400 // the last day of the year 9999: four digits
	if t.Unix() < 0 {
		t = time.Unix(0, 0).UTC()
	} else if t.Unix() > maxTime {
		t = time.Unix(maxTime, 0).UTC()
	}
	return t.Format(dateLayout), true
}

// appendCommand begins an APPEND.
func (m *mailbox) appendCommand(c *conn) *command {
	com := &command{}
	com.text("APPEND ")
	com.mailbox(c, m.raw)
	return com
}

// multiAppend sends a batch as one command, which the server does as a whole or not at all; a refused batch is halved until
// the bad message stands alone.
func (m *mailbox) multiAppend(ctx context.Context, c *conn, batch []*outgoing, res []drivers.Appended) error {
	if len(batch) == 1 {
		return m.pipeAppend(ctx, c, batch, res)
	}
	com := m.appendCommand(c)
	for _, o := range batch {
		com.message(c, o)
	}
	if err := c.fly(ctx, newFlight(com)); err != nil && com.st == nil {
		return m.appendLost(com, batch, res, err)
	}
	if !com.ok() {
		if err := m.appendHalts(com); err != nil {
			return err
		}
		half := len(batch) / 2
		if err := m.multiAppend(ctx, c, batch[:half], res); err != nil {
			return err
		}
		return m.multiAppend(ctx, c, batch[half:], res)
	}
	ids, err := appendUIDs(com.st, len(batch))
	if err != nil {
		m.st.note(fmt.Sprintf("server's APPENDUID is of no use: %v", err))
	}
	for i, o := range batch {
		m.appended(res, o, ids, i)
	}
	return nil
}

// appended records a message that was stored.
func (m *mailbox) appended(res []drivers.Appended, o *outgoing, ids []merge.ID, i int) {
	o.settled = true
	m.st.opened.grown(m.name, 1)
	res[o.i] = drivers.Appended{Flags: o.flags}
	if i < len(ids) {
		res[o.i].ID = ids[i]
	}
}

// pipeAppend sends each message as a command, all at once if none of them has to wait for the server.
func (m *mailbox) pipeAppend(ctx context.Context, c *conn, batch []*outgoing, res []drivers.Appended) error {
	var coms []*command
	wait := !c.quotable(m.raw)
	for _, o := range batch {
		com := m.appendCommand(c)
		com.message(c, o)
		coms = append(coms, com)
		wait = wait || c.literal(o).sync
	}
	step := len(coms)
	if wait {
		step = 1
	}
	for i := 0; i < len(coms); i += step {
		err := c.fly(ctx, newFlight(coms[i:i+step]...))
		for j := i; j < i+step; j++ {
			if coms[j].st == nil {
				continue
			}
			if aerr := m.answered(ctx, c, coms[j], batch[j], res); aerr != nil && err == nil {
				err = aerr
			}
		}
		if err != nil {
			lost := &command{}
			var open []*outgoing
			for j := i; j < i+step; j++ {
				lost.begun = lost.begun || coms[j].begun && coms[j].st == nil
				if coms[j].begun && coms[j].st == nil {
					open = append(open, batch[j])
				}
			}
			return m.appendLost(lost, open, res, err)
		}
	}
	return nil
}

// answered records the answer to a single APPEND. A refusal because of keywords is answered by sending the message
// once more without new ones, a refusal of a message with NUL by sending it as literal8, one of UTF8 (...) by sending it without.
func (m *mailbox) answered(ctx context.Context, c *conn, com *command, o *outgoing, res []drivers.Appended) error {
	if com.ok() {
		ids, err := appendUIDs(com.st, 1)
		if err != nil {
			m.st.note(fmt.Sprintf("server's APPENDUID is of no use: %v", err))
		}
		m.appended(res, o, ids, 0)
		return nil
	}
	if err := m.appendHalts(com); err != nil {
		o.settled = true
		res[o.i].Err = err
		return err
	}
	keywords := !o.plain && aboutKeywords(com.st) && len(o.flags.Keywords()) > 0
	binary := !o.binary && o.shape.nul && c.caps.has("BINARY")
	// RFC 9755, which replaces RFC 6855, has no UTF8 (...) any more.
	form := o.utf8 && com.st.code != "TOOBIG"
	if keywords || binary || form {
		if keywords {
			sel, _ := c.selected()
			o.plain = true
			o.flags = o.flags.Intersect(sel.present.Union(merge.SystemFlags(o.flags.System())))
		} else if binary {
			o.binary = true
		} else {
			o.utf8 = false
		}
		again := m.appendCommand(c)
		again.message(c, o)
		if err := c.fly(ctx, newFlight(again)); err != nil && again.st == nil {
			return m.appendLost(again, []*outgoing{o}, res, err)
		}
		return m.answered(ctx, c, again, o, res)
	}
	o.settled = true
	res[o.i].Err = classify("append to", m.name, drivers.ReachMessage, com.refused())
	return nil
}

// aboutKeywords reports whether a refusal is about the keywords: too many, too long, not allowed.
func aboutKeywords(st *status) bool {
	low := strings.ToLower(st.text)
	return st.code == "LIMIT" || strings.Contains(low, "keyword") || strings.Contains(low, "flag")
}

// appendHalts returns an error for a refusal that concerns the mailbox or the store rather than the message.
func (m *mailbox) appendHalts(com *command) error {
	switch com.st.code {
	case "TRYCREATE", "NONEXISTENT":
		return classify("append to", m.name, drivers.ReachMailbox, com.refused())
	case "OVERQUOTA", "THROTTLED", "UNAVAILABLE", "INUSE":
		return classify("append to", m.name, drivers.ReachStore, com.refused())
	}
	return nil
}

// appendLost records messages whose command got no answer: unknown if the first literal had begun, else not stored.
func (m *mailbox) appendLost(com *command, batch []*outgoing, res []drivers.Appended, err error) error {
	if com.begun {
		for _, o := range batch {
			if !o.settled {
				o.settled = true
				res[o.i].Err = &drivers.Error{Op: "append to", Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryLater,
					Err: fmt.Errorf("%w: %v", drivers.ErrUnknown, err)}
			}
		}
	}
	return classify("append to", m.name, drivers.ReachStore, err)
}

// appendUIDs returns the ids of an APPENDUID code (RFC 4315, section 3). No code gives no ids.
func appendUIDs(st *status, n int) ([]merge.ID, error) {
	if st.code != "APPENDUID" {
		return nil, nil
	}
	validity, set, ok := strings.Cut(string(st.args), " ")
	v, vok := canonical(validity)
	if !ok || !vok {
		return nil, errBadSet
	}
	list, err := expand([]byte(set), n)
	if err != nil {
		return nil, err
	}
	if len(list) != n {
		return nil, fmt.Errorf("UIDs of %d messages where %d were appended", len(list), n)
	}
	ids := make([]merge.ID, n)
	for i, u := range list {
		ids[i] = makeID(v, u)
	}
	return ids, nil
}

// findAppended looks for our messages among what arrived since, on servers without UIDPLUS. Only a message with an identity that
// is unique on both sides is recognised; the others stay without id.
func (m *mailbox) findAppended(ctx context.Context, c *conn, since uint32, batch []*outgoing, res []drivers.Appended) error {
	sel, err := m.refresh(ctx, c, newFlight())
	if err != nil {
		return classify("append to", m.name, drivers.ReachMailbox, err)
	}
	arrived := map[merge.Identity][]merge.ID{}
	err = m.describeFrom(ctx, c, sel.validity, since, func(d drivers.Description) error {
		arrived[d.Identity] = append(arrived[d.Identity], d.ID)
		return nil
	})
	if err != nil {
		return classify("append to", m.name, drivers.ReachMailbox, err)
	}
	ours := map[merge.Identity]int{}
	for _, o := range batch {
		if res[o.i].Err == nil {
			ours[o.shape.identity]++
		}
	}
	for _, o := range batch {
		if ids := arrived[o.shape.identity]; res[o.i].Err == nil && len(ids) == 1 && ours[o.shape.identity] == 1 {
			res[o.i].ID = ids[0]
		}
	}
	return nil
}
