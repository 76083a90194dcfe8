package engine

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"driftless/drivers"
	"driftless/drivers/maildir"
	"driftless/drivers/memory"
	"driftless/merge"
)

// The Maildir's disk is not mounted; below the mount point an INBOX was made by a delivery agent. New mail of the right is copied there and paired; when the disk is back, it is
// "gone on the left" and deleted on the right.
func TestMailCopiedIntoTheWrongStoreIsLost(t *testing.T) {
	w := newWorld(t, [2]memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}})
	root := filepath.Join(t.TempDir(), "Mail")
	w.acc.Open[0] = func(ctx context.Context) (drivers.Store, error) {
		return maildir.Open(ctx, maildir.Options{Path: root, Layout: maildir.FS}) // as cmd/driftless does for a known store
	}
	for _, d := range []string{"cur", "new", "tmp"} {
		w.must(os.MkdirAll(root+"/INBOX/"+d, 0o700))
	}
	for n := range 5 {
		w.put(merge.Right, "INBOX", n)
	}
	if r := w.sync(); r.Copied[0] != 5 {
		t.Fatalf("%+v", r)
	}
	w.must(os.Rename(root, root+".disk")) // unmounted
	for _, d := range []string{"cur", "new", "tmp"} {
		w.must(os.MkdirAll(root+"/INBOX/"+d, 0o700))
	}
	w.put(merge.Right, "INBOX", 100)
	r := w.sync()
	t.Logf("unmounted: %+v", r)
	if w.find(merge.Right, "INBOX", 0) == "" {
		t.Fatal("hold does not work")
	}
	w.must(os.Rename(root, root+".below"))
	w.must(os.Rename(root+".disk", root)) // mounted again
	r = w.sync()
	t.Logf("mounted: %+v", r)
	if v, err := Verify(w.t.Context(), w.acc, VerifyRequest{}, nil); err != nil || len(v.Differences) > 0 {
		t.Errorf("the sync said \"in sync\"; verify: %v %+v", err, v.Differences)
	}
	w.must(os.WriteFile(root+"/INBOX/new/1.2.three", mail(200), 0o600)) // any change on the left
	r = w.sync()
	t.Logf("after any change: %+v", r)
	left, _ := filepath.Glob(root + "/INBOX/*/*")
	if w.find(merge.Right, "INBOX", 100) == "" {
		t.Errorf("message 100 was deleted on the right; the left has %d files", len(left))
	}
}

// The disk goes away between the check of the marker and the listing.
func TestStoreVanishesAfterTheCheck(t *testing.T) {
	w := newWorld(t, [2]memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}})
	root := filepath.Join(t.TempDir(), "Mail")
	w.acc.Open[0] = func(ctx context.Context) (drivers.Store, error) {
		return maildir.Open(ctx, maildir.Options{Path: root, Layout: maildir.FS})
	}
	for _, d := range []string{"cur", "new", "tmp"} {
		w.must(os.MkdirAll(root+"/INBOX/"+d, 0o700))
	}
	for n := range 15 {
		w.put(merge.Right, "INBOX", n)
	}
	w.sync()
	w.put(merge.Right, "INBOX", 100)
	done := false
	w.srv[1].OnCall(func(op, _ string) {
		if op == "Identity" && !done { // checkIdentity asks the left first
			done = true
			w.must(os.Rename(root, root+".disk"))
			for _, d := range []string{"cur", "new", "tmp"} {
				w.must(os.MkdirAll(root+"/INBOX/"+d, 0o700))
			}
		}
	})
	r, err := w.trySync(Request{Full: true})
	if n := len(w.srv[1].Snapshot()["INBOX"].Messages); n < 16 {
		t.Errorf("%d of 16 messages are left on the right: %v %+v", n, err, r)
	}
}
