package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"driftless/daemon/config"
	"driftless/daemon/engine"
	"driftless/drivers"
	"driftless/drivers/imap"
	"driftless/drivers/maildir"
	"driftless/logstate"
	"driftless/merge"
)

// accountDir returns where the logs of an account are.
func accountDir(c *config.Config, name string) string { return filepath.Join(c.StateDir, name) }

// engineAccount turns the configuration of an account into what the engine wants. With readOnly nothing is created.
func (a *app) engineAccount(c *config.Config, acc config.Account, readOnly bool) engine.Account {
	dir := accountDir(c, acc.Name)
	e := engine.Account{
		Name:   acc.Name,
		Dir:    dir,
		Select: acc.Mailboxes.Match,
		Rename: acc.Rename,
		Rules:  merge.Rules{Conflict: acc.Conflict, New: acc.New, Flags: acc.Flags, Deletions: acc.Deletions},
		Create: acc.CreateMailboxes,
		Guard:  engine.Guard{Percent: acc.Guard.Percent, AtLeast: acc.Guard.AtLeast, AtMost: acc.Guard.AtMost},
		Log:    a.logger(acc.Name),
	}
	for _, side := range merge.Sides {
		if s := acc.Store[side].IMAP; s != nil {
			e.Workers = max(e.Workers, s.Connections) // a mailbox at a time for each connection
		}
		e.Open[side] = a.opener(acc.Store[side], side, dir, e.Log, readOnly)
	}
	return e
}

// opener returns the function that opens one side of the account whose logs are in dir.
func (a *app) opener(s config.Store, side merge.Side, dir string, log *zap.Logger, readOnly bool) func(context.Context) (drivers.Store, error) {
	if s.IMAP != nil {
		return a.imapOpener(*s.IMAP, log)
	}
	return func(ctx context.Context) (drivers.Store, error) {
		// A root that was there once and is not now may be a disk that is not mounted: making an empty one would look
		// as if everything had been deleted.
		known, err := knownStore(dir, side)
		if err != nil {
			return nil, err
		}
		if readOnly && !known && isMissing(s.Maildir.Path) {
			return absentStore{s.Maildir.Path}, nil
		}
		if known && isMissing(s.Maildir.Path) {
			return nil, fmt.Errorf("the Maildir %s was there at the last sync and is gone; is its disk mounted? Nothing is done, since an empty one "+
				"in its place would look as if all mail had been deleted (if it is gone for good: driftless rebuild)", s.Maildir.Path)
		}
		create := !readOnly && !known
		layout := maildir.FS
		if s.Maildir.Layout == config.LayoutPlus {
			layout = maildir.MaildirPlusPlus
		}
		store, err := maildir.Open(ctx, maildir.Options{Path: s.Maildir.Path, Layout: layout, Create: create})
		if err != nil {
			return nil, err
		}
		return store, nil
	}
}

// knownStore reports whether the logs know the identity of a side's store: it has been synced before.
func knownStore(dir string, side merge.Side) (bool, error) {
	view, err := logstate.OpenView(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the logs: %w", err)
	}
	return view.StoreIdentity(side) != "", nil
}

func (a *app) imapOpener(s config.IMAP, log *zap.Logger) func(context.Context) (drivers.Store, error) {
	modes := map[string]imap.TLSMode{config.TLSImplicit: imap.Implicit, config.TLSStart: imap.StartTLS, config.TLSNone: imap.None}
	opt := imap.Options{
		Host: s.Host, Port: s.Port, TLS: modes[s.TLS], InsecureOK: s.Insecure, CAFile: s.CAFile, User: s.User,
		Password: a.passwordOnce(s.Password), Connections: s.Connections, DisableExtensions: s.DisableExtensions,
		Timeout: s.Timeout, Logger: log,
	}
	return func(ctx context.Context) (drivers.Store, error) {
		store, err := imap.Open(ctx, opt)
		if err != nil {
			return nil, err
		}
		return store, nil
	}
}

// passwordOnce returns a function that reads the password at its first call and remembers it, or the failure, for the rest of the
// process: several connections must not ask a person several times.
func (a *app) passwordOnce(p config.Password) func(context.Context) (string, error) {
	var mu sync.Mutex
	var asked bool
	var secret config.Secret
	var failure error
	return func(ctx context.Context) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if !asked {
			s, err := p.Read(ctx, a.lookup)
			if err != nil && ctx.Err() != nil {
				return "", err // cancelled, not failed: whoever asks next asks again
			}
			asked, secret, failure = true, s, err
		}
		return secret.Reveal(), failure
	}
}

// logger returns what -v and --log-format ask for: nothing by default, as the output says what matters.
func (a *app) logger(account string) *zap.Logger {
	if a.verbose == 0 {
		return zap.NewNop()
	}
	level := zapcore.InfoLevel
	if a.verbose > 1 {
		level = zapcore.DebugLevel
	}
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.ISO8601TimeEncoder
	enc := zapcore.NewConsoleEncoder(cfg)
	if a.logFormat == "json" {
		enc = zapcore.NewJSONEncoder(cfg)
	}
	return zap.New(zapcore.NewCore(enc, zapcore.AddSync(a.stderr), level)).With(zap.String("account", account))
}

// isMissing reports whether there is nothing at a path.
func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
