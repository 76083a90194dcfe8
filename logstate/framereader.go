package logstate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// position is a place between two frames of a log. The zero position is before the first frame.
type position struct {
	Segment uint64 // number of the segment file
	Offset  int64  // in it, behind the last frame read
	Index   uint64 // of the next frame
	Start   int64  // where the last frame read begins, and
	Sum     uint32 // its checksum: a log that has something else there is not the one that was read
	Epoch   uint32 // of the last frame read
}

// before returns the position in front of the frame that p is behind, to read it again.
func (p position) before() position {
	return position{Segment: p.Segment, Offset: p.Start, Index: p.Index - 1, Start: p.Start}
}

// errMoved says that the log was truncated or repaired since the position was taken: read again from the zero position.
var errMoved = errors.New("log was truncated or repaired meanwhile")

// DamageError says that a log is damaged before its end. Opening the account for writing repairs it.
type DamageError struct {
	Log     string // "left", "right" or "shared"
	Segment string // file name
	Offset  int64  // in it
	Index   uint64 // of the entry that is damaged or missing
	What    string // in words for a person
}

// Error says where and what.
func (e *DamageError) Error() string {
	return fmt.Sprintf("%s log is damaged at entry %d (%s, offset %d): %s; the next sync repairs it", e.Log, e.Index, e.Segment, e.Offset, e.What)
}

// readFrames calls fn for each frame from a position to the known-good end, and returns where to go on. It writes nothing and needs no
// lock; a process that writes to the log at the same time does not disturb it. fn gets the position behind the frame. The payload is
// valid only during the call. An error of fn ends the reading and is returned as it is, with the position before that frame.
//
// An end that was not written in full is the end of the log. Other errors are *DamageError, errMoved (which a reader meets when the log
// is truncated under it) and ErrNewerVersion. What fn has got until then is good in any case.
func readFrames(dir string, from position, fn func(frame, position) error) (end position, err error) {
	files, err := listStable(dir)
	if err != nil {
		return from, fmt.Errorf("read log: %w", err)
	}
	r := frameReader{dir: dir, files: files, segments: effective(files), pos: from, fn: fn}
	err = r.run()
	return r.pos, err
}

// listStable lists the log until two listings in a row are equal: a single one can miss a file that is being renamed.
func listStable(dir string) ([]logFile, error) {
	last, err := listLog(dir)
	if err != nil {
		return nil, err
	}
	for range 100 {
		files, err := listLog(dir)
		if err != nil {
			return nil, err
		}
		if slices.Equal(files, last) {
			return files, nil
		}
		last = files
	}
	return nil, errMoved
}

// effective returns the files that make up the log: the segments, and a truncated one that is not yet in its place if those that it
// replaces are gone.
func effective(files []logFile) []logFile {
	var out []logFile
	for _, f := range files {
		switch {
		case f.Suffix == "":
			out = append(out, f)
		case f.Suffix == suffixStart && len(out) == 0:
			out = append(out, f)
		}
	}
	return out
}

// frameReader is one run of readFrames.
type frameReader struct {
	dir      string
	files    []logFile // as listed
	segments []logFile
	pos      position
	fn       func(frame, position) error
	buf      []byte
}

func (r *frameReader) run() error {
	first := 0
	switch {
	case r.pos != position{}:
		first = slices.IndexFunc(r.segments, func(f logFile) bool { return f.Index == r.pos.Segment })
		if first < 0 {
			return errMoved
		}
	case len(r.segments) == 0:
		return nil
	default:
		r.pos = position{Segment: r.segments[0].Index, Index: r.segments[0].Index}
	}
	for i := first; i < len(r.segments); i++ {
		if i > first {
			if r.pos.Index != r.segments[i].Index {
				return r.anomaly(r.segments[i-1], "entries are missing before the next segment")
			}
			if err := r.segment(i, 0, 0); err != nil {
				return err
			}
			continue
		}
		if err := r.resume(i); err != nil {
			return err
		}
	}
	return nil
}

// resume reads the first segment of a run, from the position on, after checking that the last frame read still stands there.
func (r *frameReader) resume(i int) error {
	if r.pos.Offset < r.pos.Start || r.pos.Start < 0 {
		return errMoved
	}
	return r.segment(i, r.pos.Start, int(r.pos.Offset-r.pos.Start))
}

// segment reads the frames of a segment. base is where the reading begins, and seen how many bytes from there on are of the last frame
// read, 0 if there is none to check.
func (r *frameReader) segment(i int, base int64, seen int) error {
	f := r.segments[i]
	last := i == len(r.segments)-1
	var err error
	r.buf, err = readSegment(filepath.Join(r.dir, f.Name()), base, r.buf)
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, io.ErrUnexpectedEOF):
		return errMoved
	case err != nil:
		return fmt.Errorf("read log: %w", err)
	}
	if seen > 0 {
		if seen > len(r.buf) {
			return errMoved
		}
		old, n, err := entryAt(r.buf[:seen], r.pos.Index-1, r.pos.Epoch)
		if err != nil || n != seen || old.Epoch != r.pos.Epoch || frameSum(r.buf[n-frameHeaderSize-len(old.Payload):]) != r.pos.Sum {
			return errMoved
		}
	}
	for off := seen; ; {
		fr, n, err := entryAt(r.buf[off:], r.pos.Index, r.pos.Epoch)
		switch {
		case errors.Is(err, io.EOF):
			return nil // an empty segment leaves the position behind the last frame before it, which can be checked later
		case errors.Is(err, ErrNewerVersion):
			return fmt.Errorf("%s: %w", f.Name(), err)
		case err != nil:
			return r.stop(f, last, base, off, err)
		case !last && r.pos.Index >= r.segments[i+1].Index:
			return r.anomaly(f, "entries that the next segment holds, too")
		}
		next := position{
			Segment: f.Index, Offset: base + int64(off+n), Index: r.pos.Index + 1,
			Start: base + int64(off), Sum: frameSum(r.buf[off+n-frameHeaderSize-len(fr.Payload):]), Epoch: fr.Epoch,
		}
		if err := r.fn(fr, next); err != nil {
			return err
		}
		r.pos = next
		off += n
	}
}

// stop tells the end of the log from damage, at a place where no good frame stands.
func (r *frameReader) stop(f logFile, last bool, base int64, off int, cause error) error {
	if !last {
		return r.anomaly(f, cause.Error())
	}
	skip, _, good := resync(r.buf[off:], r.pos.Index, r.pos.Epoch)
	if !good && !errors.Is(cause, errForeign) {
		return nil
	}
	// A writer may have been at work while we read. What has been read must still be there, or it is no damage.
	again, err := readSegment(filepath.Join(r.dir, f.Name()), base, nil)
	if err != nil || !bytes.HasPrefix(again, r.buf) {
		return errMoved
	}
	what := cause.Error()
	if good {
		what = fmt.Sprintf("%s, good entries follow %d bytes further", what, skip)
	}
	return r.anomaly(f, what)
}

// anomaly returns a DamageError at the position, unless the log's files have changed since they were listed.
func (r *frameReader) anomaly(f logFile, what string) error {
	files, err := listStable(r.dir)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if !slices.Equal(files, r.files) {
		return errMoved
	}
	offset := r.pos.Offset
	if r.pos.Segment != f.Index {
		offset = 0
	}
	return &DamageError{Log: filepath.Base(r.dir), Segment: f.Name(), Offset: offset, Index: r.pos.Index, What: what}
}
