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
	"driftless/tests/faultfs"
)

// A mail program renames a message into the Maildir and syncs nothing; the message is copied to the server; the power fails. What the disk forgot must
// not look like a deletion.
func TestPowerCutAfterAnUnsyncedDelivery(t *testing.T) {
	fs := faultfs.Mount(t, nil)
	w := newWorld(t, [2]memory.Options{{}, {Mode: memory.QResync}})
	maildirAt := func(dir string) func(context.Context) (drivers.Store, error) {
		return func(ctx context.Context) (drivers.Store, error) {
			return maildir.Open(ctx, maildir.Options{Path: filepath.Join(dir, "mail"), Layout: maildir.FS})
		}
	}
	w.must(os.MkdirAll(filepath.Join(fs.Dir(), "mail"), 0o700))
	w.acc.Dir, w.acc.Open[merge.Left] = filepath.Join(fs.Dir(), "state"), maildirAt(fs.Dir())
	w.put(merge.Right, "INBOX", 1, `\Seen`)
	w.sync()
	w.must(fs.Mark())

	inbox := filepath.Join(fs.Dir(), "mail", "INBOX")
	w.must(os.WriteFile(filepath.Join(inbox, "tmp", "2.x.host"), mail(2), 0o600))
	w.must(os.Rename(filepath.Join(inbox, "tmp", "2.x.host"), filepath.Join(inbox, "new", "2.x.host")))
	w.sync()
	if w.find(merge.Right, "INBOX", 2) == "" {
		t.Fatal("the message was not copied")
	}

	after := t.TempDir()
	w.must(fs.Image(after, len(fs.Trace()), faultfs.Everything))
	w.acc.Dir, w.acc.Open[merge.Left] = filepath.Join(after, "state"), maildirAt(after)
	r := w.sync()
	if r.Deleted != [2]int{} || w.find(merge.Right, "INBOX", 2) == "" {
		t.Errorf("after the power cut the sync deleted %v; the server has the message: %t", r.Deleted, w.find(merge.Right, "INBOX", 2) != "")
	}
}
