package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"driftless/drivers"
)

// Create makes a mailbox with its parents and subscribes to it. An existing mailbox is fine.
func (st *Store) Create(ctx context.Context, name string) error {
	const op = "create mailbox"
	return st.effect(ctx, op, name, func(c *conn) error {
		raw, err := st.raw(name)
		if err != nil {
			return err
		}
		create, subscribe := &command{}, &command{}
		create.text("CREATE ")
		create.mailbox(c, raw)
		subscribe.text("SUBSCRIBE ")
		subscribe.mailbox(c, raw)
		if name != inbox {
			if err := c.fly(ctx, newFlight(create)); err != nil {
				return err
			}
			if err := create.refused(); err != nil && create.st.code != "ALREADYEXISTS" {
				if exists, lerr := c.exists(ctx, raw); lerr != nil || !exists {
					return errors.Join(err, lerr)
				}
			}
			// A server may answer OK and make another name of it, or nothing.
			if exists, err := c.exists(ctx, raw); err != nil {
				return err
			} else if !exists {
				return fmt.Errorf("%w: it said OK and there is none", errName)
			}
		}
		if err := c.fly(ctx, newFlight(subscribe)); err != nil {
			return err
		}
		if err := subscribe.refused(); err != nil {
			st.note(fmt.Sprintf("mailbox %q could not be subscribed to: %v", name, err))
		}
		return nil
	})
}

// exists reports whether a mailbox that can be selected has this name.
func (c *conn) exists(ctx context.Context, raw string) (bool, error) {
	b, err := c.find(ctx, raw)
	return b != nil && !b.has(`\NOSELECT`), err
}

// Rename renames a mailbox; the subscription moves along. Some servers give the mailbox a new UIDVALIDITY.
func (st *Store) Rename(ctx context.Context, from, to string) error {
	const op = "rename mailbox"
	return st.effect(ctx, op, from, func(c *conn) error {
		a, err := st.raw(from)
		if err != nil {
			return err
		}
		b, err := st.raw(to)
		if err != nil {
			return err
		}
		if from == inbox {
			return errors.New("INBOX cannot be renamed")
		}
		if exists, err := c.exists(ctx, b); err != nil {
			return err
		} else if exists {
			return drivers.ErrExists
		}
		if source, err := c.find(ctx, a); err != nil {
			return err
		} else if source == nil { // a mere parent can be renamed
			return drivers.ErrNoMailbox
		}
		rename, sub, unsub := &command{}, &command{}, &command{}
		rename.text("RENAME ")
		rename.mailbox(c, a)
		rename.text(" ")
		rename.mailbox(c, b)
		sub.text("SUBSCRIBE ")
		sub.mailbox(c, b)
		unsub.text("UNSUBSCRIBE ")
		unsub.mailbox(c, a)
		st.pool.forget(from, c)
		if err := c.fly(ctx, newFlight(rename)); err != nil {
			return err
		}
		if err := rename.refused(); err != nil {
			return err
		}
		if err := c.fly(ctx, newFlight(sub)); err != nil {
			return err
		}
		return c.fly(ctx, newFlight(unsub))
	})
}

// Delete removes a mailbox with its messages, but not its children.
func (st *Store) Delete(ctx context.Context, name string) error {
	const op = "delete mailbox"
	return st.effect(ctx, op, name, func(c *conn) error {
		raw, err := st.raw(name)
		if err != nil {
			return err
		}
		if name == inbox {
			return errors.New("INBOX cannot be deleted")
		}
		del, unsub := &command{}, &command{}
		del.text("DELETE ")
		del.mailbox(c, raw)
		unsub.text("UNSUBSCRIBE ")
		unsub.mailbox(c, raw)
		st.pool.forget(name, c)
		if err := c.fly(ctx, newFlight(del)); err != nil {
			return err
		}
		if err := del.refused(); err != nil {
			if exists, lerr := c.exists(ctx, raw); lerr == nil && !exists {
				return fmt.Errorf("%w (%v)", drivers.ErrNoMailbox, err)
			}
			return err
		}
		return c.fly(ctx, newFlight(unsub))
	})
}

// effect leases a prepared connection, runs f once and classifies its error.
func (st *Store) effect(ctx context.Context, op, where string, f func(c *conn) error) error {
	c, err := st.pool.take(ctx, "")
	if err != nil {
		return err
	}
	defer st.pool.give(c)
	if err := c.prepare(ctx); err != nil {
		return err
	}
	return classify(op, where, drivers.ReachMailbox, f(c))
}

// forget makes the connections leave a mailbox that is going to be renamed or deleted: some servers refuse that, or end the
// connections of whoever has it selected.
func (p *pool) forget(name string, own *conn) {
	p.mu.Lock()
	var ended []*conn
	kept := p.idle[:0]
	for _, c := range p.idle {
		sel, ok := c.selected()
		if ok && inTree(sel.box, name) {
			ended = append(ended, c)
			p.open--
			continue
		}
		kept = append(kept, c)
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.wake()
	p.mu.Unlock()
	for _, c := range ended {
		c.close()
	}
	if sel, ok := own.selected(); ok && inTree(sel.box, name) {
		own.leave()
	}
}

func inTree(box, root string) bool { return box == root || strings.HasPrefix(box, root+"/") }
