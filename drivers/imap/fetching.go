package imap

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"driftless/drivers"
)

// fetching is one call of Fetch.
type fetching struct {
	m        *mailbox
	validity uint32
	want     uidSet
	got      map[uint32]bool // what was yielded
	yield    func(drivers.Fetched) error
	carries  bool // a message came through: when another does not, that is the message's fault
}

// pass yields a message and remembers that it came through.
func (f *fetching) pass(out drivers.Fetched) error {
	f.carries = f.carries || out.Err == nil
	return f.yield(out)
}

// set fetches one command's worth of messages. When the server refuses or the connection breaks, what did not come is asked
// for again; without progress, in halves, so that one bad message does not stop the others. A message that fails alone, twice, cannot
// be read, provided that others can: a connection that breaks on whatever it should carry is trouble with the store.
func (f *fetching) set(ctx context.Context, set uidSet) error {
	m := f.m
	for tries := 0; ; {
		before := len(f.got)
		err := m.fetchLeased(ctx, f.validity, set, f.got, f.pass)
		var ye *yieldError
		var de *drivers.Error
		switch {
		case errors.As(err, &ye):
			return ye.err
		case err == nil, errors.As(err, &de):
			return err
		case ctx.Err() != nil:
			return classify("fetch from", m.name, drivers.ReachStore, context.Cause(ctx))
		}
		m.st.opt.Logger.Debug("fetching again after an error", zap.String("mailbox", m.name), zap.Error(err))
		rest := set.without(f.got)
		switch n := rest.count(); {
		case n == 0:
			return nil
		case len(f.got) > before:
			set, tries = rest, 0
		case n > 1:
			for _, half := range rest.split((n + 1) / 2) {
				if half = half.without(f.got); len(half) == 0 {
					continue
				}
				if err := f.set(ctx, half); err != nil {
					return err
				}
			}
			return nil
		default:
			if tries++; tries < 2 {
				continue
			}
			u := rest[0].first
			if broke(err) {
				if perr := f.probe(ctx, u); perr != nil {
					return perr
				}
				if !f.carries {
					return f.nothingComes(err)
				}
			}
			f.got[u] = true
			return f.yield(drivers.Fetched{ID: makeID(f.validity, u), Err: unreadable(m.name, err)})
		}
	}
}

// broke reports whether a fetch failed because the connection ended, rather than by what the server said.
func broke(err error) bool {
	var ref *refusal
	var le *literalError
	var pe *protocolError
	return !errors.As(err, &ref) && !errors.As(err, &le) && !errors.As(err, &pe)
}

// nothingComes classifies connections that broke on every message. With a single message in the mailbox it cannot be told which of the
// two is at fault; then the other mailboxes go on.
func (f *fetching) nothingComes(err error) error {
	reach := drivers.ReachStore
	if f.want.count() == 1 {
		reach = drivers.ReachMailbox
	}
	return &drivers.Error{Op: "fetch from", Where: f.m.name, Reach: reach, Retry: drivers.RetryLater, Err: err}
}

// probe finds out, where nothing has come through yet, whether any message does: a few others that are wanted, too, then a few others
// of the mailbox. The error is for what stops the whole call.
func (f *fetching) probe(ctx context.Context, suspect uint32) error {
	if f.carries {
		return nil
	}
	for _, u := range f.want.without(map[uint32]bool{suspect: true}).sample() {
		if f.got[u] {
			continue
		}
		if err := f.try(ctx, u, f.got, f.pass); err != nil || f.carries {
			return err
		}
	}
	others, err := f.others(ctx)
	if err != nil {
		return err
	}
	for _, u := range others.sample() {
		err := f.try(ctx, u, map[uint32]bool{}, func(out drivers.Fetched) error {
			if out.Err != nil {
				return nil
			}
			f.carries = true
			return out.Content.Close()
		})
		if err != nil || f.carries {
			return err
		}
	}
	return nil
}

// try fetches one message. That it does not come is no error.
func (f *fetching) try(ctx context.Context, u uint32, got map[uint32]bool, yield func(drivers.Fetched) error) error {
	err := f.m.fetchLeased(ctx, f.validity, uidSet{{u, u}}, got, yield)
	var ye *yieldError
	var de *drivers.Error
	switch {
	case errors.As(err, &ye):
		return ye.err
	case errors.As(err, &de):
		return err
	case ctx.Err() != nil:
		return classify("fetch from", f.m.name, drivers.ReachStore, context.Cause(ctx))
	}
	return nil
}

// others returns the messages of the mailbox that were not asked for.
func (f *fetching) others(ctx context.Context) (uidSet, error) {
	var found uidSet
	err := f.m.st.read(ctx, "fetch from", f.m.name, func(c *conn) error {
		if _, err := f.m.ensure(ctx, c); err != nil {
			return err
		}
		fl := newFlight(c.searchCommand("UID 1:*"))
		fl.data = func(_ uint32, name string, s *scanner) error {
			if name != "SEARCH" && name != "ESEARCH" {
				return nil
			}
			set, err := parseSearch(name, s)
			found = normalize(append(found, set...))
			return err
		}
		if err := c.fly(ctx, fl); err != nil {
			return err
		}
		return fl.cmds[0].refused()
	})
	return found.minus(f.want), err
}
