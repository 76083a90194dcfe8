package engine

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"driftless/drivers/drivertest"
	"driftless/merge"
)

// ends returns the offsets at which the entries of the only segment of a log end.
func ends(t *testing.T, dir string) (string, []int64) {
	list, _ := filepath.Glob(filepath.Join(dir, "0*"))
	path := list[len(list)-1]
	data, err := os.ReadFile(path)
	if err != nil || len(list) != 1 {
		t.Fatal(err, list)
	}
	var out []int64
	for off := 0; off < len(data); {
		n, size := binary.Uvarint(data[off:])
		off += size + int(n)
		out = append(out, int64(off))
	}
	return path, out
}

// TestBigPlanIsOneRecord: the process dies between the records of a plan whose findings are too many for one.
func TestBigPlanIsOneRecord(t *testing.T) {
	for _, many := range []int{10, 2100} {
		for k := range 8 {
			w := newWorld(t, characters["maildir-qresync"])
			w.acc.Guard.AtMost, w.acc.Guard.AtLeast = 1<<30, 1<<30
			for _, s := range merge.Sides {
				w.srv[s].CreateMailbox("Archive")
				w.srv[s].CreateMailbox("Other")
			}
			w.put(merge.Left, "INBOX", 1)
			w.put(merge.Left, "INBOX", 2)
			for n := range many {
				w.put(merge.Left, "INBOX", 100+n)
			}
			w.sync()
			w.sync()
			before := t.TempDir()
			w.must(os.CopyFS(before, os.DirFS(w.acc.Dir)))
			_, had := ends(t, filepath.Join(w.acc.Dir, "shared"))
			w.move(merge.Left, "INBOX", 1, "Archive")
			w.move(merge.Right, "INBOX", 1, "Other")
			for _, s := range merge.Sides {
				for _, m := range w.srv[s].Snapshot()["INBOX"].Messages {
					if m.ID != w.find(s, "INBOX", 2) {
						w.must(w.srv[s].Remove("INBOX", m.ID))
					}
				}
			}
			w.dieAt(merge.Right, "right Move Other 1.1", drivertest.DieBefore)
			path, now := ends(t, filepath.Join(w.acc.Dir, "shared"))
			if len(had)+k > len(now) {
				t.Logf("many %d: the plan made %d records", many, len(now)-len(had))
				break
			}
			w.must(os.Truncate(path, now[len(had)+k-1]))
			for _, side := range []string{"left", "right"} {
				w.must(os.RemoveAll(filepath.Join(w.acc.Dir, side)))
				w.must(os.CopyFS(filepath.Join(w.acc.Dir, side), os.DirFS(filepath.Join(before, side))))
			}
			rep, err := w.trySync(Request{})
			w.sync()
			l, r := len(w.srv[0].Snapshot()["Archive"].Messages)+len(w.srv[0].Snapshot()["Other"].Messages), len(w.srv[1].Snapshot()["Archive"].Messages)+len(w.srv[1].Snapshot()["Other"].Messages)
			t.Logf("many %d, %d of %d records: err %v errors %d copied %v moved %v; mail 1 is %d and %d times", many, k, len(now)-len(had), err, rep.Errors, rep.Copied, rep.Moved, l, r)
			if l != 1 || r != 1 {
				t.Errorf("many %d, cut after %d records: mail 1 is %d and %d times", many, k, l, r)
			}
		}
	}
}
