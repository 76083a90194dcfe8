package faultfs

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// at returns a function that gives an op the path of a name in a directory.
func (r *raw) at(dir uint64, name string) func(*Op) syscall.Errno {
	return func(op *Op) (errno syscall.Errno) {
		r.tree.RLock()
		defer r.tree.RUnlock()
		_, op.Path, errno = r.place(dir, name)
		return errno
	}
}

// of returns a function that gives an op the path of a node; it is empty when the node has none any more.
func (r *raw) of(id uint64) func(*Op) syscall.Errno {
	return func(op *Op) syscall.Errno {
		r.tree.RLock()
		defer r.tree.RUnlock()
		n := r.tree.byID[id]
		if n == nil {
			return syscall.ESTALE
		}
		path, ok := r.tree.path(n)
		if !ok {
			path = r.search(n)
		}
		op.Path = path
		return 0
	}
}

// search looks for another name of a file whose names are all gone as far as the kernel has asked for them: "" if there is none.
func (r *raw) search(n *node) (path string) {
	var st syscall.Stat_t
	file := n.anyFile()
	if file == nil || syscall.Fstat(int(file.Fd()), &st) != nil || st.Nlink == 0 {
		return ""
	}
	// What cannot be read has no such name.
	_ = filepath.WalkDir(r.backing, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		var other syscall.Stat_t
		if syscall.Lstat(p, &other) == nil && other.Ino == st.Ino {
			path = strings.TrimPrefix(p, r.backing+"/")
			return filepath.SkipAll
		}
		return nil
	})
	return path
}

// through is like of, for an effect on an open file or directory.
func (r *raw) through(id, fh uint64) func(*Op) syscall.Errno {
	return func(op *Op) syscall.Errno {
		r.tree.RLock()
		_, errno := r.handle(fh)
		r.tree.RUnlock()
		if errno != 0 {
			return errno
		}
		return r.of(id)(op)
	}
}

// nothing is all that happens in the directory behind.
func nothing(*Op) syscall.Errno { return 0 }

// change performs an effect on names: the tree and the directory behind change together.
func (r *raw) change(f func() syscall.Errno) func(*Op) syscall.Errno {
	return func(*Op) syscall.Errno {
		r.tree.Lock()
		defer r.tree.Unlock()
		return f()
	}
}

// Create creates a file and opens it.
func (r *raw) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	errno := r.effect(Op{Kind: Create, Mode: in.Mode & 0o7777}, r.at(in.NodeId, name), r.change(func() syscall.Errno {
		p, path, errno := r.place(in.NodeId, name)
		if errno != 0 {
			return errno
		}
		fd, err := syscall.Open(r.real(path), syscall.O_CREAT|syscall.O_EXCL|syscall.O_WRONLY|syscall.O_CLOEXEC, in.Mode&0o7777)
		if err == nil {
			err = syscall.Close(fd)
		}
		if err == nil {
			err = syscall.Chmod(r.real(path), in.Mode&0o7777) // the umask is in it already
		}
		if err != nil {
			return errnoOf(err)
		}
		n, errno := r.entry(p, path, &out.EntryOut)
		if errno != 0 {
			return errno
		}
		h, errno := r.openFile(n, path, int(in.Flags))
		if errno != 0 {
			return errno
		}
		out.Fh, out.OpenFlags = h.id, fuse.FOPEN_DIRECT_IO
		return 0
	}))
	if errno != 0 && out.Fh != 0 { // it took place, but the kernel never learns of what it opened
		_ = r.tree.release(out.Fh) // an error is reported already
	}
	return fuse.Status(errno)
}

// Mkdir creates a directory.
func (r *raw) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return fuse.Status(r.effect(Op{Kind: Mkdir, Mode: in.Mode & 0o7777}, r.at(in.NodeId, name), r.change(func() syscall.Errno {
		p, path, errno := r.place(in.NodeId, name)
		if errno != 0 {
			return errno
		}
		err := syscall.Mkdir(r.real(path), in.Mode&0o7777)
		if err == nil {
			err = syscall.Chmod(r.real(path), in.Mode&0o7777)
		}
		if err != nil {
			return errnoOf(err)
		}
		_, errno = r.entry(p, path, out)
		return errno
	})))
}

// Unlink removes a name of a file.
func (r *raw) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return fuse.Status(r.effect(Op{Kind: Unlink}, r.at(in.NodeId, name), r.change(func() syscall.Errno {
		return r.drop(in.NodeId, name, syscall.Unlink)
	})))
}

// Rmdir removes an empty directory.
func (r *raw) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return fuse.Status(r.effect(Op{Kind: Rmdir}, r.at(in.NodeId, name), r.change(func() syscall.Errno {
		return r.drop(in.NodeId, name, syscall.Rmdir)
	})))
}

func (r *raw) drop(dir uint64, name string, remove func(string) error) syscall.Errno {
	p, path, errno := r.place(dir, name)
	if errno != 0 {
		return errno
	}
	var st syscall.Stat_t
	err := syscall.Lstat(r.real(path), &st)
	if err == nil {
		err = remove(r.real(path))
	}
	if err != nil {
		return errnoOf(err)
	}
	r.unnamed(p, &st)
	return 0
}

// unnamed notes that a place does not exist any more; st is what was there.
func (r *raw) unnamed(p place, st *syscall.Stat_t) {
	r.tree.remove(p)
	if st.Nlink <= 1 || st.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		r.tree.gone(st.Ino)
	}
}

// Rename gives another name.
func (r *raw) Rename(_ <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	return fuse.Status(r.effect(Op{Kind: Rename}, func(op *Op) (errno syscall.Errno) {
		r.tree.RLock()
		defer r.tree.RUnlock()
		if _, op.Path, errno = r.place(in.NodeId, from); errno == 0 {
			_, op.To, errno = r.place(in.Newdir, to)
		}
		return errno
	}, func(op *Op) syscall.Errno {
		r.tree.Lock()
		defer r.tree.Unlock()
		if in.Flags&^uint32(unix.RENAME_NOREPLACE) != 0 {
			return syscall.EINVAL
		}
		src, dst := place{r.tree.byID[in.NodeId], from}, place{r.tree.byID[in.Newdir], to}
		var moved, old syscall.Stat_t
		if err := syscall.Lstat(r.real(op.Path), &moved); err != nil {
			return errnoOf(err)
		}
		err := syscall.Lstat(r.real(op.To), &old)
		replaced := err == nil
		if err != nil && !errors.Is(err, syscall.ENOENT) {
			return errnoOf(err)
		}
		if err := unix.Renameat2(unix.AT_FDCWD, r.real(op.Path), unix.AT_FDCWD, r.real(op.To), uint(in.Flags)); err != nil {
			return errnoOf(err)
		}
		if replaced && old.Ino == moved.Ino {
			return 0 // two names of one file: rename does nothing
		}
		if replaced {
			r.unnamed(dst, &old)
		}
		if n := r.tree.remove(src); n != nil {
			r.tree.name(dst, n)
		}
		return 0
	}))
}

// Link gives a file one more name.
func (r *raw) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return fuse.Status(r.effect(Op{Kind: Link}, func(op *Op) (errno syscall.Errno) {
		if errno := r.of(in.Oldnodeid)(op); errno != 0 {
			return errno
		}
		if op.Path == "" {
			return syscall.ENOENT
		}
		r.tree.RLock()
		defer r.tree.RUnlock()
		_, op.To, errno = r.place(in.NodeId, name)
		return errno
	}, func(op *Op) syscall.Errno {
		r.tree.Lock()
		defer r.tree.Unlock()
		p, path, errno := r.place(in.NodeId, name)
		if errno != 0 {
			return errno
		}
		if err := syscall.Link(r.real(op.Path), r.real(path)); err != nil {
			return errnoOf(err)
		}
		_, errno = r.entry(p, path, out)
		return errno
	}))
}

// Write writes to a file.
func (r *raw) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	var done uint32
	errno := r.effect(Op{Kind: Write, Off: int64(in.Offset), Data: bytes.Clone(data)}, r.through(in.NodeId, in.Fh), func(op *Op) syscall.Errno {
		r.tree.RLock()
		defer r.tree.RUnlock()
		h, errno := r.handle(in.Fh)
		if errno != 0 {
			return errno
		}
		n, err := syscall.Pwrite(int(h.file.Fd()), op.Data, op.Off)
		if err != nil {
			return errnoOf(err)
		}
		op.Data, done = op.Data[:n:n], uint32(n)
		return 0
	})
	return done, fuse.Status(errno)
}

// Writev lets the library use Write.
func (r *raw) Writev(<-chan struct{}, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) {
	return 0, fuse.ENOSYS
}

// Fsync makes a file durable. What that means only the model knows: the directory behind need not survive anything.
func (r *raw) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return fuse.Status(r.effect(Op{Kind: Sync}, r.through(in.NodeId, in.Fh), nothing))
}

// FsyncDir makes the names in a directory durable.
func (r *raw) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return fuse.Status(r.effect(Op{Kind: SyncDir}, r.through(in.NodeId, in.Fh), nothing))
}

// SetAttr changes attributes: each kind of them is an effect of its own.
func (r *raw) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	path := func(op Op, f func(path string) error) syscall.Errno {
		which := r.of(in.NodeId)
		if fh, ok := in.GetFh(); ok {
			which = r.through(in.NodeId, fh)
		}
		return r.effect(op, which, func(op *Op) syscall.Errno {
			r.tree.RLock()
			defer r.tree.RUnlock()
			name := r.real(op.Path)
			if n := r.tree.byID[in.NodeId]; n == nil {
				return syscall.ESTALE
			} else if op.Path == "" && in.NodeId != rootID {
				file := n.anyFile()
				if file == nil {
					return syscall.ENOENT
				}
				name = fdPath(file)
			}
			return errnoOf(f(name))
		})
	}
	if size, ok := in.GetSize(); ok {
		if errno := path(Op{Kind: Truncate, Off: int64(size)}, func(p string) error { return syscall.Truncate(p, int64(size)) }); errno != 0 {
			return fuse.Status(errno)
		}
	}
	if mode, ok := in.GetMode(); ok {
		if errno := path(Op{Kind: Chmod, Mode: mode}, func(p string) error { return syscall.Chmod(p, mode) }); errno != 0 {
			return fuse.Status(errno)
		}
	}
	uid, hasUID := in.GetUID()
	gid, hasGID := in.GetGID()
	if hasUID || hasGID {
		if errno := path(Op{Kind: Chown}, func(p string) error { return syscall.Chown(p, int(int32(uid)), int(int32(gid))) }); errno != 0 {
			return fuse.Status(errno)
		}
	}
	atime, hasAtime := in.GetATime()
	mtime, hasMtime := in.GetMTime()
	if hasAtime || hasMtime {
		times := []unix.Timespec{timespec(atime, hasAtime), timespec(mtime, hasMtime)}
		if errno := path(Op{Kind: Times, Time: mtime}, func(p string) error { return unix.UtimesNanoAt(unix.AT_FDCWD, p, times, 0) }); errno != 0 {
			return fuse.Status(errno)
		}
	}
	r.tree.RLock()
	defer r.tree.RUnlock()
	return fuse.Status(r.attr(in.NodeId, out))
}

func timespec(t time.Time, set bool) unix.Timespec {
	if !set {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}
