package logstate

import (
	"hash/maphash"
	"math/bits"
)

// index is an open-addressing hash table from ids to entry numbers. It keeps one byte of the hash beside each number, so that hardly ever
// an entry that is not the one looked for has to be compared: 5 bytes per slot.
type index struct {
	tags   []uint8 // 0 free, 1 deleted, else part of the hash
	slots  []uint32
	live   int
	filled int // live and deleted
}

var hashSeed = maphash.MakeSeed()

func hashID(id []byte) uint64 { return maphash.Bytes(hashSeed, id) }

func tagOf(h uint64) uint8 { return uint8(h%254) + 2 }

func (x *index) start(h uint64) int {
	hi, _ := bits.Mul64(h, uint64(len(x.tags)))
	return int(hi)
}

// find returns the slot of the entry with this hash that matches, -1 if there is none.
func (x *index) find(h uint64, match func(entry uint32) bool) int {
	if x.live == 0 {
		return -1
	}
	tag := tagOf(h)
	for i := x.start(h); ; {
		switch x.tags[i] {
		case 0:
			return -1
		case tag:
			if match(x.slots[i]) {
				return i
			}
		}
		if i++; i == len(x.tags) {
			i = 0
		}
	}
}

// insert adds an entry that is not there yet. hashOf gives the hash of an entry that is, for when the table must grow.
func (x *index) insert(h uint64, entry uint32, hashOf func(entry uint32) uint64) {
	if x.filled+1 > len(x.tags)/8*7 {
		x.resize((x.live+1)*8/5, hashOf)
	}
	x.put(h, entry)
}

func (x *index) put(h uint64, entry uint32) {
	for i := x.start(h); ; {
		if x.tags[i] <= 1 {
			if x.tags[i] == 0 {
				x.filled++
			}
			x.tags[i], x.slots[i] = tagOf(h), entry
			x.live++
			return
		}
		if i++; i == len(x.tags) {
			i = 0
		}
	}
}

func (x *index) remove(slot int) {
	x.live--
	next := slot + 1
	if next == len(x.tags) {
		next = 0
	}
	if x.tags[next] == 0 {
		x.tags[slot] = 0
		x.filled--
		return
	}
	x.tags[slot] = 1
}

// reserve makes room for n entries.
func (x *index) reserve(n int, hashOf func(entry uint32) uint64) {
	if n > len(x.tags)/8*7 {
		x.resize(n*13/10, hashOf)
	}
}

func (x *index) resize(n int, hashOf func(entry uint32) uint64) {
	n = max(16, (n+7)&^7)
	old := *x
	*x = index{tags: make([]uint8, n), slots: make([]uint32, n)}
	for i, t := range old.tags {
		if t > 1 {
			x.put(hashOf(old.slots[i]), old.slots[i])
		}
	}
}
