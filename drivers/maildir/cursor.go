package maildir

import (
	"fmt"
	"strconv"
	"strings"

	"driftless/drivers"
)

// cursorVersion starts every cursor; another one is treated as no cursor.
const cursorVersion = "m1"

// cursor is the decoded form of a drivers.Cursor: how a mailbox looked at the start of the listing that it stands for.
type cursor struct {
	sure  bool // a later change must show in the stamps
	count int
	at    stamps
}

// encode returns the cursor as text: the version, "+" if it can prove that nothing changed or "-", the count, and the sixteen numbers of the stamps.
func (c cursor) encode() drivers.Cursor {
	b := []byte(cursorVersion)
	if c.sure {
		b = append(b, " + "...)
	} else {
		b = append(b, " - "...)
	}
	b = strconv.AppendInt(b, int64(c.count), 10)
	for _, s := range []stamp{c.at.cur, c.at.fresh, c.at.table, c.at.side} {
		b = strconv.AppendUint(append(b, ' '), s.dev, 36)
		b = strconv.AppendUint(append(b, ' '), s.ino, 36)
		b = strconv.AppendInt(append(b, ' '), s.mtime, 36)
		b = strconv.AppendInt(append(b, ' '), s.ctime, 36)
	}
	return drivers.Cursor(b)
}

// decodeCursor reads a cursor; ok is false for an empty one and for one that this version cannot read.
func decodeCursor(text drivers.Cursor) (c cursor, ok bool) {
	f := strings.Split(string(text), " ")
	if len(f) != 3+4*4 || f[0] != cursorVersion {
		return cursor{}, false
	}
	c.sure = f[1] == "+"
	var err error
	if c.count, err = strconv.Atoi(f[2]); err != nil || c.count < 0 || !c.sure && f[1] != "-" {
		return cursor{}, false
	}
	for i, s := range []*stamp{&c.at.cur, &c.at.fresh, &c.at.table, &c.at.side} {
		if err := s.decode(f[3+4*i : 7+4*i]); err != nil {
			return cursor{}, false
		}
	}
	return c, true
}

func (s *stamp) decode(f []string) error {
	var errs [4]error
	s.dev, errs[0] = strconv.ParseUint(f[0], 36, 64)
	s.ino, errs[1] = strconv.ParseUint(f[1], 36, 64)
	s.mtime, errs[2] = strconv.ParseInt(f[2], 36, 64)
	s.ctime, errs[3] = strconv.ParseInt(f[3], 36, 64)
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("decode stamp: %w", err)
		}
	}
	return nil
}

// unchanged reports whether the cursor proves that a mailbox that now has these stamps is as it was.
func (c cursor) unchanged(now stamps) bool { return c.sure && c.at == now }
