package maildir

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"driftless/drivers"
)

// inMemory is the size up to which a message is held in memory while it is on its way; larger ones are read from their file.
const inMemory = 1 << 20

const bufferSize = 64 << 10

// toWire returns the wire form of a small file.
func toWire(disk []byte, verbatim bool) []byte {
	if verbatim || bytes.Contains(disk, []byte("\r\n")) {
		return disk
	}
	n := bytes.Count(disk, []byte{'\n'})
	if n == 0 {
		return disk
	}
	out := make([]byte, 0, len(disk)+n)
	for line := range bytes.Lines(disk) {
		if l := len(line) - 1; line[l] == '\n' {
			out = append(append(out, line[:l]...), '\r', '\n')
		} else {
			out = append(out, line...)
		}
	}
	return out
}

// survey is what a pass over a file tells about its wire form.
type survey struct {
	disk int64 // bytes in the file
	lf   int64
	crlf int64 // those of the LFs that follow a CR
	last byte
	// marked is set when the name of the file says that it is to be sent as it is.
	marked bool
}

// Write takes the next bytes of the file. It never fails.
func (s *survey) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.disk += int64(len(p))
	s.lf += int64(bytes.Count(p, []byte{'\n'}))
	s.crlf += int64(bytes.Count(p, []byte("\r\n")))
	if s.last == '\r' && p[0] == '\n' {
		s.crlf++
	}
	s.last = p[len(p)-1]
	return len(p), nil
}

// wireSize returns the size of the wire form.
func (s *survey) wireSize() int64 {
	if s.verbatim() {
		return s.disk
	}
	return s.disk + s.lf
}

// verbatim reports whether the file is sent as it is.
func (s *survey) verbatim() bool { return s.marked || s.crlf > 0 }

// fileContent is the content of a message that stays in its file; the open file keeps it reachable whatever happens to its name.
type fileContent struct {
	f      *os.File
	survey survey
}

// contentOf returns the content of an open message file, which it takes over, also when it fails.
func contentOf(f *os.File, size int64, verbatim bool) (drivers.Content, error) {
	if size <= inMemory {
		// One byte more than was promised, to see that the file grew beyond what memory may hold.
		buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
		_, err := buf.ReadFrom(onlyReader{io.LimitReader(f, inMemory+1)})
		data := buf.Bytes()
		if err == nil && len(data) > inMemory {
			err = errors.New("the file grows while it is read")
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		return drivers.Bytes(toWire(data, verbatim)), nil
	}
	c := &fileContent{f: f, survey: survey{marked: verbatim}}
	if _, err := io.CopyBuffer(&c.survey, onlyReader{f}, make([]byte, bufferSize)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// onlyReader hides the shortcuts of a file, so that io.CopyBuffer uses its buffer.
type onlyReader struct{ io.Reader }

// Size returns the size of the wire form in bytes.
func (c *fileContent) Size() int64 { return c.survey.wireSize() }

// Open returns a reader of the wire form. It fails at the end if the file is no longer as long as it was.
func (c *fileContent) Open() (io.ReadCloser, error) {
	r := &wireReader{left: c.Size(), verbatim: c.survey.verbatim()}
	r.src = bufio.NewReaderSize(io.NewSectionReader(c.f, 0, 1<<62), bufferSize)
	return r, nil
}

// Close closes the file.
func (c *fileContent) Close() error { return c.f.Close() }

// wireReader turns LF into CRLF unless verbatim is set, and checks the promised size.
type wireReader struct {
	src      *bufio.Reader
	left     int64 // bytes that are still to come
	verbatim bool
	owed     bool // the LF after a CR that was given
}

// Read reads the next bytes of the wire form.
func (r *wireReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.owed {
			p[n], r.owed = '\n', false
			n++
			continue
		}
		chunk, err := r.src.Peek(min(max(r.src.Buffered(), 1), len(p)-n))
		if len(chunk) == 0 {
			r.left -= int64(n)
			if n > 0 {
				return n, nil
			}
			if err == io.EOF && r.left != 0 {
				return 0, fmt.Errorf("the file changed while it was read: %w", io.ErrUnexpectedEOF)
			}
			return 0, err
		}
		used := len(chunk)
		if i := bytes.IndexByte(chunk, '\n'); i >= 0 && !r.verbatim {
			copy(p[n:], chunk[:i])
			n += i
			p[n], r.owed = '\r', true
			n++
			used = i + 1
		} else {
			n += copy(p[n:], chunk)
		}
		if _, err := r.src.Discard(used); err != nil {
			return n, err
		}
	}
	r.left -= int64(n)
	if r.left < 0 {
		return 0, errors.New("the file grew while it was read")
	}
	return n, nil
}

// Close does nothing; the content owns the file.
func (r *wireReader) Close() error { return nil }

// errVerbatim says that content must be stored as it is.
var errVerbatim = errors.New("content has bare CR or LF")

// diskWriter stores content with LF and fails with errVerbatim as soon as that could not be undone.
type diskWriter struct {
	w  io.Writer
	cr bool // a CR was taken and waits for its LF
	b  []byte
}

// Write takes the next bytes in wire form.
func (d *diskWriter) Write(p []byte) (int, error) {
	d.b = d.b[:0]
	for rest := p; len(rest) > 0; {
		if d.cr {
			if rest[0] != '\n' {
				return 0, errVerbatim
			}
			d.b = append(d.b, '\n')
			rest, d.cr = rest[1:], false
			continue
		}
		i := bytes.IndexAny(rest, "\r\n")
		if i < 0 {
			d.b = append(d.b, rest...)
			break
		}
		if rest[i] == '\n' {
			return 0, errVerbatim
		}
		d.b = append(d.b, rest[:i]...)
		rest, d.cr = rest[i+1:], true
	}
	if _, err := d.w.Write(d.b); err != nil {
		return 0, err
	}
	return len(p), nil
}

// finish checks that nothing is left over.
func (d *diskWriter) finish() error {
	if d.cr {
		return errVerbatim
	}
	return nil
}
