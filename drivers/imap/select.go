package imap

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"driftless/drivers"
	"driftless/merge"
)

// selectCommand returns a SELECT whose answers become the connection's selection. It may be followed by other commands in the
// same flight. SELECT is used for reading, too: a server may refuse an append to a mailbox that the connection has examined.
func (c *conn) selectCommand(box, raw string) *command {
	com := &command{}
	com.text("SELECT ")
	com.mailbox(c, raw)
	if c.caps.condstore() {
		com.text(" (CONDSTORE)")
	}
	c.mu.Lock()
	sel := &selection{box: box, newKeywords: true}
	c.sel = sel
	c.mu.Unlock()
	com.done = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.sel != sel {
			return
		}
		if com.st.kind != "OK" {
			c.sel = nil
			return
		}
		sel.atSelect, sel.expunged = sel.exists, 0
		sel.readOnly = com.st.code == "READ-ONLY"
		if sel.hasPerm {
			sel.newKeywords = sel.newKeywords && !sel.readOnly
		}
	}
	return com
}

// sawStatus keeps what untagged status responses tell of the selected mailbox.
func (c *conn) sawStatus(st *status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sel == nil || st.kind != "OK" {
		return
	}
	switch st.code {
	case "UIDVALIDITY":
		if n, err := parseNumber(st.args); err == nil && n <= 1<<32-1 {
			c.sel.validity = uint32(n)
		}
	case "UIDNEXT":
		if n, err := parseNumber(st.args); err == nil && n <= 1<<32-1 {
			c.sel.next = uint32(n)
		}
	case "HIGHESTMODSEQ":
		// Only with CONDSTORE: there are servers that send it and mean something else.
		if n, err := parseNumber(st.args); err == nil && c.caps.condstore() {
			c.sel.modseq = n
		}
	case "NOMODSEQ":
		c.sel.modseq = 0
	case "PERMANENTFLAGS":
		list := bytes.Trim(st.args, "()")
		c.sel.hasPerm = true
		c.sel.permanent = parseFlags(list)
		c.sel.newKeywords = slices.Contains(strings.Fields(string(list)), `\*`)
	}
}

// parseFlags parses the inside of a flag list.
func parseFlags(list []byte) merge.Flags {
	return merge.NewFlags(strings.Fields(string(list))...)
}

// flagsOf is parseFlags with a memory: mailboxes have few different flag lists. Used by handlers only.
func (c *conn) flagsOf(list []byte) merge.Flags {
	if f, ok := c.flags[string(list)]; ok {
		return f
	}
	f := parseFlags(list)
	if len(c.flags) < 4096 && len(list) < 1024 {
		c.flags[string(list)] = f
	}
	return f
}

// selectBox selects a mailbox and returns what that told. Other commands fly with it.
func (c *conn) selectBox(ctx context.Context, box, raw string, f *flight) (selection, error) {
	com := c.selectCommand(box, raw)
	f.cmds = append([]*command{com}, f.cmds...)
	return c.flySelect(ctx, box, raw, f, com)
}

// flySelect flies a flight that has a SELECT in it and completes what a poor server left out.
func (c *conn) flySelect(ctx context.Context, box, raw string, f *flight, com *command) (selection, error) {
	if inner := f.data; inner != nil {
		// What comes before the answer to SELECT is about the mailbox that was selected before.
		f.data = func(num uint32, name string, s *scanner) error {
			if com.st == nil {
				return nil
			}
			return inner(num, name, s)
		}
	}
	if err := c.fly(ctx, f); err != nil {
		return selection{}, err
	}
	if err := com.refused(); err != nil {
		c.unselect()
		if com.st.kind == "NO" && com.st.code == "" {
			return selection{}, c.whyRefused(ctx, raw, err)
		}
		return selection{}, err
	}
	sel, ok := c.selected()
	if !ok || sel.validity == 0 {
		c.unselect()
		return selection{}, malformed("SELECT without UIDVALIDITY")
	}
	if sel.next == 0 { // allowed before RFC 9051, and Courier does it
		st, err := c.status(ctx, box, raw, "UIDNEXT")
		if err != nil {
			return selection{}, err
		}
		c.mu.Lock()
		if c.sel != nil {
			c.sel.next = max(st.next, 1)
		}
		c.mu.Unlock()
		sel.next = max(st.next, 1)
	}
	if box == inbox {
		c.st.sawInbox(sel.validity)
	}
	return sel, nil
}

// whyRefused tells a mailbox that does not exist from one that cannot be opened, for servers without response codes.
func (c *conn) whyRefused(ctx context.Context, raw string, refused error) error {
	b, err := c.find(ctx, raw)
	if err != nil {
		return err
	}
	if b == nil || b.has(`\NOSELECT`) {
		return drivers.ErrNoMailbox
	}
	return refused
}

// find lists just this name. It returns nil when there is nothing of this name.
func (c *conn) find(ctx context.Context, raw string) (*listed, error) {
	f := c.findCommand(raw)
	if err := c.fly(ctx, f.flight); err != nil {
		return nil, err
	}
	return *f.found, f.cmds[0].refused()
}

// finding is a flight with a LIST of just one name.
type finding struct {
	*flight
	found **listed // nil: there is nothing of this name
}

// findCommand returns the flight of find.
func (c *conn) findCommand(raw string) finding {
	var found *listed
	com := &command{}
	com.text(`LIST "" `)
	com.mailbox(c, raw)
	f := newFlight(com)
	f.data = func(_ uint32, name string, s *scanner) error {
		if name != "LIST" {
			return nil
		}
		b, err := parseList(s)
		if err == nil && foldInbox(b.raw) == foldInbox(raw) && !b.has(`\NONEXISTENT`) {
			found = &b
		}
		return err
	}
	return finding{f, &found}
}
