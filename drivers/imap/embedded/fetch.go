package embedded

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/emersion/go-imap"
)

// fetch returns a message with the items asked for, and whether they count as reading it.
func fetch(seq uint32, m *message, items []imap.FetchItem) (*imap.Message, bool, error) {
	out := imap.NewMessage(seq, items)
	reads := false
	for _, it := range items {
		switch it {
		case imap.FetchUid:
			out.Uid = m.uid
		case imap.FetchFlags:
			out.Flags = m.flags
		case imap.FetchInternalDate:
			out.InternalDate = m.date
		case imap.FetchRFC822Size:
			out.Size = uint32(len(m.body))
		default:
			section, err := imap.ParseBodySectionName(it)
			if err != nil {
				return nil, false, fmt.Errorf("FETCH %s: not offered here", it)
			}
			data, err := sectionOf(m.body, section)
			if err != nil {
				return nil, false, err
			}
			out.Body[section] = bytes.NewReader(section.ExtractPartial(data))
			reads = reads || !section.Peek
		}
	}
	return out, reads, nil
}

// sectionOf returns the bytes of a section of the whole message (RFC 3501, section 6.4.5).
func sectionOf(body []byte, section *imap.BodySectionName) ([]byte, error) {
	if len(section.Path) > 0 {
		return nil, fmt.Errorf("FETCH %s: parts are not offered here", section.FetchItem())
	}
	head, text := split(body)
	switch section.Specifier {
	case imap.EntireSpecifier:
		return body, nil
	case imap.TextSpecifier:
		return text, nil
	case imap.HeaderSpecifier:
		if len(section.Fields) == 0 {
			return head, nil
		}
		return fieldsOf(head, section.Fields, section.NotFields), nil
	}
	return nil, fmt.Errorf("FETCH %s: not offered here", section.FetchItem())
}

// split returns the header with the empty line that ends it, and the text after it.
func split(body []byte) (head, text []byte) {
	if bytes.HasPrefix(body, []byte("\r\n")) {
		return body[:2], body[2:]
	}
	if i := bytes.Index(body, []byte("\r\n\r\n")); i >= 0 {
		return body[:i+4], body[i+4:]
	}
	return body, nil
}

// eachField calls f with every field of a header: its name, and its bytes with continuation lines.
func eachField(head []byte, f func(name string, raw []byte)) {
	for len(head) > 0 && !bytes.HasPrefix(head, []byte("\r\n")) {
		end := 0
		for {
			i := bytes.Index(head[end:], []byte("\r\n"))
			if i < 0 {
				end = len(head)
				break
			}
			end += i + 2
			if end >= len(head) || head[end] != ' ' && head[end] != '\t' {
				break
			}
		}
		name, _, found := bytes.Cut(head[:end], []byte(":"))
		if found {
			f(strings.TrimSpace(string(name)), head[:end])
		}
		head = head[end:]
	}
}

// fieldsOf returns the fields of a header that are, or are not, among names, and the empty line.
func fieldsOf(head []byte, names []string, not bool) []byte {
	var out []byte
	eachField(head, func(name string, raw []byte) {
		if hasFlag(names, name) != not {
			out = append(out, raw...)
		}
	})
	return append(out, "\r\n"...)
}
