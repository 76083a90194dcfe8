package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"driftless/drivers"
)

// maildirFolder marks a directory as a Maildir++ folder.
const maildirFolder = "maildirfolder"

// graveyard starts the names of directories that hold what is being deleted, so that a deletion that is cut short never leaves half a mailbox. In neither
// layout is such a name a mailbox.
func (s *Store) graveyard() string {
	if s.layout == MaildirPlusPlus {
		return "driftless-deleted-"
	}
	return ".driftless-deleted-"
}

// Create makes a mailbox, and the directories above it, durably, with mode 0700. It succeeds when the mailbox exists, and makes it durable then, too. A mailbox that
// could not be made durable does not stay: whoever saw it there would take it for one that no power cut takes away.
func (s *Store) Create(ctx context.Context, name string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mayWrite.Store(true)
	dir, err := s.dirOf(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.root); err != nil {
		return classify("create mailbox", s.root, drivers.ReachStore, err)
	}
	there, before := isDir(dir), isMaildir(dir)
	err = s.mkdirAll(dir)
	if err == nil && s.layout == MaildirPlusPlus && dir != s.root {
		err = s.touch(dir + "/" + maildirFolder)
	}
	if err == nil {
		err = s.makeMaildir(dir)
	}
	if err != nil && !before && dir != s.root {
		s.unmake(dir, there)
	}
	return classify("create mailbox", canonical(name), drivers.ReachMailbox, err)
}

// unmake takes back a mailbox that could not be made in full, as far as nobody has put anything into it yet. cur comes first: without it and new it is no mailbox.
// The directory itself stays if it was there before.
func (s *Store) unmake(dir string, keep bool) {
	// The error that led here is reported, and says more than any that comes now.
	for _, sub := range []string{"/cur", "/new", "/tmp"} {
		_ = syscall.Rmdir(dir + sub)
	}
	if keep {
		return
	}
	if s.layout == MaildirPlusPlus {
		_ = s.disk.unlink(dir + "/" + maildirFolder)
	}
	_ = syscall.Rmdir(dir)
}

func (s *Store) touch(path string) error {
	f, err := s.disk.create(path)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// Rename renames a mailbox and its children. The inbox cannot be renamed. ErrNoMailbox if there is neither a mailbox nor a parent
// of that name, ErrExists if there is one of the new name.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mayWrite.Store(true)
	from, to = canonical(from), canonical(to)
	err := s.rename(ctx, from, to)
	return classify("rename mailbox", from, drivers.ReachMailbox, err)
}

func (s *Store) rename(ctx context.Context, from, to string) error {
	src, err := s.dirOf(from)
	if err != nil {
		return err
	}
	dst, err := s.dirOf(to)
	if err != nil {
		return err
	}
	switch {
	case from == inbox || to == inbox:
		return fmt.Errorf("%w: the inbox cannot be renamed", errName)
	case strings.HasPrefix(to, from+"/"):
		return fmt.Errorf("%w: a mailbox cannot become its own child", errName)
	case s.layout == MaildirPlusPlus:
		return s.renameAll(ctx, src, dst)
	}
	if _, err := os.Lstat(src); err != nil {
		return missingMailbox(err)
	}
	if from == to {
		return drivers.ErrExists
	}
	if _, err := os.Lstat(dst); err == nil {
		return drivers.ErrExists
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.mkdirAll(filepath.Dir(dst)); err != nil {
		return err
	}
	return s.renameDir(src, dst)
}

// renameAll renames a Maildir++ folder and its children, itself last: cut short, it can be started again.
func (s *Store) renameAll(ctx context.Context, src, dst string) error {
	if src == dst {
		return drivers.ErrExists
	}
	entries, err := s.readDir(s.root)
	if err != nil {
		return err
	}
	var pairs [][2]string
	self := false
	for _, e := range entries {
		old := filepath.Join(s.root, e.Name())
		rest, child := strings.CutPrefix(old, src+".")
		switch {
		case !child && old != src:
			continue
		case child:
			pairs = append(pairs, [2]string{old, dst + "." + rest})
		default:
			self = true
		}
	}
	if self {
		pairs = append(pairs, [2]string{src, dst})
	}
	if len(pairs) == 0 {
		return drivers.ErrNoMailbox
	}
	for _, p := range pairs {
		if _, err := os.Lstat(p[1]); err == nil {
			return drivers.ErrExists
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, p := range pairs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.renameDir(p[0], p[1]); err != nil {
			return err
		}
	}
	return nil
}

// renameDir renames a directory durably. It does not overwrite: a directory with anything in it cannot be overwritten, and that there was none
// at all was checked before.
func (s *Store) renameDir(from, to string) error {
	if err := s.disk.replace(from, to); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return drivers.ErrExists
		}
		return err
	}
	if err := s.disk.syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if filepath.Dir(from) == filepath.Dir(to) {
		return nil
	}
	return s.disk.syncDir(filepath.Dir(from))
}

func missingMailbox(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return drivers.ErrNoMailbox
	}
	return err
}

// Delete removes a mailbox and its messages, not its children. The inbox cannot be deleted. Links are removed, never followed.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := s.usable(ctx); err != nil {
		return err
	}
	s.mayWrite.Store(true)
	return classify("delete mailbox", canonical(name), drivers.ReachMailbox, s.delete(name))
}

func (s *Store) delete(name string) error {
	dir, err := s.dirOf(name)
	if err != nil {
		return err
	}
	if canonical(name) == inbox {
		return fmt.Errorf("%w: the inbox cannot be deleted", errName)
	}
	fi, err := os.Lstat(dir)
	if err != nil {
		return missingMailbox(err)
	}
	if err := s.bury(); err != nil {
		return err
	}
	grave := filepath.Join(s.root, s.graveyard()+s.unique.next(s.now()))
	if fi.Mode()&fs.ModeSymlink != 0 {
		if err := s.disk.unlink(dir); err != nil {
			return err
		}
		return s.disk.syncDir(filepath.Dir(dir))
	}
	if !isMaildir(dir) {
		return drivers.ErrNoMailbox
	}
	children, err := s.hasChildren(dir)
	if err != nil {
		return err
	}
	if !children {
		if err := s.renameDir(dir, grave); err != nil {
			return err
		}
		return s.bury()
	}
	if err := s.disk.mkdir(grave); err != nil {
		return err
	}
	entries, err := s.readDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		// Children stay, and so does what is not a mailbox's own.
		if !reserved(e.Name()) && !ownFile(e.Name()) {
			continue
		}
		if err := s.disk.replace(filepath.Join(dir, e.Name()), filepath.Join(grave, e.Name())); err != nil {
			return err
		}
	}
	if err := errors.Join(s.disk.syncDir(dir), s.disk.syncDir(s.root)); err != nil {
		return err
	}
	return s.bury()
}

// ownFile reports whether a file beside cur, new and tmp belongs to the mailbox.
func ownFile(name string) bool {
	return name == maildirFolder || name == sidecarFile || strings.HasPrefix(name, "dovecot") || strings.HasPrefix(name, "courierimap")
}

// hasChildren reports whether an FS mailbox has a directory in it that is not its own.
func (s *Store) hasChildren(dir string) (bool, error) {
	if s.layout == MaildirPlusPlus {
		return false, nil
	}
	entries, err := s.readDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if !reserved(e.Name()) && !strings.HasPrefix(e.Name(), ".") && !e.Type().IsRegular() {
			return true, nil
		}
	}
	return false, nil
}

// bury removes what deletions, this one or one that was cut short, have set aside.
func (s *Store) bury() error {
	entries, err := s.readDir(s.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), s.graveyard()) {
			if err := os.RemoveAll(filepath.Join(s.root, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
