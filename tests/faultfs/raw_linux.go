package faultfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// raw answers the kernel. Here are the questions; effects_linux.go has the effects.
type raw struct {
	fuse.RawFileSystem // says that it has not what is not here
	*FS
}

func (r *raw) String() string { return label }

// errnoOf turns the error of a system call into its number.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	}
	return syscall.EIO
}

// real returns the path behind.
func (r *raw) real(path string) string { return filepath.Join(r.backing, path) }

// pathOf names a node for a read fault.
func (r *raw) pathOf(id uint64, name string) func() string {
	return func() string {
		r.tree.RLock()
		defer r.tree.RUnlock()
		n := r.tree.byID[id]
		if n == nil {
			return ""
		}
		path, _ := r.tree.path(n)
		return filepath.Join(path, name)
	}
}

// place finds the directory of a name and the path of the name. The tree is locked.
func (r *raw) place(dir uint64, name string) (p place, path string, errno syscall.Errno) {
	n := r.tree.byID[dir]
	if n == nil {
		return p, "", syscall.ESTALE
	}
	p = place{n, name}
	path, ok := r.tree.join(p)
	if !ok {
		return p, "", syscall.ENOENT
	}
	return p, path, 0
}

// entry looks at what is at a place and tells the kernel. The tree is locked for writing.
func (r *raw) entry(p place, path string, out *fuse.EntryOut) (*node, syscall.Errno) {
	var st syscall.Stat_t
	if err := syscall.Lstat(r.real(path), &st); err != nil {
		r.tree.remove(p)
		return nil, errnoOf(err)
	}
	n := r.tree.enter(p, st.Ino)
	out.NodeId, out.Generation = n.id, 1
	out.FromStat(&st)
	return n, 0
}

// Lookup finds a name in a directory.
func (r *raw) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if errno := r.question(Lookup, r.pathOf(h.NodeId, name)); errno != 0 {
		return fuse.Status(errno)
	}
	r.tree.Lock()
	defer r.tree.Unlock()
	p, path, errno := r.place(h.NodeId, name)
	if errno != 0 {
		return fuse.Status(errno)
	}
	_, errno = r.entry(p, path, out)
	return fuse.Status(errno)
}

// Forget says that the kernel has dropped a node.
func (r *raw) Forget(id, times uint64) { r.tree.forget(id, times) }

// GetAttr returns attributes.
func (r *raw) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if errno := r.question(Stat, r.pathOf(in.NodeId, "")); errno != 0 {
		return fuse.Status(errno)
	}
	r.tree.RLock()
	defer r.tree.RUnlock()
	return fuse.Status(r.attr(in.NodeId, out))
}

// attr returns a node's attributes, also when it has no name any more. The tree is locked.
func (r *raw) attr(id uint64, out *fuse.AttrOut) syscall.Errno {
	n := r.tree.byID[id]
	if n == nil {
		return syscall.ESTALE
	}
	var st syscall.Stat_t
	path, ok := r.tree.path(n)
	var err error
	switch file := n.anyFile(); {
	case ok:
		err = syscall.Lstat(r.real(path), &st)
		if err == nil && id != rootID && st.Ino != n.ino {
			err = syscall.ESTALE // somebody has changed the directory behind
		}
	case file != nil:
		err = syscall.Fstat(int(file.Fd()), &st)
	default:
		err = syscall.ENOENT
	}
	if err != nil {
		return errnoOf(err)
	}
	out.FromStat(&st)
	return 0
}

// anyFile returns a file through which a node without a name can be reached.
func (n *node) anyFile() *os.File {
	for _, h := range n.open {
		if h.file != nil && !h.dead {
			return h.file
		}
	}
	return nil
}

// Open opens a file.
func (r *raw) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if errno := r.question(Open, r.pathOf(in.NodeId, "")); errno != 0 {
		return fuse.Status(errno)
	}
	r.tree.Lock()
	defer r.tree.Unlock()
	n := r.tree.byID[in.NodeId]
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	path, ok := r.tree.path(n)
	if !ok {
		return fuse.ENOENT
	}
	h, errno := r.openFile(n, path, int(in.Flags))
	if errno != 0 {
		return fuse.Status(errno)
	}
	out.Fh, out.OpenFlags = h.id, fuse.FOPEN_DIRECT_IO
	return fuse.OK
}

// openFile opens the file behind. Where a write goes the kernel says, so that nothing is left of O_APPEND. The tree is locked for writing.
func (r *raw) openFile(n *node, path string, flags int) (*handle, syscall.Errno) {
	fd, err := syscall.Open(r.real(path), flags&syscall.O_ACCMODE|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, errnoOf(err)
	}
	return r.tree.hold(n, os.NewFile(uintptr(fd), path)), 0
}

// handle finds an open file or directory.
func (r *raw) handle(id uint64) (*handle, syscall.Errno) {
	h := r.tree.open[id]
	if h == nil || h.dead {
		return nil, syscall.EIO
	}
	return h, 0
}

// Read reads from a file.
func (r *raw) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if errno := r.question(Read, r.pathOf(in.NodeId, "")); errno != 0 {
		return nil, fuse.Status(errno)
	}
	r.tree.RLock()
	defer r.tree.RUnlock()
	h, errno := r.handle(in.Fh)
	if errno != 0 {
		return nil, fuse.Status(errno)
	}
	n, err := syscall.Pread(int(h.file.Fd()), buf, int64(in.Offset))
	if err != nil {
		return nil, fuse.Status(errnoOf(err))
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

// Flush is not needed: nothing waits for the closing of a file.
func (r *raw) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

// Release closes a file.
func (r *raw) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	_ = r.tree.release(in.Fh) // the kernel does not ask
}

// OpenDir opens a directory.
func (r *raw) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if errno := r.question(List, r.pathOf(in.NodeId, "")); errno != 0 {
		return fuse.Status(errno)
	}
	r.tree.Lock()
	defer r.tree.Unlock()
	n := r.tree.byID[in.NodeId]
	if n == nil {
		return fuse.Status(syscall.ESTALE)
	}
	out.Fh = r.tree.hold(n, nil).id
	return fuse.OK
}

// ReadDir lists a directory, as it is when the listing begins.
func (r *raw) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	if r.frozen.Load() {
		return fuse.EIO
	}
	r.tree.Lock()
	defer r.tree.Unlock()
	h, errno := r.handle(in.Fh)
	if errno != 0 {
		return fuse.Status(errno)
	}
	if in.Offset == 0 {
		path, ok := r.tree.path(h.node)
		if !ok {
			return fuse.OK // a directory that was removed has no entries
		}
		list, err := readUnsorted(r.real(path))
		if err != nil {
			return fuse.Status(errnoOf(err))
		}
		h.list = list
	}
	for i := in.Offset; i < uint64(len(h.list)); i++ {
		e := h.list[i]
		if !out.AddDirEntry(fuse.DirEntry{Name: e.Name(), Mode: modeOf(e.Type()), Off: i + 1, Ino: e.(numbered).ino}) {
			break
		}
	}
	return fuse.OK
}

// numbered is a directory entry with its inode number.
type numbered struct {
	fs.DirEntry
	ino uint64
}

// readUnsorted lists a directory in the order of the file system behind.
func readUnsorted(path string) ([]fs.DirEntry, error) {
	d, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	list, err := d.ReadDir(-1)
	if err := errors.Join(err, d.Close()); err != nil {
		return nil, err
	}
	out := list[:0]
	for _, e := range list {
		var st syscall.Stat_t
		err := syscall.Lstat(filepath.Join(path, e.Name()), &st)
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, numbered{e, st.Ino})
	}
	return out, nil
}

func modeOf(t fs.FileMode) uint32 {
	switch {
	case t.IsDir():
		return syscall.S_IFDIR
	case t&fs.ModeSymlink != 0:
		return syscall.S_IFLNK
	}
	return syscall.S_IFREG
}

// ReleaseDir closes a directory.
func (r *raw) ReleaseDir(in *fuse.ReleaseIn) {
	_ = r.tree.release(in.Fh) // there is nothing to close
}

// StatFs says how much room there is.
func (r *raw) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	if r.frozen.Load() {
		return fuse.EIO
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(r.backing, &st); err != nil {
		return fuse.Status(errnoOf(err))
	}
	out.FromStatfsT(&st)
	return fuse.OK
}

// fdPath is a path of an open file, also when it has no name.
func fdPath(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }
