package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"sync"

	"driftless/drivers"
	"driftless/merge"
)

// readAhead is the size up to which a message is read before its turn comes. Times the workers of a store, it bounds what reading ahead holds in memory.
const readAhead = 128 << 10

// opened is a message whose file is open, or what went wrong with this message.
type opened struct {
	id    merge.ID
	f     *os.File // nil with err
	fi    fs.FileInfo
	where file
	flags merge.Flags
	err   error // of reach message
}

// openMessage opens a message that must be a regular file. gone is true if it is not there; an error concerns more than the message.
func (m *Mailbox) openMessage(ctx context.Context, id merge.ID) (o opened, gone bool, err error) {
	o.id = id
	var kw *keywords
	o.f, o.where, kw, err = m.openFile(ctx, id)
	if errors.Is(err, drivers.ErrGone) {
		return o, true, nil
	}
	if err != nil {
		if drivers.ReachOf(err) == drivers.ReachMessage {
			o.err, err = err, nil
		}
		return o, false, err
	}
	o.flags = kw.flags(id, o.where.name)
	o.fi, err = o.f.Stat()
	if err == nil && !o.fi.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		o.err = m.failMessage("read message", errors.Join(err, o.f.Close()))
		o.f = nil
	}
	return o, false, nil
}

// aheadChunk is how many messages are loaded in one go: handing over each by itself would cost more than to read it from the cache.
const aheadChunk = 4

// result is what became of one message: its value, unless it is gone or err concerns more than the message.
type result[T any] struct {
	value T
	gone  bool
	err   error
}

// each opens the messages, several at the same time and ahead of their turn (never more than the store has workers), lets load, which may run many times at once,
// do something with each, and gives the results to use in order, one after the other. What is gone is left out. load takes over the file; drop frees a result that
// use was not given.
func each[T any](ctx context.Context, m *Mailbox, ids []merge.ID, load func(opened) T, drop func(T), use func(T) error) error {
	if err := m.warm(ctx, ids); err != nil {
		return err
	}
	loadChunk := func(ctx context.Context, ids []merge.ID) []result[T] {
		out := make([]result[T], 0, len(ids))
		for _, id := range ids {
			o, gone, err := m.openMessage(ctx, id)
			r := result[T]{gone: gone, err: err}
			if !gone && err == nil {
				r.value = load(o)
			}
			if out = append(out, r); err != nil {
				break
			}
		}
		return out
	}
	dropAll := func(rs []result[T]) {
		for _, r := range rs {
			if !r.gone && r.err == nil {
				drop(r.value)
			}
		}
	}
	giveAll := func(rs []result[T]) error {
		for i, r := range rs {
			err := r.err
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				dropAll(rs[i:])
				return err
			}
			if r.gone {
				continue
			}
			if err := use(r.value); err != nil {
				dropAll(rs[i+1:])
				return err
			}
		}
		return nil
	}
	ids = once(ids)
	if len(ids) <= aheadChunk || m.store.workers <= aheadChunk {
		for chunk := range slices.Chunk(ids, 1) {
			if err := giveAll(loadChunk(ctx, chunk)); err != nil {
				return err
			}
		}
		return ctx.Err()
	}

	inner, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	// Two chunks more are under way: one that waits to enter the queue, and the one that is being used.
	queue := make(chan chan []result[T], max(m.store.workers/aheadChunk-2, 0))
	wg.Go(func() {
		defer close(queue)
		for chunk := range slices.Chunk(ids, aheadChunk) {
			turn := make(chan []result[T], 1)
			wg.Go(func() { turn <- loadChunk(inner, chunk) })
			select {
			case queue <- turn:
			case <-inner.Done():
				dropAll(<-turn)
				return
			}
		}
	})
	// Whatever ends this early: nothing stays open, and no goroutine stays behind.
	defer func() {
		cancel()
		for turn := range queue {
			dropAll(<-turn)
		}
		wg.Wait()
	}()
	for turn := range queue {
		if err := giveAll(<-turn); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// once returns ids without those that were there before.
func once(ids []merge.ID) []merge.ID {
	done := make(map[merge.ID]bool, len(ids))
	out := make([]merge.ID, 0, len(ids))
	for _, id := range ids {
		if !done[id] {
			done[id] = true
			out = append(out, id)
		}
	}
	return out
}
