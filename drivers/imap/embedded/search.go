package embedded

import (
	"bytes"
	"net/mail"
	"strings"
	"time"

	"github.com/emersion/go-imap"
)

// searcher decides which messages of a view match (RFC 3501, section 6.4.4). It runs with the store's lock held.
type searcher struct{ v *view }

func (s searcher) matches(t target, c *imap.SearchCriteria) bool {
	m := t.m
	return s.inSets(t, c) && matchFlags(m, c) && matchDates(m, c) && matchSize(m, c) && matchText(m, c) && s.combined(t, c)
}

func (s searcher) inSets(t target, c *imap.SearchCriteria) bool {
	if c.SeqNum != nil && !s.v.normalize(false, c.SeqNum).Contains(t.seq) {
		return false
	}
	return c.Uid == nil || s.v.normalize(true, c.Uid).Contains(t.m.uid)
}

func (s searcher) combined(t target, c *imap.SearchCriteria) bool {
	for _, not := range c.Not {
		if s.matches(t, not) {
			return false
		}
	}
	for _, or := range c.Or {
		if !s.matches(t, or[0]) && !s.matches(t, or[1]) {
			return false
		}
	}
	return true
}

func matchFlags(m *message, c *imap.SearchCriteria) bool {
	for _, f := range c.WithFlags {
		if !hasFlag(m.flags, f) {
			return false
		}
	}
	for _, f := range c.WithoutFlags {
		if hasFlag(m.flags, f) {
			return false
		}
	}
	return true
}

func matchDates(m *message, c *imap.SearchCriteria) bool {
	if !between(m.date, c.Since, c.Before) {
		return false
	}
	if c.SentSince.IsZero() && c.SentBefore.IsZero() {
		return true
	}
	sent, err := mail.ParseDate(field(m.body, "Date"))
	return err == nil && between(sent, c.SentSince, c.SentBefore)
}

// between compares days, as SEARCH does: time of day and zone are disregarded.
func between(t, since, before time.Time) bool {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return (since.IsZero() || !day.Before(since)) && (before.IsZero() || day.Before(before))
}

func matchSize(m *message, c *imap.SearchCriteria) bool {
	size := uint32(len(m.body))
	return (c.Larger == 0 || size > c.Larger) && (c.Smaller == 0 || size < c.Smaller)
}

func matchText(m *message, c *imap.SearchCriteria) bool {
	for name, wants := range c.Header {
		for _, want := range wants {
			if !hasField(m.body, name, want) {
				return false
			}
		}
	}
	_, text := split(m.body)
	for _, want := range c.Body {
		if !contains(text, want) {
			return false
		}
	}
	for _, want := range c.Text {
		if !contains(m.body, want) {
			return false
		}
	}
	return true
}

func contains(in []byte, want string) bool {
	return bytes.Contains(bytes.ToLower(in), bytes.ToLower([]byte(want)))
}

// hasField reports whether a header field has want in its value; an empty want matches any value.
func hasField(body []byte, name, want string) bool {
	head, _ := split(body)
	found := false
	eachField(head, func(n string, raw []byte) {
		if strings.EqualFold(n, name) {
			found = found || contains(raw[len(n)+1:], want)
		}
	})
	return found
}

// field returns the value of the first field of that name.
func field(body []byte, name string) string {
	head, _ := split(body)
	value := ""
	eachField(head, func(n string, raw []byte) {
		if value == "" && strings.EqualFold(n, name) {
			_, v, _ := strings.Cut(string(raw), ":")
			value = strings.Join(strings.Fields(v), " ")
		}
	})
	return value
}
