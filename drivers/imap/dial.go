package imap

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/emersion/go-imap/client"

	"driftless/drivers"
	"driftless/merge"
)

// address returns host and port.
func (o *Options) address() string { return net.JoinHostPort(o.Host, strconv.Itoa(o.Port)) }

// tlsConfig returns the configuration of TLS connections: system authorities or the CA file, at least TLS 1.2.
func (o *Options) tlsConfig() (*tls.Config, error) {
	cfg := &tls.Config{ServerName: o.Host, MinVersion: tls.VersionTLS12}
	if o.CAFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no certificate", o.CAFile)
	}
	return cfg, nil
}

// dial opens a connection and logs in.
func (st *Store) dial(ctx context.Context) (*conn, error) {
	c, caps, preauth, err := st.connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, classify("connect to", st.opt.address(), drivers.ReachStore, err)
	}
	if err := c.login(ctx, caps, preauth); err != nil {
		c.close()
		return nil, classify("log in to", st.opt.address(), drivers.ReachStore, err)
	}
	st.learn(c)
	return c, nil
}

// connect opens a connection up to the greeting. caps is nil if the server did not tell them.
func (st *Store) connect(ctx context.Context) (c *conn, caps capSet, preauth bool, err error) {
	o := &st.opt
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	raw, err := o.Dial(ctx, "tcp", o.address())
	if err != nil {
		return nil, nil, false, err
	}
	raw = &counted{raw, &st.in, &st.out}
	network := raw
	stop := context.AfterFunc(ctx, func() { _ = network.Close() })
	fail := func(err error) (*conn, capSet, bool, error) {
		stop()
		_ = raw.Close() // the error that led here matters
		if cause := context.Cause(ctx); cause != nil && errors.Is(cause, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer for %v", o.Timeout)
		}
		return nil, nil, false, err
	}
	cfg, err := o.tlsConfig()
	if err != nil {
		return fail(err)
	}
	if o.TLS == Implicit {
		if raw, err = st.handshake(ctx, raw, cfg); err != nil {
			return fail(err)
		}
	}
	w := newWire(raw, o.Timeout, o.MaxMessage)
	greeting, err := w.greeting()
	st.trips.Add(1)
	if err != nil {
		return fail(err)
	}
	if o.TLS == StartTLS {
		if w, raw, err = st.startTLS(ctx, w, greeting, cfg); err != nil {
			return fail(err)
		}
	} else if greeting.code == "CAPABILITY" {
		caps = parseCaps(greeting.args, o.DisableExtensions)
	}
	// go-imap wants to see a greeting; the real one has been read. With capabilities in it go-imap does not ask for them.
	w.pend = append(w.pend, "* OK [CAPABILITY IMAP4rev1] ready\r\n"...)
	c = &conn{st: st, w: w, flags: map[string]merge.Flags{}}
	w.track, w.status = c.tracker, c.sawStatus
	st.greeted(greeting.text)
	if c.client, err = client.New(w); err != nil {
		close(w.ready)
		return fail(err)
	}
	c.client.ErrorLog = quietLog{}
	close(w.ready)
	if !stop() {
		c.close()
		return fail(ctx.Err())
	}
	return c, caps, greeting.kind == "PREAUTH", nil
}

func (st *Store) handshake(ctx context.Context, raw net.Conn, cfg *tls.Config) (net.Conn, error) {
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return raw, ctx.Err()
		}
		return raw, explainTLS(st.opt.Host, err)
	}
	return conn, nil
}

// greeting reads the server's first line.
func (w *wire) greeting() (*status, error) {
	if err := w.raw.SetReadDeadline(time.Now().Add(w.timeout)); err != nil {
		return nil, err
	}
	line, err := w.line()
	if err != nil {
		return nil, w.fail(err)
	}
	if len(line) < 2 || line[0] != '*' || line[1] != ' ' {
		return nil, errors.New("this is not an IMAP server: its greeting does not begin with *")
	}
	st, ok := parseStatus(line[2:])
	switch {
	case !ok || st.kind == "NO" || st.kind == "BAD":
		return nil, malformed("greeting")
	case st.kind == "BYE":
		return nil, &refusal{st}
	}
	return st, w.raw.SetReadDeadline(time.Time{})
}

// startTLS upgrades the connection (RFC 3501, section 6.2.1). Nothing that came in the clear is believed afterwards: not the capabilities,
// not an earlier login, not bytes behind the answer.
func (st *Store) startTLS(ctx context.Context, w *wire, greeting *status, cfg *tls.Config) (*wire, net.Conn, error) {
	if greeting.kind == "PREAUTH" {
		return nil, w.raw, errors.New("server skips the login before TLS could start; refusing to go on in plain text")
	}
	if err := w.raw.SetReadDeadline(time.Now().Add(w.timeout)); err != nil {
		return nil, w.raw, err
	}
	st.trips.Add(1)
	if _, err := w.send([]byte("s0 STARTTLS\r\n")); err != nil {
		return nil, w.raw, err
	}
	for {
		line, err := w.line()
		if err != nil {
			return nil, w.raw, w.fail(err)
		}
		if rest, ok := cutTag(line, "s0 "); ok {
			answer, ok := parseStatus(rest)
			if !ok || answer.kind != "OK" {
				return nil, w.raw, errors.New("server does not offer STARTTLS; refusing to go on in plain text")
			}
			break
		}
		if len(line) < 2 || line[0] != '*' {
			return nil, w.raw, malformed("answer to STARTTLS")
		}
	}
	if w.br.Buffered() > 0 {
		return nil, w.raw, errors.New("bytes arrived in plain text behind the answer to STARTTLS: somebody may be injecting commands")
	}
	if err := w.raw.SetReadDeadline(time.Time{}); err != nil {
		return nil, w.raw, err
	}
	conn, err := st.handshake(ctx, w.raw, cfg)
	if err != nil {
		return nil, w.raw, err
	}
	return newWire(conn, w.timeout, w.limit), conn, nil
}

func cutTag(line []byte, tag string) ([]byte, bool) {
	if len(line) < len(tag) || string(line[:len(tag)]) != tag {
		return nil, false
	}
	return line[len(tag):], true
}
