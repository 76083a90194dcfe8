package maildir

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"driftless/drivers"
)

// inbox is the name of the inbox, in any case.
const inbox = "INBOX"

// canonical returns the mailbox name in the form that listings use: the inbox, alone or as the first level, in upper case.
func canonical(name string) string {
	head, rest, more := strings.Cut(name, "/")
	if head != inbox && strings.EqualFold(head, inbox) {
		head = inbox
	}
	if more {
		return head + "/" + rest
	}
	return head
}

// relative returns the path below the root of the directory of a mailbox, "." for the root itself. It is an error for
// a name that is not UTF-8, has an empty level, or leads outside.
func (l Layout) relative(name string) (string, error) {
	name = canonical(name)
	if name == "" || !utf8.ValidString(name) {
		return "", nameError(name, "it is empty or not UTF-8")
	}
	if l == MaildirPlusPlus && name == inbox {
		return ".", nil
	}
	levels := strings.Split(name, "/")
	for i, level := range levels {
		if level == "" {
			return "", nameError(name, "a level is empty")
		}
		levels[i] = l.escape(level)
		if strings.ContainsAny(levels[i], "/\x00") {
			return "", nameError(name, "it cannot be written as a file name")
		}
	}
	if l == MaildirPlusPlus {
		dir := "." + strings.Join(levels, ".")
		if dir == "." || dir == ".." {
			return "", nameError(name, "it leads outside the store")
		}
		return dir, nil
	}
	for _, level := range levels {
		// The escape makes this impossible; it is the last line of defence.
		if level == "" || level[0] == '.' || reserved(level) {
			return "", nameError(name, "it leads outside the store")
		}
	}
	return strings.Join(levels, "/"), nil
}

// nameOf returns the mailbox name of a directory, given by its path below the root with "/" between levels.
func (l Layout) nameOf(relative string) string {
	if l == MaildirPlusPlus {
		if relative == "." {
			return inbox
		}
		levels := strings.Split(strings.TrimPrefix(relative, "."), ".")
		for i := range levels {
			levels[i] = l.unescape(levels[i])
		}
		return strings.Join(levels, "/")
	}
	levels := strings.Split(relative, "/")
	for i := range levels {
		levels[i] = l.unescape(levels[i])
	}
	return strings.Join(levels, "/")
}

func nameError(name, why string) error {
	return &drivers.Error{
		Op: "use mailbox name", Where: fmt.Sprintf("%q", name), Reach: drivers.ReachMailbox, Retry: drivers.RetryNever,
		Err: fmt.Errorf("%w: %s", errName, why),
	}
}
