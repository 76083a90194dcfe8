package hostile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options are a script.
type Options struct {
	Upstream string    // host:port of an honest server without TLS; "": only the script speaks
	Greeting string    // replaces the greeting; lines end in CRLF
	Fill     int64     // then this many bytes of one line; -1 = until the client has had enough
	Bye      bool      // close after the greeting; without a Greeting, instead of it
	Commands []Command // tried in order on every command of the client; the first that matches is followed
	Answers  []Answer  // tried in order on every line of the upstream; all that match are applied
	Literal  Literal   // what happens to literals of the upstream
}

// Command is what to do when the client sends a command.
type Command struct {
	On     string // regular expression on the command without its tag, case does not matter
	Send   string // {tag} stands for the command's tag; lines end in CRLF
	Fill   int64  // then this many bytes of one line; -1 = until the client has had enough
	Close  bool   // then close the connection
	Hang   bool   // then never say a word again
	OnPass string // pass the command on, and send this, with {tag}, before the upstream's answer; Send is not used
}

// Answer rewrites lines of the upstream.
type Answer struct {
	On   string // regular expression on the line without CRLF, case does not matter
	With string // replacement as in regexp.ReplaceAllString; may hold CRLF for more lines; "-" drops the line
}

// Literal cuts literals of the upstream.
type Literal struct {
	Larger int64 // only those of more bytes than this
	Close  bool  // close the connection after Larger bytes of it
}

// Server is a running server.
type Server struct {
	l        net.Listener
	o        Options
	commands []rule[Command]
	answers  []rule[Answer]
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
	seen   []string
}

type rule[T any] struct {
	re *regexp.Regexp
	do T
}

// Start starts a server on a free port of 127.0.0.1.
func Start(o Options) (*Server, error) {
	s := &Server{o: o, conns: map[net.Conn]bool{}}
	for _, c := range o.Commands {
		re, err := regexp.Compile("(?i)" + c.On)
		if err != nil {
			return nil, fmt.Errorf("hostile server: command: %w", err)
		}
		s.commands = append(s.commands, rule[Command]{re, c})
	}
	for _, a := range o.Answers {
		re, err := regexp.Compile("(?i)" + a.On)
		if err != nil {
			return nil, fmt.Errorf("hostile server: answer: %w", err)
		}
		s.answers = append(s.answers, rule[Answer]{re, a})
	}
	var err error
	if s.l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("hostile server: %w", err)
	}
	s.wg.Add(1)
	go s.accept()
	return s, nil
}

// Addr returns host:port of the server.
func (s *Server) Addr() string { return s.l.Addr().String() }

// Port returns the server's port.
func (s *Server) Port() int { return s.l.Addr().(*net.TCPAddr).Port }

// Seen returns the commands that clients have sent so far, without tags. What follows LOGIN and AUTHENTICATE is left out.
func (s *Server) Seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.seen...)
}

// Close ends everything and waits for it.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close() // it may be closed already
	}
	s.mu.Unlock()
	err := s.l.Close()
	s.wg.Wait()
	return err
}

func (s *Server) accept() {
	defer s.wg.Done()
	for {
		c, err := s.l.Accept()
		if err != nil {
			return
		}
		if !s.keep(c) {
			return
		}
		s.wg.Add(1)
		go s.serve(c)
	}
}

// keep notes a connection so that Close ends it; it reports false, and closes it, when Close came first.
func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = c.Close() // nobody waits for it
		return false
	}
	s.conns[c] = true
	return true
}

func (s *Server) drop(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	_ = c.Close() // it may be closed already
}

// talk is one connection.
type talk struct {
	s      *Server
	client net.Conn
	up     net.Conn // nil without upstream
	in     *bufio.Reader
	mu     sync.Mutex // guards writing to the client
}

func (s *Server) serve(c net.Conn) {
	defer s.wg.Done()
	defer s.drop(c)
	t := &talk{s: s, client: c, in: bufio.NewReader(c)}
	if err := t.greet(); err != nil {
		return
	}
	if s.o.Upstream != "" {
		up, err := net.DialTimeout("tcp", s.o.Upstream, 10*time.Second)
		if err != nil || !s.keep(up) {
			return
		}
		t.up = up
		done := make(chan struct{})
		defer func() { s.drop(up); <-done }()
		go func() {
			defer close(done)
			_ = t.relay() // however it ended, the client learns it by the end of the connection
			_ = c.Close()
		}()
	}
	_ = t.listen() // however it ended, the connection is over
}

// greet sends the script's greeting, or none where the upstream's is to come.
func (t *talk) greet() error {
	o := t.s.o
	greeting := o.Greeting
	if greeting == "" && !o.Bye && o.Upstream == "" {
		greeting = "* OK [CAPABILITY IMAP4rev1] ready\r\n"
	}
	if err := t.send(greeting); err != nil {
		return err
	}
	if err := t.fill(o.Fill); err != nil {
		return err
	}
	if o.Bye {
		return errOver
	}
	return nil
}

func (t *talk) send(text string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := io.WriteString(t.client, text)
	return err
}

var literalEnd = regexp.MustCompile(`\{(\d+)(\+?)\}\r?\n$`)

// literal returns the length of the literal that a line announces, -1 if none, and whether its sender waits for leave.
func literal(line string) (n int64, waits bool) {
	m := literalEnd.FindStringSubmatch(line)
	if m == nil {
		return -1, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return -1, false
	}
	return n, m[2] == ""
}

// listen follows the script on what the client says, until the connection ends.
func (t *talk) listen() error {
	for {
		line, err := readLine(t.in)
		if err != nil {
			return err
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		t.s.note(command)
		rule := t.s.find(command)
		pass := t.up != nil && (rule == nil || rule.OnPass != "")
		if rule != nil && rule.OnPass != "" {
			if err := t.send(strings.ReplaceAll(rule.OnPass, "{tag}", tag)); err != nil {
				return err
			}
		}
		if pass {
			if err := t.pass(line); err != nil {
				return err
			}
			continue
		}
		if err := t.swallow(line); err != nil {
			return err
		}
		if rule == nil {
			rule = &Command{Send: "{tag} BAD not in the script\r\n"}
		}
		if err := t.follow(tag, rule); err != nil {
			return err
		}
	}
}

func (s *Server) note(command string) {
	word, _, _ := strings.Cut(command, " ")
	switch strings.ToUpper(word) {
	case "LOGIN", "AUTHENTICATE":
		command = word
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) < 10000 {
		s.seen = append(s.seen, command)
	}
}

func (s *Server) find(command string) *Command {
	for _, r := range s.commands {
		if r.re.MatchString(command) {
			return &r.do
		}
	}
	return nil
}

// pass hands a command with its literals to the upstream. The upstream's leave for a literal reaches the client by relay.
func (t *talk) pass(line string) error {
	for {
		if _, err := io.WriteString(t.up, line); err != nil {
			return err
		}
		n, _ := literal(line)
		if n < 0 {
			return nil
		}
		if _, err := io.CopyN(t.up, t.in, n); err != nil {
			return err
		}
		var err error
		if line, err = readLine(t.in); err != nil {
			return err
		}
	}
}

// swallow reads the literals of a command that is not passed on.
func (t *talk) swallow(line string) error {
	for {
		n, waits := literal(line)
		if n < 0 {
			return nil
		}
		if waits {
			if err := t.send("+ go ahead\r\n"); err != nil {
				return err
			}
		}
		if _, err := io.CopyN(io.Discard, t.in, n); err != nil {
			return err
		}
		var err error
		if line, err = readLine(t.in); err != nil {
			return err
		}
	}
}

var errOver = errors.New("the script closes the connection")

func (t *talk) follow(tag string, c *Command) error {
	if err := t.send(strings.ReplaceAll(c.Send, "{tag}", tag)); err != nil {
		return err
	}
	if err := t.fill(c.Fill); err != nil {
		return err
	}
	if c.Hang {
		_, err := io.Copy(io.Discard, t.in) // until the client gives up
		return errors.Join(errOver, err)
	}
	if c.Close {
		return errOver
	}
	return nil
}

// fill sends n bytes without a line end, for ever if n is negative.
func (t *talk) fill(n int64) error {
	block := strings.Repeat("x", 64<<10)
	for n != 0 {
		size := int64(len(block))
		if n > 0 {
			size = min(size, n)
			n -= size
		}
		if err := t.send(block[:size]); err != nil {
			return err
		}
	}
	return nil
}

// relay carries the upstream's answers to the client, rewritten where the script says so.
func (t *talk) relay() error {
	r := bufio.NewReader(t.up)
	if t.s.o.Greeting != "" {
		if _, err := readLine(r); err != nil {
			return err
		}
	}
	for {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		if line = t.s.rewrite(line); line == "" {
			continue
		}
		if err := t.send(line); err != nil {
			return err
		}
		n, _ := literal(line)
		if n < 0 {
			continue
		}
		cut := t.s.o.Literal.Close && n > t.s.o.Literal.Larger
		if cut {
			n = t.s.o.Literal.Larger
		}
		if err := t.copy(r, n); err != nil {
			return err
		}
		if cut {
			return errOver
		}
	}
}

// copy carries a literal's bytes.
func (t *talk) copy(r io.Reader, n int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := io.CopyN(t.client, r, n)
	return err
}

func (s *Server) rewrite(line string) string {
	text := strings.TrimRight(line, "\r\n")
	for _, a := range s.answers {
		if !a.re.MatchString(text) {
			continue
		}
		if a.do.With == "-" {
			return ""
		}
		text = a.re.ReplaceAllString(text, a.do.With)
	}
	return text + "\r\n"
}

// maxLine is the longest line that is read, in bytes.
const maxLine = 1 << 20

func readLine(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		part, err := r.ReadSlice('\n')
		b.Write(part)
		if err == nil {
			return b.String(), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
		if b.Len() > maxLine {
			return "", errors.New("line is too long")
		}
	}
}
