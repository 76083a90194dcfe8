package logstate

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tidwall/wal"
)

// defaultSegmentSize keeps small what the library holds of the last segment in memory.
const defaultSegmentSize = 2 << 20

// errPoisoned says that a write or sync failed before: memory and file may differ, so the log must be closed and opened again.
var errPoisoned = errors.New("log cannot be used after a failure until it is opened again")

// errClosed says that the log is closed.
var errClosed = errors.New("log is closed")

// logOptions tune a walLog. The zero value is right for use.
type logOptions struct {
	Name        string           // "left", "right" or "shared", for messages
	SegmentSize int              // bytes; default 2 MiB
	Now         func() time.Time // default time.Now; names what is set aside
	files       fileSystem       // default osFiles
}

// walLog is a log that is open for writing. One goroutine at a time uses it, under the account lock, and it lives for one hold of that lock.
//
// The library's log is opened by the first write: a cycle that changes nothing opens, reads and syncs nothing through it.
// The library never reads entries for us (a concurrent or wrong read can panic in it); readFrames does.
type walLog struct {
	dir      string
	opt      logOptions
	wal      *wal.Log
	first    uint64 // of the first entry
	next     uint64 // behind the last entry; equal to first when the log is empty
	epoch    uint32
	tail     int  // bytes in the last segment: tells when the library begins another one
	newNames bool // the directory has changed and is not synced yet
	poison   error
	closed   bool
	batch    wal.Batch
	buf      []byte
	syncs    int // fsyncs that Append asked for, those of finished segments included
}

// openLog repairs the log in dir, if need be, and opens it for writing. A missing directory is created. The caller holds the account
// lock. The repairs are returned with an error, too: they have happened. With ErrNewerVersion nothing was touched.
func openLog(dir string, opt logOptions) (l *walLog, repairs []Repair, err error) {
	if opt.SegmentSize <= 0 {
		opt.SegmentSize = defaultSegmentSize
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.files == nil {
		opt.files = osFiles{}
	}
	if err := makeDir(opt.files, dir); err != nil {
		if errors.Is(err, errNotDirectory) {
			err = fmt.Errorf("%w: %w", errUnusable, err)
		}
		return nil, nil, fmt.Errorf("create %s log: %w", opt.Name, err)
	}
	ext, repairs, err := repairLog(opt.files, dir, opt.Name, opt.Now())
	if err != nil {
		return nil, repairs, err
	}
	return &walLog{
		dir: dir, opt: opt, first: ext.First, next: ext.Next, epoch: ext.Epoch, tail: ext.Tail,
		newNames: !synced.still(dir), // a process before us may have died between creating a segment and syncing the directory
	}, repairs, nil
}

// First returns the index of the first entry, 0 when the log is empty.
func (l *walLog) First() uint64 {
	if l.first == l.next {
		return 0
	}
	return l.first
}

// Last returns the index of the last entry, 0 when the log is empty.
func (l *walLog) Last() uint64 {
	if l.first == l.next {
		return 0
	}
	return l.next - 1
}

// Epoch returns the epoch that frames get from now on: that of the last frame, or what StartEpoch set.
func (l *walLog) Epoch() uint32 { return l.epoch }

// StartEpoch makes frames from now on carry e. An epoch never goes back: a smaller e is ignored.
func (l *walLog) StartEpoch(e uint32) { l.epoch = max(l.epoch, e) }

// Append writes the frames, one entry each, and makes them durable with one fsync (one more for each segment that it fills, and one
// of the directory then). It sets Index and Epoch of the frames. Entries are atomic each; of several, a crash may leave the first ones.
// Any error poisons the log: what is on disk is known only after it is opened again.
func (l *walLog) Append(frames []frame) (first uint64, err error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	first = l.next
	if len(frames) == 0 {
		return first, nil
	}
	if err := l.append(frames); err != nil {
		return 0, l.fail("write", err)
	}
	return first, nil
}

func (l *walLog) append(frames []frame) error {
	if err := l.openWAL(); err != nil {
		return err
	}
	l.batch.Clear()
	next, tail, cycles := l.next, l.tail, 0
	if tail > l.opt.SegmentSize {
		tail, cycles = 0, cycles+1
	}
	for i := range frames {
		f := &frames[i]
		f.Index, f.Epoch = next, l.epoch
		if f.Kind == 0 || f.Version > frameVersion || len(f.Payload) > maxFrameSize-frameHeaderSize {
			return fmt.Errorf("entry %d of kind %d, version %d and %d bytes is not one that can be read again", next, f.Kind, f.Version, len(f.Payload))
		}
		l.buf = encodeFrame(l.buf[:0], *f)
		l.batch.Write(next, l.buf)
		next++
		if tail += uvarintLen(uint64(len(l.buf))) + len(l.buf); tail >= l.opt.SegmentSize {
			tail, cycles = 0, cycles+1
		}
	}
	l.newNames = l.newNames || cycles > 0
	l.syncs += cycles
	if err := l.wal.WriteBatch(&l.batch); err != nil {
		return err
	}
	l.syncs++
	if err := l.wal.Sync(); err != nil {
		return err
	}
	if err := l.syncNames(); err != nil {
		return err
	}
	l.next, l.tail = next, tail
	if cap(l.buf) > 1<<20 { // a checkpoint's chunk: do not keep it for ever
		l.buf, l.batch = nil, wal.Batch{}
	}
	return nil
}

// syncNames makes created, renamed and removed segments durable.
func (l *walLog) syncNames() error {
	if !l.newNames {
		return nil
	}
	l.syncs++
	// The time is taken before: a name that comes after it makes the directory newer.
	info, err := os.Stat(l.dir)
	if err != nil {
		return err
	}
	if err := l.opt.files.SyncDir(l.dir); err != nil {
		return err
	}
	synced.note(l.dir, info)
	l.newNames = false
	return nil
}

// TruncateFront drops the entries before first; first may be Last+1, which empties the log without forgetting its indexes. Dropping
// nothing is no error. It is safe to be cut off at any moment: the next openLog finishes or undoes it.
func (l *walLog) TruncateFront(first uint64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if first <= l.first {
		return nil
	}
	if first > l.next {
		return fmt.Errorf("truncate %s log: entry %d is behind its end", l.opt.Name, first)
	}
	if err := l.truncate(first); err != nil {
		return l.fail("truncate", err)
	}
	return nil
}

func (l *walLog) truncate(first uint64) error {
	if err := l.openWAL(); err != nil {
		return err
	}
	// What is kept must be durable by name before what it follows is removed.
	l.newNames = true
	if err := l.syncNames(); err != nil {
		return err
	}
	if err := guard(func() error { return l.wal.TruncateFront(first) }); err != nil {
		return err
	}
	l.newNames = true
	if err := l.syncNames(); err != nil {
		return err
	}
	// How much the library kept in the last segment is known only to it.
	files, err := listLog(l.dir)
	if err != nil {
		return err
	}
	segs := onlySegments(files)
	if len(segs) == 0 || segs[0] != first {
		return fmt.Errorf("the log does not begin with entry %d after a truncation to it", first)
	}
	size, err := fileSize(l.dir, segs[len(segs)-1])
	if err != nil {
		return err
	}
	l.first, l.tail = first, size
	return nil
}

// Close closes the log. It is safe to call twice.
func (l *walLog) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	if l.wal == nil {
		return nil
	}
	w := l.wal
	l.wal = nil
	err := guard(w.Close)
	if err != nil && !errors.Is(err, wal.ErrCorrupt) {
		// The library keeps the file open when its last sync fails; a second try finds that error reported and closes it.
		_ = guard(w.Close)
	}
	if err != nil && l.poison == nil { // otherwise it was reported when it happened
		return fmt.Errorf("close %s log: %w", l.opt.Name, err)
	}
	return nil
}

// openWAL opens the library's log for the first write.
func (l *walLog) openWAL() error {
	if l.wal != nil {
		return nil
	}
	var w *wal.Log
	err := guard(func() (err error) {
		w, err = wal.Open(l.dir, &wal.Options{
			NoSync: true, SegmentSize: l.opt.SegmentSize, LogFormat: wal.Binary, SegmentCacheSize: 1,
			NoCopy: true, AllowEmpty: true, DirPerms: 0o700, FilePerms: 0o600,
		})
		return err
	})
	if err != nil {
		return err
	}
	l.wal = w
	first, err1 := w.FirstIndex()
	last, err2 := w.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if first != l.first || last+1 != l.next {
		return fmt.Errorf("entries %d to %d were found where %d to %d had been: is something else writing to the log?", first, last, l.first, l.next-1)
	}
	return nil
}

func (l *walLog) usable() error {
	switch {
	case l.closed:
		return fmt.Errorf("%s log: %w", l.opt.Name, errClosed)
	case l.poison != nil:
		return fmt.Errorf("%s log: %w (%w)", l.opt.Name, errPoisoned, l.poison)
	}
	return nil
}

// fail poisons the log.
func (l *walLog) fail(op string, err error) error {
	l.poison = err
	return fmt.Errorf("%s %s log: %w", op, l.opt.Name, err)
}

// guard turns a panic of the library, which a file that changes under it can cause, into an error.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", wal.ErrCorrupt, v)
		}
	}()
	return f()
}
