package logstate

import (
	"errors"
	"fmt"
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

// errMoved says that the log was truncated or replaced since the position was taken: read again from the zero position.
var errMoved = errors.New("log was truncated meanwhile")

// DamageError says that a log is damaged before its end. Opening the account for writing repairs it.
type DamageError struct {
	Log     string // "left", "right" or "shared"
	Segment string // file name
	Offset  int64
	Index   uint64 // of the entry that is damaged or missing
	What    string
}

// Error says where and what.
func (e *DamageError) Error() string {
	return fmt.Sprintf("%s log is damaged at entry %d (%s, offset %d): %s", e.Log, e.Index, e.Segment, e.Offset, e.What)
}

// readFrames calls fn for each frame from a position to the known-good end, and returns where to go on. It writes nothing and needs no
// lock. fn gets the position behind the frame; the payload is valid only during the call.
func readFrames(dir string, from position, fn func(frame, position) error) (end position, err error) {
	return from, nil
}
