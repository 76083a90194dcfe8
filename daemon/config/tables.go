package config

import (
	"maps"
	"slices"
	"strings"
	"time"

	"driftless/merge"
)

// config reads the whole file.
func (p *parser) config(c *Config, v value) {
	p.table(v, topFields(c))
	if _, said := v.any.(map[string]any)["state_dir"]; !said {
		dir, err := defaultStateDir(p.env)
		if err != nil {
			p.failKey(v, "state_dir is not set and has no default here: %v", err)
		}
		c.StateDir = dir
	}
	if _, said := v.any.(map[string]any)["socket"]; !said {
		c.Socket = defaultSocket(p.env, c.StateDir)
	}
	p.localPlaces(c)
}

// accounts reads all accounts in the order of the file.
func (p *parser) accounts(c *Config, v value) {
	m, ok := v.any.(map[string]any)
	if !ok {
		p.fail(v, "must be tables [accounts.NAME], not %s", kindOf(v.any))
		return
	}
	if len(m) == 0 {
		p.failKey(v, "there is no account; begin one with [accounts.NAME]")
	}
	var tables []value
	for name, inner := range m {
		tables = append(tables, p.child(v, name, inner))
	}
	slices.SortFunc(tables, func(a, b value) int { return a.at.key - b.at.key })
	folded := map[string]string{}
	for _, t := range tables {
		name := t.path[len(t.path)-1]
		if err := accountName(name); err != nil {
			p.failKey(t, "%v", err)
			continue
		}
		// Each account has a directory, and there are file systems that fold case.
		if first, taken := folded[strings.ToLower(name)]; taken {
			p.failKey(t, "differs from the account %q in case only", first)
			continue
		}
		folded[strings.ToLower(name)] = name
		c.Accounts = append(c.Accounts, p.account(name, t))
	}
}

// account reads one account.
func (p *parser) account(name string, v value) Account {
	a := Account{
		Name: name, Mailboxes: AllMailboxes(), Interval: 15 * time.Minute,
		Conflict: merge.ConflictDelete, New: merge.Both, Flags: merge.Both, Deletions: merge.Both, CreateMailboxes: merge.Both,
		Guard: Guard{Percent: 25, AtLeast: 20, AtMost: 5000},
	}
	p.table(v, accountFields(&a))
	p.sameUser(a, v)
	return a
}

// sameUser refuses two sides that are one store on a server.
func (p *parser) sameUser(a Account, v value) {
	l, r := a.Store[merge.Left].IMAP, a.Store[merge.Right].IMAP
	if l == nil || r == nil || l.Host == "" {
		return
	}
	if strings.EqualFold(l.Host, r.Host) && l.Port == r.Port && l.User == r.User {
		p.failKey(v, "left and right are the same user on the same server")
	}
}

// store reads one side, by its driver.
func (p *parser) store(s *Store, v value) {
	m, ok := v.any.(map[string]any)
	if !ok {
		p.fail(v, "must be a table, not %s", kindOf(v.any))
		return
	}
	inner, there := m["driver"]
	if !there {
		p.failKey(v, "the key %q is missing; it is one of %s", "driver", quoted(driverWords))
		return
	}
	driver, ok := p.choice(p.child(v, "driver", inner), driverWords...)
	switch {
	case !ok:
	case driver == driverMaildir:
		s.Maildir = &Maildir{Layout: LayoutFS}
		p.table(p.without(v, driver, imapFields(&IMAP{})), maildirFields(s.Maildir))
	default:
		s.IMAP = &IMAP{TLS: TLSImplicit, Connections: 4, Timeout: time.Minute}
		p.table(p.without(v, driver, maildirFields(&Maildir{})), imapFields(s.IMAP))
		p.imap(s.IMAP, v)
	}
}

// without returns the table without the keys of another driver, each of them being reported as what it is.
func (p *parser) without(v value, driver string, others []field) value {
	mine := imapFields(&IMAP{})
	if driver == driverMaildir {
		mine = maildirFields(&Maildir{})
	}
	m := maps.Clone(v.any.(map[string]any))
	for _, f := range others {
		same := func(g field) bool { return g.Name == f.Name }
		if inner, there := m[f.Name]; there && !slices.ContainsFunc(mine, same) {
			best, _ := nearest(f.Name, keyNames(mine))
			p.failKey(p.child(v, f.Name, inner), "the driver %q has no such key; the nearest valid key is %q", driver, best)
			delete(m, f.Name)
		}
	}
	v.any = m
	return v
}

func keyNames(fields []field) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f.Name)
	}
	return out
}

// imap checks what concerns several keys of an IMAP store.
func (p *parser) imap(s *IMAP, v value) {
	if s.Port == 0 {
		s.Port = 143
		if s.TLS == TLSImplicit {
			s.Port = 993
		}
	}
	if s.TLS == TLSNone && s.Host != "" && !s.Insecure && !isLoopback(s.Host) {
		at := p.child(v, "tls", nil)
		p.fail(at, `"none" would send the password to %s in the clear; use "implicit" or "starttls", or set insecure = true`, s.Host)
	}
	m := v.any.(map[string]any)
	var sources []string
	for _, key := range []string{"password_command", "password_file", "password_env"} {
		if _, there := m[key]; there {
			sources = append(sources, key)
		}
	}
	refused := false
	for _, key := range []string{"keyring", "credential", "oauth2", "password"} {
		_, there := m[key]
		refused = refused || there
	}
	switch {
	case len(sources) == 0 && !refused:
		p.failKey(v, "there is no password: one of password_command, password_file, password_env is needed")
	case len(sources) > 1:
		slices.SortFunc(sources, func(a, b string) int { return p.child(v, a, nil).at.key - p.child(v, b, nil).at.key })
		p.failKey(p.child(v, sources[1], nil), "only one of password_command, password_file, password_env can be set, and %s is", sources[0])
	}
}

// globs reads the selection of mailboxes.
func (p *parser) globs(a *Account, v value) {
	elems, ok := p.texts(v)
	if !ok {
		return
	}
	var patterns []string
	wrong := false
	for _, e := range elems {
		if _, err := parseGlob(e.any.(string)); err != nil {
			p.fail(e, "%q: %v", e.any, err)
			wrong = true
			continue
		}
		patterns = append(patterns, e.any.(string))
	}
	if wrong {
		return
	}
	g, err := ParseGlobs(patterns...)
	if err != nil {
		p.fail(v, "%v", err)
		return
	}
	a.Mailboxes = g
}

func (p *parser) conflict(a *Account, v value) {
	s, ok := p.choice(v, conflictWords...)
	switch {
	case !ok:
	case s == "ask" || s == "fail":
		p.later(v, `this version can "delete", "keep", or let "left" or "right" win`)
	default:
		a.Conflict = map[string]merge.ConflictPolicy{
			"delete": merge.ConflictDelete, "keep": merge.ConflictKeep, "left": merge.ConflictLeft, "right": merge.ConflictRight,
		}[s]
	}
}

func (p *parser) trash(v value) {
	s, ok := p.text(v)
	if !ok || s == "" {
		return
	}
	if _, err := mailboxName(s); err != nil {
		p.fail(v, "%v", err)
		return
	}
	p.later(v, "this version expunges what is deleted; leave it empty")
}

// window reads max_age or max_size: this version only knows the empty one.
func (p *parser) window(v value, check func(string) error, all string) {
	s, ok := p.text(v)
	if !ok || s == "" {
		return
	}
	if err := check(s); err != nil {
		p.fail(v, "%v", err)
		return
	}
	p.later(v, "this version syncs "+all+"; leave it empty")
}

// argv reads a command.
func (p *parser) argv(v value) []string {
	if s, ok := v.any.(string); ok {
		p.fail(v, "must be a list of program and arguments, as no shell takes it apart: %s", quotedList(strings.Fields(s)))
		return nil
	}
	elems, ok := p.texts(v)
	if !ok {
		return nil
	}
	var out []string
	for _, e := range elems {
		arg := e.any.(string)
		if strings.ContainsRune(arg, 0) {
			p.fail(e, "has a NUL character")
			return nil
		}
		out = append(out, arg)
	}
	if len(out) == 0 || out[0] == "" {
		p.fail(v, "names no program")
		return nil
	}
	// Only the program is a path; arguments are taken as they are.
	if strings.ContainsAny(out[0], "/~$") {
		program, err := expand(out[0], p.dir(), p.env)
		if err != nil {
			p.fail(elems[0], "%v", err)
			return nil
		}
		out[0] = program
	}
	return out
}

func quotedList(words []string) string { return "[" + quoted(words) + "]" }

func (p *parser) extensions(s *IMAP, v value) {
	elems, ok := p.texts(v)
	if !ok {
		return
	}
	for _, e := range elems {
		name := strings.ToUpper(e.any.(string))
		if !slices.Contains(extensions, name) {
			best, _ := nearest(name, extensions)
			p.fail(e, "%q is not an extension that driftless uses; the nearest is %q", e.any, best)
			continue
		}
		s.DisableExtensions = append(s.DisableExtensions, name)
	}
}

// rename reads the map of names. What is right of it must be as unique as what is left of it, and INBOX, which every store has, must
// not meet another name.
func (p *parser) rename(a *Account, v value) {
	m, ok := v.any.(map[string]any)
	if !ok {
		p.fail(v, "must be a table, not %s", kindOf(v.any))
		return
	}
	var entries []value
	for left, right := range m {
		entries = append(entries, p.child(v, left, right))
	}
	slices.SortFunc(entries, func(a, b value) int { return a.at.key - b.at.key })
	lefts, rights := map[string]string{}, map[string]string{}
	for _, e := range entries {
		left, err := mailboxName(e.path[len(e.path)-1])
		if err != nil {
			p.failKey(e, "%v", err)
			continue
		}
		s, isText := p.text(e)
		if !isText {
			continue
		}
		right, err := mailboxName(s)
		if err != nil {
			p.fail(e, "%v", err)
			continue
		}
		if _, taken := lefts[left]; taken {
			p.failKey(e, "the left name %q is renamed twice", left)
			continue
		}
		if other, taken := rights[right]; taken {
			p.fail(e, "%q and %q would meet in the right mailbox %q", other, left, right)
			continue
		}
		lefts[left], rights[right] = right, left
	}
	if len(lefts) < len(m) {
		return // something is wrong already, and what follows could be due to it
	}
	if left, there := rights[Inbox]; there && lefts[Inbox] == "" {
		p.failKey(v, "%q and %q would meet in the right mailbox %q", left, Inbox, Inbox)
	}
	if right, there := lefts[Inbox]; there && rights[Inbox] == "" {
		p.failKey(v, "the right mailboxes %q and %q would meet in the left mailbox %q", right, Inbox, Inbox)
	}
	for left, right := range lefts {
		if left == right {
			delete(lefts, left)
		}
	}
	a.Rename = lefts
}
