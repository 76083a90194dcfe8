package imap

import (
	"time"

	"driftless/merge"
)

// item is what one FETCH response told.
type item struct {
	uid      uint32
	hasFlags bool
	flags    merge.Flags
	modseq   uint64
	size     int64 // -1 not told
	date     time.Time
	header   []byte // identity fields; valid until the handler returns
	hasHead  bool
	hasBody  bool
	sunk     bool   // the body went to the flight's sink
	body     []byte // a body that came as a quoted string; nil for a literal, which went to the flight's sink, and for NIL
}

// parseFetch parses the rest of a FETCH response (RFC 3501, section 7.4.2). What was not asked for is skipped.
func (c *conn) parseFetch(s *scanner) (item, error) {
	it := item{size: -1}
	err := s.list(func() error {
		name, err := s.word()
		if err != nil {
			return err
		}
		s.spaces()
		switch {
		case equalFold(name, "UID"):
			it.uid, err = s.number32()
			if err == nil && it.uid == 0 {
				err = malformed("UID 0")
			}
		case equalFold(name, "FLAGS"):
			var list []byte
			list, err = s.rawList()
			it.flags, it.hasFlags = c.flagsOf(list), true
		case equalFold(name, "MODSEQ"):
			err = s.list(func() (err error) { it.modseq, err = s.number(); return err })
		case equalFold(name, "RFC822.SIZE"):
			var n uint64
			n, err = s.number()
			if n > 1<<62 {
				return malformed("size of a message")
			}
			it.size = int64(n)
		case equalFold(name, "INTERNALDATE"):
			var v []byte
			if v, _, err = s.astring(); err == nil {
				it.date = parseDate(v)
			}
		case equalFold(name, "BODY[]") || equalFold(name, "RFC822"):
			it.sunk = s.peek() == literalMark && len(s.lits) > 0 && s.lits[0] == nil
			it.body, _, err = s.astring()
			it.hasBody = true
		case len(name) > 18 && equalFold(name[:18], "BODY[HEADER.FIELDS"):
			var null bool
			it.header, null, err = s.astring()
			it.hasHead = err == nil && !null // NIL: the message went away meanwhile
		default:
			err = s.skip()
		}
		return err
	})
	return it, err
}

// dateLayout is date-time (RFC 3501, section 9); the day may be padded with a space.
const dateLayout = "_2-Jan-2006 15:04:05 -0700"

// parseDate parses INTERNALDATE; one that cannot be read is unknown.
func parseDate(b []byte) time.Time {
	t, err := time.Parse(dateLayout, string(b))
	if err != nil {
		return time.Time{}
	}
	return t
}
