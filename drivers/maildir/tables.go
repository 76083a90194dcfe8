package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// Dovecot changes dovecot-keywords only under the lock of its UID list, a file that is made exclusively and holds "PID:HOST"; then it writes
// dovecot-keywords.lock and renames it. We do the same, and protect our sidecar in the same way.
const (
	uidlistLock = "dovecot-uidlist.lock"
	// staleLock is the age from which Dovecot overrides such a lock.
	staleLock = 2 * time.Minute
	// lockPatience is how long a live lock is waited for.
	lockPatience = 10 * time.Second
	lockRetry    = 20 * time.Millisecond
	// emptyLock is the age from which a lock that names nobody is one whose maker was killed before it wrote.
	emptyLock = 5 * time.Second
)

var errTableLock = errors.New("another program holds the lock of the keyword table (" + uidlistLock + ")")

// lockTable takes Dovecot's lock of the mailbox.
func (m *Mailbox) lockTable(ctx context.Context) (unlock func() error, err error) {
	path := m.dir + "/" + uidlistLock
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	deadline := time.Now().Add(lockPatience)
	for {
		// One goroutine of this process at a time: so a lock with our own number that nobody else of us has is nobody's.
		if mine := ours.take(path); mine {
			held, err := m.tryLock(path, host)
			if held {
				return func() error {
					defer ours.release(path)
					return ignoreMissing(os.Remove(path))
				}, nil
			}
			ours.release(path)
			if err != nil {
				return nil, err
			}
		}
		if time.Now().After(deadline) {
			return nil, errTableLock
		}
		if err := sleep(ctx, lockRetry); err != nil {
			return nil, err
		}
	}
}

// tryLock makes the lock, or removes one that nobody holds any more and makes it then. It reports whether it did; an error is one that waiting does
// not mend. No other goroutine of this process has the lock or tries to make it.
func (m *Mailbox) tryLock(path, host string) (held bool, err error) {
	for {
		err := m.makeLock(path, fmt.Sprintf("%d:%s", os.Getpid(), host))
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return false, err
		}
		fi, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return false, err
		case time.Since(fi.ModTime()) > staleLock || (fi.Size() == 0 && time.Since(fi.ModTime()) > emptyLock) || abandoned(path, host):
			if err := ignoreMissing(os.Remove(path)); err != nil {
				return false, err
			}
		default:
			return false, nil
		}
	}
}

// makeLock makes a lock file that says from its first moment on whose it is: one who is killed in between leaves no lock that nobody can
// judge. It is written under another name, in tmp, and linked; only where there are no links it is made and then written.
func (m *Mailbox) makeLock(path, owner string) error {
	tmp := m.dir + "/tmp/" + m.store.unique.next(m.store.now())
	f, err := m.store.disk.create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteString(owner)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Link(tmp, path)
	}
	err = errors.Join(err, ignoreMissing(os.Remove(tmp)))
	if err == nil || errors.Is(err, fs.ErrExist) || !noLinks(err) {
		return err
	}
	if f, err = m.store.disk.create(path); err != nil {
		return err
	}
	_, err = f.WriteString(owner)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// noLinks reports whether the file system has no hard links.
func noLinks(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOSYS)
}

// ours are the locks that this process holds or tries to make.
var ours = heldLocks{paths: map[string]bool{}}

type heldLocks struct {
	mu    sync.Mutex
	paths map[string]bool
}

// take reports whether nobody of this process has the lock or tries to make it; then the caller does, until release.
func (h *heldLocks) take(path string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.paths[path] {
		return false
	}
	h.paths[path] = true
	return true
}

func (h *heldLocks) release(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.paths, path)
}

// abandoned reports whether a lock names a process of this machine that does not exist any more, or this one, of which the caller knows that it
// does not hold it: a process before us had our number, as in a container, where it is always the same, or we could not remove the lock when we were done.
func abandoned(path, host string) bool {
	data, err := readSmall(path)
	if err != nil {
		return false
	}
	number, where, ok := strings.Cut(strings.TrimSpace(string(data)), ":")
	pid, err := strconv.Atoi(number)
	if !ok || err != nil || pid <= 0 || where != host {
		return false
	}
	return pid == os.Getpid() || errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// updateTable loads the keyword tables under the lock, lets change compute new ones, and makes what differs durable. change must not modify what it is given.
func (m *Mailbox) updateTable(ctx context.Context, change func(*keywords) *keywords) (kw *keywords, err error) {
	m.store.tables.Lock()
	defer m.store.tables.Unlock()
	unlock, err := m.lockTable(ctx)
	if err != nil {
		return nil, m.fail("lock keywords", err)
	}
	defer func() {
		if unlockErr := unlock(); unlockErr != nil && err == nil {
			kw, err = nil, m.fail("unlock keywords", unlockErr)
		}
	}()
	old, err := loadKeywords(m.dir)
	if err != nil {
		return nil, m.fail("read keywords", err)
	}
	kw = change(old)
	if string(kw.lines) != string(old.lines) {
		path := m.dir + "/" + keywordsFile
		if err := ignoreMissing(os.Remove(path + ".lock")); err != nil {
			return nil, m.fail("write keywords", err)
		}
		if err := m.store.disk.replaceFile(path+".lock", path, m.dir, kw.lines, laterThan(path)); err != nil {
			return nil, m.fail("write keywords", err)
		}
	}
	before, after := formatSidecar(old.extra), formatSidecar(kw.extra)
	if string(before) != string(after) {
		if err := m.writeSidecar(after); err != nil {
			return nil, m.fail("write keywords", err)
		}
	}
	return kw, nil
}

func (m *Mailbox) writeSidecar(data []byte) error {
	path := m.dir + "/" + sidecarFile
	if data == nil {
		if err := ignoreMissing(m.store.disk.unlink(path)); err != nil {
			return err
		}
		return m.store.disk.syncDir(m.dir)
	}
	if err := ignoreMissing(os.Remove(path + ".tmp")); err != nil {
		return err
	}
	return m.store.disk.replaceFile(path+".tmp", path, m.dir, data, nil)
}

// laterThan gives a new version of the file at path a modification time at least a second after the old one's: Dovecot compares whole seconds
// to see that the table changed. The mode of the old version is kept.
func laterThan(path string) func(*os.File) error {
	return func(f *os.File) error {
		old, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f.Chmod(old.Mode().Perm()); err != nil {
			return err
		}
		now := time.Now()
		if next := time.Unix(old.ModTime().Unix()+1, 0); now.Before(next) {
			return os.Chtimes(f.Name(), next, next)
		}
		return nil
	}
}

// wish is the flags that a message is to have.
type wish struct {
	id    merge.ID
	flags merge.Flags
}

// hold makes sure that the mailbox can hold the keywords of these messages: by letters as far as there are any, the rest in the sidecar, from which
// keywords that a message is no longer to have are removed. It writes only what changes and returns the tables. Ids in gone lose their entries.
func (m *Mailbox) hold(ctx context.Context, wishes []wish, gone []merge.ID) (*keywords, error) {
	kw, err := loadKeywords(m.dir)
	if err != nil {
		return nil, m.fail("read keywords", err)
	}
	if next := kw.holding(wishes, gone); next == kw {
		return kw, nil
	}
	return m.updateTable(ctx, func(kw *keywords) *keywords { return kw.holding(wishes, gone) })
}

// holding returns the tables that hold these wishes, kw itself if it does.
func (kw *keywords) holding(wishes []wish, gone []merge.ID) *keywords {
	out := kw
	var missing []string
	for _, w := range wishes {
		missing = append(missing, kw.missing(w.flags)...)
	}
	if len(missing) > 0 {
		if next := kw.with(missing); string(next.lines) != string(kw.lines) {
			out = next
		}
	}
	extra := make(map[merge.ID][]string, len(kw.extra))
	for id, names := range kw.extra {
		extra[id] = names
	}
	changed := false
	for _, w := range wishes {
		rest := out.missing(w.flags)
		if len(rest) == 0 {
			if _, had := extra[w.id]; had {
				delete(extra, w.id)
				changed = true
			}
			continue
		}
		if !merge.NewFlags(rest...).Equal(merge.NewFlags(extra[w.id]...)) {
			extra[w.id] = rest
			changed = true
		}
	}
	for _, id := range gone {
		if _, had := extra[id]; had {
			delete(extra, id)
			changed = true
		}
	}
	if !changed {
		return out
	}
	return &keywords{names: out.names, lines: out.lines, extra: extra}
}

// canHold is used where a wish's letters are computed; it exists so that a keyword without letter and sidecar entry is an error, never dropped.
func (kw *keywords) canHold(id merge.ID, rest []string) error {
	if merge.NewFlags(kw.extra[id]...).Has(merge.NewFlags(rest...)) {
		return nil
	}
	return &drivers.Error{Op: "set keywords", Reach: drivers.ReachMessage, Retry: drivers.RetryNow, Err: errors.New("the keyword table changed meanwhile")}
}
