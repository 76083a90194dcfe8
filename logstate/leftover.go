package logstate

import (
	"fmt"
	"slices"
)

// leftovers finishes or undoes what an interrupted truncation left behind, so that the library finds nothing but segments.
//
// The library truncates the front in four steps: write N.START.TEMP and sync it; rename it to N.START; remove the old segments, oldest
// first; rename it to N. Until the third step the old segments are all there; so it is undone if the new file is not whole.
func (r *repairer) leftovers(files []logFile) error {
	segs := onlySegments(files)
	for _, f := range slices.Backward(files) { // a later truncation goes further than an earlier one
		var err error
		switch f.Suffix {
		case suffixStart:
			segs, err = r.finishStart(f, segs)
		case suffixStartTemp:
			segs, err = r.dropTemp(f, segs)
		case suffixEnd:
			segs, err = r.undoEnd(f, segs)
		case suffixEndTemp, suffixRepair:
			err = r.fs.Remove(r.path(f.Name()))
		}
		if err != nil {
			return err
		}
	}
	return r.fs.SyncDir(r.dir)
}

// split returns how many segments begin at or before index, and the number of the one behind them, 0 if there is none.
func split(segs []uint64, index uint64) (before int, follower uint64) {
	for before < len(segs) && segs[before] <= index {
		before++
	}
	if before < len(segs) {
		follower = segs[before]
	}
	return before, follower
}

// endOf returns the index behind the last entry of the last of these segments, 0 if there is none.
func (r *repairer) endOf(segs []uint64) (uint64, error) {
	if len(segs) == 0 {
		return 0, nil
	}
	s, err := r.scanFile(logFile{Index: segs[len(segs)-1]}, 0, 0)
	return s.Next, err
}

func (r *repairer) finishStart(f logFile, segs []uint64) ([]uint64, error) {
	before, follower := split(segs, f.Index)
	s, err := r.scanFile(f, follower, 0)
	if err != nil {
		return segs, err
	}
	oldNext, err := r.endOf(segs[:before])
	if err != nil {
		return segs, err
	}
	if whole := len(s.Damages) == 0 && s.Next >= oldNext; before > 0 && !whole {
		kept, err := r.asideRename(f.Name(), "damaged")
		if err != nil {
			return segs, err
		}
		r.report(f.Name(), Repair{Index: f.Index, Kept: kept, What: "an interrupted clean-up of old entries was undone"})
		return segs, r.fs.SyncDir(r.dir)
	}
	for _, old := range segs[:before] {
		if old == f.Index {
			break // the rename replaces it
		}
		if err := r.fs.Remove(r.path(segmentName(old))); err != nil {
			return segs, err
		}
	}
	r.report(f.Name(), Repair{Index: f.Index, What: "an interrupted clean-up of old entries was finished"})
	return r.adopt(f, segs[before:])
}

// adopt makes a leftover the first of the segments.
func (r *repairer) adopt(f logFile, rest []uint64) ([]uint64, error) {
	if err := r.fs.Rename(r.path(f.Name()), r.path(segmentName(f.Index))); err != nil {
		return rest, err
	}
	return append([]uint64{f.Index}, rest...), r.fs.SyncDir(r.dir)
}

// dropTemp removes a file that was not yet the log's. Only if the segments that it was made from are gone, which takes a file system
// that reorders renames and removals in a power cut, is it taken for what it was to become.
func (r *repairer) dropTemp(f logFile, segs []uint64) ([]uint64, error) {
	before, follower := split(segs, f.Index)
	if before > 0 {
		return segs, r.fs.Remove(r.path(f.Name()))
	}
	s, err := r.scanFile(f, follower, 0)
	if err != nil {
		return segs, err
	}
	if s.Size > 0 && len(s.Damages) == 0 {
		r.report(f.Name(), Repair{Index: f.Index, What: "an interrupted clean-up of old entries was finished"})
		return r.adopt(f, segs)
	}
	kept, err := r.asideRename(f.Name(), "damaged")
	if err != nil {
		return segs, err
	}
	r.report(f.Name(), Repair{Index: f.Index, Kept: kept, What: "what an interrupted clean-up left is damaged"})
	return segs, nil
}

// undoEnd treats the trace of a cut-off end, which this program never makes: the entries are kept as long as they are there.
func (r *repairer) undoEnd(f logFile, segs []uint64) ([]uint64, error) {
	before, _ := split(segs, f.Index)
	if before > 0 && segs[before-1] == f.Index {
		kept, err := r.asideRename(f.Name(), "damaged")
		if err != nil {
			return segs, err
		}
		r.report(f.Name(), Repair{Index: f.Index, Kept: kept, What: "a cut of the log's end by another program was undone"})
		return segs, nil
	}
	r.report(f.Name(), Repair{Index: f.Index, What: fmt.Sprintf("a cut of the log's end by another program left %s in the place of its segment", f.Name())})
	rest := slices.Clone(segs[before:])
	adopted, err := r.adopt(f, rest)
	return append(slices.Clone(segs[:before]), adopted...), err
}
