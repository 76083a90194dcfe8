package logstate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// maxFill is how many lost entries are filled with a frame each. A bigger hole means that the log's front is of another time
// altogether: the log then begins behind the hole.
const maxFill = 1 << 20

// logExtent is what repairLog knows of the sound log that it leaves behind.
type logExtent struct {
	First, Next uint64 // index of the first entry, and behind the last one; equal when the log is empty
	Epoch       uint32
	Tail        int // bytes in the last segment
	Segments    int
}

// repairer makes a log sound before the library opens it. Each step can be cut off at any moment and is then done again by the next
// repair. Nothing that might be evidence is deleted.
type repairer struct {
	fs      fileSystem
	dir     string
	name    string
	now     time.Time
	repairs []Repair
	buf     []byte
}

// repairLog finishes or undoes interrupted truncations, cuts off a torn end, and fills the place of what is lost. If any frame is of a
// newer version it touches nothing.
func repairLog(fs fileSystem, dir, name string, now time.Time) (logExtent, []Repair, error) {
	r := &repairer{fs: fs, dir: dir, name: name, now: now}
	ext, err := r.run()
	if err != nil {
		return logExtent{}, r.repairs, fmt.Errorf("repair %s log: %w", name, err)
	}
	return ext, r.repairs, nil
}

func (r *repairer) run() (logExtent, error) {
	files, err := listLog(r.dir)
	if err != nil {
		return logExtent{}, err
	}
	segs := onlySegments(files)
	if len(segs) < len(files) {
		if err := r.refuseNewer(files); err != nil {
			return logExtent{}, err
		}
		if err := r.leftovers(files); err != nil {
			return logExtent{}, err
		}
		if files, err = listLog(r.dir); err != nil {
			return logExtent{}, err
		}
		segs = onlySegments(files)
	}
	scans, err := r.scan(segs)
	if err != nil {
		return logExtent{}, err
	}
	if scans, err = r.restart(scans); err != nil {
		return logExtent{}, err
	}
	ext := logExtent{First: 1, Next: 1, Segments: len(scans)}
	for i := range scans {
		s := &scans[i]
		if len(s.Damages) > 0 {
			if err := r.mend(s); err != nil {
				return logExtent{}, err
			}
		}
		if i == 0 {
			ext.First = s.Index
		}
		ext.Next, ext.Epoch, ext.Tail = s.Next, s.Epoch, s.Size
	}
	return ext, nil
}

// scan checks all segments, and reads only.
func (r *repairer) scan(segs []uint64) ([]segmentScan, error) {
	scans := make([]segmentScan, 0, len(segs))
	var epoch uint32
	for i, index := range segs {
		var follower uint64
		if i+1 < len(segs) {
			follower = segs[i+1]
		}
		s, err := r.scanFile(logFile{Index: index}, follower, epoch)
		if err != nil {
			return nil, err
		}
		epoch = s.Epoch
		scans = append(scans, s)
	}
	return scans, nil
}

func (r *repairer) scanFile(f logFile, follower uint64, epoch uint32) (segmentScan, error) {
	var err error
	if r.buf, err = readSegment(r.path(f.Name()), 0, r.buf); err != nil {
		return segmentScan{}, err
	}
	s, err := scanSegment(r.buf, f.Index, follower, epoch)
	if err != nil {
		return s, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return s, nil
}

// refuseNewer looks for frames of a newer version in every file, before a leftover is touched.
func (r *repairer) refuseNewer(files []logFile) error {
	for _, f := range files {
		if _, err := r.scanFile(f, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// restart sets everything before a hole aside that is too big to be filled.
func (r *repairer) restart(scans []segmentScan) ([]segmentScan, error) {
	for i := len(scans) - 2; i >= 0; i-- {
		d := scans[i].Damages
		if len(d) == 0 || d[len(d)-1].Lost <= maxFill {
			continue
		}
		next := scans[i+1].Index
		first := scans[0].Index
		// One lost entry before the rest tells later readers that there was something. It comes first, so that a power cut
		// after it finds at worst the old segments again.
		marker := logFile{Index: next - 1}
		if err := r.replace(marker, appendEntry(nil, frame{Kind: frameLost, Epoch: scans[i].Epoch, Index: next - 1})); err != nil {
			return nil, err
		}
		kept := ""
		for j := range i + 1 {
			path, err := r.asideRename(segmentName(scans[j].Index), "damaged")
			if err != nil {
				return nil, err
			}
			kept = path
		}
		r.report(segmentName(first), Repair{
			Index: first, LostTo: next - 1, Lost: true, Kept: kept,
			What: fmt.Sprintf("entries %d to %d are missing; the log begins behind them", scans[i].Next-d[len(d)-1].Lost, next-1),
		})
		if err := r.fs.SyncDir(r.dir); err != nil {
			return nil, err
		}
		return r.scan(append([]uint64{next - 1}, indexes(scans[i+1:])...))
	}
	return scans, nil
}

func indexes(scans []segmentScan) []uint64 {
	var out []uint64
	for _, s := range scans {
		out = append(out, s.Index)
	}
	return out
}

// mend sets the damaged bytes of a segment aside and replaces it by one without them.
func (r *repairer) mend(s *segmentScan) error {
	f := logFile{Index: s.Index}
	var err error
	if r.buf, err = readSegment(r.path(f.Name()), 0, r.buf); err != nil {
		return err
	}
	if len(r.buf) != s.Size {
		return fmt.Errorf("%s changed while it was read: is something else writing to it?", f.Name())
	}
	if s.torn() {
		return r.cut(f, s)
	}
	kept, err := r.asideCopy(f.Name(), "damaged", r.buf)
	if err != nil {
		return err
	}
	out := s.rebuild(r.buf)
	if err := r.replace(f, out); err != nil {
		return err
	}
	for _, d := range s.Damages {
		rep := Repair{Offset: int64(d.Begin), Index: d.Index, What: d.What, Kept: kept, Lost: d.Lost > 0}
		if rep.Lost {
			rep.LostTo = d.Index + d.Lost - 1
		}
		r.report(f.Name(), rep)
	}
	s.Size = len(out)
	return nil
}

// cut takes off an end that was not written in full.
func (r *repairer) cut(f logFile, s *segmentScan) error {
	d := s.Damages[0]
	kept := ""
	if tail := bytes.TrimRight(r.buf[d.Begin:], "\x00"); len(tail) > 0 { // zeroes tell nothing
		var err error
		if kept, err = r.asideCopy(f.Name(), "torn", r.buf[d.Begin:]); err != nil {
			return err
		}
	}
	if err := r.fs.Truncate(r.path(f.Name()), int64(d.Begin)); err != nil {
		return err
	}
	r.report(f.Name(), Repair{Offset: int64(d.Begin), Index: d.Index, What: d.What, Kept: kept})
	s.Size = d.Begin
	return nil
}

// replace puts a segment in its place at once.
func (r *repairer) replace(f logFile, data []byte) error {
	temp := r.path(segmentName(f.Index) + suffixRepair)
	if err := r.fs.Write(temp, data); err != nil {
		return err
	}
	if err := r.fs.Rename(temp, r.path(segmentName(f.Index))); err != nil {
		return err
	}
	return r.fs.SyncDir(r.dir)
}

// asideName returns a new name beside the log's files that the library does not take for one of them.
func (r *repairer) asideName(name, why string) (string, error) {
	base := fmt.Sprintf("%s.%s-%s", name, why, r.now.UTC().Format("20060102T150405Z"))
	for n := 1; ; n++ {
		path := base
		if n > 1 {
			path = fmt.Sprintf("%s-%d", base, n)
		}
		_, err := os.Lstat(r.path(path))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return r.path(path), nil
		case err != nil:
			return "", err
		}
	}
}

// asideCopy durably writes a copy beside the log.
func (r *repairer) asideCopy(name, why string, data []byte) (string, error) {
	path, err := r.asideName(name, why)
	if err != nil {
		return "", err
	}
	if err := r.fs.Write(path, data); err != nil {
		return "", fmt.Errorf("set damaged bytes aside: %w", err)
	}
	return path, r.fs.SyncDir(r.dir)
}

// asideRename moves a whole file out of the log's way.
func (r *repairer) asideRename(name, why string) (string, error) {
	path, err := r.asideName(name, why)
	if err != nil {
		return "", err
	}
	return path, r.fs.Rename(r.path(name), path)
}

func (r *repairer) report(segment string, rep Repair) {
	rep.Log, rep.Segment = r.name, segment
	r.repairs = append(r.repairs, rep)
}

func (r *repairer) path(name string) string { return filepath.Join(r.dir, name) }
