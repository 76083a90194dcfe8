package logstate

import (
	"context"
	"fmt"
	"sync"
)

// appender is what a worker needs of the log that it owns.
type appender interface {
	First() uint64
	Last() uint64
	Epoch() uint32
	StartEpoch(uint32)
	Append([]frame) (uint64, error)
	TruncateFront(uint64) error
	Close() error
}

// maxGroup bounds how many requests share one fsync.
const maxGroup = 256

// job is a request to a worker. Exactly one of write and call is set.
type job struct {
	// write returns the frames that the job adds to the group, or an error that concerns only this job.
	write func() ([]frame, error)
	// written is called when the frames are durable.
	written func([]frame)
	// call runs by itself in the worker's goroutine.
	call func() error
	done chan error
}

// worker is a goroutine that owns a log. Jobs that wait together are written with one fsync.
type worker struct {
	name string
	jobs chan *job
	quit chan struct{}
	wg   sync.WaitGroup
}

func newWorker(name string) *worker {
	return &worker{name: name, jobs: make(chan *job), quit: make(chan struct{})}
}

// run hands a job over and waits for its end. Once the worker has it, a cancelled context no longer matters: it is a local disk write away.
func (w *worker) run(ctx context.Context, j *job) error {
	j.done = make(chan error, 1)
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case w.jobs <- j:
		return <-j.done
	case <-ctx.Done():
		return ctx.Err()
	case <-w.quit:
		return fmt.Errorf("%s log: %w", w.name, errClosed)
	}
}

// gather returns j and the jobs that wait already, up to the first call.
func (w *worker) gather(j *job) (group []*job, call *job) {
	for {
		if j.call != nil {
			return group, j
		}
		if group = append(group, j); len(group) == maxGroup {
			return group, nil
		}
		select {
		case j = <-w.jobs:
		default:
			return group, nil
		}
	}
}

// stop ends the goroutine after what it is doing.
func (w *worker) stop() {
	close(w.quit)
	w.wg.Wait()
}
