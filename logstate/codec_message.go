package logstate

import (
	"encoding/binary"
	"slices"

	"driftless/merge"
)

// flagCache keeps the flag sets with keywords that were decoded already, by their bytes: a mailbox has few different ones and very many of each.
type flagCache struct{ known map[string]merge.Flags }

// maxFlagCache bounds the cache: a mailbox with more different sets decodes some of them again.
const maxFlagCache = 4096

const (
	flagBits     = byte(merge.Forwarded<<1 - 1)
	hasKeywords  = byte(1 << 7)
	hasIdentity  = 1 << 0
	hasContent   = 1 << 1
	maxFlagBytes = 1 << 20
	halfMoved    = byte(1 << 7)
)

func appendFlags(b []byte, f merge.Flags) []byte {
	kws := f.Keywords()
	if len(kws) == 0 {
		return append(b, byte(f.System()))
	}
	b = append(b, byte(f.System())|hasKeywords)
	b = binary.AppendUvarint(b, uint64(len(kws)))
	for _, k := range kws {
		b = appendBytes(b, k)
	}
	return b
}

func (d *decoder) readFlags() merge.Flags {
	start := d.b
	c := d.byte()
	if c&^(flagBits|hasKeywords) != 0 {
		d.fail("unknown flag bits %#x", c)
		return merge.Flags{}
	}
	sys := merge.SystemFlags(merge.System(c & flagBits))
	if c&hasKeywords == 0 {
		return sys
	}
	list := d.b
	n := d.count(1)
	for range n {
		d.bytes(maxFlagBytes)
	}
	if d.err != nil {
		return merge.Flags{}
	}
	raw := start[:len(start)-len(d.b)]
	if d.flags != nil {
		if f, ok := d.flags.known[string(raw)]; ok {
			return f
		}
	}
	again := decoder{b: list}
	names := make([]string, again.count(1))
	for i := range names {
		names[i] = again.str(maxFlagBytes)
	}
	f := merge.NewFlags(names...).Union(sys)
	if d.flags != nil {
		if d.flags.known == nil || len(d.flags.known) >= maxFlagCache {
			d.flags.known = map[string]merge.Flags{}
		}
		d.flags.known[string(raw)] = f
	}
	return f
}

// rawPair is a pair whose ids are still part of a payload or an arena.
type rawPair struct {
	id       [2][]byte
	base     [2]merge.Flags
	identity merge.Identity
	content  merge.Content
}

func rawPairOf(p merge.Pair) rawPair {
	return rawPair{
		id:   [2][]byte{[]byte(p.ID[0]), []byte(p.ID[1])},
		base: p.Base, identity: p.Identity, content: p.Content,
	}
}

// pair copies the ids, both into one string.
func (p rawPair) pair() merge.Pair {
	ids := string(slices.Concat(p.id[0], p.id[1]))
	n := len(p.id[0])
	return merge.Pair{
		ID:   [2]merge.ID{merge.ID(ids[:n]), merge.ID(ids[n:])},
		Base: p.base, Identity: p.identity, Content: p.content,
	}
}

func appendKnown(b []byte, i merge.Identity, c merge.Content) []byte {
	if i != (merge.Identity{}) {
		b = binary.LittleEndian.AppendUint64(b, i.Header)
		b = binary.AppendVarint(b, i.Size)
	}
	if c.Known() {
		b = append(b, c[:]...)
	}
	return b
}

func (d *decoder) readKnown(identity, content bool) (i merge.Identity, c merge.Content) {
	if identity {
		if h := d.fixed(8); h != nil {
			i.Header = binary.LittleEndian.Uint64(h)
		}
		i.Size = d.varint()
	}
	if content {
		copy(c[:], d.fixed(len(c)))
	}
	return i, c
}

func appendPair(b []byte, p rawPair) []byte {
	b = append(b, pack(p.identity != (merge.Identity{}), p.content.Known()))
	b = appendBytes(b, p.id[0])
	b = appendBytes(b, p.id[1])
	b = appendFlags(b, p.base[0])
	b = appendFlags(b, p.base[1])
	return appendKnown(b, p.identity, p.content)
}

func (d *decoder) readPair() (p rawPair) {
	tag := d.byte()
	if tag&^(hasIdentity|hasContent) != 0 {
		d.fail("unknown pair field %#x", tag)
	}
	for s := range p.id {
		p.id[s] = d.bytes(maxID)
	}
	for s := range p.base {
		p.base[s] = d.readFlags()
	}
	p.identity, p.content = d.readKnown(tag&hasIdentity != 0, tag&hasContent != 0)
	return p
}

// appendHalf writes a half-pair. Its side and id come first, so that the state can compare ids without decoding the rest.
func appendHalf(b []byte, h merge.Half) []byte {
	tries := h.Tries != 0
	note, hold := h.Note != "", h.Hold != 0
	b = append(b, byte(h.Side)|pack(false, h.Identity != (merge.Identity{}), h.Content.Known(),
		h.Mark != "" || h.Reserved != "", h.Retry != 0, tries, note, hold))
	b = appendBytes(b, h.ID)
	b = append(b, byte(h.Reason)|pack(false, false, false, false, false, false, false, h.Moved))
	b = appendFlags(b, h.Base)
	b = binary.AppendVarint(b, h.Since)
	b = appendKnown(b, h.Identity, h.Content)
	if h.Mark != "" || h.Reserved != "" {
		b = appendBytes(b, h.Mark)
		b = appendBytes(b, h.Reserved)
	}
	if h.Retry != 0 {
		b = binary.AppendVarint(b, h.Retry)
	}
	if tries {
		b = binary.AppendVarint(b, int64(h.Tries))
	}
	if note {
		b = appendBytes(b, h.Note)
	}
	if hold {
		b = binary.AppendUvarint(b, h.Hold)
	}
	return b
}

func (d *decoder) readHalf() (h merge.Half) {
	tag := d.byte()
	h.Side = merge.Side(tag & 1)
	h.ID = merge.ID(d.str(maxID))
	reason := d.byte()
	h.Reason, h.Moved = merge.Reason(reason&^halfMoved), reason&halfMoved != 0
	if h.Reason == 0 || h.Reason > maxReason {
		d.fail("unknown reason %d of a half-pair", h.Reason)
	}
	h.Base = d.readFlags()
	h.Since = d.varint()
	h.Identity, h.Content = d.readKnown(tag&2 != 0, tag&4 != 0)
	if tag&8 != 0 {
		h.Mark = d.str(maxMark)
		h.Reserved = merge.ID(d.str(maxID))
	}
	if tag&16 != 0 {
		h.Retry = d.varint()
	}
	if tag&32 != 0 {
		h.Tries = int(d.varint())
	}
	if tag&64 != 0 {
		h.Note = d.str(maxNote)
	}
	if tag&128 != 0 {
		h.Hold = d.uvarint()
	}
	return h
}

func (d *decoder) readSide() merge.Side {
	s := merge.Side(d.byte())
	if s > merge.Right {
		d.fail("side %d", s)
		return 0
	}
	return s
}
