package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// disk is a small model of a file system: a tree of inodes, each as a running system shows it (live) and as it survives a power cut (kept).
type disk struct {
	root *inode
}

// inode is a file or a directory.
type inode struct {
	dir  bool
	mode [2]fs.FileMode
	time [2]time.Time // modification time as somebody set it; zero if that was not the last change

	entries [2]map[string]*inode // of a directory

	// Of a file: what is durable for certain, and every change since, in order.
	data    []byte
	changes []change
}

// The two views of an inode.
const (
	live = iota
	kept
)

// change is a change of a file's content that happened after data.
type change struct {
	off   int64 // write: where; cut: the new size
	data  []byte
	cut   bool
	state changeState
}

type changeState uint8

const (
	pending changeState = iota // the next fsync makes it durable
	synced                     // durable; it stands here only because a change before it is not
	lost                       // an fsync failed to write it and nobody will try again; a running system shows it nevertheless
)

func newDisk() *disk { return &disk{root: newDir(0o700)} }

func newDir(mode fs.FileMode) *inode {
	return &inode{dir: true, mode: [2]fs.FileMode{mode, mode}, entries: [2]map[string]*inode{{}, {}}}
}

// readDisk reads a directory; everything in it counts as durable.
func readDisk(root string) (*disk, error) {
	d := newDisk()
	known := map[uint64]*inode{}
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		parent, name := d.parent(filepath.ToSlash(rel))
		number := info.Sys().(*syscall.Stat_t).Ino
		n := known[number]
		switch {
		case n != nil:
		case e.IsDir():
			n = newDir(info.Mode().Perm())
		case info.Mode().IsRegular():
			n = &inode{mode: [2]fs.FileMode{info.Mode().Perm(), info.Mode().Perm()}, time: [2]time.Time{info.ModTime(), info.ModTime()}}
			if n.data, err = os.ReadFile(p); err != nil { //nolint:gosec // a directory of the test
				return err
			}
			known[number] = n
		default:
			return fmt.Errorf("%s is neither a file nor a directory", rel)
		}
		parent.entries[live][name], parent.entries[kept][name] = n, n
		return nil
	})
	return d, err
}

// clone returns a copy that can be changed on its own. Content is shared: nobody changes it.
func (d *disk) clone() *disk {
	done := map[*inode]*inode{}
	var copyOf func(*inode) *inode
	copyOf = func(n *inode) *inode {
		if c := done[n]; c != nil {
			return c
		}
		c := *n
		c.changes = slices.Clone(n.changes)
		done[n] = &c
		for v, m := range n.entries {
			if m == nil {
				continue
			}
			c.entries[v] = make(map[string]*inode, len(m))
			for name, child := range m {
				c.entries[v][name] = copyOf(child)
			}
		}
		return &c
	}
	return &disk{root: copyOf(d.root)}
}

// find returns what a running system has at a path, nil if nothing.
func (d *disk) find(p string) *inode {
	n := d.root
	for _, name := range strings.Split(p, "/") {
		if name == "" {
			continue
		}
		if n == nil || !n.dir {
			return nil
		}
		n = n.entries[live][name]
	}
	return n
}

func (d *disk) parent(p string) (dir *inode, name string) {
	up, name := path.Split(p)
	return d.find(up), name
}

// play lets an op from a trace happen.
func (d *disk) play(op Op) error {
	parent, name := d.parent(op.Path)
	n := d.find(op.Path)
	if !op.Done {
		// A failed fsync is not without consequences: the kernel takes what it could not write for written.
		if op.Kind == Sync && !op.gone && n != nil {
			n.lose()
		}
		return nil
	}
	switch op.Kind {
	case Create, Mkdir:
		if parent == nil || n != nil {
			return errMisfit
		}
		mode := fs.FileMode(op.Mode)
		n = &inode{mode: [2]fs.FileMode{mode, mode}}
		if op.Kind == Mkdir {
			n = newDir(mode)
		}
		parent.entries[live][name] = n
	case Unlink, Rmdir:
		if n == nil {
			return errMisfit
		}
		delete(parent.entries[live], name)
	case Rename, Link:
		to, toName := d.parent(op.To)
		if n == nil || to == nil {
			return errMisfit
		}
		if op.Kind == Rename && d.find(op.To) != n { // otherwise two names of one file: rename does nothing
			delete(parent.entries[live], name)
		}
		to.entries[live][toName] = n
	case Write, Truncate, Sync, SyncDir, Times, Chmod, Chown:
		switch {
		case op.Path == "" && op.Kind != SyncDir:
			// Attributes of the root, or a file that is in no directory any more: a disk shows nothing of either.
		case n == nil:
			return errMisfit
		default:
			n.play(op)
		}
	}
	return nil
}

var errMisfit = errors.New("no such name, or one too many")

// play lets an op on a file, or on the attributes of a directory, happen.
func (n *inode) play(op Op) {
	switch op.Kind {
	case Write:
		n.changes = append(n.changes, change{off: op.Off, data: op.Data})
		n.time[live] = time.Time{}
	case Truncate:
		n.changes = append(n.changes, change{off: op.Off, cut: true})
		n.time[live] = time.Time{}
	case Times:
		if !op.Time.IsZero() {
			n.time[live] = op.Time
		}
	case Chmod:
		n.mode[live] = fs.FileMode(op.Mode)
	case Sync:
		n.keep()
	case SyncDir:
		n.keepNames()
	case Create, Rename, Link, Unlink, Mkdir, Rmdir, Chown:
	}
}

// keep is an fsync that succeeds.
func (n *inode) keep() {
	n.mode[kept], n.time[kept] = n.mode[live], n.time[live]
	whole := true
	for i := range n.changes {
		if n.changes[i].state == pending {
			n.changes[i].state = synced
		}
		whole = whole && n.changes[i].state == synced
	}
	if whole {
		n.data, n.changes = content(n.data, n.changes), nil
	}
}

// lose is an fsync that fails.
func (n *inode) lose() {
	for i := range n.changes {
		if n.changes[i].state == pending {
			n.changes[i].state = lost
		}
	}
}

// keepNames makes a directory's entries durable.
func (n *inode) keepNames() {
	n.entries[kept] = maps.Clone(n.entries[live])
	n.mode[kept] = n.mode[live]
}

// content returns what a file with this content has after these changes. It does not change data.
func content(data []byte, changes []change) []byte {
	out := slices.Clone(data)
	for _, c := range changes {
		out = c.apply(out)
	}
	return out
}

// apply changes the content of a file.
func (c change) apply(data []byte) []byte {
	if c.cut {
		return resize(data, c.off)
	}
	if end := c.off + int64(len(c.data)); int64(len(data)) < end {
		data = resize(data, end)
	}
	copy(data[c.off:], c.data)
	return data
}

// resize cuts a content off or fills it up with zeroes.
func resize(data []byte, size int64) []byte {
	if int64(len(data)) >= size {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

// write puts the kept tree into a directory that is empty or does not exist.
func (d *disk) write(dst string) error {
	if list, err := os.ReadDir(dst); err == nil && len(list) > 0 {
		return fmt.Errorf("%s is not empty", dst)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dst, 0o700); err != nil {
		return err
	}
	return d.root.write(dst, map[*inode]string{})
}

func (n *inode) write(dir string, written map[*inode]string) error {
	for _, name := range sortedNames(n.entries[kept]) {
		child, p := n.entries[kept][name], filepath.Join(dir, name)
		var err error
		switch first, again := written[child]; {
		case again && child.dir:
			// A directory that was renamed, with only the new parent synced: it can have but one name.
			continue
		case again:
			err = os.Link(first, p)
		case child.dir:
			if err = os.Mkdir(p, 0o700); err == nil {
				err = errors.Join(child.write(p, written), os.Chmod(p, child.mode[kept]))
			}
		default:
			if err = os.WriteFile(p, child.data, 0o600); err == nil {
				err = os.Chmod(p, child.mode[kept])
			}
			if t := child.time[kept]; err == nil && !t.IsZero() {
				err = os.Chtimes(p, t, t)
			}
		}
		if err != nil {
			return err
		}
		written[child] = p
	}
	return nil
}

func sortedNames(m map[string]*inode) []string { return slices.Sorted(maps.Keys(m)) }
