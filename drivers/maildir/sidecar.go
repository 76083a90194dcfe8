package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"driftless/merge"
)

// sidecarFile holds the keywords for which dovecot-keywords has no letter left, by unique part, so that it survives any renaming by a mail client: a first
// line "driftless-keywords 1", then one line per message, its id and its keywords, each quoted like a Go string, separated by blanks. It is replaced as
// a whole, durably, before the file of a message is renamed, and missing when it is not needed. A mail client that moves a message to another
// mailbox leaves these keywords behind.
const sidecarFile = "driftless-keywords"

const sidecarHead = "driftless-keywords 1"

var errSidecar = errors.New("damaged file " + sidecarFile)

// parseSidecar reads a sidecar. A file of another version or with a line that cannot be read is an error: keywords are not dropped silently.
func parseSidecar(data []byte) (map[merge.ID][]string, error) {
	if len(data) == 0 {
		return nil, nil
	}
	out := make(map[merge.ID][]string)
	n := 0
	for line := range bytes.Lines(data) {
		n++
		text := strings.TrimSuffix(string(line), "\n")
		if n == 1 {
			if text != sidecarHead {
				return nil, fmt.Errorf("%w: unknown version", errSidecar)
			}
			continue
		}
		var fields []string
		for text != "" {
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil {
				return nil, fmt.Errorf("%w: line %d", errSidecar, n)
			}
			field, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("%w: line %d", errSidecar, n)
			}
			fields = append(fields, field)
			text = strings.TrimPrefix(text[len(quoted):], " ")
		}
		if len(fields) < 2 {
			return nil, fmt.Errorf("%w: line %d", errSidecar, n)
		}
		if names := merge.NewFlags(fields[1:]...).Keywords(); len(names) > 0 {
			out[merge.ID(fields[0])] = names
		}
	}
	return out, nil
}

// formatSidecar returns the file for these entries, nil for none.
func formatSidecar(extra map[merge.ID][]string) []byte {
	if len(extra) == 0 {
		return nil
	}
	b := []byte(sidecarHead + "\n")
	for _, id := range slices.Sorted(maps.Keys(extra)) {
		b = strconv.AppendQuote(b, string(id))
		for _, k := range extra[id] {
			b = strconv.AppendQuote(append(b, ' '), k)
		}
		b = append(b, '\n')
	}
	return b
}

// extraOf returns the keywords of a message that are in the sidecar.
func (kw *keywords) extraOf(id merge.ID) merge.Flags {
	if len(kw.extra) == 0 {
		return merge.Flags{}
	}
	return merge.NewFlags(kw.extra[id]...)
}

// flags returns the flags of a message: those of its file name and those in the sidecar.
func (kw *keywords) flags(id merge.ID, file string) merge.Flags {
	f := flagsOf(file, kw)
	if e := kw.extraOf(id); !e.Empty() {
		f = f.Union(e)
	}
	return f
}
