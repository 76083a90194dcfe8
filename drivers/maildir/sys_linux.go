package maildir

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// renameNoReplace renames a file and fails with EEXIST when the new name exists.
func renameNoReplace(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return linkRename(from, to)
	}
	return err
}

// clockTick returns the longest time for which the kernel gives file changes the same time stamp.
func clockTick() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_REALTIME_COARSE, &ts); err != nil || ts.Nano() <= 0 {
		return 10 * time.Millisecond
	}
	return time.Duration(ts.Nano())
}

// clockOf returns how well the times of the file system at path can be compared with this machine's clock.
func clockOf(path string) (clockKind, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return clockForeign, err
	}
	switch uint32(st.Type) {
	case 0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x00c36400, 0x5346414f, 0x73757245:
		// nfs, smb, cifs, smb2, fuse, 9p, ceph, afs, coda: another clock may set the times.
		return clockForeign, nil
	case 0x4d44, 0x2011bab0, 0x4244, 0x482b, 0x15013346, 0x9660, 0x52654973:
		// fat, exfat, hfs, hfs+, udf, iso9660, reiserfs.
		return clockCoarse, nil
	}
	return clockFine, nil
}
