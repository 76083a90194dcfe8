package logstate

const (
	chunkBits = 10
	chunkLen  = 1 << chunkBits
)

// chunks is a growing array that can be looked at while it changes: a snapshot shares the chunks, and one that is about to change
// while a snapshot may see it is copied first.
type chunks[T any] struct {
	list []*chunk[T]
	n    uint32   // entries, free ones included
	free []uint32 // entries to use again
	gen  uint64   // counts snapshots
	pins int      // snapshots in use
}

type chunk[T any] struct {
	gen uint64 // of the array when the chunk was made or copied
	e   []T
}

// at returns an entry to read.
func (c *chunks[T]) at(i uint32) *T { return &c.list[i>>chunkBits].e[i&(chunkLen-1)] }

// edit returns an entry to write.
func (c *chunks[T]) edit(i uint32) *T { return &c.own(i >> chunkBits).e[i&(chunkLen-1)] }

// own returns a chunk that no snapshot sees.
func (c *chunks[T]) own(i uint32) *chunk[T] {
	k := c.list[i]
	if c.pins > 0 && k.gen < c.gen {
		k = &chunk[T]{gen: c.gen, e: append(make([]T, 0, cap(k.e)), k.e...)}
		c.list[i] = k
	}
	return k
}

// add returns the number of an entry that is free or new; its old value is meaningless.
func (c *chunks[T]) add() uint32 {
	if last := len(c.free) - 1; last >= 0 {
		i := c.free[last]
		c.free = c.free[:last]
		return i
	}
	i := c.n
	if i&(chunkLen-1) == 0 {
		k := &chunk[T]{gen: c.gen}
		if i > 0 {
			k.e = make([]T, 0, chunkLen) // the first one grows as needed: most mailboxes are small
		}
		c.list = append(c.list, k)
	}
	k := c.own(i >> chunkBits)
	var zero T
	k.e = append(k.e, zero)
	c.n++
	return i
}

// release makes an entry free.
func (c *chunks[T]) release(i uint32) {
	var zero T
	*c.edit(i) = zero
	c.free = append(c.free, i)
}

// pin returns the chunks as they are now. They do not change until unpin.
func (c *chunks[T]) pin() [][]T {
	c.gen++
	c.pins++
	out := make([][]T, len(c.list))
	for i, k := range c.list {
		out[i] = k.e
	}
	return out
}

func (c *chunks[T]) unpin() { c.pins-- }
