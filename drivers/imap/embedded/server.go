package embedded

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-imap"
	"github.com/emersion/go-imap/backend"
	"github.com/emersion/go-imap/server"
)

// maxMessage is the largest message that is taken, in bytes.
const maxMessage = 64 << 20

// Options say what to start.
type Options struct {
	User, Password string
	TLS            *tls.Config // nil: no encryption is offered
	StartTLS       bool        // with TLS: offer STARTTLS instead of speaking TLS from the first byte
}

// Server is a running server.
type Server struct {
	store    *store
	listener net.Listener
	tracker  *tracker
	serving  chan struct{} // closed when the accept loop has ended
	stop     func() bool
	once     sync.Once
	closeErr error
}

// Start starts a server with an empty INBOX on a free port of 127.0.0.1. It ends with Close, or with ctx.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.User == "" {
		return nil, errors.New("embedded server: no user")
	}
	if o.StartTLS && o.TLS == nil {
		return nil, errors.New("embedded server: STARTTLS without a TLS configuration")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	s := &Server{
		store: newStore(uint32(time.Now().Unix())), listener: l,
		tracker: &tracker{Listener: l, conns: map[*tracked]bool{}}, serving: make(chan struct{}),
	}
	srv := server.New(&login{s.store, o.User, o.Password})
	srv.AllowInsecureAuth = true // it only listens on loopback
	srv.ErrorLog = quiet{}       // connections that break are no news here
	srv.MaxLiteralSize = maxMessage
	ext := &extension{}
	srv.Enable(ext)
	ext.enabled = true
	var front net.Listener = s.tracker
	if o.TLS != nil {
		srv.TLSConfig = o.TLS
		if !o.StartTLS {
			front = tls.NewListener(front, o.TLS)
		}
	}
	go func() {
		defer close(s.serving)
		_ = srv.Serve(front) // it ends only because the listener was closed
	}()
	s.stop = context.AfterFunc(ctx, func() { _ = s.Close() }) // nobody is left to hear of it
	return s, nil
}

// Addr returns host:port of the server.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close closes the port and every connection and waits until everything has ended. The mail is gone with the Server value, not
// before: Snapshot still works.
func (s *Server) Close() error {
	s.once.Do(func() {
		s.stop()
		s.closeErr = s.listener.Close()
		<-s.serving
		s.tracker.closeAll()
		// Nothing may stay blocked in IDLE; its reader saw the connection close.
		s.tracker.wg.Wait()
	})
	return s.closeErr
}

// tracker knows the connections that were accepted, so that Close can wait for their ends: go-imap's own Close does not.
type tracker struct {
	net.Listener
	wg    sync.WaitGroup
	mu    sync.Mutex
	conns map[*tracked]bool
}

// tracked is a connection. Its Close is called by the server when it has done with it.
type tracked struct {
	net.Conn
	t    *tracker
	once sync.Once
}

// Accept waits for a connection and notes it.
func (t *tracker) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tc := &tracked{Conn: c, t: t}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.wg.Add(1)
	t.conns[tc] = true
	return tc, nil
}

// closeAll breaks all connections without telling the server, which then notices and closes them itself.
func (t *tracker) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		_ = c.Conn.Close() // it may have been closed by now
	}
}

// Close closes the connection and forgets it.
func (c *tracked) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		c.t.mu.Lock()
		delete(c.t.conns, c)
		c.t.mu.Unlock()
		c.t.wg.Done()
	})
	return err
}

// login is go-imap's backend: it lets the one user in.
type login struct {
	store          *store
	user, password string
}

// Login returns a new session when name and password are right.
func (l *login) Login(_ *imap.ConnInfo, user, password string) (backend.User, error) {
	ok := subtle.ConstantTimeCompare([]byte(user), []byte(l.user)) & subtle.ConstantTimeCompare([]byte(password), []byte(l.password))
	if ok != 1 {
		return nil, &imap.ErrStatusResp{Resp: &imap.StatusResp{Type: imap.StatusRespNo, Code: "AUTHENTICATIONFAILED", Info: "name or password is wrong"}}
	}
	return &session{store: l.store, user: user}, nil
}

// quiet is a log that nobody reads.
type quiet struct{}

// Printf does nothing.
func (quiet) Printf(string, ...any) {}

// Println does nothing.
func (quiet) Println(...any) {}
