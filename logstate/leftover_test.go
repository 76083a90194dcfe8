package logstate

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// frontCut is a truncation of the front, cut off at each of its steps.
type frontCut struct {
	first   uint64
	content []byte   // of the new first segment
	old     []uint64 // segments that are removed
}

func cutAt(t *testing.T, dir string, first uint64) frontCut {
	t.Helper()
	segs := segmentsOf(t, dir)
	before, _ := split(segs, first)
	data, err := os.ReadFile(filepath.Join(dir, segmentName(segs[before-1])))
	if err != nil {
		t.Fatal(err)
	}
	for index := segs[before-1]; index < first; index++ {
		_, n, err := entryAt(data, index, 0)
		if err != nil {
			t.Fatal(err)
		}
		data = data[n:]
	}
	return frontCut{first, data, segs[:before]}
}

// states calls f with a directory for each state in which a power cut can leave the truncation.
func (c frontCut) states(t *testing.T, master string, temps int, f func(step, dir string)) {
	t.Helper()
	start := segmentName(c.first) + suffixStart
	for n := 0; n <= len(c.content); n += 1 + len(c.content)/temps {
		dir := memoryDir(t)
		copyLog(t, master, dir)
		writeFile(t, filepath.Join(dir, start+".TEMP"), c.content[:n])
		f(fmt.Sprintf("%d bytes of .START.TEMP", n), dir)
	}
	for n := 0; n <= len(c.old); n++ {
		dir := memoryDir(t)
		copyLog(t, master, dir)
		writeFile(t, filepath.Join(dir, start), c.content)
		for _, s := range c.old[:n] {
			if err := os.Remove(filepath.Join(dir, segmentName(s))); err != nil {
				t.Fatal(err)
			}
		}
		f(fmt.Sprintf(".START and %d of %d segments removed", n, len(c.old)), dir)
	}
}

func TestInterruptedTruncation(t *testing.T) {
	const n = 40
	master := memoryDir(t)
	buildLog(t, master, n, 3000)
	segs := segmentsOf(t, master)
	last := segs[len(segs)-1]
	for _, first := range []uint64{2, segs[1], segs[2] + 1, last + 1, n, n + 1} {
		cut := cutAt(t, master, first)
		cut.states(t, master, 12, func(step, dir string) {
			seen, _, err := collect(dir, position{})
			checkFrames(t, seen)
			if err != nil || len(seen) < int(n+1-first) || (len(seen) > 0 && seen[len(seen)-1].Index != n) {
				t.Fatalf("to %d, %s: a reader sees %d frames, %v", first, step, len(seen), err)
			}
			got, repairs := checkUsable(t, dir, 3000)
			if len(got) < int(n+1-first) || (len(got) > 0 && got[len(got)-1].Index != n) || lost(repairs) != nil || lostFrames(got) != nil {
				t.Fatalf("to %d, %s: %d frames, %+v", first, step, len(got), repairs)
			}
			files, err := listLog(dir)
			if err != nil || len(onlySegments(files)) != len(files) {
				t.Fatalf("to %d, %s: leaves %v, %v", first, step, files, err)
			}
		})
		cut.states(t, master, 2, func(step, dir string) { // the repair itself is cut off, too
			for k := 1; ; k++ {
				again := memoryDir(t)
				copyLog(t, dir, again)
				_, _, err := openLog(again, logOptions{Name: "shared", Now: testTime, files: &failing{fileSystem: osFiles{}, n: k}})
				if got, repairs := checkUsable(t, again, 3000); len(got) < int(n+1-first) || lostFrames(got) != nil {
					t.Fatalf("to %d, %s, repair cut off at %d: %d frames, %+v", first, step, k, len(got), repairs)
				}
				if err == nil {
					break
				}
			}
		})
	}
}

func TestTornStartIsUndone(t *testing.T) {
	master := memoryDir(t)
	buildLog(t, master, 40, 3000)
	segs := segmentsOf(t, master)
	for _, first := range []uint64{segs[2] + 1, 40} {
		cut := cutAt(t, master, first)
		bounds := []int{0, len(cut.content) - 1}
		if _, n, err := entryAt(cut.content, first, 0); err == nil && n < len(cut.content) {
			bounds = append(bounds, n) // cut between two entries
		}
		for _, n := range bounds {
			dir := memoryDir(t)
			copyLog(t, master, dir)
			writeFile(t, filepath.Join(dir, segmentName(first)+suffixStart), cut.content[:n])
			got, repairs := checkUsable(t, dir, 3000)
			if len(got) != 40 || len(repairs) != 1 || repairs[0].Kept == "" || repairs[0].Lost {
				t.Fatalf("to %d, %d of %d bytes: %d frames, %+v", first, n, len(cut.content), len(got), repairs)
			}
		}
		// With the originals gone, what there is counts.
		dir := memoryDir(t)
		copyLog(t, master, dir)
		writeFile(t, filepath.Join(dir, segmentName(first)+suffixStart), cut.content[:len(cut.content)-1])
		for _, s := range cut.old {
			if err := os.Remove(filepath.Join(dir, segmentName(s))); err != nil {
				t.Fatal(err)
			}
		}
		if got, repairs := checkUsable(t, dir, 3000); (first < 40) != (len(lost(repairs)) > 0) || len(repairs) < 2 || (len(got) > 0 && got[0].Index != first) {
			t.Fatalf("to %d, torn, originals gone: %d frames, %+v", first, len(got), repairs)
		}
	}
}

func TestTempIsAdoptedWhenItsSourceIsGone(t *testing.T) {
	for _, whole := range []bool{true, false} {
		dir := memoryDir(t)
		buildLog(t, dir, 40, 3000)
		segs := segmentsOf(t, dir)
		first := segs[2] + 1
		cut := cutAt(t, dir, first)
		if !whole {
			cut.content = cut.content[:len(cut.content)-1]
		}
		writeFile(t, filepath.Join(dir, segmentName(first)+suffixStartTemp), cut.content)
		for _, s := range cut.old {
			if err := os.Remove(filepath.Join(dir, segmentName(s))); err != nil {
				t.Fatal(err)
			}
		}
		got, repairs := checkUsable(t, dir, 3000)
		want := first
		if !whole {
			want = segs[3]
		}
		if got[0].Index != want || len(repairs) != 1 {
			t.Fatalf("whole %v: begins with %d, %+v", whole, got[0].Index, repairs)
		}
		if !whole && !bytes.Equal(aside(t, dir), cut.content) {
			t.Fatal("the torn file is gone")
		}
	}
}

func TestEndLeftovers(t *testing.T) {
	dir := memoryDir(t)
	buildLog(t, dir, 40, 3000)
	segs := segmentsOf(t, dir)
	for _, suffix := range []string{suffixEnd, suffixEndTemp, suffixRepair} {
		writeFile(t, filepath.Join(dir, segmentName(segs[1])+suffix), []byte("half"))
	}
	got, repairs := checkUsable(t, dir, 3000)
	if len(got) != 40 || len(repairs) != 1 || repairs[0].Kept == "" {
		t.Fatalf("%d frames, %+v", len(got), repairs)
	}
	// Its segment is gone: it is all there is of it.
	dir = memoryDir(t)
	buildLog(t, dir, 40, 3000)
	path := filepath.Join(dir, segmentName(segs[1]))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, n, err := entryAt(data, segs[1], 0)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path+suffixEnd, data[:n])
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	got, repairs = checkUsable(t, dir, 3000)
	var want []uint64
	for x := segs[1] + 1; x < segs[2]; x++ {
		want = append(want, x)
	}
	if len(got) != 40 || !slices.Equal(lostFrames(got), want) || !slices.Equal(lost(repairs), want) {
		t.Fatalf("%d frames, lost %v, %+v", len(got), lostFrames(got), repairs)
	}
}
