package main

import (
	"context"
	"errors"

	"driftless/daemon/config"
	"driftless/daemon/engine"
)

// The exit codes that scripts may rely on.
const (
	exitOK          = 0 // in sync
	exitFailed      = 1 // some mailbox or account failed; others were done
	exitUsage       = 2 // usage or configuration
	exitHeld        = 3 // something is held or in conflict
	exitInterrupted = 4
)

// exitError ends the program with a code. With a nil err everything has been said already.
type exitError struct {
	code int
	err  error
}

// Error returns the cause, or nothing.
func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

// usage returns err as a usage error.
func usage(err error) error { return &exitError{exitUsage, err} }

// silent ends the program with a code when everything has been said; nil for exitOK.
func silent(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

// exitCode returns the code that an error of a command means.
func exitCode(err error) int {
	var e *exitError
	var bad config.Errors
	var none *unmatched
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &none):
		return exitOK // matches.code looks at all accounts together
	case errors.As(err, &bad):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	return exitFailed
}

// cycleCode returns the code that the result of one cycle means.
func cycleCode(r engine.Report, err error) int {
	switch {
	case err != nil:
		return exitCode(err)
	case r.Errors > 0:
		return exitFailed
	case r.Held > 0 || r.Conflicts > 0:
		return exitHeld
	}
	return exitOK
}

// worse returns the code that says more: interrupted, usage, failed, held, in sync.
func worse(a, b int) int {
	rank := [...]int{exitOK: 0, exitHeld: 1, exitFailed: 2, exitUsage: 3, exitInterrupted: 4}
	if rank[b] > rank[a] {
		return b
	}
	return a
}
