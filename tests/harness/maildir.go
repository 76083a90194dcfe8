package harness

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Maildir is somebody else's mail client on a Maildir of layout fs: root/INBOX, root/Sub/Folder. Every method fails the test when the
// file system refuses. It may be used from several goroutines.
type Maildir struct {
	t    testing.TB
	Root string
}

// NewMaildir returns a client for the Maildir at root, which need not exist yet.
func NewMaildir(t testing.TB, root string) *Maildir { return &Maildir{t: t, Root: root} }

// Path returns a mailbox's directory.
func (m *Maildir) Path(name string) string { return filepath.Join(m.Root, filepath.FromSlash(name)) }

// Create makes mailboxes.
func (m *Maildir) Create(names ...string) {
	m.t.Helper()
	for _, n := range names {
		for _, sub := range []string{"tmp", "new", "cur"} {
			if err := os.MkdirAll(filepath.Join(m.Path(n), sub), 0o700); err != nil {
				m.t.Fatal(err)
			}
		}
	}
}

var delivered atomic.Int64

// Deliver stores a message as a delivery agent (flags "") or a mail client would and returns its file name. Flags are IMAP names; keywords get letters in
// dovecot-keywords. Lines of body end in LF.
func (m *Maildir) Deliver(name string, body []byte, date time.Time, flags ...string) string {
	m.t.Helper()
	m.Create(name)
	file := fmt.Sprintf("%d.P%dQ%d.tests", date.Unix(), os.Getpid(), delivered.Add(1))
	sub := "new"
	if len(flags) > 0 {
		sub = "cur"
		file += ":2," + m.letters(name, flags)
	}
	tmp := filepath.Join(m.Path(name), "tmp", file)
	if err := os.WriteFile(tmp, body, 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Chtimes(tmp, date, date); err != nil {
		m.t.Fatal(err)
	}
	m.rename(tmp, filepath.Join(m.Path(name), sub, file))
	return file
}

func (m *Maildir) rename(from, to string) {
	m.t.Helper()
	if err := os.Rename(from, to); err != nil {
		m.t.Fatal(err)
	}
}

var letterOf = map[string]string{`\draft`: "D", `\flagged`: "F", `$forwarded`: "P", `\answered`: "R", `\seen`: "S", `\deleted`: "T"}

// letters returns the info letters for flags, sorted, and gives new keywords a letter.
func (m *Maildir) letters(name string, flags []string) string {
	m.t.Helper()
	var out []string
	for _, f := range flags {
		if l, ok := letterOf[strings.ToLower(f)]; ok {
			out = append(out, l)
			continue
		}
		out = append(out, m.keyword(name, f))
	}
	sort.Strings(out)
	return strings.Join(out, "")
}

// keyword returns the letter of a keyword.
func (m *Maildir) keyword(name, keyword string) string {
	m.t.Helper()
	known := m.keywords(name)
	for i := range 26 {
		k, used := known[i]
		if used && !strings.EqualFold(k, keyword) {
			continue
		}
		if !used {
			f := must(os.OpenFile(filepath.Join(m.Path(name), "dovecot-keywords"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600))(m.t)
			_, err := fmt.Fprintf(f, "%d %s\n", i, keyword)
			if err := errors.Join(err, f.Close()); err != nil {
				m.t.Fatal(err)
			}
		}
		return string(rune('a' + i))
	}
	m.t.Fatalf("more than 26 keywords in %s", name)
	return ""
}

// keywords returns the names in dovecot-keywords by number.
func (m *Maildir) keywords(name string) map[int]string {
	m.t.Helper()
	out := map[int]string{}
	data, err := os.ReadFile(filepath.Join(m.Path(name), "dovecot-keywords"))
	if errors.Is(err, fs.ErrNotExist) {
		return out
	}
	if err != nil {
		m.t.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n") {
		num, word, ok := strings.Cut(line, " ")
		if i, err := strconv.Atoi(num); ok && err == nil {
			out[i] = word
		}
	}
	return out
}

// find returns the path of a message by the unique part of its file name, "" if it is not there.
func (m *Maildir) find(name, file string) string {
	m.t.Helper()
	unique, _, _ := strings.Cut(file, ":")
	// A rename may hide a file from one listing: look again before believing that it is gone.
	for range 3 {
		for _, sub := range []string{"new", "cur"} {
			entries := must(os.ReadDir(filepath.Join(m.Path(name), sub)))(m.t)
			for _, e := range entries {
				if u, _, _ := strings.Cut(e.Name(), ":"); u == unique {
					return filepath.Join(m.Path(name), sub, e.Name())
				}
			}
		}
	}
	return ""
}

// SetFlags gives a message just these flags, by renaming its file, and returns its new file name.
func (m *Maildir) SetFlags(name, file string, flags ...string) string {
	m.t.Helper()
	path := m.find(name, file)
	if path == "" {
		m.t.Fatalf("no file %s in %s", file, name)
	}
	unique, _, _ := strings.Cut(filepath.Base(path), ":")
	to := unique + ":2," + m.letters(name, flags)
	m.rename(path, filepath.Join(m.Path(name), "cur", to))
	return to
}

// Move renames a message into another mailbox's cur, keeping the unique part of its file name; keyword letters are translated, for each
// mailbox has its own. It returns the new file name.
func (m *Maildir) Move(name, file, to string) string {
	m.t.Helper()
	path := m.find(name, file)
	if path == "" {
		m.t.Fatalf("no file %s in %s", file, name)
	}
	m.Create(to)
	unique, letters, _ := strings.Cut(filepath.Base(path), ":2,")
	flags := strings.Fields(m.flags(name, letters, m.keywords(name)))
	moved := unique + ":2," + m.letters(to, flags)
	m.rename(path, filepath.Join(m.Path(to), "cur", moved))
	return moved
}

// Remove deletes a message's file.
func (m *Maildir) Remove(name, file string) {
	m.t.Helper()
	if err := os.Remove(m.find(name, file)); err != nil {
		m.t.Fatal(err)
	}
}

// List returns the names of all mailboxes.
func (m *Maildir) List() []string {
	m.t.Helper()
	var out []string
	err := filepath.WalkDir(m.Root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && e.Name() == "cur" {
			rel := must(filepath.Rel(m.Root, filepath.Dir(path)))(m.t)
			out = append(out, filepath.ToSlash(rel))
			return fs.SkipDir
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatal(err)
	}
	return out
}

// Messages returns all messages of a mailbox. Nothing may change it meanwhile.
func (m *Maildir) Messages(name string) []Message {
	m.t.Helper()
	keywords := m.keywords(name)
	var out []Message
	for _, sub := range []string{"new", "cur"} {
		dir := filepath.Join(m.Path(name), sub)
		for _, e := range must(os.ReadDir(dir))(m.t) {
			info := must(e.Info())(m.t)
			body := must(os.ReadFile(filepath.Join(dir, e.Name())))(m.t)
			_, letters, _ := strings.Cut(e.Name(), ":2,")
			out = append(out, Message{
				Name: e.Name(), New: sub == "new", Flags: m.flags(name, letters, keywords), Date: info.ModTime().Truncate(time.Second),
				Size: int64(len(body) + bytes.Count(body, []byte("\n")) - bytes.Count(body, []byte("\r\n"))), Hash: Digest(body),
			})
		}
	}
	return out
}

func (m *Maildir) flags(name, letters string, keywords map[int]string) string {
	m.t.Helper()
	var out []string
	for _, l := range letters {
		if l >= 'a' && l <= 'z' {
			k, ok := keywords[int(l-'a')]
			if !ok {
				m.t.Errorf("%s: letter %q has no keyword", name, l)
			}
			out = append(out, k)
			continue
		}
		for f, up := range letterOf {
			if up == string(l) {
				out = append(out, f)
			}
		}
	}
	return canonFlags(capitals(out))
}

// capitals writes system flags as IMAP servers do.
func capitals(flags []string) []string {
	for i, f := range flags {
		if strings.HasPrefix(f, `\`) {
			flags[i] = `\` + strings.ToUpper(f[1:2]) + f[2:]
		}
	}
	return flags
}

// All returns the content of the store.
func (m *Maildir) All() Mail {
	m.t.Helper()
	mail := Mail{}
	for _, n := range m.List() {
		mail[n] = m.Messages(n)
	}
	return mail
}

// Tree returns a line for every file and directory below root, with everything that shows whether it was touched: name, type and mode, inode, size, mtime, ctime;
// and the content's hash when contents is true. Two equal trees mean that nobody wrote anything.
func Tree(t testing.TB, root string, contents bool) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%v ino %d size %d mtime %d ctime %d", info.Mode(), st.Ino, info.Size(), info.ModTime().UnixNano(), time.Unix(st.Ctim.Unix()).UnixNano())
		if contents && info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(data)
			line += " " + hex.EncodeToString(sum[:10])
		}
		out[must(filepath.Rel(root, path))(t)] = line
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

// TreeDiff returns one line per difference of two trees.
func TreeDiff(before, after map[string]string) []string {
	var out []string
	for _, p := range sortedKeys(before) {
		a, ok := after[p]
		switch {
		case !ok:
			out = append(out, "gone: "+p)
		case a != before[p]:
			out = append(out, fmt.Sprintf("touched: %s\n   was %s\n   is  %s", p, before[p], a))
		}
	}
	for _, p := range sortedKeys(after) {
		if _, ok := before[p]; !ok {
			out = append(out, "new: "+p)
		}
	}
	return out
}
