package imap

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-sasl"

	"driftless/drivers"
)

// login authenticates and learns the capabilities that hold afterwards. The password appears in no error.
func (c *conn) login(ctx context.Context, caps capSet, preauth bool) error {
	var err error
	if !preauth {
		if caps == nil {
			if caps, err = c.askCaps(ctx); err != nil {
				return err
			}
		}
		if caps, err = c.authenticate(ctx, caps); err != nil {
			return err
		}
	}
	if caps == nil {
		if caps, err = c.askCaps(ctx); err != nil {
			return err
		}
	}
	if !caps.has("IMAP4REV1") && !caps.has("IMAP4REV2") {
		return errors.New("server does not offer IMAP4rev1")
	}
	c.caps = caps
	if !caps.has("IMAP4REV1") {
		c.nowUTF8() // RFC 9051, appendix E: in IMAP4rev2 names are UTF-8 from the start
	}
	return nil
}

// askCaps sends CAPABILITY.
func (c *conn) askCaps(ctx context.Context) (capSet, error) {
	var caps capSet
	f := newFlight(cmd("CAPABILITY"))
	f.data = func(_ uint32, name string, s *scanner) error {
		if name == "CAPABILITY" {
			caps = parseCaps(s.rest(), c.st.opt.DisableExtensions)
		}
		return nil
	}
	if err := c.fly(ctx, f); err != nil {
		return nil, err
	}
	if err := f.cmds[0].refused(); err != nil {
		return nil, err
	}
	if caps == nil {
		return nil, errNoStatus
	}
	return caps, nil
}

// authenticate sends the user's name and password in the best way offered. The capabilities are nil if the server did
// not volunteer the new ones.
func (c *conn) authenticate(ctx context.Context, caps capSet) (capSet, error) {
	plain := caps.has("AUTH=PLAIN")
	if caps.has("LOGINDISABLED") && !plain {
		return nil, &drivers.Error{Op: "log in to", Where: c.st.opt.address(), Reach: drivers.ReachStore, Retry: drivers.RetryNever,
			Err: fmt.Errorf("%w: the server takes no password on this kind of connection (use tls = implicit or starttls)", drivers.ErrLogin)}
	}
	password, err := c.st.opt.Password(ctx)
	if err != nil {
		return nil, &drivers.Error{Op: "get the password for", Where: c.st.opt.address(), Reach: drivers.ReachStore, Retry: drivers.RetryLater, Err: err}
	}
	if strings.ContainsRune(password, 0) || strings.ContainsRune(c.st.opt.User, 0) {
		return nil, errors.New("user or password contains a NUL character")
	}
	var com *command
	if plain {
		// RFC 4616 and, for the initial response, RFC 4959.
		_, initial, err := sasl.NewPlainClient("", c.st.opt.User, password).Start()
		if err != nil {
			return nil, errors.New("SASL PLAIN cannot start") // its error might quote what it was given
		}
		secret := base64.StdEncoding.EncodeToString(initial)
		if caps.has("SASL-IR") {
			com = cmd("AUTHENTICATE PLAIN %s", secret)
		} else {
			com = &command{parts: []part{{text: "AUTHENTICATE PLAIN", lit: &literal{content: drivers.Bytes(secret), size: int64(len(secret)), bare: true, sync: true}}}}
		}
	} else {
		com = &command{}
		com.text("LOGIN ")
		com.astring(c.st.opt.User)
		com.text(" ")
		com.astring(password)
	}
	f := newFlight(com)
	var after capSet
	f.data = func(_ uint32, name string, s *scanner) error {
		if name == "CAPABILITY" {
			after = parseCaps(s.rest(), c.st.opt.DisableExtensions)
		}
		return nil
	}
	if err := c.fly(ctx, f); err != nil {
		return nil, err
	}
	if !com.ok() {
		return nil, c.loginRefused(com.st, password)
	}
	if com.st.code == "CAPABILITY" {
		after = parseCaps(com.st.args, c.st.opt.DisableExtensions)
	}
	return after, nil
}

// loginRefused classifies a refused login: only what the server calls a passing trouble is tried again.
func (c *conn) loginRefused(st *status, password string) error {
	safe := *st
	if password != "" {
		safe.text = strings.ReplaceAll(safe.text, password, "***")
	}
	e := &drivers.Error{Op: "log in to", Where: c.st.opt.address(), Reach: drivers.ReachStore, Retry: drivers.RetryNever}
	retry, after := retryOf(&safe)
	switch safe.code {
	case "AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED", "PRIVACYREQUIRED":
		retry = drivers.RetryNever
	}
	if retry == drivers.RetryLater {
		e.Retry, e.After, e.Err = retry, after, &refusal{&safe}
		return e
	}
	e.Err = fmt.Errorf("%w: %v", drivers.ErrLogin, &refusal{&safe})
	return e
}

// text adds text to a command.
func (c *command) text(s string) {
	if n := len(c.parts); n > 0 && c.parts[n-1].lit == nil {
		c.parts[n-1].text += s
		return
	}
	c.parts = append(c.parts, part{text: s})
}

// astring adds a string: quoted, or as a synchronising literal when it cannot be quoted (RFC 3501, section 4.3).
func (c *command) astring(s string) {
	if quotable(s) {
		c.text(quote(s))
		return
	}
	c.literalString(s)
}

// literalString adds a string as a synchronising literal.
func (c *command) literalString(s string) {
	c.text("")
	c.parts[len(c.parts)-1].lit = &literal{content: drivers.Bytes(s), size: int64(len(s)), sync: true}
}

// quotable reports whether the string can be a quoted string: 7-bit without control characters.
func quotable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

var quoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quote returns a quoted string.
func quote(s string) string { return `"` + quoter.Replace(s) + `"` }
