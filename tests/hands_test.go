package tests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"driftless/tests/harness"
)

// hand is a person's mail client on one store, while a sync is at work on it. What it is asked to do it does for certain, or reports that the
// message is not where it was thought to be; nothing in between, so that a ledger of it is exact.
type hand interface {
	// deliver stores message n and returns how this hand finds it again.
	deliver(box string, n int, flags []string) (ref string)
	// find looks for message n.
	find(box string, n int) (ref string, ok bool)
	// flag sets or clears one flag.
	flag(box, ref, flag string, on bool) bool
	move(box, ref, to string) (newRef string, ok bool)
	remove(box, ref string) bool
	create(box string)
	all() harness.Mail
}

// smallMail is the size of the messages in these tests: mailboxes are to be small, so that a sync is short.
const smallMail = 600

// dirHand works on a Maildir. A ref is the unique part of a file name.
type dirHand struct {
	t testing.TB
	m *harness.Maildir
}

func (h *dirHand) deliver(box string, n int, flags []string) string {
	name := h.m.Deliver(box, mail(n, smallMail), date(n), flags...)
	ref, _, _ := strings.Cut(name, ":")
	return ref
}

// look calls f for each file of a mailbox until it returns true, and repeats that: a rename may hide a file from a listing.
func (h *dirHand) look(box string, f func(path string) bool) bool {
	for range 4 {
		for _, sub := range []string{"new", "cur"} {
			dir := filepath.Join(h.m.Path(box), sub)
			entries, err := os.ReadDir(dir)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				h.t.Errorf("list a mailbox: %v", err)
			}
			for _, e := range entries {
				if f(filepath.Join(dir, e.Name())) {
					return true
				}
			}
		}
	}
	return false
}

func uniqueOf(path string) string {
	name := filepath.Base(path)
	return name[:strings.IndexAny(name+":", ",:")]
}

func (h *dirHand) find(box string, n int) (ref string, ok bool) {
	head := fmt.Appendf(nil, "From: a%d@", n)
	ok = h.look(box, func(path string) bool {
		f, err := os.Open(path)
		if err != nil {
			return false // renamed under our eyes: the next listing shows it
		}
		defer func() { _ = f.Close() }() // only read
		got := make([]byte, len(head))
		if k, _ := f.Read(got); string(got[:k]) != string(head) {
			return false
		}
		ref = uniqueOf(path)
		return true
	})
	return ref, ok
}

// rename gives the file of a message another path, made from its present one; "" for none. It tries again when somebody renames the file meanwhile.
func (h *dirHand) rename(box, ref string, to func(path string) string) bool {
	for range 20 {
		done, hopeless := false, false
		seen := h.look(box, func(path string) bool {
			if uniqueOf(path) != ref {
				return false
			}
			target := to(path)
			if target == "" {
				hopeless = true
				return true
			}
			if target == path {
				done = true
				return true
			}
			if err := os.Rename(path, target); err != nil {
				if !errors.Is(err, fs.ErrNotExist) {
					h.t.Errorf("rename a message: %v", err)
				}
				return false
			}
			done = true
			return true
		})
		if done || hopeless || !seen {
			return done
		}
	}
	return false
}

// letters returns the letters of flags in a mailbox; false if one has none there.
func (h *dirHand) letters(box string, flags map[string]bool) (string, bool) {
	var out []byte
	for c := byte('A'); c <= 'z'; c++ {
		name, ok := h.name(box, c)
		if ok && flags[name] {
			out = append(out, c)
		}
	}
	return string(out), len(out) == len(flags)
}

var flagLetters = map[byte]string{'D': `\Draft`, 'F': `\Flagged`, 'R': `\Answered`, 'S': `\Seen`, 'T': `\Deleted`}

// name returns what a letter means in a mailbox.
func (h *dirHand) name(box string, letter byte) (string, bool) {
	if f, ok := flagLetters[letter]; ok {
		return f, true
	}
	if letter < 'a' {
		return "", false
	}
	data, err := os.ReadFile(filepath.Join(h.m.Path(box), "dovecot-keywords"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Errorf("read keywords: %v", err)
	}
	for line := range strings.Lines(string(data)) {
		if num, word, _ := strings.Cut(strings.TrimSpace(line), " "); num == strconv.Itoa(int(letter-'a')) {
			return word, true
		}
	}
	return "", false
}

// flagsOf returns the flags in a file name; false if a letter has no meaning.
func (h *dirHand) flagsOf(box, path string) (map[string]bool, bool) {
	_, letters, _ := strings.Cut(filepath.Base(path), ":2,")
	out := map[string]bool{}
	for i := range len(letters) {
		name, ok := h.name(box, letters[i])
		if !ok {
			return nil, false
		}
		out[name] = true
	}
	return out, true
}

func (h *dirHand) flag(box, ref, flag string, on bool) bool {
	return h.rename(box, ref, func(path string) string {
		flags, ok := h.flagsOf(box, path)
		if !ok {
			return ""
		}
		delete(flags, flag)
		if on {
			flags[flag] = true
		}
		letters, ok := h.letters(box, flags)
		if !ok {
			return ""
		}
		base, _, _ := strings.Cut(filepath.Base(path), ":2,")
		return filepath.Join(h.m.Path(box), "cur", base+":2,"+letters)
	})
}

func (h *dirHand) move(box, ref, to string) (string, bool) {
	return ref, h.rename(box, ref, func(path string) string {
		flags, ok := h.flagsOf(box, path)
		if !ok {
			return ""
		}
		letters, ok := h.letters(to, flags)
		if _, err := os.Stat(filepath.Join(h.m.Path(to), "cur")); err != nil || !ok {
			return "" // the mailbox is not there yet
		}
		base, _, _ := strings.Cut(filepath.Base(path), ":2,")
		return filepath.Join(h.m.Path(to), "cur", base+":2,"+letters)
	})
}

func (h *dirHand) remove(box, ref string) bool {
	for range 20 {
		done := false
		seen := h.look(box, func(path string) bool {
			if uniqueOf(path) != ref {
				return false
			}
			err := os.Remove(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				h.t.Errorf("remove a message: %v", err)
			}
			done = err == nil
			return done
		})
		if done || !seen {
			return done
		}
	}
	return false
}

func (h *dirHand) create(box string) {
	h.m.Create(box)
	err := os.WriteFile(filepath.Join(h.m.Path(box), "dovecot-keywords"), []byte("0 Work\n"), 0o600)
	if err != nil {
		h.t.Errorf("write keywords: %v", err)
	}
}

func (h *dirHand) all() harness.Mail { return h.m.All() }

// mailHand works on a server. A ref is a UID.
type mailHand struct {
	t    testing.TB
	dial func() *harness.Client
	c    *harness.Client
}

func newMailHand(t testing.TB, d *harness.Dovecot, user string) *mailHand {
	h := &mailHand{t: t, dial: func() *harness.Client { return d.Client(user) }}
	h.again()
	return h
}

// again connects anew, after the server was away.
func (h *mailHand) again() {
	if h.c != nil {
		h.c.Close()
	}
	h.c = h.dial()
}

func (h *mailHand) deliver(box string, n int, flags []string) string {
	uid := h.c.Append(box, harness.Letter{Body: wire(n, smallMail), Date: date(n), Flags: flags})[0]
	if uid == 0 {
		h.t.Errorf("the server told no UID")
	}
	return strconv.FormatUint(uint64(uid), 10)
}

func (h *mailHand) find(box string, n int) (string, bool) {
	if !h.selected(box) {
		return "", false
	}
	for _, line := range h.c.Do(`UID SEARCH HEADER Message-ID "<%d.x@example.org>"`, n).Untagged {
		if f := strings.Fields(line); len(f) >= 3 && f[1] == "SEARCH" {
			return f[2], true
		}
	}
	return "", false
}

// selected selects a mailbox, if it is there.
func (h *mailHand) selected(box string) bool {
	return h.c.TrySelect(box)
}

func (h *mailHand) flag(box, ref, flag string, on bool) bool {
	op := "-"
	if on {
		op = "+"
	}
	if !h.selected(box) {
		return false
	}
	// Not silent: the answer shows that the message was there.
	for _, line := range h.c.Do("UID STORE %s %sFLAGS (%s)", ref, op, flag).Untagged {
		if strings.Contains(line, " FETCH ") && strings.Contains(line+" ", "UID "+ref) && strings.Contains(line, flag) == on {
			return true
		}
	}
	return false
}

func (h *mailHand) move(box, ref, to string) (string, bool) {
	if !h.selected(box) {
		return "", false
	}
	a := h.c.TryMove(ref, to)
	for _, line := range append(a.Untagged, a.Text) {
		if _, code, ok := strings.Cut(line, "[COPYUID "); ok {
			code, _, _ = strings.Cut(code, "]")
			if f := strings.Fields(code); len(f) == 3 {
				return f[2], true
			}
			h.t.Errorf("COPYUID %q", code)
		}
	}
	return "", false
}

func (h *mailHand) remove(box, ref string) bool {
	if !h.flag(box, ref, `\Deleted`, true) {
		return false
	}
	h.c.Do("UID EXPUNGE %s", ref)
	return true
}

func (h *mailHand) create(box string) { h.c.Create(box) }

func (h *mailHand) all() harness.Mail { return h.c.All() }
