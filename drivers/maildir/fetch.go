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
			s, err := m.locate(ctx, []merge.ID{id})
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

// each opens the messages one after the other and gives them to use, which takes over the file. What is gone is left out.
func (m *Mailbox) each(ctx context.Context, ids []merge.ID, use func(id merge.ID, f *os.File, fi fs.FileInfo, where file, flags merge.Flags, err error) error) error {
	if err := m.warm(ctx, ids); err != nil {
		return err
	}
	done := make(map[merge.ID]bool, len(ids))
	for _, id := range ids {
		if done[id] {
			continue
		}
		done[id] = true
		if err := ctx.Err(); err != nil {
			return err
		}
		f, where, kw, err := m.openFile(ctx, id)
		if errors.Is(err, drivers.ErrGone) {
			continue
		}
		if err != nil && drivers.ReachOf(err) != drivers.ReachMessage {
			return err
		}
		var fi fs.FileInfo
		var flags merge.Flags
		if err == nil {
			flags = kw.flags(id, where.name)
			if fi, err = f.Stat(); err == nil && !fi.Mode().IsRegular() {
				err = errors.New("it is not a regular file")
			}
			if err != nil {
				err = m.failMessage("read message", errors.Join(err, f.Close()))
				f = nil
			}
		}
		if err := use(id, f, fi, where, flags, err); err != nil {
			return err
		}
	}
	return nil
}

// Fetch yields the messages with their content, one after the other. Content above a megabyte stays in its file, which is held open.
func (m *Mailbox) Fetch(ctx context.Context, ids []merge.ID, yield func(drivers.Fetched) error) error {
	return m.each(ctx, ids, func(id merge.ID, f *os.File, fi fs.FileInfo, where file, flags merge.Flags, err error) error {
		if err != nil {
			return yield(drivers.Fetched{ID: id, Err: err})
		}
		out := drivers.Fetched{ID: id, Flags: flags, Date: dateOf(fi)}
		out.Content, err = contentOf(f, fi.Size(), isVerbatim(where.name))
		if err != nil {
			return yield(drivers.Fetched{ID: id, Err: m.failMessage("read message", err)})
		}
		return yield(out)
	})
}

// Describe yields size, date and identity of messages; it reads them, for no file name can be trusted about the size. A message that cannot be
// read is yielded without identity and with the size -1, as the store cannot tell them.
func (m *Mailbox) Describe(ctx context.Context, ids []merge.ID, yield func(drivers.Description) error) error {
	buf := make([]byte, bufferSize)
	return m.each(ctx, ids, func(id merge.ID, f *os.File, fi fs.FileInfo, where file, flags merge.Flags, err error) error {
		out := drivers.Description{ID: id, Flags: flags, Size: -1}
		if err != nil {
			return yield(out)
		}
		out.Date = dateOf(fi)
		identity, size, err := identify(f, isVerbatim(where.name), buf)
		if err = errors.Join(err, f.Close()); err == nil {
			out.Identity, out.Size = identity, size
		}
		return yield(out)
	})
}

// identify reads a message file and returns its identity and the size of its wire form.
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
	identity.Size = s.disk + s.lf - s.crlf
	return identity, s.wireSize(), nil
}

// dateOf returns the INTERNALDATE of a file, in whole seconds.
func dateOf(fi fs.FileInfo) time.Time { return time.Unix(fi.ModTime().Unix(), 0).UTC() }
