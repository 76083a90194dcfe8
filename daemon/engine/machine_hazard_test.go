package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// hazard plays what no user does: things that happen to logs, ids, clock and stores. What a log loses is lost together with appends that are on their way, or
// they could be doubled: nobody knows of them any more.
func (m *machine) hazard(s step) error {
	switch s.what {
	case "clock":
		m.advance(time.Duration(s.n) * time.Second)
		return nil
	case "bump":
		m.land()
		return m.bump(s)
	case "backup":
		if srv := m.srv[s.side]; srv != nil {
			m.backups[s.side] = srv.Backup()
		}
		return nil
	case "restore":
		return m.restoreStore(s)
	case "save":
		logs, err := readLogs(m.acc.Dir)
		m.saved = logs
		return err
	case "revert":
		if m.saved == nil {
			return nil
		}
		m.forgotten(true)
		return m.saved.restore(m.acc.Dir, s.logs)
	case "lose":
		m.forgotten(s.logs != [3]bool{true, true, true})
		return logFiles{}.restore(m.acc.Dir, s.logs)
	case "truncate":
		m.forgotten(true)
		return m.tails(s.logs, func(data []byte) []byte { return data[:max(0, len(data)-s.n)] })
	case "scribble":
		return m.tails(s.logs, func(data []byte) []byte { return append(data, 40, 1, 2, 3, 4, 5) })
	}
	return fmt.Errorf("no such step: %q", s.what)
}

// forgotten notes that logs lost something.
func (m *machine) forgotten(stale bool) {
	m.land()
	for _, t := range m.tallies {
		t.lost, t.stale = true, t.stale || stale
	}
}

// tails changes the last segments of some logs.
func (m *machine) tails(which [3]bool, change func([]byte) []byte) error {
	for i, name := range logNames {
		if !which[i] {
			continue
		}
		files, err := os.ReadDir(filepath.Join(m.acc.Dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		segments := slices.DeleteFunc(files, func(f os.DirEntry) bool { return strings.Contains(f.Name(), ".") })
		if len(segments) == 0 {
			continue
		}
		path := filepath.Join(m.acc.Dir, name, segments[len(segments)-1].Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, change(data), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// bump gives a mailbox a new UIDVALIDITY; where ids are names all of them change. The contents tell what was there, as far as the state knows them.
func (m *machine) bump(s step) error {
	srv := m.srv[s.side]
	if srv == nil {
		return nil
	}
	for _, t := range m.tallies {
		t.lost = t.lost || t.ever[s.box] > 0
	}
	return unlessVanished(srv.BumpValidity(s.box))
}

// restoreStore brings a memory server back to its backup, and syncs before anybody gives its ids to other messages, which no client could notice. An older copy of the logs
// would speak of a future that never comes.
func (m *machine) restoreStore(s step) error {
	if m.backups[s.side] == nil {
		return nil
	}
	m.land()
	before, err := m.places(s.side)
	if err != nil {
		return err
	}
	m.srv[s.side].Restore(m.backups[s.side])
	m.saved, m.undone = nil, true
	if err := m.replaced(s.side, before, !m.reserve[s.side]); err != nil {
		return err
	}
	for _, box := range append(slices.Clone(userBoxes), "C", "R") {
		m.dropped[box] = true
	}
	r, err := m.sync(m.acc.Open)
	m.note("      -> %s", outcome(r, err))
	return err
}
