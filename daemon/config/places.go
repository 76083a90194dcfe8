package config

import (
	"path/filepath"
	"slices"

	"driftless/merge"
)

// localStore is a Maildir of the configuration and where it is said.
type localStore struct {
	at       value  // the key "path"
	path     string // as configured
	resolved string // without symbolic links
}

// localPlaces refuses two local stores, of whatever accounts and sides, that are one place or of which one lies in the other, and a
// state directory in a store: two syncs would take each other's files for mail.
func (p *parser) localPlaces(c *Config) {
	var all []localStore
	for _, a := range c.Accounts {
		for _, side := range merge.Sides {
			m := a.Store[side].Maildir
			if m == nil || m.Path == "" {
				continue
			}
			at := p.child(value{}, "accounts", nil)
			at = p.child(p.child(p.child(at, a.Name, nil), side.String(), nil), "path", nil)
			all = append(all, localStore{at, m.Path, resolve(m.Path)})
		}
	}
	slices.SortFunc(all, func(a, b localStore) int { return a.at.at.value - b.at.at.value })
	state := resolve(c.StateDir)
	for i, s := range all {
		if c.StateDir != "" && within(state, s.resolved) {
			p.fail(s.at, "state_dir %s lies in this Maildir", c.StateDir)
		}
		for _, first := range all[:i] {
			var how string
			switch {
			case s.resolved == first.resolved:
				how = "is the same place as"
			case within(s.resolved, first.resolved):
				how = "lies in"
			case within(first.resolved, s.resolved):
				how = "contains"
			default:
				continue
			}
			line, column := p.position(first.at.at.value)
			p.fail(s.at, "%s %s %s (%s, %d:%d); each store needs a place of its own", s.path, how, first.path, dotted(first.at.path), line, column)
		}
	}
}

// maxPath is more than a file system takes; a longer path is not looked up.
const maxPath = 4096

// resolve returns a clean absolute path with the symbolic links evaluated in as much of it as exists.
func resolve(path string) string {
	if len(path) > maxPath || !filepath.IsAbs(path) {
		return path
	}
	rest := ""
	for dir := path; ; dir = filepath.Dir(dir) {
		if found, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(found, rest)
		}
		if dir == filepath.Dir(dir) {
			return path
		}
		rest = filepath.Join(filepath.Base(dir), rest)
	}
}
