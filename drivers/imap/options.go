package imap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
)

// TLSMode says how a connection is protected.
type TLSMode uint8

// The ways to protect a connection.
const (
	// Implicit starts TLS at once (port 993).
	Implicit TLSMode = iota
	// StartTLS upgrades a plain connection before anything else is said; a server that does not offer it is refused.
	StartTLS
	// None sends everything, the password included, in the clear. Only for loopback, unless InsecureOK.
	None
)

// String returns the word that the configuration uses.
func (m TLSMode) String() string {
	switch m {
	case Implicit:
		return "implicit"
	case StartTLS:
		return "starttls"
	case None:
		return "none"
	}
	return fmt.Sprintf("TLSMode(%d)", uint8(m))
}

// Options say where a store is and how to get in. The zero value of a field means its default.
type Options struct {
	Host       string
	Port       int // default 993 with Implicit, else 143
	TLS        TLSMode
	InsecureOK bool   // allow None for hosts that are not loopback
	CAFile     string // PEM file with the authorities to trust instead of the system's
	User       string
	// Password is asked for each new connection. It must honour its context.
	Password          func(ctx context.Context) (string, error)
	Connections       int           // most connections at the same time; default 4
	DisableExtensions []string      // capabilities that are treated as if the server did not offer them
	Timeout           time.Duration // longest wait without any progress; default 60 s
	MaxMessage        int64         // largest message that is read, bytes; default 256 MiB
	SpoolDir          string        // where large messages wait on their way; default the system's directory for temporary files
	Logger            *zap.Logger   // default: no log
	// Dial opens the network connection; for tests. Default: a net.Dialer with keep-alive.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Defaults of Options.
const (
	defaultConnections = 4
	defaultTimeout     = 60 * time.Second
	defaultMaxMessage  = 256 << 20
)

// withDefaults returns the options with every default filled in, or what is wrong with them.
func (o Options) withDefaults() (Options, error) {
	if o.Host == "" {
		return o, errors.New("no host given")
	}
	if strings.ContainsAny(o.Host, " \r\n\x00") {
		return o, errors.New("host contains white space or control characters")
	}
	if o.TLS > None {
		return o, fmt.Errorf("unknown TLS mode %d", o.TLS)
	}
	if o.Port == 0 {
		o.Port = 143
		if o.TLS == Implicit {
			o.Port = 993
		}
	}
	if o.Port < 1 || o.Port > 65535 {
		return o, fmt.Errorf("port %d is out of range", o.Port)
	}
	if o.User == "" {
		return o, errors.New("no user given")
	}
	if o.Password == nil {
		return o, errors.New("no password source given")
	}
	if o.TLS == None && !o.InsecureOK && !loopback(o.Host) {
		return o, fmt.Errorf("tls = none would send the password to %s in the clear; only loopback addresses allow it", o.Host)
	}
	if o.Connections <= 0 {
		o.Connections = defaultConnections
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxMessage <= 0 {
		o.MaxMessage = defaultMaxMessage
	}
	if o.SpoolDir == "" {
		o.SpoolDir = os.TempDir()
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Dial == nil {
		d := &net.Dialer{Timeout: o.Timeout, KeepAlive: 30 * time.Second}
		o.Dial = d.DialContext
	}
	return o, nil
}

// loopback reports whether the host can only be this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
