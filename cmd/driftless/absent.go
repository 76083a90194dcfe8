package main

import (
	"context"
	"errors"

	"driftless/drivers"
)

// absentStore stands for a Maildir that the first sync will create, where nothing may be written yet: it is empty and refuses every change.
type absentStore struct{ path string }

var errAbsent = errors.New("the store does not exist yet and nothing is to be written")

// Info says what the store will be.
func (s absentStore) Info() drivers.Info {
	return drivers.Info{Kind: "maildir", Address: s.path, Delimiter: "/", Notes: []string{"does not exist yet; the first sync creates it"}}
}

// Identity returns "": a store that is not there cannot tell.
func (absentStore) Identity(context.Context) (string, error) { return "", nil }

// List returns no mailbox.
func (absentStore) List(context.Context, map[string]drivers.Cursor) ([]drivers.MailboxInfo, error) {
	return nil, nil
}

// Create fails.
func (absentStore) Create(context.Context, string) error { return errAbsent }

// Rename fails.
func (absentStore) Rename(context.Context, string, string) error { return errAbsent }

// Delete fails.
func (absentStore) Delete(context.Context, string) error { return errAbsent }

// Open finds no mailbox.
func (s absentStore) Open(_ context.Context, name string) (drivers.Mailbox, error) {
	return nil, &drivers.Error{Op: "open", Where: name, Reach: drivers.ReachMailbox, Retry: drivers.RetryNever, Err: drivers.ErrNoMailbox}
}

// Stats returns zeros.
func (absentStore) Stats() drivers.Stats { return drivers.Stats{} }

// Close does nothing.
func (absentStore) Close() error { return nil }
