package imap

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"driftless/drivers"
)

// maxInMemory is the size up to which a message is kept in memory; a larger one goes to a file.
const maxInMemory = 1 << 20

// spooled is content in a file that has no name any more: it vanishes with its last reader, whatever happens to the program.
type spooled struct {
	f    *os.File
	size int64
}

// Size returns the number of bytes.
func (s *spooled) Size() int64 { return s.size }

// Open returns a reader from the first byte. Readers are independent of each other.
func (s *spooled) Open() (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(s.f, 0, s.size)), nil
}

// Close gives the space back.
func (s *spooled) Close() error { return s.f.Close() }

// receive reads a message of exactly size bytes off the connection. An error of the spool file does not hurt the connection: the bytes are
// read all the same and the error comes back as spoolErr.
func receive(r *bufio.Reader, size int64, dir string) (c drivers.Content, spoolErr, err error) {
	if size <= maxInMemory {
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, nil, err
		}
		return drivers.Bytes(b), nil, nil
	}
	f, spoolErr := os.CreateTemp(dir, "driftless-*")
	if spoolErr == nil {
		spoolErr = os.Remove(f.Name())
	}
	var n int64
	if spoolErr == nil {
		n, err = io.CopyN(f, r, size)
		if err != nil && r.Buffered() == 0 {
			_ = f.Close() // the connection is what failed
			return nil, nil, err
		}
		spoolErr = err
	}
	if spoolErr != nil {
		if f != nil {
			_ = f.Close() // spoolErr is what matters
		}
		// CopyN may have taken bytes that it could not write; then the rest cannot be told from the next response.
		if n > 0 {
			return nil, nil, fmt.Errorf("spool a message: %w", spoolErr)
		}
		_, err = io.CopyN(io.Discard, r, size)
		return nil, fmt.Errorf("spool a message: %w", spoolErr), err
	}
	return &spooled{f, size}, nil, nil
}
