package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"driftless/merge"
)

// Config is a complete and valid configuration.
type Config struct {
	File     string    // absolute path it was read from
	StateDir string    // absolute path; each account's logs are in a directory of its name in it
	Socket   string    // absolute path of the control socket
	Accounts []Account // in the order of the file; at least one
}

// Account is a pair of stores and how to keep them identical.
type Account struct {
	Name            string
	Mailboxes       Globs         // on the left name
	Interval        time.Duration // safety-net timer of the daemon
	Conflict        merge.ConflictPolicy
	New             merge.Direction
	Flags           merge.Direction
	Deletions       merge.Direction
	CreateMailboxes merge.Direction
	Guard           Guard
	Store           [2]Store          // by merge.Side
	Rename          map[string]string // left name to right name, for those that differ
}

// Guard says when deletions are too many to be meant: more than Percent of the messages and more than AtLeast of them, or
// more than AtMost.
type Guard struct {
	Percent float64
	AtLeast int
	AtMost  int
}

// Store is one side of an account. Exactly one of the fields is set.
type Store struct {
	Maildir *Maildir
	IMAP    *IMAP
}

// Driver returns the name of the store's driver, as in the configuration.
func (s Store) Driver() string {
	if s.IMAP != nil {
		return driverIMAP
	}
	return driverMaildir
}

// The values of the key "driver".
const (
	driverMaildir = "maildir"
	driverIMAP    = "imap"
)

// Maildir is a store in local directories.
type Maildir struct {
	Path   string // absolute
	Layout string // LayoutFS or LayoutPlus
}

// The values of the key "layout".
const (
	LayoutFS   = "fs"        // path/INBOX, path/Sub/Folder
	LayoutPlus = "maildir++" // path itself is INBOX, path/.Sub.Folder
)

// IMAP is a store on a server.
type IMAP struct {
	Host              string
	Port              int
	TLS               string // TLSImplicit, TLSStart or TLSNone
	User              string
	Password          Password
	Connections       int
	DisableExtensions []string // in upper case
	CAFile            string   // absolute path of PEM certificates to trust instead of the system's, "" if none
	Timeout           time.Duration
	Insecure          bool // TLSNone is wanted although the host is not this machine
}

// The values of the key "tls".
const (
	TLSImplicit = "implicit" // TLS from the first byte (RFC 8314)
	TLSStart    = "starttls" // RFC 9051, section 6.2.1; a server that does not offer it is an error
	TLSNone     = "none"
)

// Account returns the account with this name.
func (c *Config) Account(name string) (Account, bool) {
	for _, a := range c.Accounts {
		if a.Name == name {
			return a, true
		}
	}
	return Account{}, false
}

// maxFile bounds the size of a configuration file.
const maxFile = 1 << 20

// Load reads and parses a configuration file. "" means DefaultFile. The error is Errors when the file could be read but is not valid.
func Load(file string, env Env) (*Config, error) {
	if file == "" {
		var err error
		if file, err = DefaultFile(env); err != nil {
			return nil, err
		}
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", file, err)
	}
	f, err := os.Open(abs) //nolint:gosec // the path is the user's own choice
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no configuration file %s; write one, or name another with -c FILE", abs)
		}
		return nil, fmt.Errorf("configuration %s: %w", abs, pathless(err))
	}
	defer func() { _ = f.Close() }() // only read from
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, fmt.Errorf("configuration %s: is a directory; name the file in it, for instance %s", abs, filepath.Join(abs, "config.toml"))
	}
	doc, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", abs, pathless(err))
	}
	if len(doc) > maxFile {
		return nil, fmt.Errorf("configuration %s: larger than %d bytes", abs, maxFile)
	}
	return Parse(abs, doc, env)
}
