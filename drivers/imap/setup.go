package imap

import (
	"bytes"
	"context"
	"strings"

	"driftless/drivers"
)

// setup returns the commands that a fresh connection needs once, to be sent in front of others: ENABLE (RFC 5161) and, once per store,
// NAMESPACE (RFC 2342) or what tells the delimiter without it. settle must be called when they are answered.
func (c *conn) setup() []*command {
	var out []*command
	if !c.setUp {
		var enable []string
		switch {
		case c.caps.qresync():
			enable = append(enable, "QRESYNC", "CONDSTORE")
		case c.caps.has("ENABLE", "CONDSTORE"):
			enable = append(enable, "CONDSTORE")
		}
		if c.caps.utf8() {
			enable = append(enable, "UTF8=ACCEPT")
		}
		if len(enable) > 0 {
			out = append(out, cmd("ENABLE %s", strings.Join(enable, " ")))
		}
	}
	c.st.mu.Lock()
	known := c.st.known
	c.st.mu.Unlock()
	if !known {
		if c.caps.has("NAMESPACE") {
			out = append(out, cmd("NAMESPACE"))
		}
		out = append(out, cmd(`LIST "" ""`))
	}
	return out
}

// settle notes that the setup commands were answered.
func (c *conn) settle() {
	if c.setUp = true; c.caps.has("UTF8=ONLY") && !c.w.utf8.Load() {
		c.st.note("the server works only with UTF8=ACCEPT, which it did not enable or which the configuration turns off")
	}
	c.st.mu.Lock()
	c.st.known = true
	c.st.mu.Unlock()
}

// prepare makes sure that the connection is set up and that names can be translated.
func (c *conn) prepare(ctx context.Context) error {
	cmds := c.setup()
	if len(cmds) > 0 {
		if err := c.fly(ctx, newFlight(cmds...)); err != nil {
			return classify("prepare", c.st.opt.address(), drivers.ReachStore, err)
		}
	}
	c.settle()
	return nil
}

// sawEnabled trusts QRESYNC and UTF8=ACCEPT from now on if the server says that they are on. Servers exist that advertise QRESYNC and never enable
// it. UTF8=ACCEPT changes what mailbox names mean, from the next response on.
func (c *conn) sawEnabled(s *scanner) {
	for word := range bytes.FieldsSeq(s.rest()) {
		if equalFold(word, "QRESYNC") && c.caps.qresync() {
			c.qresync = true
		}
		if equalFold(word, "UTF8=ACCEPT") && c.caps.utf8() {
			c.nowUTF8()
		}
	}
}

// sawNamespace keeps the prefix and delimiter of the personal namespace, and the prefixes of others' (RFC 2342, section 5).
func (c *conn) sawNamespace(s *scanner) error {
	var prefixes [3][]string
	var delim byte
	for kind := range prefixes {
		s.spaces()
		if s.peek() != '(' {
			if _, _, err := s.astring(); err != nil { // NIL
				return err
			}
			continue
		}
		err := s.list(func() error {
			first := len(prefixes[kind]) == 0
			p, d, err := namespace(s)
			if err != nil {
				return err
			}
			prefixes[kind] = append(prefixes[kind], p)
			if kind == 0 && first {
				delim = d
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	if c.st.known {
		return nil
	}
	if len(prefixes[0]) > 0 {
		c.st.names.prefix, c.st.names.delim = prefixes[0][0], delim
	}
	c.st.foreign = append(prefixes[1], prefixes[2]...)
	return nil
}

// namespace parses one ("prefix" "delimiter" extensions...).
func namespace(s *scanner) (prefix string, delim byte, err error) {
	i := 0
	err = s.list(func() error {
		i++
		if i > 2 {
			return s.skip()
		}
		v, _, err := s.astring()
		if err != nil {
			return err
		}
		if i == 1 {
			if prefix = string(v); s.utf8 {
				prefix = fromUTF8(prefix)
			}
		} else if len(v) == 1 {
			delim = v[0]
		} else if len(v) > 1 {
			return malformed("delimiter of %d characters", len(v))
		}
		return nil
	})
	return prefix, delim, err
}

// sawRoot takes the delimiter from the answer to LIST "" "" (RFC 3501, section 6.3.8) if nothing better told it.
func (c *conn) sawRoot(s *scanner) error {
	c.st.mu.Lock()
	defer c.st.mu.Unlock()
	if c.st.known || c.st.names.delim != 0 {
		return nil
	}
	b, err := parseList(s)
	if err == nil && b.raw == "" {
		c.st.names.delim = b.delim
	}
	return err
}
