package imap

import (
	"bytes"
	"fmt"
	"strconv"
)

// maxDepth bounds parentheses within parentheses.
const maxDepth = 32

// literalMark stands for a literal in the text of a response; NUL cannot occur in text (RFC 3501, section 9: CHAR excludes it).
const literalMark = 0

// protocolError is a response that does not follow the protocol. It holds no content.
type protocolError struct{ what string }

func (e *protocolError) Error() string { return "server sent a malformed response: " + e.what }

func malformed(format string, args ...any) error {
	return &protocolError{fmt.Sprintf(format, args...)}
}

// scanner walks over the text of one response. What it returns may point into the response: it is valid until the handler returns.
type scanner struct {
	b    []byte
	i    int
	lits [][]byte // literals in order, each marked in b by literalMark; nil for one that went to a sink
	utf8 bool     // mailbox names are UTF-8 (UTF8=ACCEPT is on)
}

func (s *scanner) rest() []byte { return s.b[s.i:] }
func (s *scanner) end() bool    { return s.i >= len(s.b) }

func (s *scanner) peek() byte {
	if s.end() {
		return 0xff
	}
	return s.b[s.i]
}

// accept consumes c if it is next.
func (s *scanner) accept(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) expect(c byte) error {
	if !s.accept(c) {
		return malformed("%q expected", c)
	}
	return nil
}

// spaces skips any number of spaces: some servers send two.
func (s *scanner) spaces() {
	for s.accept(' ') {
	}
}

// word returns the bytes up to a space, a parenthesis or the end. Brackets protect what is between them, as in BODY[HEADER.FIELDS (X Y)].
func (s *scanner) word() ([]byte, error) {
	start, depth := s.i, 0
	for ; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '[':
			depth++
		case c == ']' && depth > 0:
			depth--
		case depth > 0:
		case c == ' ' || c == '(' || c == ')' || c == '"' || c == literalMark:
			if s.i == start {
				return nil, malformed("word expected")
			}
			return s.b[start:s.i], nil
		}
	}
	if s.i == start || depth > 0 {
		return nil, malformed("word expected")
	}
	return s.b[start:s.i], nil
}

// number returns an unsigned number of at most 64 bits.
func (s *scanner) number() (uint64, error) {
	w, err := s.word()
	if err != nil {
		return 0, err
	}
	return parseNumber(w)
}

func parseNumber(w []byte) (uint64, error) {
	if len(w) == 0 || len(w) > 20 || w[0] < '0' || w[0] > '9' {
		return 0, malformed("number expected")
	}
	n, err := strconv.ParseUint(string(w), 10, 64)
	if err != nil {
		return 0, malformed("number expected")
	}
	return n, nil
}

func (s *scanner) number32() (uint32, error) {
	n, err := s.number()
	if err != nil {
		return 0, err
	}
	if n > 1<<32-1 {
		return 0, malformed("number of more than 32 bits")
	}
	return uint32(n), nil
}

// astring returns an atom, a quoted string or a literal; null reports the atom NIL.
func (s *scanner) astring() (v []byte, null bool, err error) {
	switch s.peek() {
	case '"':
		v, err = s.quoted()
		return v, false, err
	case literalMark:
		v, err = s.literal()
		return v, false, err
	}
	v, err = s.word()
	if err == nil && equalFold(v, "NIL") {
		return nil, true, nil
	}
	return v, false, err
}

func (s *scanner) literal() ([]byte, error) {
	if err := s.expect(literalMark); err != nil {
		return nil, err
	}
	if len(s.lits) == 0 {
		return nil, malformed("literal expected")
	}
	v := s.lits[0]
	s.lits = s.lits[1:]
	return v, nil
}

func (s *scanner) quoted() ([]byte, error) {
	if err := s.expect('"'); err != nil {
		return nil, err
	}
	start := s.i
	n := bytes.IndexAny(s.b[s.i:], `"\`)
	if n < 0 {
		return nil, malformed("unterminated string")
	}
	if s.b[s.i+n] == '"' {
		s.i += n + 1
		return s.b[start : start+n], nil
	}
	var out []byte
	for ; s.i < len(s.b); s.i++ {
		c := s.b[s.i]
		switch {
		case c == '"':
			s.i++
			return out, nil
		case c == '\\':
			if s.i++; s.i >= len(s.b) {
				return nil, malformed("unterminated string")
			}
			c = s.b[s.i]
		}
		out = append(out, c)
	}
	return nil, malformed("unterminated string")
}

// skip passes over one value of any kind.
func (s *scanner) skip() error {
	depth := 0
	for {
		var err error
		switch s.peek() {
		case '(':
			s.i++
			if depth++; depth > maxDepth {
				return malformed("more than %d nested lists", maxDepth)
			}
			s.spaces()
			continue
		case ')':
			if depth == 0 {
				return malformed("unexpected closing parenthesis")
			}
			s.i++
			depth--
		case '"':
			_, err = s.quoted()
		case literalMark:
			_, err = s.literal()
		default:
			_, err = s.word()
		}
		if err != nil {
			return err
		}
		if depth == 0 {
			return nil
		}
		s.spaces()
	}
}

// list calls item at each element of a parenthesised list; item must consume it.
func (s *scanner) list(item func() error) error {
	if err := s.expect('('); err != nil {
		return err
	}
	for {
		s.spaces()
		if s.accept(')') {
			return nil
		}
		if s.end() {
			return malformed("unterminated list")
		}
		at := s.i
		if err := item(); err != nil {
			return err
		}
		if s.i == at {
			return malformed("element expected")
		}
	}
}

// rawList returns the text between the parentheses of a flat list of words.
func (s *scanner) rawList() ([]byte, error) {
	if err := s.expect('('); err != nil {
		return nil, err
	}
	n := bytes.IndexByte(s.b[s.i:], ')')
	if n < 0 {
		return nil, malformed("unterminated list")
	}
	v := s.b[s.i : s.i+n]
	s.i += n + 1
	return v, nil
}
