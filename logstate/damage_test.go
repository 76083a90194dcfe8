package logstate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sealed sets the checksum of an encoded frame.
func sealed(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b
}

// tailFile returns the path and bytes of the last segment.
func tailFile(t testing.TB, dir string) (string, []byte) {
	t.Helper()
	segs := segmentsOf(t, dir)
	path := filepath.Join(dir, segmentName(segs[len(segs)-1]))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, b
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	_ = os.Remove(path) // some file systems write a file out when it replaces another
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// aside returns the bytes of all files that were set aside.
func aside(t testing.TB, dir string) []byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, e := range entries {
		if strings.Contains(e.Name(), ".torn-") || strings.Contains(e.Name(), ".damaged-") {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, b...)
		}
	}
	return out
}

// ends returns the offsets in the last segment at which entries end, 0 included.
func ends(t testing.TB, dir string) []int {
	t.Helper()
	segs := segmentsOf(t, dir)
	out := []int{0}
	_, err := readFrames(dir, position{}, func(_ frame, p position) error {
		if p.Segment == segs[len(segs)-1] {
			out = append(out, int(p.Offset))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTruncationAtEveryByte(t *testing.T) {
	t.Run("two segments", func(t *testing.T) { truncateEverywhere(t, 13, 21000, 2) }) // the second begins behind the big frame 9
	t.Run("a big frame", func(t *testing.T) { truncateEverywhere(t, 19, 60000, 1) })
}

func truncateEverywhere(t *testing.T, n, segmentSize, segments int) {
	master := memoryDir(t)
	buildLog(t, master, n, segmentSize)
	path, data := tailFile(t, master)
	segs := segmentsOf(t, master)
	if len(segs) != segments || len(data) < 500 {
		t.Fatalf("segments %v, %d bytes in the last one", segs, len(data))
	}
	bounds := ends(t, master)
	before := int(segs[len(segs)-1]) - 1
	for size := range data {
		if len(data) > 4000 && size > 100 && size < len(data)-100 && size%397 != 0 {
			continue // within one frame, one place is like another
		}
		whole := 0
		for whole+1 < len(bounds) && bounds[whole+1] <= size {
			whole++
		}
		dir := memoryDir(t)
		copyLog(t, master, dir)
		writeFile(t, filepath.Join(dir, filepath.Base(path)), data[:size])
		seen, _, err := collect(dir, position{})
		if err != nil || len(seen) != before+whole {
			t.Fatalf("cut to %d bytes: a reader sees %d frames, not %d, %v", size, len(seen), before+whole, err)
		}
		got, repairs := checkUsable(t, dir, segmentSize)
		torn := data[bounds[whole]:size]
		if len(got) != before+whole || (len(repairs) > 0) != (len(torn) > 0) {
			t.Fatalf("cut to %d bytes: %d frames, not %d; %+v", size, len(got), before+whole, repairs)
		}
		if len(torn) == 0 {
			continue
		}
		r := repairs[0]
		if len(repairs) != 1 || r.Lost || r.Offset != int64(bounds[whole]) || r.Index != uint64(before+whole+1) || r.Log != "shared" || r.Segment != filepath.Base(path) {
			t.Fatalf("cut to %d bytes: %+v", size, repairs)
		}
		if r.Kept == "" && len(bytes.Trim(torn, "\x00")) > 0 {
			t.Fatalf("cut to %d bytes: nothing was set aside", size)
		}
		if r.Kept != "" {
			if kept, err := os.ReadFile(r.Kept); err != nil || !bytes.Equal(kept, torn) {
				t.Fatalf("cut to %d bytes: %d bytes set aside, not %d, %v", size, len(kept), len(torn), err)
			}
		}
	}
}

func TestEveryBitFlip(t *testing.T) {
	master := memoryDir(t)
	l, _ := mustOpen(t, master, logOptions{SegmentSize: 135})
	l.StartEpoch(7)
	for i := uint64(1); i <= 5; i++ {
		mustAppend(t, l, frame{Kind: 3, Mailbox: Mailbox(i), Seq: i, Payload: testPayload(i)[:12]})
	}
	mustClose(t, l)
	want, _, err := collect(master, position{})
	if err != nil || len(want) != 5 {
		t.Fatal(len(want), err)
	}
	segs := segmentsOf(t, master)
	if len(segs) != 2 {
		t.Fatalf("segments %v", segs)
	}
	for _, seg := range segs {
		path := segmentName(seg)
		data, err := os.ReadFile(filepath.Join(master, path))
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(data) * 8 {
			dir := filepath.Join(memoryDir(t), "shared")
			copyLog(t, master, dir)
			bad := bytes.Clone(data)
			bad[bit/8] ^= 1 << (bit % 8)
			writeFile(t, filepath.Join(dir, path), bad)
			hit := seg + uint64(bit/8/(1+frameHeaderSize+12))

			seen, _, readErr := collect(dir, position{})
			var damage *DamageError
			switch {
			case hit == 5 && readErr != nil:
				t.Fatalf("bit %d of %s: the torn end is reported as %v", bit, path, readErr)
			case hit < 5 && (!errors.As(readErr, &damage) || damage.Index != hit || damage.Segment != path || damage.Log != "shared"):
				t.Fatalf("bit %d of %s: damage of entry %d is reported as %v", bit, path, hit, readErr)
			case len(seen) != int(hit-1):
				t.Fatalf("bit %d of %s: a reader sees %d frames", bit, path, len(seen))
			}

			l, repairs := mustOpen(t, dir, logOptions{SegmentSize: 135})
			mustClose(t, l)
			got, _, err := collect(dir, position{})
			if err != nil || len(repairs) != 1 || repairs[0].Index != hit || repairs[0].Kept == "" {
				t.Fatalf("bit %d of %s: %+v, %v", bit, path, repairs, err)
			}
			for i, f := range got {
				if f.Index != hit && (f.Kind != want[i].Kind || f.Index != want[i].Index || f.Epoch != 7 || !bytes.Equal(f.Payload, want[i].Payload)) {
					t.Fatalf("bit %d of %s: frame %d is wrong: %+v", bit, path, i+1, f)
				}
			}
			if hit == 5 {
				if len(got) != 4 || repairs[0].Lost {
					t.Fatalf("bit %d of %s: torn end leaves %d frames, %+v", bit, path, len(got), repairs)
				}
			} else if len(got) != 5 || !slices.Equal(lostFrames(got), []uint64{hit}) || !slices.Equal(lost(repairs), []uint64{hit}) {
				t.Fatalf("bit %d of %s: %d frames, lost %v, %+v", bit, path, len(got), lostFrames(got), repairs)
			}
			if !bytes.Contains(aside(t, dir), bad[(hit-seg)*45:(hit-seg+1)*45]) {
				t.Fatalf("bit %d of %s: the damaged bytes are gone", bit, path)
			}
			if _, err := os.Stat(repairs[0].Kept); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestZeroFilledTail(t *testing.T) {
	for _, n := range []int{1, 31, 32, 33, 4096, 1 << 20} {
		dir := t.TempDir()
		buildLog(t, dir, 7, 30000)
		path, data := tailFile(t, dir)
		writeFile(t, path, append(data, make([]byte, n)...))
		if seen, _, err := collect(dir, position{}); err != nil || len(seen) != 7 {
			t.Fatalf("%d zeroes: %d frames, %v", n, len(seen), err)
		}
		got, repairs := checkUsable(t, dir, 30000)
		if len(got) != 7 || len(repairs) != 1 || repairs[0].Lost || repairs[0].Kept != "" {
			t.Fatalf("%d zeroes: %d frames, %+v", n, len(got), repairs)
		}
	}
}

func TestZeroesInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	buildLog(t, dir, 8, 30000)
	path, data := tailFile(t, dir)
	e := ends(t, dir)
	clear(data[e[3]+5 : e[5]-3]) // from within entry 4 into entry 5
	writeFile(t, path, data)
	got, repairs := checkUsable(t, dir, 30000)
	if len(got) != 8 || !slices.Equal(lost(repairs), []uint64{4, 5}) || !slices.Equal(lostFrames(got), []uint64{4, 5}) {
		t.Fatalf("%d frames, %+v", len(got), repairs)
	}
	if repairs[0].Offset != int64(e[3]) {
		t.Fatalf("damage at %d, not %d", repairs[0].Offset, e[3])
	}
}

func TestTwoDamagesInOneSegment(t *testing.T) {
	dir := t.TempDir()
	buildLog(t, dir, 8, 30000)
	path, data := tailFile(t, dir)
	e := ends(t, dir)
	data[e[1]+40] ^= 1
	data[e[5]+40] ^= 1
	data = data[:len(data)-1] // and a torn end
	writeFile(t, path, data)
	got, repairs := checkUsable(t, dir, 30000)
	if len(got) != 7 || len(repairs) != 3 || !slices.Equal(lost(repairs), []uint64{2, 6}) || repairs[2].Lost {
		t.Fatalf("%d frames, %+v", len(got), repairs)
	}
}

func TestMissingSegments(t *testing.T) {
	master := t.TempDir()
	buildLog(t, master, 40, 3000)
	segs := segmentsOf(t, master)
	if len(segs) < 5 {
		t.Fatalf("segments %v", segs)
	}
	all, _, err := collect(master, position{})
	if err != nil {
		t.Fatal(err)
	}
	for i, seg := range segs {
		dir := t.TempDir()
		copyLog(t, master, dir)
		if err := os.Remove(filepath.Join(dir, segmentName(seg))); err != nil {
			t.Fatal(err)
		}
		_, _, readErr := collect(dir, position{})
		got, repairs := checkUsable(t, dir, 3000)
		switch i {
		case 0: // it looks like a log whose front was truncated: only who knows what was in it can tell
			if readErr != nil || len(repairs) > 0 || got[0].Index != segs[1] || got[len(got)-1].Index != 40 {
				t.Errorf("without the first segment: %+v, %v", repairs, readErr)
			}
		case len(segs) - 1:
			if readErr != nil || len(repairs) > 0 || len(got) != int(seg-1) {
				t.Errorf("without the last segment: %+v, %v, %d frames", repairs, readErr, len(got))
			}
		default:
			var want []uint64
			for x := seg; x < segs[i+1]; x++ {
				want = append(want, x)
			}
			var damage *DamageError
			if !errors.As(readErr, &damage) || damage.Index != seg {
				t.Errorf("without segment %d a reader says %v", seg, readErr)
			} else if text := readErr.Error(); !strings.Contains(text, fmt.Sprintf("at entry %d (%s", seg, damage.Segment)) {
				t.Errorf("without segment %d a reader says %q", seg, text)
			}
			if len(got) != len(all) || !slices.Equal(lost(repairs), want) || !slices.Equal(lostFrames(got), want) {
				t.Errorf("without segment %d: %+v", seg, repairs)
			}
		}
	}
	dir := t.TempDir()
	copyLog(t, master, dir)
	for _, seg := range segs {
		if err := os.Remove(filepath.Join(dir, segmentName(seg))); err != nil {
			t.Fatal(err)
		}
	}
	if got, repairs := checkUsable(t, dir, 3000); got != nil || repairs != nil {
		t.Errorf("without any segment: %d frames, %+v", len(got), repairs)
	}
}

func TestDamageAtTheEndOfAnEarlierSegment(t *testing.T) {
	for _, cut := range []int{1, 10, 1000, 1 << 20} {
		dir := t.TempDir()
		buildLog(t, dir, 40, 3000)
		segs := segmentsOf(t, dir)
		path := filepath.Join(dir, segmentName(segs[1]))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, data[:max(0, len(data)-cut)])
		got, repairs := checkUsable(t, dir, 3000)
		gone := lost(repairs)
		if len(got) != 40 || len(gone) == 0 || gone[len(gone)-1] != segs[2]-1 || !slices.Equal(gone, lostFrames(got)) {
			t.Fatalf("cut by %d: %d frames, %+v", cut, len(got), repairs)
		}
	}
}

func TestHoleTooBigToFill(t *testing.T) {
	master := t.TempDir()
	buildLog(t, master, 40, 3000)
	old := segmentsOf(t, master)
	const far = uint64(maxFill * 3)
	var data []byte
	for i := range uint64(3) {
		f := testFrames(far+i, 1)[0]
		f.Epoch, f.Index = 9, far+i
		data = appendEntry(data, f)
	}
	writeFile(t, filepath.Join(master, segmentName(far)), data)
	check := func(dir string, minimum int) {
		t.Helper()
		got, repairs := checkUsable(t, dir, 3000)
		if len(got) < minimum || got[len(got)-4].Kind != frameLost || got[len(got)-1].Index != far+2 {
			t.Fatalf("%d frames, %+v", len(got), repairs)
		}
		if kept := aside(t, dir); !bytes.Contains(kept, testPayload(40)) || !bytes.Contains(kept, testPayload(1)) {
			t.Fatal("what was before the hole is gone")
		}
	}
	dir := t.TempDir()
	copyLog(t, master, dir)
	check(dir, 4)
	for n := 1; n < 2*len(old)+10; n++ { // interrupted at each step
		dir := t.TempDir()
		copyLog(t, master, dir)
		faults := &failing{fileSystem: osFiles{}, n: n}
		_, _, err := openLog(dir, logOptions{Name: "shared", Now: testTime, files: faults})
		if err == nil {
			check(dir, 4)
			break
		}
		check(dir, 4)
	}
}

func TestOldCopiesMixedIn(t *testing.T) {
	master := t.TempDir()
	buildLog(t, master, 40, 3000)
	segs := segmentsOf(t, master)
	read := func(i int) []byte {
		b, err := os.ReadFile(filepath.Join(master, segmentName(segs[i])))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	last := len(segs) - 1
	for name, c := range map[string]struct {
		seg  int
		data []byte
	}{
		"another segment under this name":      {2, read(1)},
		"a later segment under this name":      {1, read(3)},
		"another segment as the last":          {last, read(last - 1)},
		"the next segment's entries as well":   {1, append(read(1), read(2)...)},
		"an entry of an older epoch":           {2, reepoch(read(2), segs[2], 3)},
		"entries of an older epoch at the end": {last, reepoch(read(last), segs[last], 3)},
	} {
		dir := t.TempDir()
		copyLog(t, master, dir)
		writeFile(t, filepath.Join(dir, segmentName(segs[c.seg])), c.data)
		_, _, readErr := collect(dir, position{})
		var damage *DamageError
		if !errors.As(readErr, &damage) {
			t.Errorf("%s: a reader says %v", name, readErr)
		}
		got, repairs := checkUsable(t, dir, 3000)
		if len(lost(repairs)) == 0 {
			t.Errorf("%s: %+v", name, repairs)
		}
		for _, f := range got {
			if f.Epoch != 7 {
				t.Errorf("%s: frame %d has epoch %d", name, f.Index, f.Epoch)
			}
		}
	}
}

// reepoch rewrites a segment with another epoch.
func reepoch(data []byte, first uint64, epoch uint32) []byte {
	var out []byte
	for len(data) > 0 {
		f, n, err := entryAt(data, first, 0)
		if err != nil {
			panic(err)
		}
		f.Epoch = epoch
		out = appendEntry(out, f)
		data = data[n:]
		first++
	}
	return out
}

func TestNewerVersionTouchesNothing(t *testing.T) {
	newer := encodeFrame(nil, frame{Kind: 200, Epoch: 7, Index: 12, Payload: []byte("from the future")})
	newer[5] = frameVersion + 1
	sealed(newer)
	entry := append([]byte{byte(len(newer))}, newer...)
	for name, spoil := range map[string]func(path string, data []byte, end []int){
		"at the end":      func(p string, d []byte, _ []int) { writeFile(t, p, append(d, entry...)) },
		"then a torn end": func(p string, d []byte, _ []int) { writeFile(t, p, append(append(d, entry...), 1, 2, 3)) },
		"behind damage": func(p string, d []byte, e []int) {
			d[e[len(e)-2]+35] ^= 4
			writeFile(t, p, append(d, entry...))
		},
		"and a leftover": func(p string, d []byte, _ []int) {
			writeFile(t, p, append(d, entry...))
			writeFile(t, filepath.Join(filepath.Dir(p), segmentName(5)+suffixStartTemp), []byte("x"))
		},
		"in a leftover": func(p string, d []byte, _ []int) {
			writeFile(t, filepath.Join(filepath.Dir(p), segmentName(12)+suffixStart), entry)
		},
	} {
		dir := t.TempDir()
		buildLog(t, dir, 11, 50000)
		path, data := tailFile(t, dir)
		spoil(path, data, ends(t, dir))
		before := dirState(t, dir)
		l, repairs, err := openLog(dir, logOptions{Name: "shared"})
		if !errors.Is(err, ErrNewerVersion) || l != nil || repairs != nil {
			t.Errorf("%s: opened: %v, %+v", name, err, repairs)
		}
		if after := dirState(t, dir); after != before {
			t.Errorf("%s: was\n%s\nis\n%s", name, before, after)
		}
		_, _, err = collect(dir, position{})
		var damage *DamageError
		if name != "in a leftover" && !errors.Is(err, ErrNewerVersion) && !errors.As(err, &damage) {
			t.Errorf("%s: read: %v", name, err)
		}
	}
}

func TestRepairInterruptedAtEveryStep(t *testing.T) {
	master := t.TempDir()
	buildLog(t, master, 40, 3000)
	segs := segmentsOf(t, master)
	path, data := tailFile(t, master)
	writeFile(t, path, data[:len(data)-3])
	second := filepath.Join(master, segmentName(segs[1]))
	b, err := os.ReadFile(second)
	if err != nil {
		t.Fatal(err)
	}
	b[40] ^= 1
	writeFile(t, second, b)
	if err := os.Remove(filepath.Join(master, segmentName(segs[3]))); err != nil {
		t.Fatal(err)
	}
	want := []uint64{segs[1]}
	for x := segs[3]; x < segs[4]; x++ {
		want = append(want, x)
	}
	for n := 1; ; n++ {
		if n > 100 {
			t.Fatal("the repair takes no end")
		}
		dir := t.TempDir()
		copyLog(t, master, dir)
		_, _, err := openLog(dir, logOptions{Name: "shared", Now: testTime, files: &failing{fileSystem: osFiles{}, n: n}})
		if err != nil && !errors.Is(err, errInjected) {
			t.Fatal(err)
		}
		got, _ := checkUsable(t, dir, 3000)
		if !slices.Equal(lostFrames(got), want) || got[len(got)-1].Index != 39 {
			t.Fatalf("interrupted at step %d: lost %v, not %v; last %d", n, lostFrames(got), want, got[len(got)-1].Index)
		}
		if !bytes.Contains(aside(t, dir), b) {
			t.Fatalf("interrupted at step %d: the damaged bytes are gone", n)
		}
		if err == nil {
			if n < 8 {
				t.Fatalf("only %d steps", n)
			}
			return
		}
	}
}

func TestFilesThatAreNotTheLogs(t *testing.T) {
	dir := t.TempDir()
	buildLog(t, dir, 5, 3000)
	foreign := []string{
		"00000000000000000001.torn-20240506T070809Z", "00000000000000000000", "notes", "00000000000000000001.bak", "0000000000000000000x",
		"00000000000000000009.START.damaged-20240506T070809Z",
	}
	for _, name := range foreign {
		writeFile(t, filepath.Join(dir, name), []byte("something"))
	}
	if got, repairs := checkUsable(t, dir, 3000); len(got) != 5 || repairs != nil {
		t.Fatalf("%d frames, %+v", len(got), repairs)
	}
	for _, name := range foreign {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != "something" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for name, make := range map[string]func(path string) error{
		"a link to a device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"a directory":        func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		path := filepath.Join(dir, segmentName(99))
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if _, _, err := openLog(dir, logOptions{}); !NeedsRebuild(err) {
			t.Errorf("%s was taken for a segment: %v", name, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSomethingElseInALogsPlace(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"a file":            func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a link to nowhere": func(path string) error { return os.Symlink("nowhere", path) },
		"a link to a file":  func(path string) error { return os.Symlink("/dev/null", path) },
	} {
		dir := filepath.Join(t.TempDir(), "left")
		if err := make(dir); err != nil {
			t.Fatal(err)
		}
		if _, _, err := openLog(dir, logOptions{Name: "left"}); !NeedsRebuild(err) || !strings.Contains(Explain("me", err).Error(), "driftless rebuild me") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDamage does to a log of several segments what a script says, and checks that a reader and the repair agree about it, and that what
// is left is right. A step of the script is five bytes: what to do, in which segment, where (two), and how much.
func FuzzDamage(f *testing.F) {
	f.Add([]byte{0, 0, 40, 0, 1})
	f.Add([]byte{1, 1, 10, 0, 60, 2, 2, 0, 0, 0})
	f.Add([]byte{3, 0, 1, 1, 200, 4, 1, 30, 0, 90, 5, 3, 0, 0, 9})
	f.Add([]byte{6, 1, 2, 0, 0, 7, 2, 0, 0, 0, 8, 0, 50, 0, 3})
	f.Add([]byte{9, 0, 0, 0, 0, 5, 4, 0, 0, 255})
	master := f.TempDir()
	buildLog(f, master, 18, 700)
	segs := segmentsOf(f, master)
	files := map[uint64][]byte{}
	for _, s := range segs {
		b, err := os.ReadFile(filepath.Join(master, segmentName(s)))
		if err != nil {
			f.Fatal(err)
		}
		files[s] = b
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		now := map[uint64][]byte{}
		for s, b := range files {
			now[s] = bytes.Clone(b)
		}
		for ; len(script) >= 5 && len(now) > 0; script = script[5:] {
			seg := segs[int(script[1])%len(segs)]
			b, ok := now[seg]
			if !ok {
				continue
			}
			at := int(binary.LittleEndian.Uint16(script[2:])) % (len(b) + 1)
			n := min(int(script[4]), len(b)-at)
			switch script[0] % 9 {
			case 0: // bits flip
				if at < len(b) {
					b[at] ^= script[4] | 1
				}
			case 1: // a hole
				clear(b[at : at+n])
			case 2: // missing
				delete(now, seg)
				continue
			case 3: // bytes are gone
				b = slices.Delete(b, at, at+n)
			case 4: // bytes appear twice
				b = slices.Insert(b, at, bytes.Clone(b[at:at+n])...)
			case 5: // the end is cut off
				b = b[:len(b)-n]
			case 6: // another segment's contents
				b = bytes.Clone(files[segs[int(script[2])%len(segs)]])
			case 7: // not written
				b = append(b, make([]byte, n)...)
			case 8: // another segment's contents behind it
				b = append(b, files[segs[int(script[2])%len(segs)]]...)
			}
			now[seg] = b
		}
		dir := memoryDir(t)
		for s, b := range now {
			writeFile(t, filepath.Join(dir, segmentName(s)), b)
		}
		seen, _, readErr := collect(dir, position{})
		checkFrames(t, seen)
		got, repairs := checkUsable(t, dir, 700)
		if len(got) < len(seen) {
			t.Fatalf("a reader saw %d frames, the repair left %d", len(seen), len(got))
		}
		var damage *DamageError
		switch {
		case errors.As(readErr, &damage):
			if len(repairs) == 0 || repairs[0].Index != damage.Index || repairs[0].Segment != damage.Segment || repairs[0].Offset != damage.Offset {
				t.Fatalf("a reader says %v, the repair %+v", readErr, repairs)
			}
		case readErr != nil:
			t.Fatal(readErr)
		case len(repairs) > 1 || lost(repairs) != nil || len(got) != len(seen):
			t.Fatalf("a reader is content with %d frames, but %d are left and the repair says %+v", len(seen), len(got), repairs)
		}
		if l, f := lost(repairs), lostFrames(got); len(f) > 0 && !slices.Equal(l, f) && !strings.Contains(repairs[0].What, "holds, too") {
			for _, i := range f {
				if !slices.Contains(l, i) {
					t.Fatalf("frame %d is lost, but the repair says %+v", i, repairs)
				}
			}
		}
	})
}
