package merge

// tuidField is how the line begins that mbsync adds to the messages it copies, folded to lower case.
const tuidField = "x-tuid:"

// tuidFilter finds the X-TUID fields of a header that comes line by line, in pieces without CR.
type tuidFilter struct {
	held    [len(tuidField)]byte // the start of the line, while it may still be such a field
	n       int                  // bytes held
	decided bool                 // the current line is known to count or not to
	inside  bool                 // the current line, or else the last one, belongs to an X-TUID field
	start   int64                // the size of the message before the current line
	omitted int64                // bytes of the lines that do not count, in CRLF form
}

// counts reports whether all of the next piece of a line, which starts with c, counts. It is screen for nearly all lines, cheaply.
func (f *tuidFilter) counts(c byte) bool {
	if f.decided {
		return !f.inside
	}
	if f.n > 0 || c == 'X' || c == 'x' || c == ' ' || c == '\t' {
		return false
	}
	f.decided, f.inside = true, false
	return true
}

// screen takes the next piece of a line, which is not empty, and returns what counts of it: bytes that were held back, and a part of p.
func (f *tuidFilter) screen(p []byte) (held, rest []byte) {
	if !f.decided && f.n == 0 && (p[0] == ' ' || p[0] == '\t') {
		f.decided = true // a folded line counts if the one before does
	}
	for !f.decided {
		if len(p) == 0 {
			return nil, nil
		}
		c := p[0]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != tuidField[f.n] {
			return f.pending(), p
		}
		f.held[f.n] = p[0]
		f.n++
		p = p[1:]
		if f.n == len(tuidField) {
			f.decided, f.inside = true, true
		}
	}
	if f.inside {
		return nil, nil
	}
	return nil, p
}

// pending decides that a line that is not decided yet counts, and returns what was held back of it.
func (f *tuidFilter) pending() []byte {
	if f.decided {
		return nil
	}
	f.decided, f.inside = true, false
	return f.held[:f.n]
}

// end ends a line that was decided and has bytes or none, when the message has the given size up to there. It reports whether the line does not count.
func (f *tuidFilter) end(some bool, size int64) bool {
	omit := some && f.inside
	if omit {
		f.omitted += size - f.start
	}
	f.decided, f.n, f.start = false, 0, size
	return omit
}
