package damage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What is here reads logs by docs/log-format.md, and not with the program's own code.

var logNames = []string{"left", "right", "shared"}

const headerSize = 32

// entry is a frame in a segment, with the length in front of it.
type entry struct {
	begin, end int // in the segment
	kind       byte
	index      uint64
}

// segment is a file of a log.
type segment struct {
	name string
	data []byte
}

func (s segment) first() uint64 {
	var n uint64
	_, _ = fmt.Sscanf(s.name, "%d", &n)
	return n
}

// entries returns the entries of a segment that is whole.
func (s segment) entries(t testing.TB) []entry {
	t.Helper()
	var out []entry
	for at := 0; at < len(s.data); {
		size, n := binary.Uvarint(s.data[at:])
		if n <= 0 || size < headerSize || int(size) > len(s.data)-at-n {
			t.Fatalf("%s: no entry at %d", s.name, at)
		}
		f := s.data[at+n : at+n+int(size)]
		if sum := crc32.Checksum(f[4:], crc32.MakeTable(crc32.Castagnoli)); sum != binary.LittleEndian.Uint32(f) {
			t.Fatalf("%s: wrong checksum at %d", s.name, at)
		}
		out = append(out, entry{at, at + n + int(size), f[4], binary.LittleEndian.Uint64(f[16:])})
		at += n + int(size)
	}
	return out
}

// segments returns the segments of a log in their order; none if it is missing.
func segments(t testing.TB, dir string) []segment {
	t.Helper()
	files, err := os.ReadDir(dir)
	if os.IsNotExist(err) {
		return nil
	}
	must(t, err)
	var out []segment
	for _, f := range files {
		if len(f.Name()) == 20 && f.Type().IsRegular() {
			data, err := os.ReadFile(filepath.Join(dir, f.Name()))
			must(t, err)
			out = append(out, segment{f.Name(), data})
		}
	}
	slices.SortFunc(out, func(a, b segment) int { return int(a.first()) - int(b.first()) })
	return out
}

// newer returns an entry that a later version of the program might write.
func newer(index uint64) []byte {
	f := make([]byte, headerSize, headerSize+15)
	f[4], f[5] = 77, 2
	binary.LittleEndian.PutUint32(f[8:], 1)
	binary.LittleEndian.PutUint64(f[16:], index)
	f = append(f, "from the future"...)
	binary.LittleEndian.PutUint32(f, crc32.Checksum(f[4:], crc32.MakeTable(crc32.Castagnoli)))
	return append([]byte{byte(len(f))}, f...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, data, 0o600))
}

// workDir returns a new directory, in memory where there is such a place: thousands of cases write to it.
func workDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "driftless-damage-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// files is a directory with everything in it: contents by relative path; a directory ends with a slash and has none.
type files map[string]string

func readTree(t testing.TB, dir string) files {
	t.Helper()
	out := files{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == "lock" || rel == "." {
			return err
		}
		if d.IsDir() {
			out[rel+"/"] = ""
			return nil
		}
		if !d.Type().IsRegular() {
			out[rel] = d.Type().String()
			return nil
		}
		data, err := os.ReadFile(path)
		out[rel] = string(data)
		return err
	})
	if !os.IsNotExist(err) {
		must(t, err)
	}
	return out
}

// writeTree makes a directory what it was.
func (f files) writeTree(t testing.TB, dir string) {
	t.Helper()
	must(t, os.RemoveAll(dir))
	must(t, os.MkdirAll(dir, 0o700))
	for path, data := range f {
		if path[len(path)-1] == '/' {
			must(t, os.MkdirAll(filepath.Join(dir, path), 0o700))
			continue
		}
		write(t, filepath.Join(dir, path), []byte(data))
	}
}

// diff names what is not the same in two directories.
func (f files) diff(g files) []string {
	var out []string
	for path, data := range f {
		if other, ok := g[path]; !ok {
			out = append(out, path+" is gone")
		} else if other != data {
			out = append(out, fmt.Sprintf("%s was %d bytes and is %d, or differs", path, len(data), len(other)))
		}
	}
	for path := range g {
		if _, ok := f[path]; !ok {
			out = append(out, path+" is new")
		}
	}
	slices.Sort(out)
	return out
}
