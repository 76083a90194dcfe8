package logstate

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errBadRecord says that a payload is not what its kind says, although the frame's checksum is right: a mistake of the program that wrote it.
var errBadRecord = errors.New("malformed record")

// Limits of what a record may hold. They bound what a hostile record can make a reader allocate, and keep an entry of the state inside one slab.
const (
	maxID     = 4 << 10
	maxMark   = 64 << 10
	maxNote   = 4 << 10
	maxName   = 64 << 10
	maxCursor = 8 << 20
	maxBatch  = 1 << 16 // effects of an intent, mailboxes of a mark
)

// decoder reads a payload. The first error sticks, and everything read after it is zero.
type decoder struct {
	b     []byte
	err   error
	flags *flagCache // nil: none
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{errBadRecord}, args...)...)
	}
	d.b = nil
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail("number expected")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail("number expected")
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail("byte expected")
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) fixed(n int) []byte {
	if len(d.b) < n {
		d.fail("%d bytes expected", n)
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

// bytes reads a length and as many bytes, which stay part of the payload.
func (d *decoder) bytes(limit int) []byte {
	n := d.uvarint()
	if n > uint64(limit) {
		d.fail("%d bytes where at most %d are allowed", n, limit)
		return nil
	}
	return d.fixed(int(n))
}

func (d *decoder) str(limit int) string { return string(d.bytes(limit)) }

// count reads how many items follow, each of at least size bytes: more cannot be there.
func (d *decoder) count(size int) int {
	n := d.uvarint()
	if n > uint64(len(d.b)/size) {
		d.fail("%d items do not fit", n)
		return 0
	}
	return int(n)
}

// end returns the first error, or one if anything is left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) != 0 {
		d.fail("%d bytes too many", len(d.b))
	}
	return d.err
}

func appendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// pack packs booleans into a byte, the first into bit 0.
func pack(v ...bool) byte {
	var out byte
	for i, set := range v {
		if set {
			out |= 1 << i
		}
	}
	return out
}
