package imap

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"driftless/drivers"
)

var errInbox = errors.New("INBOX can be neither renamed nor deleted")

// Create makes a mailbox with its parents and subscribes to it. An existing mailbox is fine.
func (st *Store) Create(ctx context.Context, name string) error {
	const op = "create mailbox"
	return st.effect(ctx, op, name, func(c *conn) error {
		raw, err := st.raw(name)
		if err != nil {
			return err
		}
		return c.create(ctx, name, raw)
	})
}

// create flies everything at once: CREATE, a LIST of just this name, SUBSCRIBE, and a SELECT, because what was created is opened next. A name that needs a
// literal that waits for the server goes one by one.
func (c *conn) create(ctx context.Context, name, raw string) error {
	named := func(verb string) *command {
		com := &command{}
		com.text(verb + " ")
		com.mailbox(c, raw)
		return com
	}
	create, subscribe := named("CREATE"), named("SUBSCRIBE")
	list := c.findCommand(raw)
	cmds := []*command{create, list.cmds[0], subscribe}
	if name == inbox {
		cmds = []*command{subscribe}
	}
	if !c.quotable(raw) {
		for _, com := range cmds {
			f := newFlight(com)
			f.data = list.data
			if err := c.fly(ctx, f); err != nil {
				return err
			}
		}
	} else {
		f := newFlight(cmds...)
		sel := c.selectCommand(name, raw)
		f.cmds = append(f.cmds, sel)
		f.data = list.data
		if err := c.fly(ctx, f); err != nil {
			return err
		}
		c.created(name, sel)
	}
	if name != inbox {
		if err := list.cmds[0].refused(); err != nil {
			return errors.Join(err, create.refused())
		}
		if b := *list.found; b == nil || b.has(`\NOSELECT`) {
			if subscribe.ok() { // nothing of this name must stay subscribed
				if err := c.fly(ctx, newFlight(named("UNSUBSCRIBE"))); err != nil {
					return err
				}
			}
			if err := create.refused(); err != nil {
				return err
			}
			// A server may answer OK and make another name of it, or nothing.
			return fmt.Errorf("%w: it said OK and there is none", errName)
		}
	}
	if err := subscribe.refused(); err != nil {
		c.st.note(fmt.Sprintf("mailbox %q could not be subscribed to: %v", name, err))
	}
	return nil
}

// created remembers what the SELECT told that flew with a CREATE. It is of no use without UIDVALIDITY and UIDNEXT.
func (c *conn) created(name string, com *command) {
	sel, ok := c.selected()
	if !ok || !com.ok() || sel.validity == 0 || sel.next == 0 {
		c.unselect()
		return
	}
	c.st.opened.keep(name, sel)
	if name == inbox {
		c.st.sawInbox(sel.validity)
	}
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
			return errInbox
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
			return errInbox
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
	p.st.opened.forgetTree(name)
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
