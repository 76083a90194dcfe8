package faultfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// label is how the file system is named in the list of mounts.
const label = "driftless-faultfs"

// usable says why no file system can be mounted.
func usable() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can mount one")
	}
	dev, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return dev.Close()
}

// mount mounts and serves the file system below root and returns what ends that. All of it lives in memory.
func (f *FS) mount(root string) (unmount func() error, err error) {
	sweep()
	if err := syscall.Mount(label, root, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0700"); err != nil {
		return nil, fmt.Errorf("tmpfs: %w", err)
	}
	clear := func() error { return syscall.Unmount(root, syscall.MNT_DETACH) }
	f.dir, f.backing, f.scratch = filepath.Join(root, mountName), filepath.Join(root, "backing"), filepath.Join(root, "scratch")
	for _, dir := range []string{f.dir, f.backing, f.scratch} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, errors.Join(err, clear())
		}
	}
	f.tree.clear()
	srv, err := fuse.NewServer(&raw{RawFileSystem: fuse.NewDefaultRawFileSystem(), FS: f}, f.dir, &fuse.MountOptions{
		FsName: label, Name: label, DirectMountStrict: true,
		DisableXAttrs: true, DisableReadDirPlus: true, DisableSplice: true,
		MaxWrite: 128 << 10,
		Logger:   log.New(io.Discard, "", 0),
	})
	if err != nil {
		return nil, errors.Join(err, clear())
	}
	served := make(chan struct{})
	go func() { defer close(served); srv.Serve() }()
	unmount = func() error {
		// Whoever still hangs in a request gets an error; whoever still has a file open keeps a dead one.
		err := syscall.Unmount(f.dir, 0)
		if err != nil {
			err = syscall.Unmount(f.dir, syscall.MNT_FORCE|syscall.MNT_DETACH)
		}
		if err != nil {
			return err
		}
		<-served
		return clear()
	}
	if err := srv.WaitMount(); err != nil {
		return nil, errors.Join(err, unmount())
	}
	return unmount, nil
}

// mountName is the directory that the file system is mounted on, beside the one behind it.
const mountName = "mount"

// sweep detaches what test processes left mounted that were killed: a file system without anybody who serves it.
func sweep() {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return // nothing to be tidied up, then
	}
	for line := range bytes.Lines(mounts) {
		f := strings.Fields(string(line))
		if len(f) < 5 || !strings.Contains(string(line), " - fuse."+label+" ") {
			continue
		}
		dir := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(f[4])
		if _, err := os.Stat(dir); errors.Is(err, syscall.ENOTCONN) {
			err := syscall.Unmount(dir, syscall.MNT_DETACH)
			if root, ours := strings.CutSuffix(dir, "/"+mountName); err == nil && ours {
				err = syscall.Unmount(root, syscall.MNT_DETACH)
			}
			if err != nil {
				log.Print(fmt.Errorf("detach a dead mount: %w", err))
			}
		}
	}
}
