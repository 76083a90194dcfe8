package imap

import (
	"context"
	"errors"
	"sync"

	"go.uber.org/zap"

	"driftless/drivers"
)

// pool owns the connections of a store. A connection is leased to one caller at a time.
type pool struct {
	st *Store

	mu     sync.Mutex
	limit  int // connections that may exist; shrinks when the server refuses more
	open   int // connections that exist or are being opened
	idle   []*conn
	turn   chan struct{} // closed and replaced whenever something was given back
	closed bool
}

var errStoreClosed = errors.New("store is closed")

func (p *pool) init(st *Store, limit int) {
	p.st, p.limit, p.turn = st, limit, make(chan struct{})
}

// take leases a connection: an idle one, preferably with the mailbox selected, then with none; a new one if none is idle and more are
// allowed; else it waits for one.
func (p *pool) take(ctx context.Context, box string) (*conn, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, &drivers.Error{Op: "connect to", Where: p.st.opt.address(), Reach: drivers.ReachStore, Retry: drivers.RetryLater, Err: context.Cause(ctx)}
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, &drivers.Error{Op: "connect to", Where: p.st.opt.address(), Reach: drivers.ReachStore, Retry: drivers.RetryNever, Err: errStoreClosed}
		}
		p.drop()
		if c := p.pick(box); c != nil {
			p.mu.Unlock()
			return c, nil
		}
		if p.open < p.limit {
			p.open++
			others := p.open - 1
			p.mu.Unlock()
			c, err := p.st.dial(ctx)
			if err == nil {
				return c, nil
			}
			if !p.refused(others, err) {
				return nil, err
			}
			continue
		}
		turn := p.turn
		p.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
		}
	}
}

// drop forgets idle connections that ended. Called locked.
func (p *pool) drop() {
	kept := p.idle[:0]
	for _, c := range p.idle {
		if c.dead() {
			p.open--
			continue
		}
		kept = append(kept, c)
	}
	clear(p.idle[len(kept):])
	p.idle = kept
}

// pick takes the best idle connection, nil if there is none. Selecting another mailbox costs less than a login. Called locked.
func (p *pool) pick(box string) *conn {
	best, rank := -1, 0
	for i, c := range p.idle {
		sel, ok := c.selected()
		r := 1 // another mailbox is selected
		switch {
		case ok && sel.box == box && box != "":
			r = 4
		case !ok:
			r = 3
		case box == "":
			r = 2
		}
		if r > rank {
			best, rank = i, r
		}
	}
	if best < 0 {
		return nil
	}
	c := p.idle[best]
	p.idle = append(p.idle[:best], p.idle[best+1:]...)
	return c
}

// refused gives back the place of a connection that could not be opened. It reports whether the caller should wait for another one
// instead: the server refuses more than there are.
func (p *pool) refused(others int, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	p.wake()
	if others == 0 || p.open == 0 || errors.Is(err, drivers.ErrLogin) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if p.limit > p.open {
		p.limit = p.open
		p.st.opt.Logger.Info("server refuses more connections; going on with fewer", zap.Int("connections", p.limit), zap.Error(err))
	}
	return true
}

func (p *pool) wake() {
	close(p.turn)
	p.turn = make(chan struct{})
}

// give returns a leased connection.
func (p *pool) give(c *conn) {
	p.mu.Lock()
	ended := p.closed || c.dead()
	if ended {
		p.open--
	} else {
		p.idle = append(p.idle, c)
	}
	p.wake()
	p.mu.Unlock()
	if ended {
		c.close()
	}
}

// close logs out of all connections. Leased ones end when they are given back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.open -= len(idle)
	p.wake()
	p.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range idle {
		wg.Go(c.logout)
	}
	wg.Wait()
}
