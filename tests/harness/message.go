package harness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Message is a message as a mail client sees it, the same for both kinds of store.
type Message struct {
	UID    uint32 // IMAP
	ModSeq uint64 // IMAP with CONDSTORE
	Name   string // Maildir: file name
	New    bool   // Maildir: it is in new/
	Flags  string // IMAP names, sorted, separated by spaces, keywords in lower case, without \Recent
	Date   time.Time
	Size   int64
	Hash   string // Digest of the content; "" when bodies were not asked for
}

// Line returns what must be equal on both sides: content, flags and date.
func (m Message) Line() string {
	return fmt.Sprintf("%s %s (%s)", m.Hash, m.Date.UTC().Format(time.DateTime), m.Flags)
}

// Digest returns a short hash of a message's content up to line endings: a CRLF counts as LF. Two things that Dovecot does to any message, whoever
// stores it, count as nothing: it makes 0x80 of NUL, and drops a CR at the very end.
func Digest(body []byte) string {
	canon := bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n"))
	canon = bytes.ReplaceAll(canon, []byte{0}, []byte{0x80})
	canon = bytes.TrimRight(canon, "\r")
	sum := sha256.Sum256(canon)
	return hex.EncodeToString(sum[:10])
}

// canonFlags returns flags as Message has them.
func canonFlags(flags []string) string {
	var out []string
	for _, f := range flags {
		if strings.EqualFold(f, `\Recent`) {
			continue
		}
		if !strings.HasPrefix(f, `\`) {
			f = strings.ToLower(f)
		}
		out = append(out, f)
	}
	sort.Strings(out)
	return strings.Join(slices.Compact(out), " ")
}

// Mail is the content of a store: messages by mailbox name (UTF-8, "/" between levels).
type Mail map[string][]Message

// Count returns the number of messages in all mailboxes.
func (m Mail) Count() int {
	n := 0
	for _, msgs := range m {
		n += len(msgs)
	}
	return n
}

// lines returns the sorted lines of a mailbox.
func lines(msgs []Message) []string {
	var out []string
	for _, m := range msgs {
		out = append(out, m.Line())
	}
	sort.Strings(out)
	return out
}

// Diff compares two stores and returns one line per difference: a mailbox that only one has, or a message (content, date, flags) that
// one has more often. An empty result means that they are the same.
func Diff(left, right Mail) []string {
	var out []string
	names := map[string]bool{}
	for n := range left {
		names[n] = true
	}
	for n := range right {
		names[n] = true
	}
	for _, n := range sortedKeys(names) {
		l, inLeft := left[n]
		r, inRight := right[n]
		switch {
		case !inLeft:
			out = append(out, fmt.Sprintf("mailbox %q only right (%d messages)", n, len(r)))
		case !inRight:
			out = append(out, fmt.Sprintf("mailbox %q only left (%d messages)", n, len(l)))
		default:
			out = append(out, diffLines(n, lines(l), lines(r))...)
		}
	}
	return out
}

func diffLines(name string, left, right []string) []string {
	var out []string
	for len(left) > 0 || len(right) > 0 {
		switch {
		case len(right) == 0 || len(left) > 0 && left[0] < right[0]:
			out = append(out, fmt.Sprintf("%q only left: %s", name, left[0]))
			left = left[1:]
		case len(left) == 0 || right[0] < left[0]:
			out = append(out, fmt.Sprintf("%q only right: %s", name, right[0]))
			right = right[1:]
		default:
			left, right = left[1:], right[1:]
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
