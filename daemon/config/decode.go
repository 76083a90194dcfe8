package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// place is where a key and its value stand, as byte offsets.
type place struct{ key, value int }

// value is a decoded TOML value with its path and place.
type value struct {
	any  any
	path []string
	at   place
}

// parser turns a document into a Config and collects what is wrong.
type parser struct {
	file   string
	doc    []byte
	env    Env
	places map[string]place // by joined path
	errs   Errors
}

// Parse parses the text of a configuration file. file is its absolute path: it stands in errors, and relative paths
// in the configuration start at its directory. The error is Errors.
func Parse(file string, doc []byte, env Env) (*Config, error) {
	p := &parser{file: file, doc: doc, env: env, places: map[string]place{}}
	// The library checks the document as a whole first, duplicate keys and tables included; then the places are collected
	// from its syntax tree, which it offers without a check across expressions.
	var root map[string]any
	if err := toml.Unmarshal(doc, &root); err != nil {
		return nil, Errors{p.syntaxError(err)}
	}
	if err := p.locate(); err != nil {
		return nil, Errors{p.syntaxError(err)}
	}
	cfg := &Config{File: file}
	p.config(cfg, value{any: root})
	if len(p.errs) > 0 {
		slices.SortStableFunc(p.errs, func(a, b *Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Column - b.Column
		})
		return nil, p.errs
	}
	return cfg, nil
}

func (p *parser) syntaxError(err error) *Error {
	e := &Error{File: p.file, Text: "not valid TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
	var de *toml.DecodeError
	if errors.As(err, &de) {
		e.Line, e.Column = de.Position()
	}
	return e
}

// locate fills in places.
func (p *parser) locate() error {
	var up unstable.Parser
	up.Reset(p.doc)
	var table []string
	for up.NextExpression() {
		n := up.Expression()
		switch n.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = p.locateKey(nil, n.Key())
		case unstable.KeyValue:
			p.locateValue(p.locateKey(table, n.Key()), n.Value())
		}
	}
	return up.Error()
}

// locateKey notes where the parts of a dotted key stand and returns the whole path. The first mention of a table counts.
func (p *parser) locateKey(base []string, key unstable.Iterator) []string {
	path := slices.Clone(base)
	for key.Next() {
		n := key.Node()
		path = append(path, string(n.Data))
		if id := join(path); !p.located(id) {
			at := int(n.Raw.Offset)
			p.places[id] = place{at, at}
		}
	}
	return path
}

func (p *parser) located(id string) bool { _, ok := p.places[id]; return ok }

func (p *parser) locateValue(path []string, n *unstable.Node) {
	id := join(path)
	switch n.Kind {
	case unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			if kv := it.Node(); kv.Kind == unstable.KeyValue {
				p.locateValue(p.locateKey(path, kv.Key()), kv.Value())
			}
		}
	case unstable.Array:
		i := 0
		for it := n.Children(); it.Next(); {
			if el := it.Node(); el.Kind != unstable.Comment {
				elem := append(slices.Clone(path), strconv.Itoa(i))
				p.places[join(elem)] = place{p.places[id].key, p.places[id].key}
				p.locateValue(elem, el)
				i++
			}
		}
	default:
		if n.Raw.Length > 0 {
			p.places[id] = place{p.places[id].key, int(n.Raw.Offset)}
		}
	}
}

func join(path []string) string { return strings.Join(path, "\x00") }

// child returns the value of a key in a table, or of an element of an array.
func (p *parser) child(v value, key string, inner any) value {
	path := append(slices.Clone(v.path), key)
	return value{any: inner, path: path, at: p.places[join(path)]}
}

// fail notes an error at a value.
func (p *parser) fail(v value, format string, args ...any) {
	p.failAt(v.at.value, dotted(v.path), format, args...)
}

// failKey notes an error at a key; in a table without one, at the beginning of the file.
func (p *parser) failKey(v value, format string, args ...any) {
	p.failAt(v.at.key, dotted(v.path), format, args...)
}

func (p *parser) failAt(offset int, key, format string, args ...any) {
	line, column := p.position(offset)
	p.errs = append(p.errs, &Error{p.file, line, column, key, fmt.Sprintf(format, args...)})
}

// position returns the line and column of a byte offset, both from 1.
func (p *parser) position(offset int) (line, column int) {
	before := p.doc[:offset]
	return 1 + bytes.Count(before, []byte("\n")), offset - bytes.LastIndexByte(before, '\n')
}

// dotted returns a path as TOML writes it.
func dotted(path []string) string {
	parts := make([]string, len(path))
	for i, s := range path {
		if parts[i] = s; !isBare(s) {
			parts[i] = strconv.Quote(s)
		}
	}
	return strings.Join(parts, ".")
}

func isBare(s string) bool {
	return s != "" && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// table reads a table by its fields: each key of the file is set once, unknown and missing ones are errors.
func (p *parser) table(v value, fields []field) {
	m, ok := v.any.(map[string]any)
	if !ok {
		p.fail(v, "must be a table, not %s", kindOf(v.any))
		return
	}
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
		inner, there := m[f.Name]
		switch {
		case there:
			f.set(p, p.child(v, f.Name, inner))
		case f.Required:
			p.failKey(v, "the key %q is missing", f.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(names, name) {
			p.unknown(p.child(v, name, m[name]), name, names)
		}
	}
}

func (p *parser) unknown(v value, name string, names []string) {
	if strings.Contains(strings.ToLower(name), "pass") && slices.Contains(names, "password_command") {
		names = slices.DeleteFunc(slices.Clone(names), func(s string) bool { return !strings.HasPrefix(s, "password_") })
		best, _ := nearest(name, names)
		p.failKey(v, "unknown key; a password never stands in the configuration itself; the nearest valid key is %q", best)
		return
	}
	best, near := nearest(name, names)
	if near {
		p.failKey(v, "unknown key; did you mean %q?", best)
		return
	}
	p.failKey(v, "unknown key; the nearest valid key is %q", best)
}

// kindOf names the type of a decoded value as a person would.
func kindOf(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a number"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}

// dir is where relative paths start.
func (p *parser) dir() string { return filepath.Dir(p.file) }
