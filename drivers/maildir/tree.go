package maildir

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"driftless/drivers"
)

// maxDepth bounds the levels of a tree.
const maxDepth = 64

// MailboxDir returns the directory of a mailbox, whether it exists or not; its cur and new are what to watch for changes.
func (s *Store) MailboxDir(name string) (string, error) { return s.dirOf(name) }

// dirOf returns the directory of a mailbox. An inbox that is on disk in another case than upper is found.
func (s *Store) dirOf(name string) (string, error) {
	rel, err := s.layout.relative(name)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(s.root, rel)
	if head, _, _ := strings.Cut(canonical(name), "/"); head != inbox || rel == "." {
		return dir, nil
	}
	if _, err := os.Lstat(dir); err == nil {
		return dir, nil
	}
	entries, err := s.readDir(s.root)
	if err != nil {
		return dir, nil // whoever uses the directory meets the error
	}
	first, rest, more := strings.Cut(rel, "/")
	for _, e := range entries {
		switch n := e.Name(); {
		case s.layout == FS && n == first:
			return dir, nil
		case s.layout == FS && strings.EqualFold(n, first):
			if more {
				return filepath.Join(s.root, n, rest), nil
			}
			return filepath.Join(s.root, n), nil
		case s.layout == MaildirPlusPlus && n[0] == '.' && canonical(s.layout.nameOf(n)) == canonical(name):
			return filepath.Join(s.root, n), nil
		}
	}
	return dir, nil
}

func (s *Store) readDir(path string) ([]fs.DirEntry, error) {
	if err := s.disk.check("readdir", path); err != nil {
		return nil, err
	}
	s.disk.dirReads.Add(1)
	return os.ReadDir(path)
}

// List returns all mailboxes of the tree and their parents. Unchanged is told by the times of the directories alone. A directory that cannot be read
// is an error. Links to directories outside the root are followed, others are second names of what is listed anyway.
func (s *Store) List(ctx context.Context, seen map[string]drivers.Cursor) ([]drivers.MailboxInfo, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	w := walker{store: s, ctx: ctx, found: make(map[string]string)}
	var err error
	if w.real, err = filepath.EvalSymlinks(s.root); err == nil {
		if s.layout == MaildirPlusPlus {
			err = w.flat()
		} else {
			err = w.deep(s.root, "", nil)
		}
	}
	if err != nil {
		return nil, classify("list mailboxes", s.root, drivers.ReachStore, err)
	}
	out := make([]drivers.MailboxInfo, 0, len(w.found))
	for name, dir := range w.found {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		info := drivers.MailboxInfo{Name: name, Subscribed: true, Messages: -1}
		if c, ok := decodeCursor(seen[name]); ok {
			now, err := stampsOf(dir)
			if err != nil {
				return nil, classify("list mailboxes", name, drivers.ReachStore, err)
			}
			if c.unchanged(now) {
				info.Unchanged, info.Messages = true, c.count
			}
		}
		out = append(out, info)
	}
	for name := range parents(w.found) {
		out = append(out, drivers.MailboxInfo{Name: name, NoSelect: true, Messages: -1})
	}
	slices.SortFunc(out, func(a, b drivers.MailboxInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// parents returns the names above mailboxes that are none themselves.
func parents(found map[string]string) map[string]bool {
	out := make(map[string]bool)
	for name := range found {
		for {
			i := strings.LastIndexByte(name, '/')
			if i < 0 {
				break
			}
			name = name[:i]
			if _, ok := found[name]; !ok {
				out[name] = true
			}
		}
	}
	return out
}

// walker collects the mailboxes of a tree.
type walker struct {
	store *Store
	ctx   context.Context
	real  string            // the root without links
	found map[string]string // directory by name
}

func (w *walker) add(relative, dir string) error {
	name := canonical(w.store.layout.nameOf(relative))
	if other, twice := w.found[name]; twice {
		return fmt.Errorf("two directories are the mailbox %q: %s and %s", name, other, dir)
	}
	w.found[name] = dir
	return nil
}

// flat lists a Maildir++ tree.
func (w *walker) flat() error {
	root := w.store.root
	entries, err := w.store.readDir(root)
	if err != nil {
		return err
	}
	self, err := checkMaildir(root)
	if err != nil {
		return err
	}
	if self {
		if err := w.add(".", root); err != nil {
			return err
		}
	}
	for _, e := range entries {
		dir := filepath.Join(root, e.Name())
		if !strings.HasPrefix(e.Name(), ".") || !w.enters(e, dir) {
			continue
		}
		mailbox, err := checkMaildir(dir)
		if err != nil {
			return err
		}
		if mailbox {
			if err := w.add(e.Name(), dir); err != nil {
				return err
			}
		}
	}
	return w.ctx.Err()
}

// deep lists an FS tree from dir down; above are the directories that it is in.
func (w *walker) deep(dir, relative string, above []fs.FileInfo) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	self, err := os.Stat(dir)
	if err != nil {
		return vanished(err, relative)
	}
	for _, a := range above {
		if os.SameFile(a, self) {
			return nil
		}
	}
	if len(above) > maxDepth {
		return fmt.Errorf("%s: more than %d levels", dir, maxDepth)
	}
	entries, err := w.store.readDir(dir)
	if err != nil {
		return vanished(err, relative)
	}
	if relative != "" {
		mailbox, err := checkMaildir(dir)
		if err != nil {
			return err
		}
		if mailbox {
			if err := w.add(relative, dir); err != nil {
				return err
			}
		}
	}
	above = append(above[:len(above):len(above)], self)
	for _, e := range entries {
		n := e.Name()
		sub := filepath.Join(dir, n)
		if strings.HasPrefix(n, ".") || reserved(n) || relative == "" && n == "lost+found" || !w.enters(e, sub) {
			continue
		}
		below := n
		if relative != "" {
			below = relative + "/" + n
		}
		if err := w.deep(sub, below, above); err != nil {
			return err
		}
	}
	return nil
}

// vanished drops the error of a directory below the root that is gone meanwhile.
func vanished(err error, relative string) error {
	if relative != "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)) {
		return nil
	}
	return err
}

// enters reports whether an entry is a directory, or a link to one outside the root.
func (w *walker) enters(e fs.DirEntry, path string) bool {
	if e.IsDir() {
		return true
	}
	if e.Type()&fs.ModeSymlink == 0 {
		return false
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil || !isDir(real) {
		return false
	}
	inside := real == w.real || strings.HasPrefix(real, w.real+"/")
	around := strings.HasPrefix(w.real+"/", strings.TrimSuffix(real, "/")+"/")
	return !inside && !around
}

// checkMaildir is isMaildir for listings: it tells "cannot look" from "is none".
func checkMaildir(dir string) (bool, error) {
	for _, sub := range []string{"/cur", "/new"} {
		fi, err := os.Stat(dir + sub)
		if err == nil && fi.IsDir() {
			return true, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ELOOP) {
			return false, err
		}
	}
	return false, nil
}
