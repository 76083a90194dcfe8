package imap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds on what a server may send. go-imap would read lines and literals of any size into memory.
const (
	maxLine         = 32 << 20 // one line of a response, and all text and small literals of one response together
	maxSmallLiteral = 8 << 20  // a literal that is kept in memory: a name, a header
	maxStatusText   = 2000     // how much of a human-readable text is kept
)

// wire is the net.Conn that go-imap's client works on. It reads the server's responses itself: bounded, streamed, and never
// copied into a parse tree; untagged data goes to the handler of the commands in flight. What go-imap
// gets to read is the greeting and, once every command of a flight is answered, its own tagged line. So its parser, which
// reads literals of up to 4 GiB at once, recurses on parentheses and indexes without a look at the length, never meets foreign bytes.
type wire struct {
	raw     net.Conn
	br      *bufio.Reader
	timeout time.Duration
	limit   int64                                           // largest literal that goes to a sink
	track   func(num uint32, name string, s *scanner) error // sees all untagged data first; called by the reader
	status  func(st *status)                                // sees untagged status responses

	utf8 atomic.Bool // mailbox names are UTF-8

	ready chan struct{} // closed when the connection is complete; until then go-imap sees only the greeting

	pend []byte // for go-imap to read; used by the reader only
	text []byte // the response being read, when it needs assembling
	lits [][]byte

	waiting atomic.Bool // commands are in flight, so silence counts

	mu     sync.Mutex
	flight *flight
	err    error // why the connection is over
	bye    string
}

var (
	errClosedByUs   = errors.New("connection closed")
	errServerClosed = errors.New("server closed the connection")
)

// literalError is a literal larger than what is accepted.
type literalError struct {
	size  uint64
	limit int64
}

func (e *literalError) Error() string {
	return fmt.Sprintf("server announced a literal of %d bytes; at most %d are accepted", e.size, e.limit)
}

// timeoutError is a server that made no progress.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("no answer for %v", e.after) }

func newWire(raw net.Conn, timeout time.Duration, limit int64) *wire {
	w := &wire{raw: raw, timeout: timeout, limit: limit, ready: make(chan struct{})}
	w.br = bufio.NewReaderSize((*meter)(w), 64<<10)
	return w
}

// meter is the lowest reader of a wire: it arms the time-out anew before each read.
type meter wire

func (m *meter) Read(p []byte) (int, error) {
	if m.waiting.Load() {
		if err := m.raw.SetReadDeadline(time.Now().Add(m.timeout)); err != nil {
			return 0, err
		}
	}
	return m.raw.Read(p)
}

// counted counts the bytes of a network connection, below TLS.
type counted struct {
	net.Conn
	in, out *atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.in.Add(int64(n))
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.out.Add(int64(n))
	return n, err
}

// Read gives go-imap the lines that are meant for it. It runs in go-imap's reader goroutine, and so do all handlers.
func (w *wire) Read(p []byte) (n int, err error) {
	defer func() {
		if r := recover(); r != nil {
			n, err = 0, w.fail(fmt.Errorf("internal error while reading a response: %v", r))
		}
	}()
	for len(w.pend) == 0 {
		<-w.ready
		if err := w.next(); err != nil {
			return 0, w.fail(err)
		}
	}
	n = copy(p, w.pend)
	w.pend = w.pend[n:]
	return n, nil
}

// fail ends the connection for this reason, unless it had ended for another one, and returns the reason.
func (w *wire) fail(err error) error {
	w.mu.Lock()
	if w.err == nil {
		var ne net.Error
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			err = errServerClosed
			if w.bye != "" {
				err = fmt.Errorf("%w: %s", errServerClosed, w.bye)
			}
		case errors.As(err, &ne) && ne.Timeout():
			err = &timeoutError{w.timeout}
		}
		w.err = err
	}
	err = w.err
	if w.flight != nil {
		w.flight.broken()
	}
	w.mu.Unlock()
	_ = w.raw.Close() // the reason above is the one that matters
	return err
}

// failure returns why the connection is over, nil while it is not.
func (w *wire) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// next reads one response and handles it.
func (w *wire) next() error {
	line, err := w.line()
	if err != nil {
		return err
	}
	switch {
	case len(line) == 0:
		return malformed("empty line")
	case line[0] == '+':
		return w.continuation()
	case len(line) > 2 && line[0] == '*' && line[1] == ' ':
		return w.untagged(line[2:])
	}
	tag, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return malformed("no known kind of response")
	}
	st, ok := parseStatus(rest)
	if !ok {
		return malformed("no known kind of response")
	}
	return w.tagged(string(tag), st)
}

// line reads up to LF and returns the line without its end. It is valid until the next read.
func (w *wire) line() ([]byte, error) {
	b, err := w.br.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		long := append([]byte(nil), b...)
		for errors.Is(err, bufio.ErrBufferFull) {
			b, err = w.br.ReadSlice('\n')
			if len(long)+len(b) > maxLine {
				return nil, malformed("line of more than %d bytes", maxLine)
			}
			long = append(long, b...)
		}
		b = long
	}
	if err != nil {
		return nil, err
	}
	b = b[:len(b)-1]
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	if bytes.IndexByte(b, literalMark) >= 0 {
		return nil, malformed("NUL outside a literal")
	}
	return b, nil
}

func (w *wire) continuation() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.flight == nil || !w.flight.goOn() {
		return malformed("continuation request that nothing waits for")
	}
	return nil
}

func (w *wire) tagged(tag string, st *status) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.flight == nil {
		return malformed("answer to a command that was not sent")
	}
	done, err := w.flight.answer(tag, st)
	if err != nil || !done {
		return err
	}
	w.pend = append(w.pend[:0], w.flight.tag+" OK done\r\n"...)
	w.flight = nil
	w.waiting.Store(false)
	return w.raw.SetReadDeadline(time.Time{})
}

func (w *wire) untagged(line []byte) error {
	if st, ok := parseStatus(line); ok {
		if st.kind == "BYE" {
			w.mu.Lock()
			w.bye = st.text
			w.mu.Unlock()
		}
		if w.status != nil {
			w.status(st)
		}
		w.mu.Lock()
		fl := w.flight
		w.mu.Unlock()
		if fl != nil && fl.status != nil {
			fl.status(st)
		}
		return nil
	}
	w.mu.Lock()
	fl := w.flight
	w.mu.Unlock()
	line, err := w.assemble(line, fl)
	if err != nil {
		return err
	}
	num, name, s, err := split(line, w.lits)
	if err != nil {
		return err
	}
	s.utf8 = w.utf8.Load()
	if w.track != nil {
		t := *s
		if err := w.track(num, name, &t); err != nil {
			return err
		}
	}
	if fl != nil && fl.data != nil {
		return fl.data(num, name, s)
	}
	return nil
}

// split takes the number and the name off an untagged response.
func split(line []byte, lits [][]byte) (num uint32, name string, s *scanner, err error) {
	s = &scanner{b: line, lits: lits}
	first, err := s.word()
	if err != nil {
		return 0, "", nil, err
	}
	if first[0] >= '0' && first[0] <= '9' {
		n, err := parseNumber(first)
		if err != nil || n > 1<<32-1 {
			return 0, "", nil, malformed("message number expected")
		}
		num = uint32(n)
		if err := s.expect(' '); err != nil {
			return 0, "", nil, err
		}
		if first, err = s.word(); err != nil {
			return 0, "", nil, err
		}
	}
	name = upper(first)
	s.spaces()
	return num, name, s, nil
}

// upper returns the ASCII upper case, without allocating for the common responses.
func upper(b []byte) string {
	switch string(b) {
	case "FETCH":
		return "FETCH"
	case "EXISTS":
		return "EXISTS"
	case "EXPUNGE":
		return "EXPUNGE"
	case "LIST":
		return "LIST"
	case "STATUS":
		return "STATUS"
	}
	return strings.ToUpper(string(b))
}

// assemble reads the literals that belong to the line and what follows each, so that a whole response can be scanned. A body
// goes to the flight's sink as it arrives.
func (w *wire) assemble(line []byte, fl *flight) ([]byte, error) {
	w.lits = w.lits[:0]
	size, cut, ok, err := literalSize(line)
	if err != nil || !ok {
		return line, err
	}
	w.text = w.text[:0]
	total := 0
	for {
		w.text = append(append(w.text, line[:cut]...), literalMark)
		if total += cut + 1; total > maxLine {
			return nil, malformed("response of more than %d bytes", maxLine)
		}
		if fl != nil && fl.body != nil && bodyNext(w.text) {
			if size > uint64(w.limit) {
				return nil, &literalError{size, w.limit}
			}
			if err := fl.body(w.br, int64(size)); err != nil {
				return nil, err
			}
			w.lits = append(w.lits, nil)
		} else {
			if size > maxSmallLiteral || total+int(size) > maxLine {
				return nil, &literalError{size, maxSmallLiteral}
			}
			total += int(size)
			lit := make([]byte, size)
			if _, err := io.ReadFull(w.br, lit); err != nil {
				return nil, err
			}
			w.lits = append(w.lits, lit)
		}
		if line, err = w.line(); err != nil {
			return nil, err
		}
		if size, cut, ok, err = literalSize(line); err != nil {
			return nil, err
		}
		if !ok {
			w.text = append(w.text, line...)
			return w.text, nil
		}
	}
}

// bodyNext reports whether the literal that ends the text is a whole message of a FETCH response.
func bodyNext(text []byte) bool {
	return bytes.HasSuffix(text, []byte("BODY[] \x00")) || bytes.HasSuffix(text, []byte("RFC822 \x00"))
}

// literalSize reports whether the line ends in a literal header, {n} or ~{n} (RFC 3516), and where that begins.
func literalSize(line []byte) (size uint64, cut int, ok bool, err error) {
	n := len(line)
	if n < 3 || line[n-1] != '}' {
		return 0, 0, false, nil
	}
	open := bytes.LastIndexByte(line, '{')
	if open < 0 {
		return 0, 0, false, nil
	}
	digits := bytes.TrimSuffix(line[open+1:n-1], []byte{'+'})
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, 0, false, nil
		}
	}
	if size, err = parseNumber(digits); err != nil {
		return 0, 0, false, malformed("length of a literal")
	}
	if open > 0 && line[open-1] == '~' {
		open--
	}
	return size, open, true, nil
}

// Write sends what go-imap writes.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	err := w.err
	fl := w.flight
	w.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if fl != nil {
		fl.noteTag(p)
	}
	n, err := w.send(p)
	if fl != nil {
		fl.wrote(n)
	}
	return n, err
}

// send writes to the network; each piece of it must make progress within the time-out.
func (w *wire) send(p []byte) (int, error) {
	const piece = 256 << 10
	total := 0
	for len(p) > 0 {
		if err := w.raw.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return total, w.fail(err)
		}
		n, err := w.raw.Write(p[:min(len(p), piece)])
		total += n
		if err != nil {
			return total, w.fail(err)
		}
		p = p[n:]
	}
	return total, nil
}

// Close closes the connection; a read or write in progress returns.
func (w *wire) Close() error {
	w.mu.Lock()
	if w.err == nil {
		w.err = errClosedByUs
	}
	if w.flight != nil {
		w.flight.broken()
	}
	w.mu.Unlock()
	return w.raw.Close()
}

// The rest of net.Conn. Deadlines are the wire's own business: go-imap's count from the start of a command, ours
// from the last progress.

func (w *wire) LocalAddr() net.Addr              { return w.raw.LocalAddr() }
func (w *wire) RemoteAddr() net.Addr             { return w.raw.RemoteAddr() }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
