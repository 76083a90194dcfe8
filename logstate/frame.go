package logstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// frameKind says what a frame's payload is. The numbers are written to logs: never reuse one. 0 is invalid, so that unwritten
// space never looks like a record.
type frameKind uint8

// frameLost stands in the place of a frame that was found damaged or missing, one for each index. It has no payload. It keeps the
// indexes contiguous and tells every later reader, and not only the process that repaired the log, that something was lost here.
const frameLost frameKind = 255

// frameVersion is the newest payload layout that this program knows. A new layout or a new kind of record needs a new number.
const frameVersion = 1

const (
	frameHeaderSize = 32       // bytes before the payload
	maxFrameSize    = 64 << 20 // header and payload; anything longer is damage, or a mistake of ours
)

// frame is one entry of a log. docs/log-format.md has the layout.
type frame struct {
	Kind    frameKind
	Version uint8   // of the payload layout; encodeFrame writes 0 as frameVersion
	Epoch   uint32  // log epoch
	Index   uint64  // its own index in the log
	Mailbox Mailbox // 0 = none or several
	Seq     uint64  // per-mailbox sequence (side logs), 0 if unused
	Payload []byte
}

// ErrNewerVersion says that a log was written by a newer version of the program. Nothing was touched.
var ErrNewerVersion = errors.New("the log was written by a newer version of driftless: use that version, or a newer one")

// errUnusable says that what stands in the place of a log is none, and nothing that this program has made.
var errUnusable = errors.New("this is no log")

// NeedsRebuild reports whether an error of Open or OpenView will come back as long as the logs are as they are: they were written by a newer version, are no
// logs at all, or do not belong together. SetAside makes room for new ones.
func NeedsRebuild(err error) bool {
	return errors.Is(err, ErrNewerVersion) || errors.Is(err, errUnusable) || errors.Is(err, errForeignLog) || errors.Is(err, errBadRecord)
}

// Explain adds to an error about the logs of an account what helps, if it is a rebuild.
func Explain(account string, err error) error {
	if !NeedsRebuild(err) {
		return err
	}
	return fmt.Errorf("%w; or `driftless rebuild %s` sets the logs aside, and the next sync pairs again by content", err, account)
}

// errBadFrame says that bytes are not a whole, undamaged frame.
var errBadFrame = errors.New("damaged frame")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeFrame appends the frame to dst.
func encodeFrame(dst []byte, f frame) []byte {
	start := len(dst)
	version := f.Version
	if version == 0 {
		version = frameVersion
	}
	dst = append(dst, 0, 0, 0, 0, byte(f.Kind), version, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, f.Epoch)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(f.Mailbox))
	dst = binary.LittleEndian.AppendUint64(dst, f.Index)
	dst = binary.LittleEndian.AppendUint64(dst, f.Seq)
	dst = append(dst, f.Payload...)
	binary.LittleEndian.PutUint32(dst[start:], crc32.Checksum(dst[start+4:], castagnoli))
	return dst
}

// decodeFrame reads a frame that fills b. The payload is a slice of b. The error is errBadFrame, or ErrNewerVersion for a frame that
// is whole but from a newer program; such a frame's fields must not be trusted.
func decodeFrame(b []byte) (frame, error) {
	if len(b) < frameHeaderSize {
		return frame{}, fmt.Errorf("%w: %d bytes are too few", errBadFrame, len(b))
	}
	if binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return frame{}, fmt.Errorf("%w: wrong checksum", errBadFrame)
	}
	f := frame{
		Kind:    frameKind(b[4]),
		Version: b[5],
		Epoch:   binary.LittleEndian.Uint32(b[8:]),
		Mailbox: Mailbox(binary.LittleEndian.Uint32(b[12:])),
		Index:   binary.LittleEndian.Uint64(b[16:]),
		Seq:     binary.LittleEndian.Uint64(b[24:]),
		Payload: b[frameHeaderSize:len(b):len(b)],
	}
	switch {
	case f.Kind == 0 || f.Version == 0:
		return frame{}, fmt.Errorf("%w: no kind or version", errBadFrame)
	case f.Version > frameVersion || b[6] != 0 || b[7] != 0:
		// Bytes 6 and 7 are zero in this header layout. Whatever a later layout puts there, the checksum's place and reach stay.
		return f, ErrNewerVersion
	}
	return f, nil
}

// frameSum returns the stored checksum of an encoded frame.
func frameSum(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
