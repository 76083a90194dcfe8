package logstate

import (
	"errors"
	"time"

	"github.com/tidwall/wal"
)

// defaultSegmentSize keeps what the library holds of the tail segment in memory small.
const defaultSegmentSize = 2 << 20

// errPoisoned says that a write or sync failed before: memory and file may differ, so the log must be closed and opened again.
var errPoisoned = errors.New("log is unusable after a failed write until it is opened again")

// logOptions tune a walLog.
type logOptions struct {
	Name        string           // "left", "right" or "shared", for messages
	SegmentSize int              // bytes; default 2 MiB
	Now         func() time.Time // default time.Now
}

// walLog is a log that is open for writing. One goroutine uses it, under the account lock.
type walLog struct {
	dir   string
	opt   logOptions
	wal   *wal.Log
	first uint64
	last  uint64
	epoch uint32
	err   error
}

// openLog repairs the log in dir, if need be, and opens it for writing. A missing directory is created. The caller holds the account lock.
func openLog(dir string, opt logOptions) (l *walLog, repairs []Repair, err error) {
	return nil, nil, errPoisoned
}

// First returns the index of the first entry, 0 when the log is empty.
func (l *walLog) First() uint64 { return l.first }

// Last returns the index of the last entry, 0 when the log is empty.
func (l *walLog) Last() uint64 { return l.last }

// Epoch returns the epoch that frames get from now on: that of the last frame, or what StartEpoch set.
func (l *walLog) Epoch() uint32 { return l.epoch }

// StartEpoch makes frames from now on carry e. An epoch never goes back: a smaller e is ignored.
func (l *walLog) StartEpoch(e uint32) { l.epoch = max(l.epoch, e) }

// Append writes the frames, one entry each, and makes them durable with one fsync. It sets Index and Epoch of the frames.
// After any error the log is poisoned.
func (l *walLog) Append(frames []frame) (first uint64, err error) { return 0, l.err }

// TruncateFront drops the entries before first.
func (l *walLog) TruncateFront(first uint64) error { return l.err }

// Close closes the log. It is safe to call twice.
func (l *walLog) Close() error { return nil }
