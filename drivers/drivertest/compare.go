package drivertest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// Held is a message as Compare sees it.
type Held struct {
	Content merge.Content
	Flags   merge.Flags
	Date    time.Time
	Size    int64 // bytes as stored
}

// String describes it without any content of the mail.
func (h Held) String() string {
	return fmt.Sprintf("%x %s %s", h.Content[:4], h.Flags, h.Date.UTC().Format(time.RFC3339))
}

// equal compares what both sides must agree on.
func (h Held) equal(o Held) bool {
	return h.Content == o.Content && h.Flags.Equal(o.Flags) && h.Date.Equal(o.Date)
}

func (h Held) compare(o Held) int {
	return cmp.Or(slices.Compare(h.Content[:], o.Content[:]), cmp.Compare(lowered(h.Flags), lowered(o.Flags)), h.Date.Compare(o.Date))
}

// lowered returns the names of flags in one spelling.
func lowered(f merge.Flags) string {
	b := []byte(f.String())
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Contents reads a store in full: the messages of each mailbox that can be opened, sorted.
func Contents(ctx context.Context, s drivers.Store) (map[string][]Held, error) {
	l, err := s.List(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	out := map[string][]Held{}
	for _, i := range l {
		if i.NoSelect {
			continue
		}
		if _, twice := out[i.Name]; twice {
			return nil, fmt.Errorf("mailbox %q is listed twice", i.Name)
		}
		h, err := contentsOf(ctx, s, i.Name)
		if err != nil {
			return nil, fmt.Errorf("mailbox %q: %w", i.Name, err)
		}
		out[i.Name] = h
	}
	return out, nil
}

func contentsOf(ctx context.Context, s drivers.Store, name string) (out []Held, err error) {
	b, err := s.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	flags := map[merge.ID]merge.Flags{}
	_, err = b.Changes(ctx, "", drivers.Full, func(e drivers.Entry) error {
		flags[e.ID] = e.Flags
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list messages: %w", err)
	}
	ids := slices.Sorted(maps.Keys(flags))
	err = b.Fetch(ctx, ids, func(f drivers.Fetched) error {
		if f.Err != nil {
			return f.Err
		}
		h := Held{Flags: flags[f.ID], Date: f.Date, Size: f.Content.Size()}
		var err error
		h.Content, err = digestOf(f.Content)
		out = append(out, h)
		return errors.Join(err, f.Content.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("fetch: %w", err)
	}
	if len(out) != len(ids) {
		return nil, fmt.Errorf("%d messages are listed, %d fetched", len(ids), len(out))
	}
	slices.SortFunc(out, Held.compare)
	return out, nil
}

func digestOf(c drivers.Content) (merge.Content, error) {
	r, err := c.Open()
	if err != nil {
		return merge.Content{}, fmt.Errorf("open content: %w", err)
	}
	d := merge.NewDigest()
	_, err = io.Copy(d, r)
	if err = errors.Join(err, r.Close()); err != nil {
		return merge.Content{}, fmt.Errorf("read content: %w", err)
	}
	_, content := d.Sum()
	return content, nil
}

// Compare reads two stores in full and returns in what they differ, nothing if they are identical: mailboxes, and in each of them the messages
// with canonical content, flags and date, equal ones counted. Ids and order do not matter.
func Compare(ctx context.Context, a, b drivers.Store) ([]string, error) {
	left, err := Contents(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("left store: %w", err)
	}
	right, err := Contents(ctx, b)
	if err != nil {
		return nil, fmt.Errorf("right store: %w", err)
	}
	return Differences(left, right), nil
}

// Differences returns in what two results of Contents differ, sorted by mailbox.
func Differences(left, right map[string][]Held) []string {
	var out []string
	names := maps.Clone(left)
	maps.Copy(names, right)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		l, inLeft := left[name]
		r, inRight := right[name]
		switch {
		case !inRight:
			out = append(out, fmt.Sprintf("mailbox %q with %d messages is missing on right", name, len(l)))
			continue
		case !inLeft:
			out = append(out, fmt.Sprintf("mailbox %q with %d messages is missing on left", name, len(r)))
			continue
		}
		onlyLeft, onlyRight := without(l, r), without(r, l)
		for _, h := range onlyLeft {
			out = append(out, fmt.Sprintf("mailbox %q: only on left: %s", name, h))
		}
		for _, h := range onlyRight {
			out = append(out, fmt.Sprintf("mailbox %q: only on right: %s", name, h))
		}
	}
	return out
}

// without returns what is in a more often than in b. Both are sorted.
func without(a, b []Held) []Held {
	var out []Held
	for _, h := range a {
		for len(b) > 0 && b[0].compare(h) < 0 {
			b = b[1:]
		}
		if len(b) > 0 && b[0].equal(h) {
			b = b[1:]
			continue
		}
		out = append(out, h)
	}
	return out
}
