package maildir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// Append stores messages: each is written to tmp and synced, many at a time, then renamed to new (no flags) or cur; then the directories are synced
// once. If that last step fails, the fate of the batch is unknown; anything that failed before left no message behind.
func (m *Mailbox) Append(ctx context.Context, msgs []drivers.Append) ([]drivers.Appended, error) {
	out := make([]drivers.Appended, len(msgs))
	refuse := func(err error) ([]drivers.Appended, error) {
		for i := range out {
			out[i] = drivers.Appended{Err: err}
		}
		return out, err
	}
	if err := m.writable(ctx, "append"); err != nil {
		return refuse(err)
	}
	if len(msgs) == 0 {
		return out, nil
	}
	if err := m.store.makeMaildir(m.dir); err != nil {
		return refuse(m.fail("append", err))
	}
	todo, err := m.unstored(ctx, msgs, out)
	if err != nil {
		return refuse(err)
	}
	wishes := make([]wish, len(todo))
	for i, n := range todo {
		wishes[i] = wish{id: out[n].ID, flags: msgs[n].Flags}
	}
	kw, err := m.hold(ctx, wishes, nil)
	if err != nil {
		return refuse(err)
	}

	var touched places
	var mu sync.Mutex
	var common error
	sem := make(chan struct{}, m.store.workers)
	var wg sync.WaitGroup
	for _, n := range todo {
		sem <- struct{}{}
		mu.Lock()
		stop := common
		mu.Unlock()
		if stop == nil {
			stop = ctx.Err()
		}
		if stop != nil {
			out[n] = drivers.Appended{Err: stop}
			<-sem
			continue
		}
		wg.Go(func() {
			defer func() { <-sem }()
			in, flags, err := m.deliver(out[n].ID, msgs[n], kw)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out[n] = drivers.Appended{Err: err}
				if drivers.ReachOf(err) != drivers.ReachMessage && common == nil {
					common = err
				}
				return
			}
			out[n].Flags = flags
			touched.add(in)
		})
	}
	wg.Wait()
	if err := m.syncPlaces(touched); err != nil {
		common = m.fail("append", fmt.Errorf("%w: %w", drivers.ErrUnknown, err))
		for _, n := range todo {
			if out[n].Err == nil {
				out[n] = drivers.Appended{ID: out[n].ID, Err: common}
			}
		}
	}
	if common == nil {
		common = ctx.Err()
	}
	return out, common
}

// unstored fills in the ids and returns the indices of the messages that are not there yet. A reserved id that may have been used
// before is looked for in the mailbox; found, its message is done once its directory is durable.
func (m *Mailbox) unstored(ctx context.Context, msgs []drivers.Append, out []drivers.Appended) ([]int, error) {
	var todo, doubt []int
	var ids []merge.ID
	for n, msg := range msgs {
		id := msg.Reserved
		if id == "" {
			id = m.Reserve()
		} else if strings.ContainsAny(string(id), ",:/\x00") || id[0] == '.' {
			return nil, &drivers.Error{Op: "append", Where: m.name, Reach: drivers.ReachMailbox, Retry: drivers.RetryNever, Err: errors.New("the reserved id is not one of this store")}
		}
		out[n].ID = id
		if m.store.unique.take(id) {
			todo = append(todo, n)
			continue
		}
		doubt = append(doubt, n)
		ids = append(ids, id)
	}
	if len(doubt) == 0 {
		return todo, nil
	}
	s, err := m.locate(ctx, ids)
	if err != nil {
		return nil, err
	}
	var touched places
	seen := make(map[merge.ID]bool)
	for _, n := range doubt {
		id := out[n].ID
		f, ok := s.find(id)
		if !ok {
			if !s.proven {
				return nil, m.fail("append", errBusy) // it may be there: appending it now could make two of it
			}
			if seen[id] {
				return nil, &drivers.Error{Op: "append", Where: m.name, Reach: drivers.ReachMailbox, Retry: drivers.RetryNever, Err: errors.New("one reserved id was given to two messages")}
			}
			seen[id] = true
			todo = append(todo, n)
			continue
		}
		out[n].Flags = s.kw.flags(id, f.name)
		touched.add(f.in)
		m.note(id, &f)
	}
	// The process that put it there may have died before its directory was durable.
	return todo, m.fail("append", m.syncPlaces(touched))
}

// deliver writes one message and gives it its name.
func (m *Mailbox) deliver(id merge.ID, msg drivers.Append, kw *keywords) (place, merge.Flags, error) {
	letters, rest := lettersFor("", msg.Flags, kw)
	if err := kw.canHold(id, rest); err != nil {
		return 0, merge.Flags{}, err
	}
	tmp := m.dir + "/tmp/" + string(id)
	verbatim, err := m.write(tmp, msg)
	to := file{name: string(id), in: inNew}
	if verbatim {
		to.name += verbatimField
	}
	if !msg.Flags.Empty() {
		to = file{name: to.name + infoMark + letters, in: inCur}
	}
	if err == nil {
		m.naming.Lock()
		err = m.store.disk.rename(tmp, m.dir+"/"+to.path())
		m.naming.Unlock()
	}
	if err != nil {
		err = errors.Join(err, ignoreMissing(os.Remove(tmp)))
		var read *contentError
		if errors.As(err, &read) {
			return 0, merge.Flags{}, m.failMessage("append", err)
		}
		return 0, merge.Flags{}, m.fail("append", err)
	}
	return to.in, kw.flags(id, to.name), nil
}

// contentError is an error of the content that was to be stored, not of the store.
type contentError struct{ err error }

func (e *contentError) Error() string { return "read the content: " + e.err.Error() }

func (e *contentError) Unwrap() error { return e.err }

// write writes the content to a new file at path, with its date, and syncs it. verbatim reports whether the name must carry the verbatim field.
func (m *Mailbox) write(path string, msg drivers.Append) (verbatim bool, err error) {
	f, err := m.create(path)
	if err != nil {
		return false, err
	}
	err = m.store.disk.check("write", path)
	if err == nil {
		verbatim, err = fill(f, msg.Content)
	}
	if err == nil {
		date := msg.Date
		if date.IsZero() {
			date = m.store.now()
		}
		date = time.Unix(date.Unix(), 0)
		err = os.Chtimes(path, date, date)
	}
	if err == nil {
		err = m.store.disk.syncFile(f)
	}
	return verbatim, errors.Join(err, f.Close())
}

// create makes a new file in tmp.
func (m *Mailbox) create(path string) (*os.File, error) {
	m.naming.Lock()
	defer m.naming.Unlock()
	f, err := m.store.disk.create(path)
	if errors.Is(err, fs.ErrExist) {
		// Left over from an append under the same reserved id that was cut short; no other program uses this name.
		if err := ignoreMissing(os.Remove(path)); err != nil {
			return nil, err
		}
		f, err = m.store.disk.create(path)
	}
	return f, err
}

// fill writes content to an empty file: with LF if that can be undone, else as it is. verbatim is true if the file alone does not tell which.
func fill(f *os.File, content drivers.Content) (verbatim bool, err error) {
	_, err = pour(f, content, true)
	if errors.Is(err, errVerbatim) {
		if _, err = f.Seek(0, io.SeekStart); err == nil {
			if err = f.Truncate(0); err == nil {
				var s survey
				s, err = pour(f, content, false)
				return s.lf > 0 && s.crlf == 0, err
			}
		}
	}
	return false, err
}

// pour copies content to a file and surveys what it was given.
func pour(f *os.File, content drivers.Content, convert bool) (survey, error) {
	var s survey
	r, err := content.Open()
	if err != nil {
		return s, &contentError{err}
	}
	// Most messages are small: their buffers are, too.
	size := int(min(max(content.Size(), 0)+1, bufferSize))
	buf := bufio.NewWriterSize(f, size)
	var w io.Writer = buf
	lf := &diskWriter{w: buf}
	if convert {
		w = lf
	}
	src := &sourceReader{r: r}
	n, err := io.CopyBuffer(io.MultiWriter(w, &s), src, make([]byte, size))
	if err == nil && n != content.Size() {
		err = &contentError{fmt.Errorf("it has %d bytes instead of %d", n, content.Size())}
	}
	if err == nil && convert {
		err = lf.finish()
	}
	if err == nil {
		err = buf.Flush()
	}
	if closeErr := r.Close(); closeErr != nil && err == nil {
		err = &contentError{closeErr}
	}
	return s, err
}

// sourceReader marks the errors of what it reads from.
type sourceReader struct{ r io.Reader }

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		err = &contentError{err}
	}
	return n, err
}
