package config

import (
	"fmt"
	"strings"
)

// Error is one thing that is wrong in a configuration file.
type Error struct {
	File   string
	Line   int // from 1; 0 when the error concerns no place in the file
	Column int // in bytes, from 1
	Key    string
	Text   string
}

// Error returns "file:line:column: key: text", without the parts that are not known.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	b.WriteString(": ")
	if e.Key != "" {
		b.WriteString(e.Key)
		b.WriteString(": ")
	}
	b.WriteString(e.Text)
	return b.String()
}

// Errors is everything that is wrong in a configuration file, in the order of the file. It is never empty.
type Errors []*Error

// Error returns one line per error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the single errors.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, one := range e {
		out[i] = one
	}
	return out
}
