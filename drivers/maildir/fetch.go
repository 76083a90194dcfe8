package maildir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// chase is how often a message is looked for again when it is renamed between the look and the use.
const chase = 50

// openFile opens a message, wherever it is now. ErrGone if it is not in the mailbox, or not found there in several passes over a mailbox that others change too
// fast to prove it: nothing is concluded from either but that it cannot be read now.
func (m *Mailbox) openFile(ctx context.Context, id merge.ID) (*os.File, file, *keywords, error) {
	where, known := m.hint(id)
	for range chase {
		var kw *keywords
		if !known {
			m.finding.Lock()
			s, err := m.locate(ctx, []merge.ID{id})
			m.finding.Unlock()
			if err != nil {
				return nil, file{}, nil, err
			}
			f, ok := s.find(id)
			if !ok {
				return nil, file{}, nil, drivers.ErrGone
			}
			where, kw = f, s.kw
		} else {
			kw = m.table()
		}
		path := m.dir + "/" + where.path()
		err := m.store.disk.check("open", path)
		var f *os.File
		if err == nil {
			// No link is followed and a pipe cannot block: only what is in the mailbox itself is mail.
			f, err = os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		}
		if err == nil {
			return f, where, kw, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, where, kw, m.failMessage("read message", err)
		}
		known = false
	}
	return nil, file{}, nil, m.fail("read message", errBusy)
}

// table returns the keyword table of the last listing, an empty one before the first.
func (m *Mailbox) table() *keywords {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.last == nil || m.last.kw == nil {
		return &keywords{}
	}
	return m.last.kw
}

// warm makes sure that there is a listing to take hints from.
func (m *Mailbox) warm(ctx context.Context, ids []merge.ID) error {
	if err := m.store.usable(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	cold := m.last == nil
	m.mu.Unlock()
	if !cold || len(ids) == 0 {
		return nil
	}
	_, err := m.locate(ctx, ids)
	return err
}

// loaded is a message that Fetch is about to yield; small ones have their content already.
type loaded struct {
	opened
	content drivers.Content
}

// load reads the content and takes over the file.
func (l *loaded) load(m *Mailbox) {
	var err error
	l.content, err = contentOf(l.f, l.fi.Size(), isVerbatim(l.where.name))
	if l.f = nil; err != nil {
		l.err = m.failMessage("read message", err)
	}
}

// drop frees what was not yielded. The file was only read, so that nothing is lost when closing fails.
func (l loaded) drop() {
	if l.f != nil {
		_ = l.f.Close()
	}
	if l.content != nil {
		_ = l.content.Close()
	}
}

// Fetch yields the messages with their content, in the order of ids. Small messages are read ahead, several at the same time; content above a
// megabyte stays in its file, which is held open.
func (m *Mailbox) Fetch(ctx context.Context, ids []merge.ID, yield func(drivers.Fetched) error) error {
	return each(ctx, m, ids, func(o opened) loaded {
		l := loaded{opened: o}
		if o.err == nil && o.fi.Size() <= readAhead {
			l.load(m)
		}
		return l
	}, loaded.drop, func(l loaded) error {
		if l.err == nil && l.content == nil {
			l.load(m)
		}
		if l.err != nil {
			return yield(drivers.Fetched{ID: l.id, Err: l.err})
		}
		return yield(drivers.Fetched{ID: l.id, Flags: l.flags, Date: dateOf(l.fi), Content: l.content})
	})
}

// Describe yields size, date and identity of messages, in the order of ids; it reads them, several at the same time, for no file name can be trusted about
// the size. A message that cannot be read is yielded without identity and with the size -1, as the store cannot tell them.
func (m *Mailbox) Describe(ctx context.Context, ids []merge.ID, yield func(drivers.Description) error) error {
	return each(ctx, m, ids, func(o opened) drivers.Description {
		out := drivers.Description{ID: o.id, Flags: o.flags, Size: -1}
		if o.err != nil {
			return out
		}
		out.Date = dateOf(o.fi)
		// One byte more than the file has, so that its end shows in as few reads as possible.
		identity, size, err := identify(o.f, isVerbatim(o.where.name), make([]byte, min(o.fi.Size()+1, bufferSize)))
		if err = errors.Join(err, o.f.Close()); err == nil {
			out.Identity, out.Size = identity, size
		}
		return out
	}, func(drivers.Description) {}, yield)
}

// identify reads a message file and returns its identity, by the rules of merge.Digest, and the size of its wire form. Only the header is digested: the size
// in the identity is that of the file, less what the digest leaves out of a header.
func identify(r io.Reader, verbatim bool, buf []byte) (merge.Identity, int64, error) {
	digest := merge.NewDigest()
	s := survey{marked: verbatim}
	header := true
	for {
		n, err := r.Read(buf)
		if n > 0 {
			_, _ = s.Write(buf[:n]) // neither ever fails
			if header {
				_, _ = digest.Write(buf[:n])
				// A header end that falls between two reads is not noticed, which costs time but changes nothing.
				header = !bytes.Contains(buf[:n], []byte("\n\n")) && !bytes.Contains(buf[:n], []byte("\n\r\n"))
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return merge.Identity{}, 0, fmt.Errorf("read message: %w", err)
		}
	}
	identity, _ := digest.Sum()
	identity.Size = s.disk + s.lf - s.crlf - digest.Omitted()
	return identity, s.wireSize(), nil
}

// dateOf returns the INTERNALDATE of a file, in whole seconds.
func dateOf(fi fs.FileInfo) time.Time { return time.Unix(fi.ModTime().Unix(), 0).UTC() }
