package logstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// Suffixes of the files beside the segments. The library finds segments by the exact length of their names, so that whatever else
// begins with a segment's number does not confuse it.
const (
	suffixStart     = ".START"      // the library: a segment whose front was cut off, not yet in its place
	suffixStartTemp = ".START.TEMP" // the library: the same, not yet written in full
	suffixEnd       = ".END"        // the library: a segment whose end was cut off; this program never does that
	suffixEndTemp   = ".END.TEMP"
	suffixRepair    = ".REPAIR" // ours: a repaired segment, not yet in its place
)

const (
	segmentDigits  = 20
	maxSegmentSize = 1 << 30 // a segment is read in one piece
	minEntrySize   = frameHeaderSize + 1
)

// segmentName returns the file name of the segment that begins with an index.
func segmentName(index uint64) string { return fmt.Sprintf("%0*d", segmentDigits, index) }

// logFile is a file in a log's directory that belongs to the log.
type logFile struct {
	Index  uint64
	Suffix string // "" for a segment
}

func (f logFile) Name() string { return segmentName(f.Index) + f.Suffix }

// parseLogFile reads a file name. Files that were set aside, and anything foreign, are none of the log's.
func parseLogFile(name string) (logFile, bool) {
	if len(name) < segmentDigits {
		return logFile{}, false
	}
	index, err := strconv.ParseUint(name[:segmentDigits], 10, 64)
	if err != nil || index == 0 {
		return logFile{}, false
	}
	switch suffix := name[segmentDigits:]; suffix {
	case "", suffixStart, suffixStartTemp, suffixEnd, suffixEndTemp, suffixRepair:
		return logFile{index, suffix}, true
	}
	return logFile{}, false
}

// listLog returns the files of a log, by index; none if the directory is missing.
func listLog(dir string) ([]logFile, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%w: %s is not a directory", errUnusable, dir)
	}
	if err != nil {
		return nil, err
	}
	var files []logFile
	for _, e := range entries { // sorted by name, that is by index
		f, ok := parseLogFile(e.Name())
		if !ok {
			continue
		}
		if !e.Type().IsRegular() {
			return nil, fmt.Errorf("%w: %s in %s is not a regular file", errUnusable, e.Name(), dir)
		}
		files = append(files, f)
	}
	return files, nil
}

// onlySegments returns the indexes of the segments proper.
func onlySegments(files []logFile) []uint64 {
	var segs []uint64
	for _, f := range files {
		if f.Suffix == "" {
			segs = append(segs, f.Index)
		}
	}
	return segs
}

// readSegment reads a file from an offset to its end into buf, which grows as needed.
func readSegment(path string, offset int64, buf []byte) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return buf[:0], err
	}
	defer func() { _ = f.Close() }() // read only: nothing can be lost by an error here
	info, err := f.Stat()
	if err != nil {
		return buf[:0], err
	}
	size := info.Size() - offset
	switch {
	case size > maxSegmentSize:
		return buf[:0], fmt.Errorf("%w: %s: %d bytes are too many for a segment", errUnusable, path, info.Size())
	case size < 0:
		return buf[:0], io.ErrUnexpectedEOF
	}
	buf = slices.Grow(buf[:0], int(size))[:size]
	n, err := f.ReadAt(buf, offset)
	if errors.Is(err, io.EOF) {
		err = nil // it was truncated meanwhile
	}
	return buf[:n], err
}

// errForeign says that a frame is whole but does not belong here: it has another index, or an epoch older than the one before it.
var errForeign = fmt.Errorf("%w: an entry of an older copy of the log", errBadFrame)

// entryAt decodes the entry at the beginning of b, which must have this index and no older epoch than this. It returns the entry's
// size, and io.EOF when b is empty.
func entryAt(b []byte, index uint64, epoch uint32) (frame, int, error) {
	if len(b) == 0 {
		return frame{}, 0, io.EOF
	}
	start, end, ok := entryBounds(b)
	if !ok {
		return frame{}, 0, fmt.Errorf("%w: cut short, or a wrong length", errBadFrame)
	}
	f, err := decodeFrame(b[start:end])
	if err != nil {
		return f, end, err
	}
	if f.Index != index || f.Epoch < epoch {
		return f, end, errForeign
	}
	return f, end, nil
}

// entryBounds reads the length of the entry at the beginning of b and returns where its frame is. The length must be one that a frame
// can have, in its shortest form.
func entryBounds(b []byte) (start, end int, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || (n > 1 && b[n-1] == 0) || size < frameHeaderSize || size > maxFrameSize || size > uint64(len(b)-n) {
		return 0, 0, false
	}
	return n, n + int(size), true
}

// appendEntry appends the frame as the library writes it: length, then frame.
func appendEntry(dst []byte, f frame) []byte {
	dst = binary.AppendUvarint(dst, uint64(frameHeaderSize+len(f.Payload)))
	return encodeFrame(dst, f)
}

// resync looks behind the damage at the beginning of b for the next whole frame that can follow in this log: index is the one that was
// expected, epoch that of the last good frame. It returns where the frame is and its index.
//
// As many entries may be missing as would fit into the bytes that are skipped, so that a frame of another log, or one that
// stands in a payload, is hardly ever taken for one of this log.
func resync(b []byte, index uint64, epoch uint32) (offset int, found uint64, ok bool) {
	budget := 16*len(b) + 1<<20 // bytes to compute checksums of: bounds the time that hostile bytes can cost
	for p := 1; p+minEntrySize <= len(b) && budget > 0; p++ {
		if b[p] < frameHeaderSize { // the first byte of a length that is big enough: cheap, and most bytes fail it in zeroed space
			continue
		}
		start, end, ok := entryBounds(b[p:])
		if !ok {
			continue
		}
		h := b[p+start : p+end]
		at := binary.LittleEndian.Uint64(h[16:])
		if at < index || at-index > uint64(p/minEntrySize)+1 || h[4] == 0 || binary.LittleEndian.Uint32(h[8:]) < epoch {
			continue
		}
		budget -= len(h)
		if _, err := decodeFrame(h); err == nil || errors.Is(err, ErrNewerVersion) {
			return p, at, true
		}
	}
	return 0, 0, false
}

// uvarintLen returns how many bytes a length takes.
func uvarintLen(x uint64) int {
	n := 1
	for x >= 0x80 {
		x >>= 7
		n++
	}
	return n
}

// fileSize returns the size of a segment.
func fileSize(dir string, index uint64) (int, error) {
	info, err := os.Stat(filepath.Join(dir, segmentName(index)))
	if err != nil {
		return 0, err
	}
	return int(info.Size()), nil
}
