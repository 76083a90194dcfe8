package logstate

import (
	"encoding/binary"

	"driftless/merge"
)

// maxReason bounds the reasons of half-pairs that a table counts.
const maxReason = 15

// counts is how many pairs and half-pairs a mailbox has.
type counts struct {
	pairs  int
	halves [maxReason + 1][2]int // by reason and side
}

// on returns how many messages are known on a side.
func (c *counts) on(s merge.Side) int {
	n := c.pairs
	for _, h := range c.halves {
		n += h[s]
	}
	return n
}

func appendCounts(b []byte, c counts) []byte {
	b = binary.AppendUvarint(b, uint64(c.pairs))
	n := 0
	for _, h := range c.halves {
		if h != [2]int{} {
			n++
		}
	}
	b = binary.AppendUvarint(b, uint64(n))
	for r, h := range c.halves {
		if h != [2]int{} {
			b = append(b, byte(r))
			b = binary.AppendUvarint(b, uint64(h[0]))
			b = binary.AppendUvarint(b, uint64(h[1]))
		}
	}
	return b
}

func (d *decoder) readCounts() (c counts) {
	c.pairs = d.number()
	for range d.count(3) {
		r := d.byte()
		if r == 0 || r > maxReason {
			d.fail("unknown reason %d of half-pairs", r)
			return c
		}
		c.halves[r] = [2]int{d.number(), d.number()}
	}
	return c
}

// number reads a count of messages.
func (d *decoder) number() int {
	n := d.uvarint()
	if n > 1<<40 {
		d.fail("a count of %d", n)
		return 0
	}
	return int(n)
}

// use says that a batch of a side log is in the shared log.
type use struct {
	log   merge.Side
	epoch uint32
	seq   uint64
	low   uint64 // every sequence up to here is over
}

// section is what a commit says about one mailbox: facts as they are afterwards, if they changed, and the ops on pairs and half-pairs.
type section struct {
	mailbox Mailbox
	counts  *counts
	repair  *bool
	changes uint64 // 0: unchanged
	cursor  [2]*string
	known   *[2]bool
	ops     []byte // encoded; nil if none
}

// commitRecord is what a commit's frame holds. The first section is about the frame's mailbox.
type commitRecord struct {
	time     int64
	uses     []use
	sections []section
}

func appendCommit(b []byte, r commitRecord) []byte {
	b = binary.AppendVarint(b, r.time)
	b = binary.AppendUvarint(b, uint64(len(r.uses)))
	for _, u := range r.uses {
		b = append(b, byte(u.log))
		b = binary.AppendUvarint(b, uint64(u.epoch))
		b = binary.AppendUvarint(b, u.seq)
		b = binary.AppendUvarint(b, u.low)
	}
	b = binary.AppendUvarint(b, uint64(len(r.sections)))
	for _, s := range r.sections {
		b = binary.AppendUvarint(b, uint64(s.mailbox))
		b = append(b, pack(s.counts != nil, s.repair != nil, s.changes != 0, s.cursor[0] != nil, s.cursor[1] != nil, s.known != nil, s.ops != nil))
		if s.counts != nil {
			b = appendCounts(b, *s.counts)
		}
		if s.repair != nil {
			b = append(b, pack(*s.repair))
		}
		if s.changes != 0 {
			b = binary.AppendUvarint(b, s.changes)
		}
		for _, c := range s.cursor {
			if c != nil {
				b = appendBytes(b, *c)
			}
		}
		if s.known != nil {
			b = append(b, pack(s.known[0], s.known[1]))
		}
		if s.ops != nil {
			b = appendBytes(b, s.ops)
		}
	}
	return b
}

// decodeCommit reads a commit without its ops, which stay part of the payload.
func decodeCommit(payload []byte) (commitRecord, error) {
	d := decoder{b: payload}
	r := commitRecord{time: d.varint()}
	if n := d.count(4); n > 0 {
		r.uses = make([]use, n)
	}
	for i := range r.uses {
		r.uses[i] = use{log: d.readSide(), epoch: d.epoch(), seq: d.uvarint(), low: d.uvarint()}
	}
	if n := d.batch(2); n > 0 {
		r.sections = make([]section, n)
	}
	for i := range r.sections {
		r.sections[i] = d.readSection()
	}
	return r, d.end()
}

func (d *decoder) readSection() (s section) {
	s.mailbox = d.mailbox()
	tag := d.byte()
	if tag&128 != 0 {
		d.fail("unknown commit field %#x", tag)
	}
	if tag&1 != 0 {
		c := d.readCounts()
		s.counts = &c
	}
	if tag&2 != 0 {
		v := d.byte() != 0
		s.repair = &v
	}
	if tag&4 != 0 {
		s.changes = d.uvarint()
	}
	for i := range s.cursor {
		if tag&(8<<i) != 0 {
			c := d.str(maxCursor)
			s.cursor[i] = &c
		}
	}
	if tag&32 != 0 {
		k := d.known()
		s.known = &k
	}
	if tag&64 != 0 {
		s.ops = d.bytes(maxFrameSize)
	}
	return s
}

func (d *decoder) known() [2]bool {
	k := d.byte()
	if k > 3 {
		d.fail("known on %#x", k)
	}
	return [2]bool{k&1 != 0, k&2 != 0}
}

func appendStoreIdentity(b []byte, time int64, side merge.Side, id string) []byte {
	b = binary.AppendVarint(b, time)
	b = append(b, byte(side))
	return appendBytes(b, id)
}

func decodeStoreIdentity(payload []byte) (time int64, side merge.Side, id string, err error) {
	d := decoder{b: payload}
	time, side, id = d.varint(), d.readSide(), d.str(maxName)
	return time, side, id, d.end()
}

// checkpointBegin opens a checkpoint: what is true of the account as a whole.
type checkpointBegin struct {
	time      int64
	identity  [2]string
	next      Mailbox // the next number to give
	sideEpoch [2]uint32
}

func appendCheckpointBegin(b []byte, r checkpointBegin) []byte {
	b = binary.AppendVarint(b, r.time)
	b = appendBytes(b, r.identity[0])
	b = appendBytes(b, r.identity[1])
	b = binary.AppendUvarint(b, uint64(r.next))
	b = binary.AppendUvarint(b, uint64(r.sideEpoch[0]))
	return binary.AppendUvarint(b, uint64(r.sideEpoch[1]))
}

func decodeCheckpointBegin(payload []byte) (checkpointBegin, error) {
	d := decoder{b: payload}
	r := checkpointBegin{
		time: d.varint(), identity: [2]string{d.str(maxName), d.str(maxName)},
		next: d.mailbox(), sideEpoch: [2]uint32{d.epoch(), d.epoch()},
	}
	return r, d.end()
}

// appendBox writes what a checkpoint says about one mailbox apart from its pairs.
func appendBox(b []byte, m *box) []byte {
	b = binary.AppendUvarint(b, uint64(m.id))
	b = append(b, pack(m.known[0], m.known[1], m.repair, m.named))
	b = appendBytes(b, m.names[0])
	b = appendBytes(b, m.names[1])
	b = appendBytes(b, m.cursor[0])
	b = appendBytes(b, m.cursor[1])
	b = appendCounts(b, m.counts)
	b = binary.AppendUvarint(b, m.changes)
	for _, u := range m.used {
		b = binary.AppendUvarint(b, uint64(u.epoch))
		b = binary.AppendUvarint(b, u.low)
		b = binary.AppendUvarint(b, uint64(len(u.extra)))
		for _, s := range u.extra {
			b = binary.AppendUvarint(b, s)
		}
	}
	return b
}

func (d *decoder) readBox() *box {
	m := &box{id: d.mailbox()}
	tag := d.byte()
	if tag > 15 {
		d.fail("unknown mailbox field %#x", tag)
	}
	m.known = [2]bool{tag&1 != 0, tag&2 != 0}
	m.repair, m.named = tag&4 != 0, tag&8 != 0
	m.names = [2]string{d.str(maxName), d.str(maxName)}
	m.cursor = [2]string{d.str(maxCursor), d.str(maxCursor)}
	m.counts = d.readCounts()
	m.changes = d.uvarint()
	for i := range m.used {
		u := &m.used[i]
		u.epoch, u.low = d.epoch(), d.uvarint()
		if n := d.count(1); n > 0 {
			u.extra = make([]uint64, n)
		}
		for j := range u.extra {
			u.extra[j] = d.uvarint()
		}
	}
	return m
}

func decodeBoxes(payload []byte) ([]*box, error) {
	d := decoder{b: payload}
	out := make([]*box, d.batch(12))
	for i := range out {
		out[i] = d.readBox()
	}
	return out, d.end()
}

// checkpointEnd closes a checkpoint.
type checkpointEnd struct {
	begin  uint64 // index of the begin record
	frames uint64 // how many mailbox, pair and half-pair records belong to it
}

func appendCheckpointEnd(b []byte, r checkpointEnd) []byte {
	b = binary.AppendUvarint(b, r.begin)
	return binary.AppendUvarint(b, r.frames)
}

func decodeCheckpointEnd(payload []byte) (checkpointEnd, error) {
	d := decoder{b: payload}
	r := checkpointEnd{begin: d.uvarint(), frames: d.uvarint()}
	return r, d.end()
}
