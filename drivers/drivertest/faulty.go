package drivertest

import (
	"context"
	"errors"
	"slices"

	"driftless/drivers"
	"driftless/merge"
)

// Faulty wraps a Store so that the fault of the Plan happens. Without one it behaves as the Store does.
func Faulty(s drivers.Store, p *Plan) drivers.Store { return FaultyNamed(s, p, "") }

// FaultyNamed is Faulty with a word that the names of the points begin with, for a Plan of several Stores.
func FaultyNamed(s drivers.Store, p *Plan, label string) drivers.Store {
	f := &faultyStore{Store: s, plan: p, label: label}
	if l, ok := s.(local); ok {
		return &faultyLocal{faultyStore: f, local: l}
	}
	return f
}

// local is what a store of files can do beside what every Store can: hidden behind a wrapper, it would not be used at all.
type local interface {
	EnsureIdentity(ctx context.Context) (string, error)
	Lock(ctx context.Context) (unlock func(), err error)
}

type faultyLocal struct {
	*faultyStore
	local
}

func (f *faultyLocal) EnsureIdentity(ctx context.Context) (id string, err error) {
	err = f.call("EnsureIdentity", "", func() (err error) { id, err = f.local.EnsureIdentity(ctx); return err })
	if err != nil {
		id = ""
	}
	return id, err
}

type faultyStore struct {
	drivers.Store
	plan  *Plan
	label string
}

// call makes a call that is one point.
func (f *faultyStore) call(op, where string, do func() error) error {
	item, _, err := f.plan.enter(f.label, op, where, 0)
	if err != nil {
		return err
	}
	inner := do
	do = func() error { return f.plan.watched(f.label, op, inner) }
	if item < 0 {
		return do()
	}
	if f.plan.Fault.Applies() {
		if err := do(); err != nil {
			return errors.Join(err, f.plan.strike(op, where))
		}
	}
	return f.plan.strike(op, where)
}

func (f *faultyStore) Identity(ctx context.Context) (id string, err error) {
	err = f.call("Identity", "", func() (err error) { id, err = f.Store.Identity(ctx); return err })
	if err != nil {
		id = ""
	}
	return id, err
}

func (f *faultyStore) List(ctx context.Context, seen map[string]drivers.Cursor) (l []drivers.MailboxInfo, err error) {
	err = f.call("List", "", func() (err error) { l, err = f.Store.List(ctx, seen); return err })
	if err != nil {
		l = nil
	}
	return l, err
}

func (f *faultyStore) Create(ctx context.Context, name string) error {
	return f.call("Create", name, func() error { return f.Store.Create(ctx, name) })
}

func (f *faultyStore) Rename(ctx context.Context, from, to string) error {
	return f.call("Rename", from, func() error { return f.Store.Rename(ctx, from, to) })
}

func (f *faultyStore) Delete(ctx context.Context, name string) error {
	return f.call("Delete", name, func() error { return f.Store.Delete(ctx, name) })
}

func (f *faultyStore) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	var b drivers.Mailbox
	err := f.call("Open", name, func() (err error) { b, err = f.Store.Open(ctx, name); return err })
	if err != nil {
		if b != nil {
			err = errors.Join(err, b.Close())
		}
		return nil, err
	}
	return &faultyBox{Mailbox: b, store: f}, nil
}

type faultyBox struct {
	drivers.Mailbox
	store *faultyStore
}

func (b *faultyBox) call(op string, do func() error) error {
	return b.store.call(op, b.Name(), do)
}

// reading makes a call that yields: one point, and one for each yield if the Plan says so. spoil makes an answer about a message one that it could not be had; a fault of a
// message concerns the first one that the call yields.
func reading[T any](b *faultyBox, op string, yield func(T) error, drop func(T) error, spoil func(*T, error), do func(func(T) error) error) error {
	p := b.store.plan
	item, base, err := p.enter(b.store.label, op, b.Name(), 0)
	if err != nil {
		return err
	}
	one := p.Fault.Reach() == drivers.ReachMessage
	if item >= 0 && !p.Fault.Applies() && !one {
		return p.strike(op, b.Name())
	}
	n := 0
	each := func(x T) error {
		n++
		if !p.enterYield(base, n) && !(one && item >= 0 && n == 1) {
			return yield(x)
		}
		var err error
		if one {
			if err = drop(x); err != nil {
				return err
			}
			spoil(&x, p.strike(op, b.Name()))
			return yield(x)
		}
		if p.Fault.Applies() {
			err = yield(x)
		} else if drop != nil {
			err = drop(x)
		}
		return errors.Join(err, p.strike(op, b.Name()))
	}
	err = p.watched(b.store.label, op, func() error { return do(each) })
	if err == nil && item >= 0 && !one {
		err = p.strike(op, b.Name())
	}
	return err
}

func (b *faultyBox) Changes(ctx context.Context, since drivers.Cursor, scope drivers.Scope, yield func(drivers.Entry) error) (drivers.Observed, error) {
	var end drivers.Observed
	err := reading(b, "Changes", yield, nil, nil, func(y func(drivers.Entry) error) (err error) {
		end, err = b.Mailbox.Changes(ctx, since, scope, y)
		return err
	})
	if err != nil {
		end = drivers.Observed{}
	}
	return end, err
}

func (b *faultyBox) Describe(ctx context.Context, ids []merge.ID, yield func(drivers.Description) error) error {
	return reading(b, "Describe", yield, nil, nil, func(y func(drivers.Description) error) error { return b.Mailbox.Describe(ctx, ids, y) })
}

func (b *faultyBox) Look(ctx context.Context, ids []merge.ID, yield func(drivers.Entry) error) error {
	return reading(b, "Look", yield, nil, nil, func(y func(drivers.Entry) error) error { return b.Mailbox.Look(ctx, ids, y) })
}

func (b *faultyBox) Since(ctx context.Context, mark drivers.Mark, yield func(drivers.Description) error) error {
	return reading(b, "Since", yield, nil, nil, func(y func(drivers.Description) error) error { return b.Mailbox.Since(ctx, mark, y) })
}

func (b *faultyBox) Fetch(ctx context.Context, ids []merge.ID, yield func(drivers.Fetched) error) error {
	drop := func(f drivers.Fetched) error {
		if f.Content == nil {
			return nil
		}
		return f.Content.Close()
	}
	spoil := func(f *drivers.Fetched, err error) { f.Content, f.Err = nil, err }
	return reading(b, "Fetch", yield, drop, spoil, func(y func(drivers.Fetched) error) error { return b.Mailbox.Fetch(ctx, ids, y) })
}

func (b *faultyBox) Mark(ctx context.Context) (m drivers.Mark, err error) {
	err = b.call("Mark", func() (err error) { m, err = b.Mailbox.Mark(ctx); return err })
	if err != nil {
		m = ""
	}
	return m, err
}

// batch makes a call each item of which is a point. Items before the fault are done, those after it are not tried.
func batch[T, R any](b *faultyBox, op string, items []T, do func([]T) ([]R, error), failed func(error) R) ([]R, error) {
	p := b.store.plan
	item, _, err := p.enter(b.store.label, op, b.Name(), len(items))
	if p.Watch != nil {
		do = oneByOne(b, op, do, failed)
	}
	all := func(out []R, err error) []R {
		for len(out) < len(items) {
			out = append(out, failed(err))
		}
		return out
	}
	if err != nil {
		return all(nil, err), err
	}
	if item < 0 {
		return do(items)
	}
	if p.Fault.Reach() == drivers.ReachMessage {
		return allButOne(p, items, item, do, func() R { return failed(p.strike(op, b.Name())) })
	}
	var out []R
	if item > 0 {
		out, err = do(items[:item])
		if err != nil {
			err = errors.Join(err, p.strike(op, b.Name()))
			return all(out, err), err
		}
	}
	if p.Fault.Applies() && len(items) > 0 {
		// What it says is lost.
		if _, err := do(items[item : item+1]); err != nil {
			err = errors.Join(err, p.strike(op, b.Name()))
			return all(out, err), err
		}
	}
	err = p.strike(op, b.Name())
	if len(items) > 0 {
		out = append(out, failed(err))
	}
	return all(out, p.error(op, b.Name(), false)), err
}

// allButOne makes a batch call in which one item alone fails, or what it says is lost.
func allButOne[T, R any](p *Plan, items []T, item int, do func([]T) ([]R, error), failed func() R) ([]R, error) {
	if p.Fault.Applies() {
		out, err := do(items)
		if item < len(out) {
			out[item] = failed()
		}
		return out, err
	}
	others := slices.Delete(slices.Clone(items), item, item+1)
	if len(others) == 0 {
		return []R{failed()}, nil
	}
	out, err := do(others)
	return slices.Insert(out, min(item, len(out)), failed()), err
}

// oneByOne makes a batch call of each item and tells the Plan's Watch. After an error that concerns all items nothing more is tried.
func oneByOne[T, R any](b *faultyBox, op string, do func([]T) ([]R, error), failed func(error) R) func([]T) ([]R, error) {
	return func(items []T) (out []R, err error) {
		for i := range items {
			if err != nil {
				out = append(out, failed(err))
				continue
			}
			err = b.store.plan.watched(b.store.label, op, func() error {
				res, err := do(items[i : i+1])
				if len(res) == 0 {
					res = []R{failed(err)}
				}
				out = append(out, res[0])
				return err
			})
		}
		return out, err
	}
}

func (b *faultyBox) Append(ctx context.Context, msgs []drivers.Append) ([]drivers.Appended, error) {
	return batch(b, "Append", msgs, func(m []drivers.Append) ([]drivers.Appended, error) { return b.Mailbox.Append(ctx, m) },
		func(err error) drivers.Appended { return drivers.Appended{Err: err} })
}

func (b *faultyBox) SetFlags(ctx context.Context, changes []drivers.FlagChange) ([]drivers.FlagResult, error) {
	return batch(b, "SetFlags", changes, func(c []drivers.FlagChange) ([]drivers.FlagResult, error) { return b.Mailbox.SetFlags(ctx, c) },
		func(err error) drivers.FlagResult { return drivers.FlagResult{Err: err} })
}

func (b *faultyBox) Expunge(ctx context.Context, removals []drivers.Removal) ([]error, error) {
	return batch(b, "Expunge", removals, func(r []drivers.Removal) ([]error, error) { return b.Mailbox.Expunge(ctx, r) },
		func(err error) error { return err })
}

func (b *faultyBox) Move(ctx context.Context, ids []merge.ID, to string) ([]drivers.Moved, error) {
	return batch(b, "Move", ids, func(i []merge.ID) ([]drivers.Moved, error) { return b.Mailbox.Move(ctx, i, to) },
		func(err error) drivers.Moved { return drivers.Moved{Err: err} })
}
