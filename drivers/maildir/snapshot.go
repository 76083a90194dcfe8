package maildir

import (
	"cmp"
	"slices"
	"strings"

	"driftless/merge"
)

// place is where in a mailbox a file is.
type place uint8

const (
	inCur place = iota
	inNew
)

// dir returns the name of the directory.
func (p place) dir() string {
	if p == inNew {
		return "new"
	}
	return "cur"
}

// file names one file of a mailbox.
type file struct {
	name string
	in   place
}

// path returns the path below the mailbox directory.
func (f file) path() string { return f.in.dir() + "/" + f.name }

func (f file) id() merge.ID { return merge.ID(uniquePart(f.name)) }

// snapshot is a listing of a mailbox, sorted by id. The names are slices of one string, without a pointer per message.
type snapshot struct {
	arena   string
	entries []entry
	at      stamps
	proven  bool // what is not in it was not there at some moment of the listing; false: nothing is known of what is not in it
	sure    bool // at is old enough: a later change shows in the stamps
	kw      *keywords
	twins   []file    // further files with the unique part of another one
	aliases [][2]file // names of one inode with one unique part; the first is the one that counts
}

// ambiguous reports whether there is an id with more than one name.
func (s *snapshot) ambiguous() bool { return len(s.twins)+len(s.aliases) > 0 }

// entry is one file of a snapshot.
type entry struct {
	off     uint32
	len, id uint16 // length of the name and of its unique part
	in      place
}

func (s *snapshot) name(e entry) string { return s.arena[e.off : e.off+uint32(e.len)] }

func (s *snapshot) idOf(e entry) merge.ID {
	if e.id == 0 {
		return noUnique
	}
	return merge.ID(s.arena[e.off : e.off+uint32(e.id)])
}

func (s *snapshot) file(e entry) file { return file{name: s.name(e), in: e.in} }

// find returns the file of an id.
func (s *snapshot) find(id merge.ID) (file, bool) {
	i, ok := slices.BinarySearchFunc(s.entries, id, func(e entry, id merge.ID) int { return cmp.Compare(s.idOf(e), id) })
	if !ok {
		return file{}, false
	}
	return s.file(s.entries[i]), true
}

// and returns a snapshot of what is in either; where both have an id, next says where it is. It is not proven. s may be nil.
func (s *snapshot) and(next *snapshot) *snapshot {
	if s == nil {
		return next
	}
	var l listing
	i := 0
	for _, e := range next.entries {
		for ; i < len(s.entries) && s.idOf(s.entries[i]) < next.idOf(e); i++ {
			l.add(s.name(s.entries[i]), s.entries[i].in)
		}
		if i < len(s.entries) && s.idOf(s.entries[i]) == next.idOf(e) {
			i++
		}
		l.add(next.name(e), e.in)
	}
	for ; i < len(s.entries); i++ {
		l.add(s.name(s.entries[i]), s.entries[i].in)
	}
	return &snapshot{arena: l.arena.String(), entries: l.entries, at: next.at, kw: next.kw, twins: next.twins, aliases: next.aliases}
}

// listing collects the names of one pass over a mailbox.
type listing struct {
	arena   strings.Builder
	entries []entry
}

// maxArena keeps offsets in 32 bits: about sixty million messages in one mailbox.
const maxArena = 1<<32 - 1<<16

// add takes a name; it returns false when the listing is full.
func (l *listing) add(name string, in place) bool {
	if l.arena.Len() > maxArena {
		return false
	}
	id := uniquePart(name)
	e := entry{off: uint32(l.arena.Len()), len: uint16(len(name)), id: uint16(len(id)), in: in}
	if id == noUnique {
		e.id = 0
	}
	l.arena.WriteString(name)
	l.entries = append(l.entries, e)
	return true
}

// snapshot sorts what was collected; further files with one id are set aside as twins.
func (l *listing) snapshot() *snapshot {
	s := &snapshot{arena: l.arena.String(), entries: l.entries}
	slices.SortFunc(s.entries, func(a, b entry) int {
		if c := cmp.Compare(s.idOf(a), s.idOf(b)); c != 0 {
			return c
		}
		if c := cmp.Compare(a.in, b.in); c != 0 {
			return c
		}
		return cmp.Compare(s.name(a), s.name(b))
	})
	out := s.entries[:0]
	for _, e := range s.entries {
		if n := len(out); n > 0 && s.idOf(out[n-1]) == s.idOf(e) {
			s.twins = append(s.twins, s.file(e))
			continue
		}
		out = append(out, e)
	}
	s.entries = out
	return s
}
