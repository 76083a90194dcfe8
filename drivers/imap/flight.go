package imap

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	goimap "github.com/emersion/go-imap"

	"driftless/drivers"
)

// literal is a literal that a command sends.
type literal struct {
	content drivers.Content
	size    int64 // bytes on the wire, after bare LFs became CRLF
	fix     bool  // there are bare LFs
	binary  bool  // send as literal8 (RFC 3516)
	sync    bool  // wait for the server's continuation request
	bare    bool  // a line that answers a continuation request, as in AUTHENTICATE: no header; always with sync
}

// part is a piece of a command: text, then a literal if there is one.
type part struct {
	text string
	lit  *literal
}

// command is one command of a flight, without its tag.
type command struct {
	parts []part
	st    *status // the tagged answer; nil if the connection was lost before
	begun bool    // its first literal may have reached the server
	done  func()  // called by the reader as soon as the answer is there; may be nil
}

// cmd returns a command without literals.
func cmd(format string, args ...any) *command {
	return &command{parts: []part{{text: fmt.Sprintf(format, args...)}}}
}

// flight is one or more commands that are sent at once, and the answers to them. Its handlers are called by the reader, one at a
// time; they must not use the connection.
type flight struct {
	cmds   []*command
	data   func(num uint32, name string, s *scanner) error // untagged data
	status func(st *status)                                // untagged status responses
	body   func(r *bufio.Reader, size int64) error         // must consume size bytes: the literal of a BODY[] or RFC822

	tag    string // what go-imap calls the flight: the tag of the first command
	first  int    // length of the first command's first line without tag
	sent   chan struct{}
	cont   chan struct{}
	lost   chan struct{}
	once   sync.Once
	left   int
	count  int
	tagLen int
}

func newFlight(cmds ...*command) *flight { return &flight{cmds: cmds} }

// broken tells those who wait for the flight that the connection is over. Called with the wire locked.
func (f *flight) broken() { f.once.Do(func() { close(f.lost) }) }

// goOn passes on a continuation request. Called with the wire locked.
func (f *flight) goOn() bool {
	select {
	case f.cont <- struct{}{}:
		return true
	default:
		return false
	}
}

// answer records the answer to a command; done means that it was the last. Called with the wire locked.
func (f *flight) answer(tag string, st *status) (done bool, err error) {
	i := -1
	if tag == f.tag {
		i = 0
	} else if n, ok := strings.CutPrefix(tag, "x"); ok {
		i, err = strconv.Atoi(n)
		if err != nil || i < 1 {
			i = -1
		}
	}
	if i < 0 || i >= len(f.cmds) || f.cmds[i].st != nil {
		return false, malformed("answer to a command that was not sent")
	}
	f.cmds[i].st = st
	f.left--
	if f.cmds[i].done != nil {
		f.cmds[i].done()
	}
	select { // whoever waits for a continuation must look at the answer
	case f.cont <- struct{}{}:
	default:
	}
	return f.left == 0, nil
}

// noteTag learns the tag from the first bytes that go-imap writes.
func (f *flight) noteTag(p []byte) {
	if f.tag == "" {
		if i := bytes.IndexByte(p, ' '); i > 0 {
			f.tag, f.tagLen = string(p[:i]), i+1
		}
	}
}

// wrote counts what go-imap has written and reports when it was all.
func (f *flight) wrote(n int) {
	f.count += n
	if f.count >= f.tagLen+f.first+2 {
		select {
		case <-f.sent:
		default:
			close(f.sent)
		}
	}
}

// text returns everything up to the first literal as one string for go-imap to send: all commands, if no literal is among them.
func (f *flight) text() (s string, next int, rest []part) {
	var b strings.Builder
	for i, c := range f.cmds {
		if i > 0 {
			fmt.Fprintf(&b, "\r\nx%d ", i)
		}
		for j, p := range c.parts {
			b.WriteString(p.text)
			if p.lit != nil {
				b.WriteString(p.lit.header())
				return b.String(), i, c.parts[j:]
			}
		}
	}
	return b.String(), len(f.cmds), nil
}

// header returns the announcement of the literal without its line end.
func (l *literal) header() string {
	if l.bare {
		return ""
	}
	s := "{" + strconv.FormatInt(l.size, 10)
	if l.binary {
		s = "~" + s
	}
	if !l.sync {
		s += "+"
	}
	return s + "}"
}

// errRefused ends the sending of a command that was answered before its literal was asked for.
var errRefused = errors.New("answered before the literal")

// fly sends the commands of the flight and waits until all are answered. The error is about the connection, which is then
// over, or comes from a handler, which ends the connection too; a refused command is not an error here.
func (c *conn) fly(ctx context.Context, f *flight) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	text, next, rest := f.text()
	f.first, f.left = len(text), len(f.cmds)
	f.sent, f.cont, f.lost = make(chan struct{}), make(chan struct{}, 1), make(chan struct{})
	c.w.mu.Lock()
	if err := c.w.err; err != nil {
		c.w.mu.Unlock()
		return err
	}
	c.w.flight = f
	c.w.mu.Unlock()
	c.w.waiting.Store(true)
	if err := c.arm(); err != nil {
		return err
	}
	c.st.trips.Add(1)
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { _ = c.w.fail(context.Cause(ctx)); close(killed) })
	defer func() {
		if !stop() {
			<-killed // so that the pool sees at once that this connection is over
		}
	}()
	done := make(chan error, 1)
	go func() {
		st, err := c.client.Execute(&goimap.Command{Name: text}, nil)
		if err == nil && st == nil {
			err = errServerClosed
		}
		done <- err
	}()
	if rest != nil {
		if err := c.pump(f, next, rest); err != nil {
			_ = c.w.fail(err)
		}
	}
	err := <-done
	if err != nil {
		// The reader has ended, so no handler runs any more.
		<-c.client.LoggedOut()
	}
	if !c.unanswered(f) {
		return nil // whatever happened to the connection since
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if werr := c.w.failure(); werr != nil {
		return werr
	}
	return err
}

// unanswered reports whether a command has no answer.
func (c *conn) unanswered(f *flight) bool {
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	for _, c := range f.cmds {
		if c.st == nil {
			return true
		}
	}
	return false
}

// pump sends what follows the first literal header: literals, the rest of their command, further commands.
func (c *conn) pump(f *flight, i int, parts []part) error {
	select {
	case <-f.sent:
	case <-f.lost:
		return errServerClosed
	}
	out := bufio.NewWriterSize(writerFunc(c.w.send), 64<<10)
	skipHeader := true
	for {
		// go-imap has sent the line end of the first header; the others are sent here.
		err := c.pumpCommand(f, f.cmds[i], parts, out, skipHeader)
		if errors.Is(err, errRefused) {
			// Nothing more of this command is sent: the server has answered it and expects the next one.
			err = nil
		} else if err == nil {
			_, err = out.WriteString("\r\n")
		}
		if err != nil {
			return err
		}
		skipHeader = false
		if i++; i == len(f.cmds) {
			return out.Flush()
		}
		parts = f.cmds[i].parts
		if _, err := fmt.Fprintf(out, "x%d ", i); err != nil {
			return err
		}
	}
}

func (c *conn) pumpCommand(f *flight, cm *command, parts []part, out *bufio.Writer, skipHeader bool) error {
	for _, p := range parts {
		if !skipHeader {
			if _, err := out.WriteString(p.text); err != nil {
				return err
			}
		}
		if p.lit == nil {
			continue
		}
		if !skipHeader {
			if _, err := out.WriteString(p.lit.header() + "\r\n"); err != nil {
				return err
			}
		}
		skipHeader = false
		if p.lit.sync {
			if err := out.Flush(); err != nil {
				return err
			}
			if err := c.waitContinuation(f, cm); err != nil {
				return err
			}
		}
		cm.begun = true
		if err := p.lit.send(out); err != nil {
			return err
		}
	}
	return nil
}

// waitContinuation waits until the server asks for the literal of cm or answers cm without. A command with synchronising literals
// flies alone, so the request can only be its own.
func (c *conn) waitContinuation(f *flight, cm *command) error {
	c.st.trips.Add(1)
	select {
	case <-f.cont:
		c.w.mu.Lock()
		answered := cm.st != nil
		c.w.mu.Unlock()
		if answered {
			return errRefused
		}
		return nil
	case <-f.lost:
		return errServerClosed
	}
}

// send writes the literal. The content must have exactly the size that was announced, or the connection is of no more use.
func (l *literal) send(out *bufio.Writer) error {
	r, err := l.content.Open()
	if err != nil {
		return fmt.Errorf("open content: %w", err)
	}
	defer func() { _ = r.Close() }() // only read
	var n int64
	if l.fix {
		n, err = copyCRLF(out, r)
	} else {
		n, err = io.Copy(out, r)
	}
	if err != nil {
		return fmt.Errorf("send content: %w", err)
	}
	if n != l.size {
		return fmt.Errorf("content has %d bytes where %d were announced", n, l.size)
	}
	return nil
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
