package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"driftless/drivers"
)

// Store is an open Maildir tree. It implements drivers.Store.
type Store struct {
	root    string
	layout  Layout
	workers int
	now     func() time.Time // for names and dates
	clock   func() time.Time // what the file system's stamps are compared with
	tick    time.Duration    // how long the kernel may give the same stamp
	disk    disk
	unique  unique

	// mayWrite is set by the first writing call: from then on a listing may give twins fresh names.
	mayWrite atomic.Bool
	closed   atomic.Bool
	locks    atomic.Int32 // not 0 while this store holds the root's lock
	// tables serializes what this process does to keyword tables; other processes are kept off by Dovecot's lock file.
	tables sync.Mutex
	// anchored holds the mailbox directories, with their inodes, that are known to be durable by name.
	anchored sync.Map
}

var _ drivers.Store = (*Store)(nil)

// Open opens the store at opts.Path. A missing root is an error unless opts.Create is set, which makes it, with its identity,
// and in the maildir++ layout with the inbox. Otherwise nothing is written. A root that
// was never synced and looks like one of the other layout is refused (see CheckLayout).
func Open(ctx context.Context, opts Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if opts.Path == "" {
		return nil, &drivers.Error{Op: "open maildir", Reach: drivers.ReachStore, Retry: drivers.RetryNever, Err: errors.New("no path given")}
	}
	root, err := filepath.Abs(opts.Path)
	if err != nil {
		return nil, classify("open maildir", opts.Path, drivers.ReachStore, err)
	}
	s := &Store{root: root, layout: opts.Layout, workers: opts.Workers, now: opts.Now, clock: time.Now}
	if s.workers <= 0 {
		s.workers = defaultWorkers
	}
	if s.now == nil {
		s.now = time.Now
	}
	// Twice the tick: the stamp is taken from a clock that may lag by one, and what is compared may be read up to one later.
	s.tick = 2 * max(clockTick(), time.Millisecond)
	if s.unique, err = newUnique(); err != nil {
		return nil, classify("open maildir", root, drivers.ReachStore, err)
	}
	fi, err := os.Stat(root)
	switch {
	case errors.Is(err, fs.ErrNotExist) && opts.Create:
		if err := s.createRoot(ctx); err != nil {
			return nil, classify("create maildir", root, drivers.ReachStore, err)
		}
		return s, nil
	case err != nil:
		return nil, classify("open maildir", root, drivers.ReachStore, err)
	case !fi.IsDir():
		return nil, &drivers.Error{Op: "open maildir", Where: root, Reach: drivers.ReachStore, Retry: drivers.RetryNever, Err: errors.New("it is not a directory")}
	}
	if err := s.checkNew(); err != nil {
		return nil, err
	}
	if opts.Create {
		if _, err := s.EnsureIdentity(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Store) createRoot(ctx context.Context) error {
	if err := s.mkdirAll(s.root); err != nil {
		return err
	}
	if s.layout == MaildirPlusPlus {
		if err := s.makeMaildir(s.root); err != nil {
			return err
		}
	}
	_, err := s.EnsureIdentity(ctx)
	return err
}

// mkdirAll makes a directory and its parents, durably, mode 0700.
func (s *Store) mkdirAll(path string) error {
	fi, err := os.Stat(path)
	if err == nil {
		if !fi.IsDir() {
			return fmt.Errorf("%s is not a directory", path)
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := s.mkdirAll(parent); err != nil {
			return err
		}
	}
	if err := s.disk.mkdir(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.disk.syncDir(parent)
}

// makeMaildir makes cur, new and tmp in an existing directory, durably. cur comes last: with it, the directory is a mailbox in whatever order a
// crash cuts this short, and what is still missing is made by the first append.
func (s *Store) makeMaildir(dir string) error {
	made := false
	for _, sub := range []string{"tmp", "new", "cur"} {
		err := s.disk.mkdir(dir + "/" + sub)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		made = made || err == nil
	}
	return s.anchor(dir, made)
}

// anchor makes a mailbox durable by name, from cur, new and tmp up to the root, unless this store did so already. That it exists proves nothing: a mail client
// may just have made it, or a process that died, or whose fsync failed, before it was durable. What is put into it would go with it.
func (s *Store) anchor(dir string, made bool) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if ino, ok := s.anchored.Load(dir); ok && !made && ino == inodeOf(fi) {
		return nil
	}
	for d := dir; ; d = filepath.Dir(d) {
		if err := s.disk.syncDir(d); err != nil {
			return err
		}
		if len(d) <= len(s.root) {
			break
		}
	}
	s.anchored.Store(dir, inodeOf(fi))
	return nil
}

// Info describes the store.
func (s *Store) Info() drivers.Info {
	info := drivers.Info{Kind: "maildir", Address: s.root, Server: "layout " + s.layout.String(), Delimiter: "/"}
	if s.layout == FS && isMaildir(s.root) {
		info.Notes = append(info.Notes, "the root has cur and new itself, which the fs layout leaves alone: is the layout maildir++?")
	}
	return info
}

// Stats returns zeros: nothing of a local store crosses a wire. Ops has its counts.
func (s *Store) Stats() drivers.Stats { return drivers.Stats{} }

// Ops returns what the store did to its file system since it was opened.
func (s *Store) Ops() Ops { return s.disk.counts() }

// Close ends the use of the store: its methods and those of its handles that are called later fail.
func (s *Store) Close() error {
	s.closed.Store(true)
	return nil
}

// usable reports why a call cannot begin: its context is over, or the store is closed.
func (s *Store) usable(ctx context.Context) error {
	if s.closed.Load() {
		return &drivers.Error{Op: "use maildir", Where: s.root, Reach: drivers.ReachStore, Retry: drivers.RetryNever, Err: fs.ErrClosed}
	}
	return ctx.Err()
}

// isMaildir reports whether a directory has cur or new.
func isMaildir(dir string) bool { return isDir(dir+"/cur") || isDir(dir+"/new") }

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}
