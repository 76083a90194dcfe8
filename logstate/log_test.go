package logstate

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/wal"
)

// testTime names what is set aside in tests.
func testTime() time.Time { return time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC) }

// testPayload is what the frame with this index holds in tests; sizes differ so that lengths take one, two and three bytes.
func testPayload(index uint64) []byte {
	n := int(index*37) % 300
	if index%10 == 9 {
		n = 20000
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(int(index) + i*7)
	}
	return b
}

// testFrames returns frames as they stand at the indexes from first on.
func testFrames(first uint64, n int) []frame {
	var out []frame
	for i := range uint64(n) {
		out = append(out, frame{Kind: 3, Mailbox: Mailbox(first + i), Seq: first + i, Payload: testPayload(first + i)})
	}
	return out
}

// unsynced is a file system that does not wait for the disk, so that tests can do a lot.
type unsynced struct{ osFiles }

func (unsynced) Write(path string, data []byte) error   { return os.WriteFile(path, data, 0o600) }
func (unsynced) Truncate(path string, size int64) error { return os.Truncate(path, size) }
func (unsynced) SyncDir(string) error                   { return nil }
func (unsynced) Rename(from, to string) error {
	_ = os.Remove(to) // some file systems write a file out when it replaces another
	return os.Rename(from, to)
}

// memoryDir returns a new directory, in memory where there is such a place, for tests that write thousands of logs.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "driftless-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func mustOpen(t testing.TB, dir string, opt logOptions) (*walLog, []Repair) {
	t.Helper()
	opt.Name, opt.Now = "shared", testTime
	if opt.files == nil {
		opt.files = unsynced{}
	}
	l, repairs, err := openLog(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, repairs
}

func mustAppend(t testing.TB, l *walLog, frames ...frame) {
	t.Helper()
	if _, err := l.Append(frames); err != nil {
		t.Fatal(err)
	}
}

func mustClose(t testing.TB, l *walLog) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// buildLog writes a log with n frames from index 1 on.
func buildLog(t testing.TB, dir string, n, segmentSize int) {
	t.Helper()
	l, repairs := mustOpen(t, dir, logOptions{SegmentSize: segmentSize})
	if len(repairs) > 0 {
		t.Fatalf("repairs in a new log: %+v", repairs)
	}
	l.StartEpoch(7)
	for i := 0; i < n; i += 4 {
		mustAppend(t, l, testFrames(uint64(i+1), min(4, n-i))...)
	}
	mustClose(t, l)
}

// collect reads frames with copied payloads.
func collect(dir string, from position) ([]frame, position, error) {
	var out []frame
	end, err := readFrames(dir, from, func(f frame, _ position) error {
		f.Payload = bytes.Clone(f.Payload)
		out = append(out, f)
		return nil
	})
	return out, end, err
}

// checkFrames fails unless each frame is the one that was written at its index or stands for a lost one, and indexes are contiguous.
func checkFrames(t testing.TB, got []frame) {
	t.Helper()
	for i, f := range got {
		if i > 0 && f.Index != got[i-1].Index+1 {
			t.Fatalf("index %d follows %d", f.Index, got[i-1].Index)
		}
		if f.Kind == frameLost && len(f.Payload) == 0 {
			continue
		}
		if f.Kind != 3 || f.Mailbox != Mailbox(f.Index) || f.Seq != f.Index || !bytes.Equal(f.Payload, testPayload(f.Index)) {
			t.Fatalf("frame %d is not the one that was written: kind %d, mailbox %d, seq %d, %d bytes", f.Index, f.Kind, f.Mailbox, f.Seq, len(f.Payload))
		}
	}
}

// checkUsable repairs and opens the log, appends to it, and reads it again, with our reader and with the library.
func checkUsable(t testing.TB, dir string, segmentSize int) (before []frame, repairs []Repair) {
	t.Helper()
	l, repairs := mustOpen(t, dir, logOptions{SegmentSize: segmentSize})
	before, _, err := collect(dir, position{})
	if err != nil {
		t.Fatalf("read after repair %+v: %v", repairs, err)
	}
	checkFrames(t, before)
	if len(before) == 0 {
		if l.First() != 0 || l.Last() != 0 {
			t.Fatalf("nothing is read, but the log has %d to %d", l.First(), l.Last())
		}
	} else if l.First() != before[0].Index || l.Last() != before[len(before)-1].Index {
		t.Fatalf("read %d to %d, but the log has %d to %d", before[0].Index, before[len(before)-1].Index, l.First(), l.Last())
	}
	next := l.next
	mustAppend(t, l, testFrames(next, 3)...)
	mustClose(t, l)
	after, _, err := collect(dir, position{})
	if err != nil {
		t.Fatal(err)
	}
	checkFrames(t, after)
	if len(after) != len(before)+3 {
		t.Fatalf("%d frames and 3 more make %d", len(before), len(after))
	}
	_, again := mustOpen(t, dir, logOptions{SegmentSize: segmentSize})
	if len(again) > 0 {
		t.Fatalf("repaired again: %+v after %+v", again, repairs)
	}
	w, err := wal.Open(dir, &wal.Options{NoSync: true, AllowEmpty: true})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, f := range after {
		b, err := w.Read(f.Index)
		if err != nil {
			t.Fatalf("library reads %d: %v", f.Index, err)
		}
		if d, err := decodeFrame(b); err != nil || d.Index != f.Index {
			t.Fatalf("library reads %d as %d: %v", f.Index, d.Index, err)
		}
	}
	return before, repairs
}

// copyLog copies the files of a log.
func copyLog(t testing.TB, from, to string) {
	t.Helper()
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func segmentsOf(t testing.TB, dir string) []uint64 {
	t.Helper()
	files, err := listLog(dir)
	if err != nil {
		t.Fatal(err)
	}
	return onlySegments(files)
}

func TestAppendAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "shared")
	if got, _, err := collect(dir, position{}); err != nil || got != nil {
		t.Fatalf("a log that is missing reads as %v, %v", got, err)
	}
	l, _ := mustOpen(t, dir, logOptions{SegmentSize: 3000})
	if l.First() != 0 || l.Last() != 0 || l.Epoch() != 0 {
		t.Fatalf("new log has %d to %d, epoch %d", l.First(), l.Last(), l.Epoch())
	}
	l.StartEpoch(7)
	l.StartEpoch(2) // ignored
	var end position
	var all []frame
	for i := uint64(1); i <= 60; i += 3 {
		first, err := l.Append(testFrames(i, 3))
		if err != nil || first != i {
			t.Fatalf("append at %d: %d, %v", i, first, err)
		}
		var got []frame
		if got, end, err = collect(dir, end); err != nil || len(got) != 3 {
			t.Fatalf("following at %d: %d frames, %v", i, len(got), err)
		}
		all = append(all, got...)
		if got[0].Epoch != 7 {
			t.Fatalf("epoch %d", got[0].Epoch)
		}
	}
	checkFrames(t, all)
	if l.First() != 1 || l.Last() != 60 || len(all) != 60 {
		t.Fatalf("%d to %d, %d read", l.First(), l.Last(), len(all))
	}
	if got, again, err := collect(dir, end); err != nil || got != nil || again != end {
		t.Fatalf("nothing new reads as %v, %+v, %v", got, again, err)
	}
	mustClose(t, l)
	if _, err := l.Append(testFrames(61, 1)); !errors.Is(err, errClosed) {
		t.Fatalf("append to a closed log: %v", err)
	}
	l, repairs := mustOpen(t, dir, logOptions{SegmentSize: 3000})
	if l.First() != 1 || l.Last() != 60 || l.Epoch() != 7 || repairs != nil {
		t.Fatalf("reopened: %d to %d, epoch %d, %v", l.First(), l.Last(), l.Epoch(), repairs)
	}
	checkUsable(t, dir, 3000)
	for _, p := range []string{dir, filepath.Dir(dir)} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, %v", p, info.Mode(), err)
		}
	}
	for _, s := range segmentsOf(t, dir) {
		if info, err := os.Stat(filepath.Join(dir, segmentName(s))); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%d has mode %v, %v", s, info.Mode(), err)
		}
	}
}

func TestReadAgainFromAFrame(t *testing.T) {
	dir := t.TempDir()
	buildLog(t, dir, 30, 3000)
	var at []position
	if _, err := readFrames(dir, position{}, func(_ frame, p position) error { at = append(at, p); return nil }); err != nil {
		t.Fatal(err)
	}
	for i, p := range at {
		got, end, err := collect(dir, p.before())
		if err != nil || len(got) != 30-i || got[0].Index != uint64(i+1) || end != at[29] {
			t.Fatalf("from %+v: %d frames, %+v, %v", p, len(got), end, err)
		}
		if got, _, err := collect(dir, p); err != nil || len(got) != 29-i {
			t.Fatalf("behind %+v: %d frames, %v", p, len(got), err)
		}
	}
	stop := errors.New("enough")
	end, err := readFrames(dir, position{}, func(f frame, _ position) error {
		if f.Index == 12 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || end != at[10] {
		t.Fatalf("stopped at %+v, %v", end, err)
	}
}

func TestOpenWritesNothing(t *testing.T) {
	dir := t.TempDir()
	l, _ := mustOpen(t, dir, logOptions{})
	mustClose(t, l)
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Fatalf("an empty log was given files: %v", entries)
	}
	buildLog(t, dir, 10, 3000)
	before := dirState(t, dir)
	l, _ = mustOpen(t, dir, logOptions{SegmentSize: 3000})
	if first, err := l.Append(nil); err != nil || first != 11 {
		t.Fatalf("append of nothing: %d, %v", first, err)
	}
	mustClose(t, l)
	if after := dirState(t, dir); after != before {
		t.Fatalf("was\n%s\nis\n%s", before, after)
	}
}

// dirState describes all files of a directory.
func dirState(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %v %d %x\n", e.Name(), info.ModTime(), len(data), frameHash(data))
	}
	return b.String()
}

func frameHash(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

func TestTruncateFront(t *testing.T) {
	const n = 40
	for first := uint64(1); first <= n+1; first++ {
		dir := t.TempDir()
		buildLog(t, dir, n, 3000)
		_, end, err := collect(dir, position{})
		if err != nil {
			t.Fatal(err)
		}
		l, _ := mustOpen(t, dir, logOptions{SegmentSize: 3000})
		if err := l.TruncateFront(first); err != nil {
			t.Fatal(err)
		}
		got, _, err := collect(dir, position{})
		if err != nil || len(got) != int(n+1-first) {
			t.Fatalf("truncated to %d: %d frames, %v", first, len(got), err)
		}
		checkFrames(t, got)
		if first <= n && (got[0].Index != first || l.First() != first || l.Last() != n) {
			t.Fatalf("truncated to %d: begins at %d", first, got[0].Index)
		}
		if first == n+1 && (l.First() != 0 || l.Last() != 0) {
			t.Fatalf("emptied: %d to %d", l.First(), l.Last())
		}
		if _, _, err := collect(dir, end); first > end.Segment && !errors.Is(err, errMoved) {
			t.Fatalf("truncated to %d under a reader at %+v: %v", first, end, err)
		}
		mustAppend(t, l, testFrames(n+1, 5)...)
		tail := segmentsOf(t, dir)
		if size, err := fileSize(dir, tail[len(tail)-1]); err != nil || size != l.tail {
			t.Fatalf("last segment has %d bytes, %d expected, %v", size, l.tail, err)
		}
		mustClose(t, l)
		if before, repairs := checkUsable(t, dir, 3000); len(before) != int(n+6-first) || len(repairs) > 0 {
			t.Fatalf("truncated to %d, appended, reopened: %d frames, %+v", first, len(before), repairs)
		}
	}
	dir := t.TempDir()
	buildLog(t, dir, 5, 3000)
	l, _ := mustOpen(t, dir, logOptions{})
	if err := l.TruncateFront(7); err == nil {
		t.Error("truncated behind the end")
	}
	if err := l.TruncateFront(0); err != nil || l.First() != 1 {
		t.Errorf("truncated nothing: %v", err)
	}
}

func TestTailSizeIsTheLibrarys(t *testing.T) {
	for _, size := range []int{1, 40, 100, 3000, 50000} {
		dir := t.TempDir()
		l, _ := mustOpen(t, dir, logOptions{SegmentSize: size})
		for i := uint64(1); i < 60; i += 3 {
			before := len(segmentsOf(t, dir))
			l.syncs = 0
			mustAppend(t, l, testFrames(i, 3)...)
			segs := segmentsOf(t, dir)
			if got, err := fileSize(dir, segs[len(segs)-1]); err != nil || got != l.tail {
				t.Fatalf("segment size %d, entry %d: tail %d, expected %d, %v", size, i, got, l.tail, err)
			}
			want := 1
			if added := len(segs) - before; added > 0 {
				want += 1 + added
				if before == 0 {
					want-- // the first segment follows none that must be synced
				}
			}
			if l.syncs != want {
				t.Fatalf("segment size %d, entry %d: %d fsyncs, not %d", size, i, l.syncs, want)
			}
		}
		mustClose(t, l)
		checkUsable(t, dir, size)
	}
}

// failing fails every call from the n-th on, or only that one.
type failing struct {
	fileSystem
	n     int
	calls []string
	once  bool
}

var errInjected = errors.New("injected fault")

func (f *failing) fails(call, path string) bool {
	f.calls = append(f.calls, call+" "+filepath.Base(path))
	if f.once {
		return len(f.calls) == f.n
	}
	return len(f.calls) >= f.n
}

func (f *failing) Write(path string, data []byte) error {
	if f.fails("write", path) {
		_ = os.WriteFile(path, data[:len(data)/2], 0o600) // what a full disk leaves behind
		return errInjected
	}
	return f.fileSystem.Write(path, data)
}

func (f *failing) Truncate(path string, size int64) error {
	if f.fails("truncate", path) {
		return errInjected
	}
	return f.fileSystem.Truncate(path, size)
}

func (f *failing) Rename(from, to string) error {
	if f.fails("rename", from) {
		return errInjected
	}
	return f.fileSystem.Rename(from, to)
}

func (f *failing) Remove(path string) error {
	if f.fails("remove", path) {
		return errInjected
	}
	return f.fileSystem.Remove(path)
}

func (f *failing) SyncDir(dir string) error {
	if f.fails("sync", dir) {
		return errInjected
	}
	return f.fileSystem.SyncDir(dir)
}

func TestFailurePoisons(t *testing.T) {
	dir := t.TempDir()
	faults := &failing{fileSystem: osFiles{}, n: 2, once: true}
	l, _ := mustOpen(t, dir, logOptions{SegmentSize: 100, files: faults})
	mustAppend(t, l, testFrames(1, 1)...) // the first SyncDir
	_, err := l.Append(testFrames(2, 20)) // the second one
	if !errors.Is(err, errInjected) || errors.Is(err, errPoisoned) {
		t.Fatalf("first failure: %v", err)
	}
	if _, err := l.Append(testFrames(2, 1)); !errors.Is(err, errPoisoned) {
		t.Fatalf("append after it: %v", err)
	}
	if err := l.TruncateFront(1); !errors.Is(err, errPoisoned) {
		t.Fatalf("truncate after it: %v", err)
	}
	mustClose(t, l)
	mustClose(t, l)
	checkNotOpen(t, dir)
	checkUsable(t, dir, 100)
}

// checkNotOpen fails if this process has a file of the directory open.
func checkNotOpen(t *testing.T, dir string) {
	t.Helper()
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds { // none where there is no /proc
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, dir+"/") {
			t.Errorf("%s is still open", to)
		}
	}
}

func TestDirectoryIsSyncedOnlyWhenNamesChange(t *testing.T) {
	dir := t.TempDir()
	buildLog(t, dir, 4, 50000)
	count := func(want int, next uint64, what string) {
		t.Helper()
		l, _ := mustOpen(t, dir, logOptions{SegmentSize: 50000})
		mustAppend(t, l, testFrames(next, 1)...)
		if l.syncs != want {
			t.Errorf("%s: %d fsyncs, not %d", what, l.syncs, want)
		}
		mustClose(t, l)
	}
	count(1, 5, "opened again")
	synced.mu.Lock()
	delete(synced.dirs, dir)
	synced.mu.Unlock()
	count(2, 6, "opened by another process")
	count(1, 7, "and again")
	writeFile(t, filepath.Join(dir, "new"), nil)
	if err := os.Chtimes(dir, testTime(), testTime()); err != nil {
		t.Fatal(err)
	}
	count(2, 8, "after another process changed it")
}

func TestFullDisk(t *testing.T) {
	for _, limit := range []string{"100", "5000", "5001", "5433"} { // bytes that a file may have
		dir := filepath.Join(t.TempDir(), "shared")
		t.Setenv("LOGSTATE_TEST_LIMIT", limit)
		cmd, out := startJob(t, "full", dir)
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		var written int
		if _, err := fmt.Sscanf(line, "written %d", &written); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		got, repairs := checkUsable(t, dir, 0)
		if len(got) < written || len(got) > written+5 || lost(repairs) != nil {
			t.Errorf("limit %s: %d frames were acknowledged, %d are there, %+v", limit, written, len(got), repairs)
		}
	}
}

func TestWriteToLostFilePoisons(t *testing.T) {
	dir := t.TempDir()
	l, _ := mustOpen(t, dir, logOptions{SegmentSize: 50})
	mustAppend(t, l, testFrames(1, 2)...)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(testFrames(3, 4)); err == nil {
		t.Fatal("appended to a directory that is gone")
	}
	if _, err := l.Append(testFrames(3, 4)); !errors.Is(err, errPoisoned) {
		t.Fatalf("then: %v", err)
	}
	mustClose(t, l)
}

func TestAppendRefusesWhatCannotBeRead(t *testing.T) {
	for _, f := range []frame{{}, {Kind: 1, Version: frameVersion + 1}, {Kind: 1, Payload: make([]byte, maxFrameSize)}} {
		l, _ := mustOpen(t, t.TempDir(), logOptions{})
		if _, err := l.Append([]frame{f}); err == nil {
			t.Errorf("appended kind %d, version %d, %d bytes", f.Kind, f.Version, len(f.Payload))
		}
	}
}

func TestTwoWritersAreNoticed(t *testing.T) {
	dir := t.TempDir()
	buildLog(t, dir, 4, 3000)
	a, _ := mustOpen(t, dir, logOptions{})
	b, _ := mustOpen(t, dir, logOptions{})
	mustAppend(t, a, testFrames(5, 1)...)
	mustClose(t, a)
	if _, err := b.Append(testFrames(5, 1)); err == nil {
		t.Fatal("a second writer overwrote the first one")
	}
	mustClose(t, b)
	if before, repairs := checkUsable(t, dir, 3000); len(before) != 5 || len(repairs) > 0 {
		t.Fatalf("%d frames, %+v", len(before), repairs)
	}
}

// lost returns the indexes that repairs say are lost.
func lost(repairs []Repair) []uint64 {
	var out []uint64
	for _, r := range repairs {
		if r.Lost {
			for i := r.Index; i <= r.LostTo; i++ {
				out = append(out, i)
			}
		}
	}
	slices.Sort(out)
	return out
}

// lostFrames returns the indexes that have a frame in the place of a lost one.
func lostFrames(frames []frame) []uint64 {
	var out []uint64
	for _, f := range frames {
		if f.Kind == frameLost {
			out = append(out, f.Index)
		}
	}
	return out
}
