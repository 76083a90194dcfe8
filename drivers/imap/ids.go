package imap

import (
	"strconv"
	"strings"

	"driftless/drivers"
	"driftless/merge"
)

// makeID returns the id of a message: UIDVALIDITY and UID in decimal, "1700000000:42".
func makeID(validity, uid uint32) merge.ID {
	b := make([]byte, 0, 21)
	b = strconv.AppendUint(b, uint64(validity), 10)
	b = append(b, ':')
	b = strconv.AppendUint(b, uint64(uid), 10)
	return merge.ID(b)
}

// parseID is strict: only what makeID makes, and no zeros.
func parseID(id merge.ID) (validity, uid uint32, ok bool) {
	a, b, found := strings.Cut(string(id), ":")
	if !found {
		return 0, 0, false
	}
	validity, ok1 := canonical(a)
	uid, ok2 := canonical(b)
	return validity, uid, ok1 && ok2
}

// canonical parses a positive decimal number of 32 bits without leading zeros.
func canonical(s string) (uint32, bool) {
	n, next, ok := parseNZ([]byte(s), 0)
	return n, ok && next == len(s) && s[0] != '0'
}

// cursor is how far a mailbox has been observed. Everything in it is as of one SELECT, so messages counts exactly those under next.
type cursor struct {
	validity, next, messages uint32
	modseq                   uint64 // 0: the observation did not rest on CONDSTORE
}

// cursorVersion begins every cursor.
const cursorVersion = "i1"

// String returns the durable form: version, UIDVALIDITY, UIDNEXT, MESSAGES, HIGHESTMODSEQ.
func (c cursor) String() string {
	b := append(make([]byte, 0, 64), cursorVersion...)
	for _, n := range []uint64{uint64(c.validity), uint64(c.next), uint64(c.messages), c.modseq} {
		b = append(b, ' ')
		b = strconv.AppendUint(b, n, 10)
	}
	return string(b)
}

// parseCursor reads a cursor; one that is empty or of an unknown form is none.
func parseCursor(s drivers.Cursor) (cursor, bool) {
	f := strings.Split(string(s), " ")
	if len(f) != 5 || f[0] != cursorVersion {
		return cursor{}, false
	}
	var n [4]uint64
	for i := range n {
		bits := 32
		if i == 3 {
			bits = 64
		}
		v, err := strconv.ParseUint(f[i+1], 10, bits)
		if err != nil {
			return cursor{}, false
		}
		n[i] = v
	}
	c := cursor{validity: uint32(n[0]), next: uint32(n[1]), messages: uint32(n[2]), modseq: n[3]}
	return c, c.validity != 0 && c.next != 0
}

// makeMark returns the durable form of a mark: UIDVALIDITY and UIDNEXT.
func makeMark(validity, next uint32) drivers.Mark {
	return drivers.Mark("i1 " + strconv.FormatUint(uint64(validity), 10) + " " + strconv.FormatUint(uint64(next), 10))
}

// parseMark reads a mark; ok is false for one of an unknown form.
func parseMark(m drivers.Mark) (validity, next uint32, ok bool) {
	f := strings.Split(string(m), " ")
	if len(f) != 3 || f[0] != "i1" {
		return 0, 0, false
	}
	validity, ok1 := canonical(f[1])
	next, ok2 := canonical(f[2])
	return validity, next, ok1 && ok2
}
