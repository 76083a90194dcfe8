package drivers

import (
	"bytes"
	"io"
)

// Content is the bytes of one message in wire form. It can be read more than once.
type Content interface {
	// Size returns the exact number of bytes that Open's reader gives.
	Size() int64
	// Open returns a reader from the first byte.
	Open() (io.ReadCloser, error)
	// Close releases what holds the bytes (memory, a spool file).
	Close() error
}

// Bytes is content in memory.
type Bytes []byte

// Size returns the length.
func (b Bytes) Size() int64 { return int64(len(b)) }

// Open returns a reader over the bytes.
func (b Bytes) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }

// Close does nothing.
func (b Bytes) Close() error { return nil }
