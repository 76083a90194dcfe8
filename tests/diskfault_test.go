package tests

import (
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"driftless/tests/faultfs"
	"driftless/tests/torture"
)

// grows reports whether an effect needs room.
func grows(op faultfs.Op) bool {
	switch op.Kind {
	case faultfs.Create, faultfs.Write, faultfs.Mkdir, faultfs.Link, faultfs.Rename:
		return true
	default:
		return false
	}
}

// TestDiskFails lets a disk fail from one effect on, and every time from there: full, over quota, or read-only. When the cause is gone, the next
// sync completes; a power cut before that changes nothing.
func TestDiskFails(t *testing.T) {
	f := faultfs.Mount(t, nil)
	w := newFaultWorld(t, f)
	w.complete("without a fault")
	total := len(f.Trace())
	causes := []struct {
		errno syscall.Errno
		hits  func(faultfs.Op) bool
		short bool // the first write that fails writes a part
		words []string
	}{
		{syscall.ENOSPC, grows, true, []string{"no space left on device", "free some space"}},
		{syscall.EDQUOT, grows, false, []string{"disk quota exceeded", "quota raised"}},
		{syscall.EROFS, func(op faultfs.Op) bool { return op.Kind != faultfs.Sync && op.Kind != faultfs.SyncDir }, false, []string{"read-only file system", "writable again"}},
		{syscall.EIO, func(faultfs.Op) bool { return true }, true, []string{"input/output error", "kernel's log"}},
	}
	tried, silent := map[string]int{}, 0
	for i := range torture.Points(t, total*len(causes), 16) {
		c := causes[i%len(causes)]
		from := int64(i/len(causes) + 1)
		w := newFaultWorld(t, f)
		var hits atomic.Int64
		var first atomic.Pointer[faultfs.Op]
		f.SetHook(func(op faultfs.Op) faultfs.Verdict {
			if int64(op.N) < from || !c.hits(op) {
				return faultfs.Verdict{}
			}
			if hits.Add(1) == 1 {
				first.Store(&op)
				if c.short && op.Kind == faultfs.Write && len(op.Data) > 1 {
					return faultfs.Verdict{Short: len(op.Data) / 2}
				}
			}
			return faultfs.Verdict{Before: c.errno}
		})
		r, err := w.sync()
		f.SetHook(nil)
		if hits.Load() == 0 {
			continue
		}
		what := c.errno.Error() + " from " + first.Load().String()
		text := complaint(r, err)
		if text == "" {
			silent++
		}
		for _, word := range c.words {
			if text != "" && !strings.Contains(text, word) {
				t.Errorf("%s: it does not say %q: %s", what, word, text)
			}
		}
		w.after(faultfs.Everything, func(w *faultWorld) { w.complete(what + ", power cut, sync") })
		w.complete(what + ", sync")
		w.after(faultfs.Everything, func(w *faultWorld) { w.asWanted(what + ", sync, power cut") })
		tried[c.errno.Error()]++
	}
	t.Logf("%d effects in the sync; failing from one on: %v; not noticed by %d syncs", total, tried, silent)
	if silent > len(causes) { // the very last effects may be ones whose failure does no harm
		t.Errorf("%d syncs did not notice that their disk failed", silent)
	}
}

// TestShortWrites lets every write take only a part of what it is given. That is no error.
func TestShortWrites(t *testing.T) {
	f := faultfs.Mount(t, nil)
	w := newFaultWorld(t, f)
	var writes atomic.Int64
	f.SetHook(func(op faultfs.Op) faultfs.Verdict {
		if op.Kind == faultfs.Write && len(op.Data) > 1 {
			writes.Add(1)
			return faultfs.Verdict{Short: 1 + len(op.Data)/3}
		}
		return faultfs.Verdict{}
	})
	w.complete("with short writes")
	f.SetHook(nil)
	w.after(faultfs.Everything, func(w *faultWorld) { w.asWanted("after a power cut"); w.complete("after a power cut") })
	if writes.Load() < 10 {
		t.Errorf("only %d writes were cut short", writes.Load())
	}
	t.Logf("%d writes cut short", writes.Load())
}

// TestReadFails lets one question after the other to the file system fail, and then each time that it is asked again in this sync: reads, listings, attributes, opening. Nothing is concluded from what could not be read.
func TestReadFails(t *testing.T) {
	f := faultfs.Mount(t, nil)
	kinds := []faultfs.ReadKind{faultfs.Read, faultfs.Open, faultfs.List, faultfs.Lookup, faultfs.Stat}
	names := map[faultfs.ReadKind]string{faultfs.Read: "read", faultfs.Open: "open", faultfs.List: "list", faultfs.Lookup: "look up", faultfs.Stat: "stat"}
	count := func(wanted faultfs.ReadKind, at int64, path *atomic.Value) (*atomic.Int64, func(faultfs.ReadKind, string) syscall.Errno) {
		var n atomic.Int64
		return &n, func(k faultfs.ReadKind, p string) syscall.Errno {
			if k != wanted {
				return 0
			}
			if n.Add(1) == at {
				path.Store(p)
			}
			if path.Load() == p { // and from then on always: the kernel asks some questions twice
				return syscall.EIO
			}
			return 0
		}
	}
	totals := map[faultfs.ReadKind]int64{}
	for _, k := range kinds {
		w := newFaultWorld(t, f)
		n, fault := count(k, -1, &atomic.Value{})
		f.SetReadFault(fault)
		if r, err := w.sync(); complaint(r, err) != "" {
			t.Fatal(complaint(r, err))
		}
		f.SetReadFault(nil)
		totals[k] = n.Load()
	}
	tried, silent, set := map[string]int{}, map[string]int{}, map[string]int{}
	for _, k := range kinds {
		for i := range torture.Points(t, int(totals[k]), 3) {
			w := newFaultWorld(t, f)
			var path atomic.Value
			_, fault := count(k, int64(i+1), &path)
			f.SetReadFault(fault)
			r, err := w.sync()
			f.SetReadFault(nil)
			if path.Load() == nil {
				continue
			}
			what := "EIO from " + names[k] + " " + path.Load().(string)
			if text := complaint(r, err); r.Quarantined > 0 {
				set[names[k]]++
			} else if text == "" {
				silent[names[k]]++
			} else if !strings.Contains(text, "input/output error") {
				t.Errorf("%s: it does not say so: %s", what, text)
			}
			tried[names[k]]++
			if r.Quarantined > 0 {
				w.later = 48 * time.Hour
			}
			w.complete(what + ", sync")
		}
	}
	t.Logf("questions in the sync: %v; failed: %v; a message set aside: %v; made good within the sync: %v", totals, tried, set, silent)
}

// TestUnreadableAfterMove lets a message be unreadable after its owner moved it, for several syncs, either in a way that may pass or for good: that it seems to be gone from its old place
// must not cost the good copy on the other side, nor after the message was set aside and its mailbox is not looked at any more.
func TestUnreadableAfterMove(t *testing.T) {
	f := faultfs.Mount(t, nil)
	for _, cause := range []struct {
		errno syscall.Errno
		aside int
	}{{syscall.EIO, 0}, {syscall.EACCES, 1}} {
		t.Run(cause.errno.Error(), func(t *testing.T) {
			w := newFaultWorld(t, f)
			f.SetReadFault(func(k faultfs.ReadKind, path string) syscall.Errno {
				if k == faultfs.Read && strings.HasPrefix(path, "Mail/Archive/cur/") {
					return cause.errno
				}
				return 0
			})
			for i := range 3 {
				r, err := w.sync()
				if err != nil || r.Held == 0 || r.Quarantined != cause.aside {
					t.Errorf("sync %d: %v; it is to hold a deletion and to have set aside %d: %+v", i, err, cause.aside, r)
				}
				w.find("INBOX", 3)
			}
			f.SetReadFault(nil)
			w.later = 8 * 24 * time.Hour
			if cause.aside > 0 { // this one only finds out that it can be read
				if r, err := w.sync(); err != nil || r.Errors > 0 {
					t.Errorf("when it can be read again: %v, %+v", err, r)
				}
			}
			w.complete("when it can be read again")
		})
	}
}
