package logstate

import "time"

// Options tune an account's logs. The zero value is right for use.
type Options struct {
	SegmentSize    int                                  // bytes of a log segment; default 2 MiB
	CheckpointSize int64                                // bytes of shared log after the last checkpoint that make a new one due; default 8 MiB
	NoWait         bool                                 // fail at once when another process holds the lock
	Wait           time.Duration                        // how long to wait for the lock; default 30 s
	Waiting        func(holder string, since time.Time) // called once when the lock is busy
	Now            func() time.Time                     // default time.Now

	flocked func() // for tests: called when the lock's file has been locked, before it is looked whether that is still the lock
}

const defaultCheckpointSize = 8 << 20

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CheckpointSize <= 0 {
		o.CheckpointSize = defaultCheckpointSize
	}
	return o
}
