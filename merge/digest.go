package merge

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"hash/fnv"
	"slices"
	"strings"
)

// identityFields are the header fields that make an identity, by folded name. Servers and clients leave these alone.
var identityFields = []string{"date", "from", "message-id", "subject"}

// IdentityFields returns the names of the header fields from which HeaderIdentity is computed, for drivers that
// can fetch just these.
func IdentityFields() []string { return slices.Clone(identityFields) }

// HeaderIdentity returns the hash of the identity fields of a header block, in wire form or with bare LF; other fields are skipped, so
// a block with just the identity fields gives the same hash. The result is never 0.
func HeaderIdentity(header []byte) uint64 {
	fields := make([][]string, len(identityFields))
	var cur = -1
	for line := range bytes.Lines(header) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if cur >= 0 {
				last := len(fields[cur]) - 1
				fields[cur][last] += " " + string(line)
			}
			continue
		}
		cur = -1
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			continue
		}
		folded := strings.ToLower(string(bytes.TrimRight(name, " \t")))
		if i := slices.Index(identityFields, folded); i >= 0 {
			cur = i
			fields[i] = append(fields[i], string(value))
		}
	}
	h := fnv.New64a()
	for i, values := range fields {
		for _, v := range values {
			_, _ = h.Write([]byte{byte(i)})
			_, _ = h.Write(maskField(v))
			_, _ = h.Write([]byte{'\n'})
		}
	}
	if s := h.Sum64(); s != 0 {
		return s
	}
	return 1
}

// maskField folds white space to one blank, drops stray CRs and masks the bytes that servers are known to mask.
func maskField(v string) []byte {
	out := make([]byte, 0, len(v))
	space := false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == ' ' || c == '\t' || c == '\r':
			space = len(out) > 0
			continue
		default:
			if space {
				out = append(out, ' ')
				space = false
			}
			if c >= 0x80 || c == 0 {
				c = 'X'
			}
			out = append(out, c)
		}
	}
	return out
}

// maxHeader bounds what a Digest keeps of a header.
const maxHeader = 256 << 10

// Digest computes the Identity and the Content of a message that is written to it, in wire form or with bare LF. The zero value is not ready:
// use NewDigest. It keeps at most the header in memory.
//
// The canonical content is the message without any CR, without a leading mbox "From " line, without empty lines at the
// end, with 8-bit and NUL bytes of the header as 'X' and NUL bytes of the body as 0x80.
type Digest struct {
	sum      hash.Hash
	header   []byte
	buf      []byte
	inHeader bool
	line     int // bytes in the current line, CR not counted
	first    []byte
	started  bool // the first five bytes have been looked at
	skipping bool // in a leading "From " line
	newlines int  // LFs held back, as they may be the end
	size     int64
	last     byte
}

// NewDigest returns an empty digest.
func NewDigest() *Digest { return &Digest{sum: sha256.New(), inHeader: true} }

// Write adds bytes of the message. It never fails.
func (d *Digest) Write(p []byte) (int, error) {
	for _, c := range p {
		if c == '\n' && d.last != '\r' {
			d.size++
		}
		d.size++
		d.last = c
		if c == '\r' {
			continue
		}
		d.canonical(c)
	}
	if len(d.buf) > 0 {
		_, _ = d.sum.Write(d.buf)
		d.buf = d.buf[:0]
	}
	return len(p), nil
}

func (d *Digest) canonical(c byte) {
	if !d.started {
		d.first = append(d.first, c)
		if len(d.first) < 5 && c != '\n' {
			return
		}
		d.started = true
		d.skipping = string(d.first) == "From "
		for _, c := range d.first {
			d.put(c)
		}
		return
	}
	if d.skipping && c == '\n' {
		// What was digested so far was a separator line. A message without any LF is not one, and keeps all its content.
		d.sum.Reset()
		d.buf, d.header, d.line, d.skipping = d.buf[:0], d.header[:0], 0, false
		return
	}
	d.put(c)
}

func (d *Digest) put(c byte) {
	if c == '\n' {
		d.newlines++
		if d.inHeader {
			if d.line == 0 {
				d.inHeader = false
			} else if len(d.header) < maxHeader {
				d.header = append(d.header, '\n')
			}
		}
		d.line = 0
		return
	}
	for ; d.newlines > 0; d.newlines-- {
		d.buf = append(d.buf, '\n')
	}
	d.line++
	if d.inHeader {
		if c >= 0x80 || c == 0 {
			c = 'X'
		}
		if len(d.header) < maxHeader {
			d.header = append(d.header, c)
		}
	} else if c == 0 {
		c = 0x80
	}
	d.buf = append(d.buf, c)
}

// Sum returns what was computed over everything written. It must be called once, after the last Write.
func (d *Digest) Sum() (Identity, Content) {
	if !d.started {
		for _, c := range d.first {
			d.put(c)
		}
		d.started = true
	}
	if len(d.buf) > 0 {
		_, _ = d.sum.Write(d.buf)
		d.buf = d.buf[:0]
	}
	var c Content
	copy(c[:], d.sum.Sum(nil))
	if !c.Known() {
		c[0] = 1
	}
	return Identity{Header: HeaderIdentity(d.header), Size: d.size}, c
}
