//go:build !linux && !darwin

package maildir

import "time"

// renameNoReplace renames a file and fails with EEXIST when the new name exists.
func renameNoReplace(from, to string) error { return linkRename(from, to) }

// clockTick returns the longest time for which the kernel gives file changes the same time stamp.
func clockTick() time.Duration { return 20 * time.Millisecond }

// clockOf returns how well the times of the file system at path can be compared with this machine's clock; here, nothing is known of it.
func clockOf(string) (clockKind, error) { return clockForeign, nil }
