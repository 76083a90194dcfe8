package faultfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

const rootID = 1

// nodes knows by which names the kernel's inodes can be reached. The names are changed under the lock together with the directory behind, so that whoever
// holds it, for reading at least, may use a path that it made.
type nodes struct {
	sync.RWMutex
	byID   map[uint64]*node
	byIno  map[uint64]*node // only files that still have a name
	byName map[place]*node
	open   map[uint64]*handle
	last   uint64 // id of node or handle
}

// node is a file or directory that the kernel knows.
type node struct {
	id, ino uint64
	names   []place // none: it was removed, or belongs to a time before a reset
	lookups uint64  // how often the kernel was told of it
	open    []*handle
}

// place is a name in a directory.
type place struct {
	parent *node
	name   string
}

// handle is an open file or directory.
type handle struct {
	id   uint64
	node *node
	file *os.File // nil for a directory
	list []fs.DirEntry
	dead bool // opened before a thaw or a reset
}

// newNodes returns a tree of which only the root is known.
func (t *nodes) clear() {
	root := t.byID[rootID]
	if root == nil {
		root = &node{id: rootID}
		t.last = rootID
	}
	for _, n := range t.byID {
		n.names = nil
	}
	t.byID = map[uint64]*node{rootID: root}
	t.byIno, t.byName = map[uint64]*node{}, map[place]*node{}
	if t.open == nil {
		t.open = map[uint64]*handle{}
	}
}

// kill makes all open files dead.
func (t *nodes) kill() {
	t.Lock()
	defer t.Unlock()
	for _, h := range t.open {
		h.dead = true
	}
}

// empty removes everything in a directory and forgets every name.
func (t *nodes) empty(dir string) error {
	t.Lock()
	defer t.Unlock()
	for _, h := range t.open {
		h.dead = true
	}
	t.clear()
	list, err := os.ReadDir(dir)
	for _, e := range list {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// path returns a node's path relative to the root. ok is false when it has no name.
func (t *nodes) path(n *node) (path string, ok bool) {
	if n.id == rootID {
		return "", true
	}
	if len(n.names) == 0 {
		return "", false
	}
	return t.join(n.names[len(n.names)-1])
}

// join returns the path of a place.
func (t *nodes) join(p place) (path string, ok bool) {
	up, ok := t.path(p.parent)
	if !ok {
		return "", false
	}
	return filepath.Join(up, p.name), true
}

// enter notes that a place has the inode, and returns its node, which the kernel is told of.
func (t *nodes) enter(p place, ino uint64) *node {
	n := t.byIno[ino]
	if n == nil {
		t.last++
		n = &node{id: t.last, ino: ino}
		t.byID[n.id], t.byIno[ino] = n, n
	}
	t.name(p, n)
	n.lookups++
	return n
}

// name gives a place to a node.
func (t *nodes) name(p place, n *node) {
	if old := t.byName[p]; old == n {
		return
	}
	t.remove(p)
	t.byName[p] = n
	n.names = append(n.names, p)
}

// remove takes a place from the node that has it, and returns that.
func (t *nodes) remove(p place) *node {
	n := t.byName[p]
	if n == nil {
		return nil
	}
	delete(t.byName, p)
	n.names = slices.DeleteFunc(n.names, func(q place) bool { return q == p })
	return n
}

// gone forgets the number of an inode that exists no more: the file system behind will use it again.
func (t *nodes) gone(ino uint64) {
	if n := t.byIno[ino]; n != nil {
		for _, p := range slices.Clone(n.names) {
			t.remove(p)
		}
		delete(t.byIno, ino)
	}
}

// forget says that the kernel no longer knows of a node so many times.
func (t *nodes) forget(id, times uint64) {
	t.Lock()
	defer t.Unlock()
	n := t.byID[id]
	if n == nil || id == rootID {
		return
	}
	n.lookups -= min(times, n.lookups)
	if n.lookups > 0 {
		return
	}
	delete(t.byID, id)
	for _, p := range slices.Clone(n.names) {
		t.remove(p)
	}
	if t.byIno[n.ino] == n {
		delete(t.byIno, n.ino)
	}
}

// hold notes an open file or directory.
func (t *nodes) hold(n *node, file *os.File) *handle {
	t.last++
	h := &handle{id: t.last, node: n, file: file}
	t.open[h.id] = h
	n.open = append(n.open, h)
	return h
}

// release closes an open file or directory.
func (t *nodes) release(id uint64) error {
	t.Lock()
	defer t.Unlock()
	h := t.open[id]
	if h == nil {
		return nil
	}
	delete(t.open, id)
	h.node.open = slices.DeleteFunc(h.node.open, func(o *handle) bool { return o == h })
	if h.file == nil {
		return nil
	}
	return h.file.Close()
}
