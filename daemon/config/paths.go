package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Env is the environment that a configuration is read in.
type Env struct {
	Lookup func(name string) (string, bool) // as os.LookupEnv
}

func (e Env) get(name string) string {
	if e.Lookup == nil {
		return ""
	}
	v, _ := e.Lookup(name)
	return v
}

// home returns the home directory: $HOME, as every other program of the user does.
func (e Env) home() (string, error) {
	h := e.get("HOME")
	if h == "" {
		return "", errors.New("HOME is not set")
	}
	if !filepath.IsAbs(h) {
		return "", fmt.Errorf("HOME is not an absolute path: %q", h)
	}
	return h, nil
}

// DefaultFile returns where the configuration is when nobody says otherwise: $XDG_CONFIG_HOME/driftless/config.toml, with
// ~/.config in the place of an unset variable.
func DefaultFile(env Env) (string, error) {
	dir := env.get("XDG_CONFIG_HOME")
	// A relative value is to be ignored, says the XDG base directory specification.
	if !filepath.IsAbs(dir) {
		h, err := env.home()
		if err != nil {
			return "", fmt.Errorf("cannot tell where the configuration is: %w", err)
		}
		dir = filepath.Join(h, ".config")
	}
	return filepath.Join(dir, "driftless", "config.toml"), nil
}

// defaultStateDir: systemd's STATE_DIRECTORY is a list of directories, of which the first is ours. XDG_STATE_HOME is not looked at:
// a shell and a timer that disagree about it would keep two states for one mailbox.
func defaultStateDir(env Env) (string, error) {
	if dir, _, _ := strings.Cut(env.get("STATE_DIRECTORY"), ":"); filepath.IsAbs(dir) {
		return filepath.Clean(dir), nil
	}
	h, err := env.home()
	if err != nil {
		return "", err
	}
	return filepath.Join(h, ".local", "state", "driftless"), nil
}

func defaultSocket(env Env, stateDir string) string {
	if dir := env.get("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "driftless.sock")
	}
	return filepath.Join(stateDir, "driftless.sock")
}

// expand returns path with a leading "~" and $NAME or ${NAME} replaced, "$$" being a dollar sign, cleaned, and made absolute
// from base. A variable that is not set is an error: an empty one could turn a path into a very different one.
func expand(path, base string, env Env) (string, error) {
	if strings.ContainsRune(path, 0) {
		return "", errors.New("has a NUL character")
	}
	var b strings.Builder
	rest := path
	if first, _, _ := strings.Cut(path, "/"); strings.HasPrefix(first, "~") {
		if first != "~" {
			return "", fmt.Errorf("%q: only ~ itself is expanded, not another user's home", first)
		}
		h, err := env.home()
		if err != nil {
			return "", err
		}
		b.WriteString(h)
		rest = path[1:]
	}
	for {
		before, after, found := strings.Cut(rest, "$")
		b.WriteString(before)
		if !found {
			break
		}
		if strings.HasPrefix(after, "$") {
			b.WriteByte('$')
			rest = after[1:]
			continue
		}
		name, next, err := variable(after)
		if err != nil {
			return "", err
		}
		v := env.get(name)
		if v == "" {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		b.WriteString(v)
		rest = next
	}
	out := b.String()
	if out == "" {
		return "", errors.New("is empty")
	}
	if !filepath.IsAbs(out) {
		out = filepath.Join(base, out)
	}
	return filepath.Clean(out), nil
}

// variable splits what follows a dollar sign into the name and the rest.
func variable(s string) (name, rest string, err error) {
	if inner, ok := strings.CutPrefix(s, "{"); ok {
		name, rest, ok = strings.Cut(inner, "}")
		if !ok || !isVariable(name) {
			return "", "", errors.New("${ without a name and }")
		}
		return name, rest, nil
	}
	n := 0
	for n < len(s) && isVariable(s[:n+1]) {
		n++
	}
	if n == 0 {
		return "", "", errors.New("$ without a name; write $$ for a dollar sign")
	}
	return s[:n], s[n:], nil
}

// isVariable reports whether s is the name of an environment variable.
func isVariable(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '_':
		case c >= '0' && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return s != ""
}

// within reports whether path is dir or lies in it. Both are clean and absolute.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
