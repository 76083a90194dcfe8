package engine

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/maildir"
	"driftless/drivers/memory"
	"driftless/merge"
)

// seenMail is one message of a store as its user sees it.
type seenMail struct {
	box   string
	id    merge.ID
	flags merge.Flags
	date  time.Time
	data  string
}

// userStore is one side of the state machine as its user sees it. Its methods may be called while a sync runs. What acts on a message or a mailbox that is not there
// any more does nothing.
type userStore interface {
	open(ctx context.Context) (drivers.Store, error)
	boxes() ([]string, error)
	mail() ([]seenMail, error) // by mailbox and order of arrival
	deliver(box string, flags merge.Flags, date time.Time, data []byte) error
	setFlags(m seenMail, flags merge.Flags) error
	remove(m seenMail) error
	move(m seenMail, to string) error
	create(box string) error
	drop(box string) error
	rename(from, to string) error
}

// vanished reports whether an error says no more than that somebody else was faster.
func vanished(err error) bool {
	return errors.Is(err, drivers.ErrGone) || errors.Is(err, drivers.ErrNoMailbox) || errors.Is(err, drivers.ErrExists)
}

func unlessVanished(err error) error {
	if vanished(err) {
		return nil
	}
	return err
}

// memoryUser is the user of a memory server.
type memoryUser struct{ srv *memory.Server }

func (u memoryUser) open(ctx context.Context) (drivers.Store, error) { return u.srv.Open(ctx) }

func (u memoryUser) boxes() ([]string, error) {
	var out []string
	for name := range u.srv.Snapshot() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out, nil
}

func (u memoryUser) mail() ([]seenMail, error) {
	var out []seenMail
	for name, box := range u.srv.Snapshot() {
		for _, m := range box.Messages {
			out = append(out, seenMail{name, m.ID, m.Flags, m.Date, string(m.Data)})
		}
	}
	slices.SortStableFunc(out, func(a, b seenMail) int { return cmp.Compare(a.box, b.box) })
	return out, nil
}

func (u memoryUser) deliver(box string, flags merge.Flags, date time.Time, data []byte) error {
	u.srv.Deliver(box, flags, date, data)
	return nil
}

func (u memoryUser) setFlags(m seenMail, flags merge.Flags) error {
	return unlessVanished(u.srv.SetFlags(m.box, m.id, flags))
}
func (u memoryUser) remove(m seenMail) error { return unlessVanished(u.srv.Remove(m.box, m.id)) }
func (u memoryUser) move(m seenMail, to string) error {
	_, err := u.srv.Move(m.box, m.id, to)
	return unlessVanished(err)
}
func (u memoryUser) create(box string) error { u.srv.CreateMailbox(box); return nil }
func (u memoryUser) drop(box string) error   { return unlessVanished(u.srv.DeleteMailbox(box)) }
func (u memoryUser) rename(from, to string) error {
	return unlessVanished(u.srv.RenameMailbox(from, to))
}

// maildirUser is the user of a real Maildir, whose mail program is a driver of its own.
type maildirUser struct {
	root  string
	store drivers.Store
	hand  drivertest.Hand
}

func newMaildirUser(dir string) (*maildirUser, error) {
	u := &maildirUser{root: filepath.Join(dir, "Mail")}
	s, err := maildir.Open(context.Background(), maildir.Options{Path: u.root, Layout: maildir.FS, Create: true})
	if err != nil {
		return nil, err
	}
	u.store, u.hand = s, drivertest.StoreHand(s)
	return u, u.create("INBOX")
}

func (u *maildirUser) close() error { return u.store.Close() }

func (u *maildirUser) open(ctx context.Context) (drivers.Store, error) {
	return maildir.Open(ctx, maildir.Options{Path: u.root, Layout: maildir.FS})
}

func (u *maildirUser) boxes() ([]string, error) {
	list, err := u.store.List(context.Background(), nil)
	var out []string
	for _, i := range list {
		if !i.NoSelect {
			out = append(out, i.Name)
		}
	}
	slices.Sort(out)
	return out, err
}

func (u *maildirUser) mail() ([]seenMail, error) {
	boxes, err := u.boxes()
	if err != nil {
		return nil, err
	}
	var out []seenMail
	for _, box := range boxes {
		if err := u.read(box, &out); err != nil && !vanished(err) {
			return nil, err
		}
	}
	return out, nil
}

func (u *maildirUser) read(box string, out *[]seenMail) (err error) {
	ctx := context.Background()
	m, err := u.store.Open(ctx, box)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	var ids []merge.ID
	if _, err := m.Changes(ctx, "", drivers.Full, func(e drivers.Entry) error { ids = append(ids, e.ID); return nil }); err != nil {
		return err
	}
	byID := map[merge.ID]seenMail{}
	err = m.Fetch(ctx, ids, func(f drivers.Fetched) error {
		if f.Err != nil {
			return f.Err
		}
		r, err := f.Content.Open()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(r)
		byID[f.ID] = seenMail{box, f.ID, f.Flags, f.Date, string(data)}
		return errors.Join(err, r.Close(), f.Content.Close())
	})
	slices.Sort(ids)
	for _, id := range ids {
		if s, ok := byID[id]; ok {
			*out = append(*out, s)
		}
	}
	return err
}

func (u *maildirUser) deliver(box string, flags merge.Flags, date time.Time, data []byte) error {
	if err := u.create(box); err != nil {
		return err
	}
	return u.hand.Deliver(box, flags, date, data)
}

func (u *maildirUser) setFlags(m seenMail, flags merge.Flags) error {
	return unlessVanished(u.hand.SetFlags(m.box, m.id, flags))
}
func (u *maildirUser) remove(m seenMail) error { return unlessVanished(u.hand.Remove(m.box, m.id)) }
func (u *maildirUser) move(m seenMail, to string) error {
	if err := u.create(to); err != nil {
		return err
	}
	return unlessVanished(u.hand.Move(m.box, m.id, to))
}
func (u *maildirUser) create(box string) error { return u.store.Create(context.Background(), box) }
func (u *maildirUser) drop(box string) error {
	return unlessVanished(u.store.Delete(context.Background(), box))
}
func (u *maildirUser) rename(from, to string) error {
	return unlessVanished(u.store.Rename(context.Background(), from, to))
}

// mails are the contents that the users' mail has: what tells messages apart as well as what makes them look alike. None has both header and size in common with
// another one: identity is proof where it is unique (DESIGN, section 6).
var mails = []struct{ name, data string }{
	{"plain", string(drivertest.Message(0, drivertest.MessageOptions{}))},
	{"other", string(drivertest.Message(1, drivertest.MessageOptions{EightBit: true}))},
	{"twin-a", twin("one")},
	{"twin-b", twin("other")},
	{"same-size", string(bytes.ReplaceAll(drivertest.Message(0, drivertest.MessageOptions{}), []byte("Message number 0"), []byte("Message number X")))},
	{"no-id", string(drivertest.Message(2, drivertest.MessageOptions{NoMessageID: true}))},
	{"no-header", "\r\nno header at all\r\n"},
	{"no-body", "Subject: nothing\r\n\r\n"},
}

func twin(body string) string {
	return "From: a@example.org\r\nDate: Sun, 9 Sep 2001 01:46:40 +0000\r\nMessage-ID: <twin@example.org>\r\nSubject: twin\r\n\r\n" + body + "\r\n"
}

// mailDate is the date of every message of a content.
func mailDate(class int) time.Time { return drivertest.MessageDate(class) }

// mailOf returns the number of a content.
func mailOf(m seenMail) (int, error) {
	for i, l := range mails {
		if l.data == m.data {
			if !m.date.Equal(mailDate(i)) {
				return 0, fmt.Errorf("%s in %s has the date %v, want %v", l.name, m.box, m.date, mailDate(i))
			}
			return i, nil
		}
	}
	return 0, fmt.Errorf("a message in %s has a content that nobody wrote: %q", m.box, m.data)
}
