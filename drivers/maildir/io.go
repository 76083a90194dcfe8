package maildir

import (
	"errors"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Ops counts what a store did to its file system since it was opened.
type Ops struct {
	DirReads  int64 // directories read
	FileSyncs int64 // files synced
	DirSyncs  int64 // directories synced
	Renames   int64
	Unlinks   int64
}

// disk is the file system as the driver uses it: it counts, and tests make single operations fail with fault.
type disk struct {
	dirReads, fileSyncs, dirSyncs, renames, unlinks atomic.Int64

	// fault is asked before an operation ("create", "write", "fsync", "fsyncdir", "rename", "unlink", "readdir", "open", "mkdir"); nil in production.
	fault func(op, path string) error
}

func (d *disk) check(op, path string) error {
	if d.fault == nil {
		return nil
	}
	return d.fault(op, path)
}

func (d *disk) counts() Ops {
	return Ops{
		DirReads: d.dirReads.Load(), FileSyncs: d.fileSyncs.Load(), DirSyncs: d.dirSyncs.Load(),
		Renames: d.renames.Load(), Unlinks: d.unlinks.Load(),
	}
}

func (d *disk) syncFile(f *os.File) error {
	if err := d.check("fsync", f.Name()); err != nil {
		return err
	}
	d.fileSyncs.Add(1)
	return f.Sync()
}

// syncDir makes the entries of a directory durable. File systems that cannot sync a directory (EINVAL) keep them in order themselves.
func (d *disk) syncDir(path string) error {
	if err := d.check("fsyncdir", path); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	d.dirSyncs.Add(1)
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// rename gives a file another name without overwriting.
func (d *disk) rename(from, to string) error {
	if err := d.check("rename", from); err != nil {
		return err
	}
	d.renames.Add(1)
	if err := renameNoReplace(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// replace gives a file another name and overwrites what has it.
func (d *disk) replace(from, to string) error {
	if err := d.check("rename", from); err != nil {
		return err
	}
	d.renames.Add(1)
	return os.Rename(from, to)
}

func (d *disk) unlink(path string) error {
	if err := d.check("unlink", path); err != nil {
		return err
	}
	d.unlinks.Add(1)
	// Not os.Remove: it would remove an empty directory of that name, too.
	if err := syscall.Unlink(path); err != nil {
		return &os.PathError{Op: "unlink", Path: path, Err: err}
	}
	return nil
}

func (d *disk) create(path string) (*os.File, error) {
	if err := d.check("create", path); err != nil {
		return nil, err
	}
	// Not os.OpenFile: it tries to watch the file for readiness, which a regular file does not offer, at the price of four system calls.
	for {
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func (d *disk) mkdir(path string) error {
	if err := d.check("mkdir", path); err != nil {
		return err
	}
	return os.Mkdir(path, 0o700)
}

// linkRename is rename without overwriting for file systems that cannot do that in one step. Between its two steps the
// file has two names of one inode, which listings count as one message.
func linkRename(from, to string) error {
	if err := syscall.Link(from, to); err != nil {
		if errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOENT) {
			return err
		}
		// No hard links here: the names carry unique parts, so that only our own file could be in the way.
		if _, statErr := os.Lstat(to); statErr == nil {
			return syscall.EEXIST
		}
		return syscall.Rename(from, to)
	}
	return syscall.Unlink(from)
}

// replaceFile durably replaces a small file by way of tmp, which is made anew.
func (d *disk) replaceFile(tmp, path, dir string, data []byte, prepare func(*os.File) error) error {
	f, err := d.create(tmp)
	if err != nil {
		return err
	}
	err = d.check("write", tmp)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil && prepare != nil {
		err = prepare(f)
	}
	if err == nil {
		err = d.syncFile(f)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = d.replace(tmp, path)
	}
	if err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(tmp)))
	}
	return d.syncDir(dir)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
