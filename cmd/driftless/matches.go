package main

import (
	"fmt"
	"strings"
	"sync/atomic"

	"driftless/daemon/config"
)

// matches notes whether any account has a mailbox that is asked for: a misspelt pattern must not look like success.
type matches struct {
	glob string // of --mailbox, "" without
	some atomic.Bool
	none atomic.Bool
}

// unmatched says that an account has no mailbox that --mailbox selects; whether that is wrong depends on the other accounts.
type unmatched struct{ text string }

// Error returns what matches no mailbox.
func (e *unmatched) Error() string { return e.text }

// check returns an error when an account was gone through and no mailbox was selected in it.
func (m *matches) check(acc config.Account, mailboxes int) error {
	if mailboxes > 0 {
		m.some.Store(true)
		return nil
	}
	patterns := acc.Mailboxes.Patterns()
	all := len(patterns) == 1 && patterns[0] == "*"
	switch {
	case m.glob != "":
		m.none.Store(true)
		text := fmt.Sprintf("no mailbox matches %q", m.glob)
		if !all {
			text += " and the account's mailboxes = " + quotedList(patterns)
		}
		return &unmatched{text}
	case all:
		return nil // two empty stores are in sync
	}
	return fmt.Errorf("no mailbox matches the account's mailboxes = %s", quotedList(patterns))
}

// code returns the exit code of all accounts: with --mailbox it is a usage error if no account has such a mailbox and none failed,
// which could have had one.
func (m *matches) code(code int) int {
	if code == exitOK && m.none.Load() && !m.some.Load() {
		return exitUsage
	}
	return code
}

// quotedList returns a list as the configuration has it.
func quotedList(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(q, ", ") + "]"
}
