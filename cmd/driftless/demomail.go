package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// This file is the hand of the demonstration's user: it works on the Maildir as a mail client does, with plain file operations, and
// looks at both sides without any of the code that synced them.

// maildirFile is a message in the Maildir.
type maildirFile struct {
	path, subject, flags string // flags as letters
}

// maildirFiles returns the messages of a mailbox.
func (d *demo) maildirFiles(mailbox string) ([]maildirFile, error) {
	var out []maildirFile
	for _, sub := range []string{"new", "cur"} {
		dir := filepath.Join(d.mail, mailbox, sub)
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			body, err := os.ReadFile(path) //nolint:gosec // in our own temporary directory
			if err != nil {
				return nil, err
			}
			_, flags, _ := strings.Cut(e.Name(), ":2,")
			out = append(out, maildirFile{path, subjectOf(body), flags})
		}
	}
	return out, nil
}

func (d *demo) findMaildir(mailbox, subject string) (maildirFile, error) {
	files, err := d.maildirFiles(mailbox)
	if err != nil {
		return maildirFile{}, err
	}
	for _, f := range files {
		if f.subject == subject {
			return f, nil
		}
	}
	return maildirFile{}, fmt.Errorf("demo: %q is not in %s in the Maildir", subject, mailbox)
}

func (d *demo) setMaildirFlags(mailbox, subject, letters string) error {
	f, err := d.findMaildir(mailbox, subject)
	if err != nil {
		return err
	}
	unique, _, _ := strings.Cut(filepath.Base(f.path), ":")
	return os.Rename(f.path, filepath.Join(d.mail, mailbox, "cur", unique+":2,"+letters))
}

func (d *demo) moveMaildir(mailbox, subject, to string) error {
	f, err := d.findMaildir(mailbox, subject)
	if err != nil {
		return err
	}
	return os.Rename(f.path, filepath.Join(d.mail, to, "cur", filepath.Base(f.path)))
}

func (d *demo) writeMaildir(mailbox, name, letters string) error {
	body, err := demoMail.ReadFile("demo/" + name + ".eml")
	if err != nil {
		return err
	}
	file := filepath.Join(d.mail, mailbox, "cur", "1772780400.demo-"+name+".localhost:2,"+letters)
	return os.WriteFile(file, body, 0o600)
}

// compare shows what is on both sides and fails if they differ.
func (d *demo) compare() error {
	var lines [2][]string
	rows := [][]string{{"mailbox", "subject", "Maildir", "server"}}
	snapshot := d.server.Snapshot()
	names := make([]string, 0, len(snapshot))
	for name := range snapshot {
		names = append(names, name)
	}
	slices.Sort(names)
	letters := map[string]string{`\Draft`: "D", `\Flagged`: "F", `\Answered`: "R", `\Seen`: "S", `\Deleted`: "T"}
	words := map[rune]string{'D': "draft", 'F': "starred", 'R': "answered", 'S': "read", 'T': "deleted"}
	spell := func(flags string) string {
		var out []string
		for _, r := range flags {
			out = append(out, words[r])
		}
		if out == nil {
			return "unread"
		}
		return strings.Join(out, ", ")
	}
	for _, mailbox := range names {
		files, err := d.maildirFiles(mailbox)
		if err != nil {
			return err
		}
		left := map[string]string{}
		for _, f := range files {
			left[f.subject] = f.flags
			lines[0] = append(lines[0], mailbox+"/"+f.subject+"/"+f.flags)
		}
		for _, m := range snapshot[mailbox] {
			var flags []string
			for _, name := range m.Flags {
				flags = append(flags, letters[name])
			}
			slices.Sort(flags)
			subject, right := subjectOf(m.Body), strings.Join(flags, "")
			lines[1] = append(lines[1], mailbox+"/"+subject+"/"+right)
			there := "missing"
			if l, ok := left[subject]; ok {
				there = spell(l)
			}
			rows = append(rows, []string{mailbox, subject, there, spell(right)})
		}
	}
	d.app.table("   ", rows)
	slices.Sort(lines[0])
	slices.Sort(lines[1])
	if !slices.Equal(lines[0], lines[1]) {
		return fmt.Errorf("demo: the sides differ; left %q, right %q", lines[0], lines[1])
	}
	return nil
}
