package imap

import (
	"unicode/utf8"

	"driftless/drivers"
)

// With UTF8=ACCEPT (RFC 6855) the same mailbox name looks different on the wire: UTF-8 instead of modified UTF-7. That is translated where a
// connection reads and writes, so that everything else knows one form of a name, whatever each connection could enable.

// nowUTF8 is called when the server said that UTF8=ACCEPT is on, or speaks nothing else.
func (c *conn) nowUTF8() {
	c.w.utf8.Store(true)
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	c.st.names.utf8 = true
}

// fromUTF8 returns the modified UTF-7 form of a name. One that is not UTF-8 stays as it is: it has 8-bit bytes, which no such form has.
func fromUTF8(name string) string {
	if !utf8.ValidString(name) {
		return name
	}
	return drivers.EncodeUTF7(name)
}

// wireName returns a mailbox name, given in modified UTF-7, in the form that the connection speaks, and whether it can be a quoted string. Those
// hold UTF-8 then (RFC 6855, section 3).
func (c *conn) wireName(raw string) (name string, quoted bool) {
	if !c.w.utf8.Load() {
		return raw, quotable(raw)
	}
	if name, ok := drivers.DecodeUTF7(raw); ok {
		raw = name
	}
	for i := range len(raw) {
		if raw[i] < ' ' || raw[i] == 0x7f {
			return raw, false
		}
	}
	return raw, utf8.ValidString(raw)
}

// quotable reports whether the mailbox name needs no literal.
func (c *conn) quotable(raw string) bool {
	_, ok := c.wireName(raw)
	return ok
}

// mailbox adds a mailbox name, given in modified UTF-7.
func (c *command) mailbox(on *conn, raw string) {
	name, quoted := on.wireName(raw)
	if quoted {
		c.text(quote(name))
		return
	}
	c.literalString(name)
}

// headerScan looks for 8-bit bytes in the header of a message.
type headerScan struct {
	done  bool
	eight bool
	text  bool // the current line has bytes, CR not counted
}

func (h *headerScan) see(p []byte) {
	for _, b := range p {
		switch {
		case h.done:
			return
		case b == '\n':
			h.done, h.text = !h.text, false
		case b != '\r':
			h.text = true
			h.eight = h.eight || b >= 0x80
		}
	}
}
