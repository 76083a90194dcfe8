package logstate

import (
	"bytes"

	"driftless/merge"
)

// table is the pairs and half-pairs of one mailbox: entries of fixed size in chunks, ids in an arena, one index per side. It holds no string
// and no pointer per message. It is not safe for concurrent use; State adds the lock.
type table struct {
	arena   arena
	pairs   chunks[pairEntry]
	halves  chunks[halfEntry]
	byID    [2]index // pairs
	byHalf  [2]index // half-pairs
	flags   []merge.Flags
	flagNo  map[merge.Flags]uint32
	count   counts
	scratch []byte
	cache   flagCache
}

// pairEntry is a pair. Both ids follow each other in the arena. It is free when n is zero.
type pairEntry struct {
	off     uint32
	n       [2]uint16
	base    [2]uint32 // numbers of flag sets
	header  uint64
	size    int64
	content merge.Content
}

// halfEntry is a half-pair: its encoded form is in the arena. It is free when n is zero.
type halfEntry struct {
	off    uint32
	n      uint32
	idAt   uint16 // where the id begins in the encoded form
	id     uint16 // its length
	side   uint8
	reason uint8
}

func newTable() *table { return &table{flagNo: map[merge.Flags]uint32{}} }

// reserve makes room for what a checkpoint has counted.
func (t *table) reserve(c counts) {
	const sane = 1 << 24 // a count that is wrong must not allocate without bound; above, the indexes grow by themselves
	n := min(c.pairs, sane)
	for s := range t.byID {
		t.byID[s].reserve(n, nil)
	}
}

func (t *table) flagSet(f merge.Flags) uint32 {
	if i, ok := t.flagNo[f]; ok {
		return i
	}
	i := uint32(len(t.flags))
	t.flags = append(t.flags, f)
	t.flagNo[f] = i
	return i
}

func (e *pairEntry) bytes() int { return int(e.n[0]) + int(e.n[1]) }

func pairIDs(slabs [][]byte, e *pairEntry) (id [2][]byte) {
	both := slabGet(slabs, e.off, e.bytes())
	n := int(e.n[0])
	return [2][]byte{both[:n:n], both[n:]}
}

func (t *table) pairID(i uint32, s merge.Side) []byte {
	return pairIDs(t.arena.slabs, t.pairs.at(i))[s]
}

func (t *table) findPair(s merge.Side, id []byte) (entry uint32, slot int) {
	slot = t.byID[s].find(hashID(id), func(i uint32) bool { return bytes.Equal(t.pairID(i, s), id) })
	if slot < 0 {
		return 0, -1
	}
	return t.byID[s].slots[slot], slot
}

// findBoth returns the pair with these ids; an empty one matches any.
func (t *table) findBoth(id [2][]byte) (uint32, bool) {
	for s, o := merge.Left, merge.Right; s <= merge.Right; s, o = s+1, merge.Left {
		if len(id[s]) == 0 {
			continue
		}
		i, slot := t.findPair(s, id[s])
		return i, slot >= 0 && (len(id[o]) == 0 || bytes.Equal(t.pairID(i, o), id[o]))
	}
	return 0, false
}

func rawOf(slabs [][]byte, flags []merge.Flags, e *pairEntry) rawPair {
	return rawPair{
		id:       pairIDs(slabs, e),
		base:     [2]merge.Flags{flags[e.base[0]], flags[e.base[1]]},
		identity: merge.Identity{Header: e.header, Size: e.size},
		content:  e.content,
	}
}

// putPair adds a pair or replaces those with either id. It reports whether anything changed.
func (t *table) putPair(p rawPair) (bool, error) {
	base := [2]uint32{t.flagSet(p.base[0]), t.flagSet(p.base[1])}
	l, lslot := t.findPair(merge.Left, p.id[0])
	r, rslot := t.findPair(merge.Right, p.id[1])
	if lslot >= 0 && rslot >= 0 && l == r {
		e := t.pairs.at(l)
		if e.base == base && e.header == p.identity.Header && e.size == p.identity.Size && e.content == p.content {
			return false, nil
		}
		e = t.pairs.edit(l)
		e.base, e.header, e.size, e.content = base, p.identity.Header, p.identity.Size, p.content
		return true, nil
	}
	if lslot >= 0 {
		t.dropEntry(l)
	}
	if rslot >= 0 {
		t.dropEntry(r)
	}
	off, err := t.arena.add(p.id[0], p.id[1])
	if err != nil {
		return false, err
	}
	i := t.pairs.add()
	*t.pairs.edit(i) = pairEntry{
		off: off, n: [2]uint16{uint16(len(p.id[0])), uint16(len(p.id[1]))}, base: base,
		header: p.identity.Header, size: p.identity.Size, content: p.content,
	}
	for _, s := range merge.Sides {
		t.byID[s].insert(hashID(p.id[s]), i, func(i uint32) uint64 { return hashID(t.pairID(i, s)) })
	}
	t.count.pairs++
	return true, nil
}

func (t *table) dropEntry(i uint32) {
	for _, s := range merge.Sides {
		if _, slot := t.findPair(s, t.pairID(i, s)); slot >= 0 {
			t.byID[s].remove(slot)
		}
	}
	t.arena.drop(t.pairs.at(i).bytes())
	t.pairs.release(i)
	t.count.pairs--
}

func (t *table) halfID(i uint32) []byte {
	e := t.halves.at(i)
	return t.arena.get(e.off, int(e.n))[e.idAt : e.idAt+e.id]
}

func (t *table) findHalf(s merge.Side, id []byte) (entry uint32, slot int) {
	slot = t.byHalf[s].find(hashID(id), func(i uint32) bool { return bytes.Equal(t.halfID(i), id) })
	if slot < 0 {
		return 0, -1
	}
	return t.byHalf[s].slots[slot], slot
}

func (t *table) putHalf(h merge.Half) (bool, error) {
	t.scratch = appendHalf(t.scratch[:0], h)
	id := []byte(h.ID)
	if i, slot := t.findHalf(h.Side, id); slot >= 0 {
		e := t.halves.at(i)
		if bytes.Equal(t.arena.get(e.off, int(e.n)), t.scratch) {
			return false, nil
		}
		t.dropHalfEntry(i, slot)
	}
	off, err := t.arena.add(t.scratch)
	if err != nil {
		return false, err
	}
	i := t.halves.add()
	idAt := 2
	if len(id) >= 0x80 {
		idAt = 3
	}
	*t.halves.edit(i) = halfEntry{
		off: off, n: uint32(len(t.scratch)), idAt: uint16(idAt), id: uint16(len(id)), side: uint8(h.Side), reason: uint8(h.Reason),
	}
	t.byHalf[h.Side].insert(hashID(id), i, func(i uint32) uint64 { return hashID(t.halfID(i)) })
	t.count.halves[h.Reason][h.Side]++
	return true, nil
}

func (t *table) dropHalfEntry(i uint32, slot int) {
	e := *t.halves.at(i)
	t.byHalf[e.side].remove(slot)
	t.arena.drop(int(e.n))
	t.halves.release(i)
	t.count.halves[e.reason][e.side]--
}

// decodeHalfEntry decodes what putHalf encoded.
func decodeHalfEntry(slabs [][]byte, e *halfEntry) merge.Half {
	d := decoder{b: slabGet(slabs, e.off, int(e.n))}
	return d.readHalf()
}

// apply applies an op and reports whether it changed anything.
func (t *table) apply(op rawOp) (changed bool, err error) {
	switch op.kind {
	case PutPair:
		changed, err = t.putPair(op.pair)
	case DropPair:
		var i uint32
		if i, changed = t.findBoth(op.pair.id); changed {
			t.dropEntry(i)
		}
	case AdjustBase:
		changed = t.adjust(op)
	case PutHalf:
		changed, err = t.putHalf(op.half)
	case DropHalf:
		i, slot := t.findHalf(op.half.Side, []byte(op.half.ID))
		if changed = slot >= 0; changed {
			t.dropHalfEntry(i, slot)
		}
	case Clear:
		changed = t.count != counts{}
		t.clear()
	}
	if err == nil && t.arena.wasteful() {
		err = t.compact()
	}
	return changed, err
}

func (t *table) adjust(op rawOp) bool {
	i, ok := t.findBoth(op.pair.id)
	if !ok {
		return false
	}
	base := t.pairs.at(i).base
	for s := range base {
		f := t.flags[base[s]].Union(op.add[s]).Minus(op.remove[s])
		if !f.Equal(t.flags[base[s]]) {
			base[s] = t.flagSet(f)
		}
	}
	if base == t.pairs.at(i).base {
		return false
	}
	t.pairs.edit(i).base = base
	return true
}

// clear forgets everything. Snapshots keep what they have.
func (t *table) clear() {
	pairs, halves := t.pairs, t.halves
	*t = table{flagNo: map[merge.Flags]uint32{}, scratch: t.scratch}
	t.pairs.gen, t.pairs.pins = pairs.gen, pairs.pins
	t.halves.gen, t.halves.pins = halves.gen, halves.pins
}

// compact copies what is in use into a new arena.
func (t *table) compact() error {
	var fresh arena
	for i := range t.pairs.n {
		if e := t.pairs.at(i); e.bytes() > 0 {
			off, err := fresh.add(t.arena.get(e.off, e.bytes()))
			if err != nil {
				return err
			}
			t.pairs.edit(i).off = off
		}
	}
	for i := range t.halves.n {
		if e := t.halves.at(i); e.n > 0 {
			off, err := fresh.add(t.arena.get(e.off, int(e.n)))
			if err != nil {
				return err
			}
			t.halves.edit(i).off = off
		}
	}
	t.arena = fresh
	return nil
}

// snapshot is the content of a table at one moment.
type snapshot struct {
	slabs  [][]byte
	flags  []merge.Flags
	pairs  [][]pairEntry
	halves [][]halfEntry
}

// pin takes a snapshot, at a cost that does not depend on the size of the messages. unpin must follow, under the same lock.
func (t *table) pin() *snapshot {
	return &snapshot{slabs: append([][]byte(nil), t.arena.slabs...), flags: t.flags, pairs: t.pairs.pin(), halves: t.halves.pin()}
}

func (t *table) unpin() {
	t.pairs.unpin()
	t.halves.unpin()
}

// eachPair calls f until it returns false.
func (v *snapshot) eachPair(f func(rawPair) bool) {
	for _, c := range v.pairs {
		for i := range c {
			if c[i].bytes() > 0 && !f(rawOf(v.slabs, v.flags, &c[i])) {
				return
			}
		}
	}
}

// eachHalf calls f with the encoded half-pair until it returns false.
func (v *snapshot) eachHalf(f func(e *halfEntry, encoded []byte) bool) {
	for _, c := range v.halves {
		for i := range c {
			if c[i].n > 0 && !f(&c[i], slabGet(v.slabs, c[i].off, int(c[i].n))) {
				return
			}
		}
	}
}
