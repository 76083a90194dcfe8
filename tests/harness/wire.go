package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// node is one value of an IMAP answer: an atom, a string (quoted or literal), or a list.
type node struct {
	text   string
	quoted bool // a string, not an atom
	list   []node
	isList bool
}

// upper returns an atom in upper case.
func (n node) upper() string { return strings.ToUpper(n.text) }

// texts returns the texts of a list.
func (n node) texts() []string {
	var out []string
	for _, e := range n.list {
		out = append(out, e.text)
	}
	return out
}

// readLine reads one answer, literals included, and splits it into values; what follows OK, NO, BAD, BYE or PREAUTH is one value. raw is the line with its literals replaced by their lengths.
func readLine(r *bufio.Reader) (vals []node, raw string, err error) {
	p := &lineParser{r: r}
	for {
		n, end, err := p.value()
		if err != nil {
			return nil, p.raw.String(), err
		}
		if end {
			return vals, p.raw.String(), nil
		}
		vals = append(vals, n)
		if len(vals) == 2 && isStatus(n) {
			// Human text follows, in which a parenthesis or a quote means nothing.
			rest, err := p.r.ReadString('\n')
			if err != nil {
				return nil, p.raw.String(), err
			}
			text := strings.TrimSpace(rest)
			p.raw.WriteString(" " + text)
			return append(vals, node{text: text, quoted: true}), p.raw.String(), nil
		}
	}
}

func isStatus(n node) bool {
	switch n.upper() {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return !n.quoted && !n.isList
	}
	return false
}

type lineParser struct {
	r   *bufio.Reader
	raw strings.Builder
}

func (p *lineParser) byte() (byte, error) {
	c, err := p.r.ReadByte()
	if err == nil && c != '\r' && c != '\n' {
		p.raw.WriteByte(c)
	}
	return c, err
}

var errClosing = errors.New("closing parenthesis")

// value reads the next value; end is true at the end of the line.
func (p *lineParser) value() (n node, end bool, err error) {
	for {
		c, err := p.byte()
		if err != nil {
			return node{}, false, err
		}
		switch c {
		case ' ', '\r':
			continue
		case '\n':
			return node{}, true, nil
		case '(', '[':
			n, err := p.list()
			return n, false, err
		case ')', ']':
			return node{}, false, errClosing
		case '"':
			n, err := p.quoted()
			return n, false, err
		case '{':
			n, err := p.literal()
			return n, false, err
		}
		n, err := p.atom(c)
		return n, false, err
	}
}

func (p *lineParser) list() (node, error) {
	n := node{isList: true}
	for {
		e, end, err := p.value()
		switch {
		case errors.Is(err, errClosing):
			return n, nil
		case err != nil:
			return n, err
		case end:
			return n, errors.New("line ends in a list")
		}
		n.list = append(n.list, e)
	}
}

func (p *lineParser) quoted() (node, error) {
	var b strings.Builder
	for {
		c, err := p.byte()
		if err != nil {
			return node{}, err
		}
		if c == '"' {
			return node{text: b.String(), quoted: true}, nil
		}
		if c == '\\' {
			if c, err = p.byte(); err != nil {
				return node{}, err
			}
		}
		b.WriteByte(c)
	}
}

func (p *lineParser) literal() (node, error) {
	head, err := p.r.ReadString('\n')
	if err != nil {
		return node{}, err
	}
	size, err := strconv.Atoi(strings.TrimRight(head, "}\r\n"))
	if err != nil {
		return node{}, fmt.Errorf("literal {%q: %w", head, err)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(p.r, body); err != nil {
		return node{}, err
	}
	fmt.Fprintf(&p.raw, "%d}", size)
	return node{text: string(body), quoted: true}, nil
}

func (p *lineParser) atom(first byte) (node, error) {
	var b strings.Builder
	b.WriteByte(first)
	depth := 0 // of brackets: BODY[HEADER.FIELDS (X)] is one atom
	for {
		c, err := p.r.ReadByte()
		if err != nil {
			return node{}, err
		}
		closes := c == ']' && depth == 0
		if c == '\r' || c == '\n' || depth == 0 && (c == ' ' || c == '(' || c == ')') || closes {
			return node{text: b.String()}, p.r.UnreadByte()
		}
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		}
		p.raw.WriteByte(c)
		b.WriteByte(c)
	}
}
