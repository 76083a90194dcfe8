package maildir

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"driftless/drivers"
)

// classify wraps err with what was tried and the reach and retry class that its cause deserves. An error that
// is classified already and the end of a context are returned as they are.
func classify(op, where string, reach drivers.Reach, err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var known *drivers.Error
	if errors.As(err, &known) {
		return err
	}
	retry := drivers.RetryLater
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		reach = drivers.ReachStore
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EIO) && reach != drivers.ReachMessage:
		reach = drivers.ReachStore
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENAMETOOLONG), errors.Is(err, syscall.EXDEV),
		errors.Is(err, syscall.EFBIG), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EILSEQ), errors.Is(err, syscall.ELOOP),
		errors.Is(err, drivers.ErrExists), errors.Is(err, drivers.ErrNoMailbox), errors.Is(err, errName):
		retry = drivers.RetryNever
	case errors.Is(err, drivers.ErrGone), errors.Is(err, drivers.ErrChanged), errors.Is(err, errBusy):
		retry = drivers.RetryNow
	}
	return &drivers.Error{Op: op, Where: where, Reach: reach, Retry: retry, Err: err}
}

// errBusy says that the directories changed too often for a listing that can be trusted.
var errBusy = errors.New("the mailbox changes too fast to be listed reliably")

// errName says that a mailbox name cannot be used.
var errName = errors.New("not a usable mailbox name")
