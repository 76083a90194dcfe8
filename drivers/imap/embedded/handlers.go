package embedded

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/commands"
	"github.com/emersion/go-imap/responses"
	"github.com/emersion/go-imap/server"
)

// extension adds UIDPLUS and replaces the commands of go-imap's server that must tell UIDs, or tell a connection what
// others have done meanwhile.
type extension struct {
	enabled bool // go-imap refuses an extension that has MOVE or IDLE at the moment when it is enabled
}

// Capabilities returns what this package adds.
func (e *extension) Capabilities(server.Conn) []string { return []string{"UIDPLUS"} }

// Command returns the handler of a command, nil for those that go-imap's server handles well.
func (e *extension) Command(name string) server.HandlerFactory {
	if !e.enabled {
		return nil
	}
	switch name {
	case "NOOP":
		return func() server.Handler { return &noop{} }
	case "CHECK":
		return func() server.Handler { return &check{} }
	case "APPEND":
		return func() server.Handler { return &appendCmd{} }
	case "FETCH":
		return func() server.Handler { return &fetchCmd{} }
	case "STORE":
		return func() server.Handler { return &storeCmd{} }
	case "SEARCH":
		return func() server.Handler { return &searchCmd{} }
	case "COPY":
		return func() server.Handler { return &copyCmd{} }
	case "MOVE":
		return func() server.Handler { return &moveCmd{} }
	case "EXPUNGE":
		return func() server.Handler { return &expungeCmd{} }
	case "CLOSE":
		return func() server.Handler { return &closeCmd{} }
	case "IDLE":
		return func() server.Handler { return &idle{} }
	}
	return nil
}

// selected returns the connection's mailbox, nil if none is selected.
func selected(conn server.Conn) *view {
	v, _ := conn.Context().Mailbox.(*view)
	if v != nil {
		v.readOnly = conn.Context().MailboxReadOnly
	}
	return v
}

// writable returns the connection's mailbox if it may be changed.
func writable(conn server.Conn) (*view, error) {
	v := selected(conn)
	switch {
	case v == nil:
		return nil, server.ErrNoMailboxSelected
	case v.readOnly:
		return nil, server.ErrMailboxReadOnly
	}
	return v, nil
}

// tell tells the connection what changed in its mailbox. It must not be called where a client still counts on its sequence numbers: in a
// FETCH, STORE or SEARCH without UID (RFC 3501, section 7.4.1).
func tell(conn server.Conn, v *view) error {
	if v == nil {
		return nil
	}
	n := v.catchUp()
	for _, seq := range n.expunged {
		ch := make(chan uint32, 1)
		ch <- seq
		close(ch)
		if err := conn.WriteResp(&responses.Expunge{SeqNums: ch}); err != nil {
			return err
		}
	}
	if n.grown {
		exists := imap.NewUntaggedResp([]any{n.exists, imap.RawString("EXISTS")})
		if err := conn.WriteResp(exists); err != nil {
			return err
		}
	}
	for _, m := range n.flags {
		ch := make(chan *imap.Message, 1)
		ch <- m
		close(ch)
		if err := conn.WriteResp(&responses.Fetch{Messages: ch}); err != nil {
			return err
		}
	}
	return nil
}

// done is an OK with a response code.
func done(code imap.StatusRespCode, args ...any) error {
	return &imap.ErrStatusResp{Resp: &imap.StatusResp{Type: imap.StatusRespOk, Code: code, Arguments: args, Info: "Done"}}
}

type noop struct{ commands.Noop }

// Handle tells what is new.
func (*noop) Handle(conn server.Conn) error { return tell(conn, selected(conn)) }

type check struct{ commands.Check }

// Handle tells what is new.
func (*check) Handle(conn server.Conn) error {
	v, err := writable(conn)
	if err != nil {
		return err
	}
	return tell(conn, v)
}

type appendCmd struct{ commands.Append }

// Handle stores the message and answers with APPENDUID (RFC 4315, section 3).
func (cmd *appendCmd) Handle(conn server.Conn) error {
	s, ok := conn.Context().User.(*session)
	if !ok {
		return server.ErrNotAuthenticated
	}
	body, err := io.ReadAll(cmd.Message)
	if err != nil {
		return err
	}
	validity, uid, err := s.append(cmd.Mailbox, body, cmd)
	if err != nil {
		return err
	}
	if err := tell(conn, selected(conn)); err != nil {
		return err
	}
	return done("APPENDUID", validity, uid)
}

func (s *session) append(name string, body []byte, cmd *appendCmd) (validity, uid uint32, err error) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	b, err := s.store.get(name)
	if err != nil {
		return 0, 0, respond(imap.CodeTryCreate, err)
	}
	return b.validity, b.put(body, cmd.Flags, cmd.Date).uid, nil
}

type fetchCmd struct{ commands.Fetch }

// Handle fetches by sequence number.
func (cmd *fetchCmd) Handle(conn server.Conn) error { return cmd.handle(conn, false) }

// UidHandle fetches by UID and tells what is new.
func (cmd *fetchCmd) UidHandle(conn server.Conn) error {
	if !slices.Contains(cmd.Items, imap.FetchUid) {
		cmd.Items = append(cmd.Items, imap.FetchUid)
	}
	if err := cmd.handle(conn, true); err != nil {
		return err
	}
	return tell(conn, selected(conn))
}

func (cmd *fetchCmd) handle(conn server.Conn, uid bool) error {
	v := selected(conn)
	if v == nil {
		return server.ErrNoMailboxSelected
	}
	msgs, err := v.list(uid, cmd.SeqSet, cmd.Items)
	if err != nil {
		return err
	}
	ch := make(chan *imap.Message, len(msgs))
	for _, m := range msgs {
		ch <- m
	}
	close(ch)
	return conn.WriteResp(&responses.Fetch{Messages: ch})
}

type storeCmd struct{ server.Store }

// UidHandle changes flags by UID and tells what is new.
func (cmd *storeCmd) UidHandle(conn server.Conn) error {
	v, err := writable(conn)
	if err != nil {
		return err
	}
	if err := cmd.Store.UidHandle(conn); err != nil {
		return err
	}
	return tell(conn, v)
}

type searchCmd struct{ server.Search }

// UidHandle searches and tells what is new.
func (cmd *searchCmd) UidHandle(conn server.Conn) error {
	if err := cmd.Search.UidHandle(conn); err != nil {
		return err
	}
	return tell(conn, selected(conn))
}

type copyCmd struct{ commands.Copy }

// Handle copies by sequence number.
func (cmd *copyCmd) Handle(conn server.Conn) error { return cmd.handle(conn, false) }

// UidHandle copies by UID.
func (cmd *copyCmd) UidHandle(conn server.Conn) error { return cmd.handle(conn, true) }

func (cmd *copyCmd) handle(conn server.Conn, uid bool) error {
	v := selected(conn)
	if v == nil {
		return server.ErrNoMailboxSelected
	}
	validity, from, to, err := v.copyTo(uid, cmd.SeqSet, cmd.Mailbox, false)
	if err != nil {
		return err
	}
	if err := tell(conn, v); err != nil || len(from) == 0 {
		return err
	}
	return done("COPYUID", validity, imap.RawString(uidList(from)), imap.RawString(uidList(to)))
}

type moveCmd struct{ commands.Move }

// Handle moves by sequence number.
func (cmd *moveCmd) Handle(conn server.Conn) error { return cmd.handle(conn, false) }

// UidHandle moves by UID.
func (cmd *moveCmd) UidHandle(conn server.Conn) error { return cmd.handle(conn, true) }

func (cmd *moveCmd) handle(conn server.Conn, uid bool) error {
	v, err := writable(conn)
	if err != nil {
		return err
	}
	validity, from, to, err := v.copyTo(uid, cmd.SeqSet, cmd.Mailbox, true)
	if err != nil {
		return err
	}
	if len(from) > 0 {
		// RFC 6851, section 4.3: COPYUID comes untagged, before the expunges.
		err := conn.WriteResp(&imap.StatusResp{
			Type: imap.StatusRespOk, Code: "COPYUID", Info: "Moved",
			Arguments: []any{validity, imap.RawString(uidList(from)), imap.RawString(uidList(to))},
		})
		if err != nil {
			return err
		}
	}
	return tell(conn, v)
}

// uidList writes UIDs in the order given: COPYUID pairs them by position, and both lists ascend here.
func uidList(uids []uint32) string {
	var s imap.SeqSet
	s.AddNum(uids...)
	return s.String()
}

type expungeCmd struct {
	set *imap.SeqSet
}

// Parse takes the UIDs of a UID EXPUNGE (RFC 4315, section 2.1).
func (cmd *expungeCmd) Parse(fields []any) error {
	if len(fields) == 0 {
		return nil
	}
	text, err := imap.ParseString(fields[0])
	if err != nil {
		return err
	}
	cmd.set, err = imap.ParseSeqSet(text)
	return err
}

// Handle removes what is flagged \Deleted.
func (cmd *expungeCmd) Handle(conn server.Conn) error {
	if cmd.set != nil {
		return errors.New("EXPUNGE takes no set without UID")
	}
	return cmd.handle(conn)
}

// UidHandle removes what is flagged \Deleted among the UIDs.
func (cmd *expungeCmd) UidHandle(conn server.Conn) error {
	if cmd.set == nil {
		return errors.New("UID EXPUNGE needs a set")
	}
	return cmd.handle(conn)
}

func (cmd *expungeCmd) handle(conn server.Conn) error {
	v, err := writable(conn)
	if err != nil {
		return err
	}
	if err := v.expunge(cmd.set); err != nil {
		return err
	}
	return tell(conn, v)
}

type closeCmd struct{ commands.Close }

// Handle removes what is flagged \Deleted, unless the mailbox is open read-only (RFC 3501, section 6.4.2), and closes it.
func (*closeCmd) Handle(conn server.Conn) error {
	v := selected(conn)
	if v == nil {
		return server.ErrNoMailboxSelected
	}
	ctx := conn.Context()
	ctx.Mailbox, ctx.MailboxReadOnly = nil, false
	if v.readOnly {
		return nil
	}
	return v.expunge(nil)
}

type idle struct{ commands.Idle }

// Handle tells what is new until the client says DONE (RFC 2177).
func (*idle) Handle(conn server.Conn) error {
	if conn.Context().User == nil {
		return server.ErrNotAuthenticated
	}
	if err := conn.WriteResp(&imap.ContinuationReq{Info: "idling"}); err != nil {
		return err
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- watch(conn, selected(conn), stop) }()
	line, err := readLine(conn)
	close(stop)
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	if !strings.EqualFold(line, "DONE") {
		return errors.New("expected DONE")
	}
	return nil
}

// watch tells the connection every change of its mailbox until stop is closed.
func watch(conn server.Conn, v *view, stop <-chan struct{}) error {
	for {
		var changed <-chan struct{}
		if v != nil {
			changed = v.changed()
		}
		if err := tell(conn, v); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-stop:
			return nil
		}
	}
}

// readLine reads to the end of a line and not a byte further, for the next command may be there already.
func readLine(r io.Reader) (string, error) {
	var line []byte
	one := make([]byte, 1)
	for len(line) < 1000 {
		if _, err := io.ReadFull(r, one); err != nil {
			return "", err
		}
		if one[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		line = append(line, one[0])
	}
	return "", errors.New("line is too long")
}
