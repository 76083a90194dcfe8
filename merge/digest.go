package merge

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"hash/fnv"
	"slices"
)

// identityFields are the header fields that make an identity, by folded name. Servers and clients leave these alone.
var identityFields = []string{"date", "from", "message-id", "subject"}

// messageID is the place of the Message-ID among them.
const messageID = 2

// IdentityFields returns the names of the header fields from which HeaderIdentity is computed, for drivers that
// can fetch just these.
func IdentityFields() []string { return slices.Clone(identityFields) }

// HeaderIdentity returns the hash of the identity fields of a header block, in wire form or with bare LF; other fields are skipped, so
// a block with just the identity fields gives the same hash. The result is never 0.
func HeaderIdentity(header []byte) uint64 {
	var fields [4][][]byte // values by field, in order; folded lines are joined
	cur := -1
	for line := range bytes.Lines(header) {
		line = bytes.TrimRight(line, "\r\n")
		if bytes.IndexByte(line, '\r') >= 0 {
			line = bytes.ReplaceAll(line, []byte{'\r'}, nil)
		}
		if len(line) == 0 {
			break
		}
		if line[0] == ' ' || line[0] == '\t' {
			if cur >= 0 {
				last := &fields[cur][len(fields[cur])-1]
				*last = append(append(*last, ' '), line...)
			}
			continue
		}
		cur = -1
		name, value, ok := bytes.Cut(line, []byte{':'})
		if !ok {
			continue
		}
		if i := identityField(bytes.TrimRight(name, " \t")); i >= 0 {
			cur = i
			fields[i] = append(fields[i], bytes.Clone(value))
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
	sum := h.Sum64() &^ weakHeader
	if !slices.ContainsFunc(fields[messageID], func(v []byte) bool { return len(bytes.TrimSpace(v)) > 0 }) {
		sum |= weakHeader
	}
	return max(sum, 1)
}

// identityField returns the index of the field with this name in identityFields, or -1.
func identityField(name []byte) int {
	for i, f := range identityFields {
		if len(name) == len(f) && asciiLower(string(name)) == f {
			return i
		}
	}
	return -1
}

// maskField folds white space to one blank and masks the bytes that servers are known to mask. It works in place.
func maskField(v []byte) []byte {
	out := v[:0]
	space := false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case c == ' ' || c == '\t':
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
// The header field X-TUID counts as not being there, in the identity, its size and the content: mbsync puts one into every message that it copies, so that a
// message and its copy differ by that line alone. Only fields of the message's own header are left out, each with the lines it is folded into.
//
// The canonical content is the message without any CR, without a leading mbox "From " line, without empty lines at the
// end, without X-TUID fields, with 8-bit and NUL bytes of the header as 'X' and NUL bytes of the body as 0x80.
type Digest struct {
	sum      hash.Hash
	header   []byte
	buf      []byte
	inHeader bool
	line     bool // the current line has bytes, CR not counted
	first    []byte
	started  bool  // the first five bytes have been looked at
	skipping bool  // in a leading "From " line
	newlines int64 // LFs held back, as they may be the end
	size     int64
	last     byte
	tuid     tuidFilter
}

// NewDigest returns an empty digest.
func NewDigest() *Digest {
	return &Digest{sum: sha256.New(), inHeader: true, header: make([]byte, 0, 4<<10), buf: make([]byte, 0, 4<<10), first: make([]byte, 0, len(separator))}
}

// Write adds bytes of the message. It never fails.
func (d *Digest) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if !d.started {
			d.begin(p[0])
			p = p[1:]
			continue
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			d.text(p)
			break
		}
		d.text(p[:end])
		d.newline()
		p = p[end+1:]
	}
	d.flush()
	return n, nil
}

// begin takes a byte of the start of the message, where a "From " line may be.
func (d *Digest) begin(c byte) {
	switch c {
	case '\n':
		d.settle()
		d.newline()
		return
	case '\r':
	default:
		d.first = append(d.first, c)
	}
	d.size++
	d.last = c
	if len(d.first) == len(separator) {
		d.settle()
	}
}

// separator starts the line that an mbox has before each message.
const separator = "From "

// settle ends the start of the message: what was kept of it is text that has been counted.
func (d *Digest) settle() {
	d.started, d.skipping = true, string(d.first) == separator
	d.put(d.first)
}

// text takes bytes of one line, without its LF.
func (d *Digest) text(p []byte) {
	if len(p) == 0 {
		return
	}
	d.size += int64(len(p))
	d.last = p[len(p)-1]
	if d.last == '\r' {
		p = p[:len(p)-1]
	}
	for {
		stray := bytes.IndexByte(p, '\r')
		if stray < 0 {
			d.put(p)
			return
		}
		d.put(p[:stray])
		p = p[stray+1:]
	}
}

// newline takes an LF, which counts as CRLF.
func (d *Digest) newline() {
	if d.last != '\r' {
		d.size++
	}
	d.size++
	d.last = '\n'
	omit := d.endLine()
	if d.skipping {
		// What was digested so far was a separator line. A message without any LF is not one, and keeps all its content.
		d.sum.Reset()
		d.buf, d.header, d.line, d.skipping = d.buf[:0], d.header[:0], false, false
		return
	}
	if omit {
		d.line = false
		return
	}
	d.newlines++
	if d.inHeader {
		if !d.line {
			d.inHeader = false
		} else if len(d.header) < maxHeader {
			d.header = append(d.header, '\n')
		}
	}
	d.line = false
}

// maxBuffer is how much canonical content is collected before it is hashed.
const maxBuffer = 16 << 10

// put adds bytes of a line, without CR, to the canonical content.
func (d *Digest) put(p []byte) {
	if len(p) == 0 {
		return
	}
	d.line = true
	if d.inHeader && !d.tuid.counts(p[0]) {
		var held []byte
		held, p = d.tuid.screen(p)
		d.keep(held)
	}
	d.keep(p)
}

// keep adds what was found to count.
func (d *Digest) keep(p []byte) {
	if len(p) == 0 {
		return
	}
	for ; d.newlines > 0; d.newlines-- {
		d.buf = append(d.buf, '\n')
		if len(d.buf) >= maxBuffer {
			d.flush()
		}
	}
	for len(p) > 0 {
		if len(d.buf) >= maxBuffer {
			d.flush()
		}
		part := p[:min(len(p), maxBuffer-len(d.buf))]
		p = p[len(part):]
		at := len(d.buf)
		d.buf = append(d.buf, part...)
		d.mask(d.buf[at:])
	}
}

// endLine ends the current line of the header, whose bytes have all been counted, and reports whether it was left out.
func (d *Digest) endLine() bool {
	if !d.inHeader {
		return false
	}
	d.keep(d.tuid.pending())
	return d.tuid.end(d.line, d.size)
}

// Omitted returns how many bytes of the message, in CRLF form, are left out of the size of its identity. It must be called after Sum; it is right as soon
// as all of the header has been written.
func (d *Digest) Omitted() int64 { return d.tuid.omitted }

// mask replaces, in place, the bytes that servers are known to replace, and keeps the header.
func (d *Digest) mask(p []byte) {
	if !d.inHeader {
		for {
			i := bytes.IndexByte(p, 0)
			if i < 0 {
				return
			}
			p[i] = 0x80
			p = p[i+1:]
		}
	}
	for i, c := range p {
		if c >= 0x80 || c == 0 {
			p[i] = 'X'
		}
	}
	d.header = append(d.header, p[:min(len(p), maxHeader-len(d.header))]...)
}

// flush hashes what was collected.
func (d *Digest) flush() {
	if len(d.buf) > 0 {
		_, _ = d.sum.Write(d.buf)
		d.buf = d.buf[:0]
	}
}

// Sum returns what was computed over everything written. It must be called once, after the last Write.
func (d *Digest) Sum() (Identity, Content) {
	if !d.started {
		d.started = true
		d.put(d.first)
	}
	d.endLine()
	d.flush()
	var c Content
	copy(c[:], d.sum.Sum(nil))
	if !c.Known() {
		c[0] = 1
	}
	return Identity{Header: HeaderIdentity(d.header), Size: d.size - d.tuid.omitted}, c
}
