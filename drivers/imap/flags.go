package imap

import (
	"context"
	"strings"

	"driftless/drivers"
	"driftless/merge"
)

// group is the messages that get the same change.
type group struct {
	add, remove merge.Flags
	uids        []uint32
}

// SetFlags changes flags: one STORE per distinct change and set of messages, all in one flight. What the server answers are the flags as they
// are afterwards; messages that it says nothing of are looked at once more.
func (m *mailbox) SetFlags(ctx context.Context, changes []drivers.FlagChange) ([]drivers.FlagResult, error) {
	const op = "change flags in"
	res := make([]drivers.FlagResult, len(changes))
	for i := range res {
		res[i].Err = m.notDone(op)
	}
	c, err := m.st.pool.take(ctx, m.name)
	if err != nil {
		return res, err
	}
	defer m.st.pool.give(c)
	ids := make([]merge.ID, len(changes))
	for i, ch := range changes {
		ids[i] = ch.ID
	}
	sel, err := m.ensure(ctx, c, ids...)
	if err != nil {
		return res, classify(op, m.name, drivers.ReachMailbox, err)
	}
	if sel.readOnly {
		return res, classify(op, m.name, drivers.ReachMailbox, drivers.ErrReadOnly)
	}
	index := map[uint32][]int{} // by UID
	var groups []*group
	byKey := map[[2]merge.Flags]*group{}
	var all []uint32
	for i, ch := range changes {
		v, u, ok := parseID(ch.ID)
		if !ok || v != sel.validity {
			res[i].Err = m.errStale(op)
			continue
		}
		key := [2]merge.Flags{sel.storable(ch.Add), sel.wordable(ch.Remove)}
		g := byKey[key]
		if g == nil {
			g = &group{add: key[0], remove: key[1]}
			byKey[key] = g
			groups = append(groups, g)
		}
		g.uids = append(g.uids, u)
		index[u] = append(index[u], i)
		all = append(all, u)
	}
	if len(all) == 0 {
		return res, nil
	}
	set := newUIDSet(all)
	now := map[uint32]item{}
	failed, err := m.store(ctx, c, sel, groups, set, now)
	if err != nil {
		return res, classify(op, m.name, drivers.ReachMailbox, err)
	}
	if err := m.lookMissing(ctx, c, sel.validity, set, now); err != nil {
		return res, classify(op, m.name, drivers.ReachMailbox, err)
	}
	for u, is := range index {
		for _, i := range is {
			it, there := now[u]
			switch {
			case !there:
				res[i] = drivers.FlagResult{Err: &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryNow, Err: drivers.ErrGone}}
			case failed[u] != nil:
				res[i] = drivers.FlagResult{Flags: it.flags, Err: classify(op, m.name, drivers.ReachMessage, failed[u])}
			default:
				res[i] = drivers.FlagResult{Flags: it.flags}
			}
		}
	}
	return res, nil
}

// notDone is the result of what was not tried.
func (m *mailbox) notDone(op string) error {
	return &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMessage, Retry: drivers.RetryLater, Err: errNotTried}
}

// wordable returns the flags that can be said in a command.
func (s selection) wordable(f merge.Flags) merge.Flags {
	var out []string
	for _, n := range f.Names() {
		if isKeyword(strings.TrimPrefix(n, `\`)) {
			out = append(out, n)
		}
	}
	return merge.NewFlags(out...)
}

// storing is one STORE of a flight.
type storing struct {
	com *command
	g   *group
	set uidSet
}

// store flies the STOREs. now gets the flags that the server tells; failed the refusals by UID. A refusal because of
// keywords is answered by storing the rest without new ones.
func (m *mailbox) store(ctx context.Context, c *conn, sel selection, groups []*group, set uidSet, now map[uint32]item) (failed map[uint32]error, err error) {
	failed = map[uint32]error{}
	var jobs []storing
	for _, g := range groups {
		for _, part := range newUIDSet(g.uids).split(0) {
			if !g.remove.Empty() {
				jobs = append(jobs, storing{cmd("UID STORE %s -FLAGS %s", part, g.remove), g, part})
			}
			if !g.add.Empty() {
				jobs = append(jobs, storing{cmd("UID STORE %s +FLAGS %s", part, g.add), g, part})
			}
		}
	}
	const atOnce = 100
	for len(jobs) > 0 {
		n := min(len(jobs), atOnce)
		f := newFlight()
		for _, j := range jobs[:n] {
			f.cmds = append(f.cmds, j.com)
		}
		f.data = c.collectFlags(set, now)
		if err := c.fly(ctx, f); err != nil {
			return nil, err
		}
		for _, j := range jobs[:n] {
			if j.com.ok() {
				continue
			}
			if less := j.g.add.Intersect(sel.present.Union(merge.SystemFlags(j.g.add.System()))); aboutKeywords(j.com.st) && !less.Equal(j.g.add) {
				if !less.Empty() {
					g := &group{add: less, uids: j.g.uids}
					again, err := m.store(ctx, c, sel, []*group{g}, set, now)
					if err != nil {
						return nil, err
					}
					for u, e := range again {
						failed[u] = e
					}
				}
				continue
			}
			refused := j.com.refused()
			_ = j.set.each(func(u uint32) error { failed[u] = refused; return nil })
		}
		jobs = jobs[n:]
	}
	return failed, nil
}

// lookMissing asks for the flags of the messages that the answers did not name.
func (m *mailbox) lookMissing(ctx context.Context, c *conn, validity uint32, set uidSet, now map[uint32]item) error {
	got := make(map[uint32]bool, len(now))
	for u := range now {
		got[u] = true
	}
	for _, part := range set.without(got).split(0) {
		more, err := m.flagsNow(ctx, c, validity, part)
		if err != nil {
			return err
		}
		for u, it := range more {
			now[u] = it
		}
	}
	return nil
}
