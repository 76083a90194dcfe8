package engine

import (
	"errors"
	"fmt"
	"syscall"

	"driftless/drivers"
)

// advices say what a person can do about causes that lie outside the mail: the error itself says what was tried and where.
var advices = []struct {
	cause error
	text  string
}{
	{syscall.ENOSPC, "free some space there"},
	{syscall.EDQUOT, "free some space there, or have the quota raised"},
	{drivers.ErrQuota, "make room on the server, or have the quota raised"},
	{syscall.EROFS, "mount that file system writable again, and if nobody made it read-only, look at the kernel's log for an error of its disk"},
	{syscall.EMFILE, "let the program open more files (ulimit -n)"},
	{syscall.ENFILE, "too many files are open on this machine: close programs, or raise the system's limit"},
	{syscall.EIO, "look at the kernel's log for an error of that disk"},
}

// advise adds to an error what can be done about its cause, if that is known. Nothing else has to be done: the next sync finds out how far this one came.
func advise(err error) error {
	for _, a := range advices {
		if errors.Is(err, a.cause) {
			return fmt.Errorf("%w; %s: the next sync goes on from here", err, a.text)
		}
	}
	return err
}
