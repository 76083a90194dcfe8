package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
)

// lockedWriter serialises writers and remembers the first failure.
type lockedWriter struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

// Write writes all of p or remembers why it could not.
func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.w.Write(p)
	l.err = err
	return n, err
}

// redirect sends what follows to another writer and returns a function that undoes it.
func (l *lockedWriter) redirect(w io.Writer) (undo func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.w
	l.w = w
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.w = before
	}
}

func (l *lockedWriter) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// object writes one JSON object as a line to stdout.
func (a *app) object(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		b = []byte(`{"type":"error","text":"cannot be shown as JSON"}`)
	}
	_, _ = a.stdout.Write(append(b, '\n')) // a failure is remembered
}

// perSide is a pair of numbers in JSON.
type perSide struct {
	Left  int `json:"left"`
	Right int `json:"right"`
}

func sides(n [2]int) perSide { return perSide{n[0], n[1]} }

// plural returns "1 mailbox", "2 mailboxes".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func mailboxes(n int) string { return plural(n, "mailbox", "mailboxes") }

func messages(n int) string { return plural(n, "message", "messages") }

// clean replaces what could steer a terminal: names and server texts come from outside.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return '?'
		}
		return r
	}, s)
}

// byteCount returns a size for people.
func byteCount(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}

// took returns a duration for people.
func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// since says how long ago something was.
func since(now, then time.Time) string {
	d := now.Sub(then)
	switch {
	case d < 0:
		return "in the future"
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return plural(int(d/time.Minute), "minute", "minutes") + " ago"
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour", "hours") + " ago"
	}
	return plural(int(d/(24*time.Hour)), "day", "days") + " ago"
}

// table writes rows with aligned columns; columns whose head begins with a blank are aligned to the right.
func (a *app) table(indent string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	for _, r := range rows {
		var b strings.Builder
		b.WriteString(indent)
		for i, c := range r {
			if i > 0 {
				b.WriteString("  ")
			}
			pad := strings.Repeat(" ", width[i]-len([]rune(c)))
			if strings.HasPrefix(rows[0][i], " ") {
				b.WriteString(pad + c)
			} else {
				b.WriteString(c + pad)
			}
		}
		a.print("%s\n", strings.TrimRight(b.String(), " "))
	}
}

// The colours of output, each with its meaning.
const (
	styleGood  = "\x1b[32m"
	styleBad   = "\x1b[31m"
	styleMaybe = "\x1b[33m"
	styleHead  = "\x1b[1m"
	styleReset = "\x1b[0m"
)

// style colours s where stdout takes colours.
func (a *app) style(code, s string) string {
	if !a.colour() {
		return s
	}
	return code + s + styleReset
}
