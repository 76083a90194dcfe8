package logstate

import "errors"

const (
	slabBits  = 18
	slabSize  = 1 << slabBits
	firstSlab = 1 << 10
)

// errStateFull says that a mailbox does not fit into the offsets of an arena; that would be some 80 million messages.
var errStateFull = errors.New("mailbox has too many messages for the state")

// arena keeps byte strings in big slabs, so that the garbage collector sees a slab and not a message. What was written never
// moves within a slab and is never overwritten: a snapshot may go on reading it.
type arena struct {
	slabs [][]byte
	live  int // bytes in use
	dead  int // bytes that were freed
}

// add stores the concatenation of the parts, at most slabSize bytes, and returns its offset.
func (a *arena) add(parts ...[]byte) (uint32, error) {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	last := len(a.slabs) - 1
	switch {
	case last < 0:
		a.slabs = append(a.slabs, make([]byte, 0, min(slabSize, max(firstSlab, n))))
		last = 0
	case len(a.slabs[last])+n <= cap(a.slabs[last]):
	case last == 0 && len(a.slabs[0])+n <= slabSize:
		grown := make([]byte, len(a.slabs[0]), min(slabSize, max(2*cap(a.slabs[0]), len(a.slabs[0])+n)))
		copy(grown, a.slabs[0])
		a.slabs[0] = grown
	default:
		if len(a.slabs) == 1<<(32-slabBits) {
			return 0, errStateFull
		}
		a.slabs = append(a.slabs, make([]byte, 0, slabSize))
		last++
	}
	off := len(a.slabs[last])
	for _, p := range parts {
		a.slabs[last] = append(a.slabs[last], p...)
	}
	a.live += n
	return uint32(last<<slabBits | off), nil
}

func (a *arena) get(off uint32, n int) []byte { return slabGet(a.slabs, off, n) }

func slabGet(slabs [][]byte, off uint32, n int) []byte {
	i := int(off & (slabSize - 1))
	return slabs[off>>slabBits][i : i+n : i+n]
}

// drop counts n bytes as free.
func (a *arena) drop(n int) {
	a.live -= n
	a.dead += n
}

// wasteful reports whether copying what is in use would free much.
func (a *arena) wasteful() bool { return a.dead > slabSize && a.dead > a.live }
