package maildir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"driftless/drivers"
)

// What another program delivered and did not sync is durable before it is reported; what has been there for long is left alone.
func TestWhatIsReportedIsDurable(t *testing.T) {
	root := t.TempDir()
	s, err := Open(t.Context(), Options{Path: root, Layout: FS})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Create(t.Context(), "INBOX"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "INBOX/new/1.a.host"), []byte("Subject: x\n\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var synced []string
	failing := error(nil)
	s.disk.fault = func(op, path string) error {
		if op != "fsyncdir" {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		synced = append(synced, strings.TrimPrefix(path, root+"/"))
		return failing
	}
	look := func() (drivers.Observed, error) {
		m, err := s.Open(t.Context(), "INBOX")
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		synced = nil
		return m.Changes(context.Background(), "", drivers.Full, func(drivers.Entry) error { return nil })
	}
	obs, err := look()
	if err != nil || obs.Count != 1 {
		t.Fatalf("%+v, %v", obs, err)
	}
	for _, dir := range []string{"INBOX/cur", "INBOX/new"} {
		if !slices.Contains(synced, dir) {
			t.Errorf("%s was not synced, only %v", dir, synced)
		}
	}
	failing = syscall.EIO
	if obs, err := look(); !errors.Is(err, syscall.EIO) || obs.Cursor != "" {
		t.Errorf("a directory that cannot be synced was reported: %+v, %v", obs, err)
	}
	failing = nil
	real := s.clock
	s.clock = func() time.Time { return real().Add(writtenBack + time.Minute) }
	if _, err := look(); err != nil || len(synced) > 0 {
		t.Errorf("old directories were synced: %v, %v", synced, err)
	}
}
