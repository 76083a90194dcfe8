package logstate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// damage is a stretch of a segment that is not good frames. Begin and End are equal when entries are missing without leaving bytes.
type damage struct {
	Begin, End int
	Index      uint64 // of the entry that was expected at Begin
	Lost       uint64 // how many entries are lost here, 0 for what was never written in full
	Filled     bool   // the lost entries leave a hole, which frames of kind frameLost fill
	Epoch      uint32 // of the last good frame before it
	What       string
}

// segmentScan is what a segment holds.
type segmentScan struct {
	Index   uint64 // of its first entry
	Next    uint64 // index behind its last entry, lost ones included
	Epoch   uint32 // of its last good frame
	Size    int
	Damages []damage
}

// scanSegment checks each entry of a segment. follower is the number of the segment behind it, 0 if it is the last one. The only error
// is ErrNewerVersion.
func scanSegment(data []byte, first, follower uint64, epoch uint32) (segmentScan, error) {
	s := segmentScan{Index: first, Next: first, Epoch: epoch, Size: len(data)}
	for off := 0; ; {
		f, n, err := entryAt(data[off:], s.Next, s.Epoch)
		switch {
		case err == nil && follower != 0 && s.Next >= follower:
			s.Damages = append(s.Damages, damage{
				Begin: off, End: len(data), Index: s.Next, Lost: 1, Epoch: s.Epoch,
				What: "entries that the next segment holds, too",
			})
			return s, nil
		case err == nil:
			off += n
			s.Next++
			s.Epoch = f.Epoch
			continue
		case errors.Is(err, ErrNewerVersion):
			return s, err
		case errors.Is(err, io.EOF) && (follower == 0 || s.Next >= follower):
			return s, nil
		case errors.Is(err, io.EOF):
			s.lose(len(data), len(data), follower-s.Next, "entries are missing before the next segment")
			return s, nil
		}
		skip, found, ok := resync(data[off:], s.Next, s.Epoch)
		if ok && (follower == 0 || found < follower) {
			s.lose(off, off+skip, found-s.Next, fmt.Sprintf("%v, good entries follow", err))
			off += skip
			continue
		}
		switch {
		case follower > s.Next:
			s.lose(off, len(data), follower-s.Next, fmt.Sprintf("%v, up to the end of the segment", err))
		case follower != 0:
			s.lose(off, len(data), 0, fmt.Sprintf("%v, behind the last entry of the segment", err))
		case errors.Is(err, errForeign):
			s.lose(off, len(data), 1, err.Error()) // it was whole, so it took the place of one that was, too
		default:
			s.lose(off, len(data), 0, tornText(data[off:]))
		}
		return s, nil
	}
}

// lose notes a stretch of damage and passes over the entries that are lost in it.
func (s *segmentScan) lose(begin, end int, lost uint64, what string) {
	s.Damages = append(s.Damages, damage{begin, end, s.Next, lost, lost > 0, s.Epoch, what})
	s.Next += lost
}

// torn reports whether the only damage is that the end was not written in full.
func (s *segmentScan) torn() bool {
	return len(s.Damages) == 1 && s.Damages[0].Lost == 0 && s.Damages[0].End == s.Size
}

// rebuild returns the segment without the damage, with a frame in the place of each lost entry.
func (s *segmentScan) rebuild(data []byte) []byte {
	out := make([]byte, 0, len(data))
	at := 0
	for _, d := range s.Damages {
		out = append(out, data[at:d.Begin]...)
		if d.Filled {
			for i := range d.Lost {
				out = appendEntry(out, frame{Kind: frameLost, Epoch: d.Epoch, Index: d.Index + i})
			}
		}
		at = d.End
	}
	return append(out, data[at:]...)
}

// tornText says in words what the end of a log looks like that was not written in full.
func tornText(tail []byte) string {
	if len(bytes.TrimRight(tail, "\x00")) == 0 {
		return fmt.Sprintf("the last %d bytes were reserved and never written", len(tail))
	}
	return fmt.Sprintf("the last write was cut short: %d bytes do not make an entry", len(tail))
}
