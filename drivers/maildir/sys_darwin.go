package maildir

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// renameNoReplace renames a file and fails with EEXIST when the new name exists.
func renameNoReplace(from, to string) error {
	err := unix.RenamexNp(from, to, unix.RENAME_EXCL)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return linkRename(from, to)
	}
	return err
}

// clockTick returns the longest time for which the kernel gives file changes the same time stamp.
func clockTick() time.Duration { return 10 * time.Millisecond }

// clockOf returns how well the times of the file system at path can be compared with this machine's clock.
func clockOf(path string) (clockKind, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return clockForeign, err
	}
	switch unix.ByteSliceToString(st.Fstypename[:]) {
	case "apfs":
		return clockFine, nil
	case "hfs", "msdos", "exfat":
		return clockCoarse, nil
	}
	return clockForeign, nil
}
