package maildir

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

// TestDiskFull fills a real file system.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small tmpfs")
	}
	root := t.TempDir()
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(t.Context(), Options{Path: root, Layout: MaildirPlusPlus})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), inbox); err != nil {
		t.Fatal(err)
	}
	m := openBox(t, s, inbox)
	msgs := make([]drivers.Append, 30)
	for i := range msgs {
		msgs[i] = drivers.Append{Reserved: m.Reserve(), Content: drivers.Bytes(strings.Repeat("x", 50_000))}
	}
	res, err := m.Append(t.Context(), msgs)
	if !errors.Is(err, syscall.ENOSPC) || drivers.ReachOf(err) != drivers.ReachStore || drivers.RetryOf(err) != drivers.RetryLater {
		t.Errorf("got %v", err)
	}
	done := 0
	for _, r := range res {
		if r.Err == nil {
			done++
		}
	}
	got, o := observe(t, m, "", drivers.Full)
	if done == 0 || len(got) != done {
		t.Errorf("%d messages, %d reported", len(got), done)
	}
	if _, again := observe(t, m, o.Cursor, drivers.Delta); again.All {
		t.Error("the cursor proves nothing on tmpfs")
	}
	for id := range got {
		err := m.Fetch(t.Context(), []merge.ID{id}, func(f drivers.Fetched) error {
			if f.Err != nil || f.Content.Size() != 50_000 {
				t.Errorf("a message of %d bytes, %v", f.Content.Size(), f.Err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
