package logstate

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// follower reads a log that is being written, as a status display does.
type follower struct {
	dir    string
	pos    position
	next   uint64 // index expected next, 0 when it starts again
	newest uint64
	frames int
	moved  int
}

// step reads what there is. Whatever the writer does meanwhile, frames are right and in order.
func (f *follower) step() error {
	end, err := readFrames(f.dir, f.pos, func(fr frame, p position) error {
		if f.next != 0 && fr.Index != f.next {
			return fmt.Errorf("entry %d follows %d", fr.Index, f.next-1)
		}
		if p.Index != fr.Index+1 || fr.Kind != 3 || !bytes.Equal(fr.Payload, testPayload(fr.Index)) {
			return fmt.Errorf("entry %d is not the one that was written", fr.Index)
		}
		f.next = fr.Index + 1
		f.frames++
		return nil
	})
	f.pos = end
	f.newest = max(f.newest, f.next)
	if errors.Is(err, errMoved) {
		f.pos, f.next = position{}, 0
		f.moved++
		return nil
	}
	return err
}

func TestReadersFollowAWriter(t *testing.T) {
	dir := memoryDir(t)
	l, _ := mustOpen(t, dir, logOptions{SegmentSize: 3000})
	done := make(chan struct{})
	var wg sync.WaitGroup
	readers := []*follower{{dir: dir}, {dir: dir}, {dir: dir}}
	for i, f := range readers {
		wg.Go(func() {
			for last := false; ; {
				if err := f.step(); err != nil {
					t.Error(err)
					return
				}
				if last {
					return
				}
				if i == 2 { // one always begins at the front
					f.pos, f.next = position{}, 0
				}
				select {
				case <-done:
					last = true
				default:
				}
			}
		})
	}
	for i := uint64(1); i < 1200; i += 3 {
		mustAppend(t, l, testFrames(i, 3)...)
		if i%30 == 1 && i > 100 {
			if err := l.TruncateFront(i - 60); err != nil {
				t.Fatal(err)
			}
		}
		if i%200 == 1 { // another process takes over
			mustClose(t, l)
			l, _ = mustOpen(t, dir, logOptions{SegmentSize: 3000})
		}
	}
	close(done)
	wg.Wait()
	for i, f := range readers {
		if f.newest != 1201 {
			if err := f.step(); err != nil || f.next != 1201 { // the last step may have been moved
				t.Errorf("reader %d has read to %d: %v", i, f.next, err)
			}
		}
		t.Logf("reader %d: %d frames, started again %d times", i, f.frames, f.moved)
	}
}

func TestWriterProcessKilled(t *testing.T) {
	dir := filepath.Join(memoryDir(t), "shared")
	f := &follower{dir: dir}
	for round := range 6 {
		cmd, out := startJob(t, "write", dir)
		if round == 0 {
			if line, err := out.ReadString('\n'); line != "writing\n" {
				t.Fatalf("%q, %v", line, err)
			}
		}
		for target := f.newest + 300; f.newest < target; {
			if err := f.step(); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // says that it was killed
		if err := f.step(); err != nil {
			t.Fatal(err)
		}
	}
	got, repairs := checkUsable(t, dir, 3000)
	if len(got) == 0 || lost(repairs) != nil {
		t.Fatalf("%d frames, %+v", len(got), repairs)
	}
}

func TestReaderNoticesAnotherLog(t *testing.T) {
	dir := t.TempDir()
	buildLog(t, dir, 20, 50000)
	_, end, err := collect(dir, position{})
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(dir string){
		"an older copy that went another way": func(dir string) {
			path, data := tailFile(t, dir)
			writeFile(t, path, data[:ends(t, dir)[10]])
			l, _ := mustOpen(t, dir, logOptions{SegmentSize: 50000})
			fs := testFrames(11, 10)
			fs[9].Seq = 1 << 40 // the same length at the same index
			mustAppend(t, l, fs...)
			mustClose(t, l)
		},
		"a shorter one": func(dir string) {
			path, data := tailFile(t, dir)
			writeFile(t, path, data[:ends(t, dir)[10]])
		},
		"cut within the last frame": func(dir string) {
			path, data := tailFile(t, dir)
			writeFile(t, path, data[:len(data)-1])
		},
		"none": func(dir string) {
			path, _ := tailFile(t, dir)
			if err := (osFiles{}).Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"a truncated one": func(dir string) {
			l, _ := mustOpen(t, dir, logOptions{SegmentSize: 50000})
			if err := l.TruncateFront(20); err != nil {
				t.Fatal(err)
			}
			mustClose(t, l)
		},
	} {
		other := t.TempDir()
		copyLog(t, dir, other)
		spoil(other)
		if got, _, err := collect(other, end); !errors.Is(err, errMoved) || len(got) > 0 {
			t.Errorf("%s: %d frames, %v", name, len(got), err)
		}
	}
	// It grew: nothing to notice.
	l, _ := mustOpen(t, dir, logOptions{SegmentSize: 50000})
	mustAppend(t, l, testFrames(21, 2)...)
	if got, _, err := collect(dir, end); err != nil || len(got) != 2 || got[0].Index != 21 {
		t.Errorf("grown: %d frames, %v", len(got), err)
	}
	for _, p := range []position{{Segment: 1, Offset: -1}, {Segment: 1, Offset: 10, Start: 20, Index: 3}, {Segment: 9, Index: 9}, {Segment: 1, Start: 1 << 40, Offset: 1<<40 + 40, Index: 4}} {
		if _, _, err := collect(dir, p); !errors.Is(err, errMoved) {
			t.Errorf("from %+v: %v", p, err)
		}
	}
}
