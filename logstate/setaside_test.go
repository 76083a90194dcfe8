package logstate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestSetAside(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	if kept, err := SetAside(ctx, dir, Options{}); err != nil || kept != "" {
		t.Fatalf("without logs: %q, %v", kept, err)
	}
	for _, log := range []string{"left", "shared"} {
		if err := os.MkdirAll(filepath.Join(dir, log), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, log, "00001"), []byte(log), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := SetAside(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, log := range []string{"left", "shared"} {
		if b, err := os.ReadFile(filepath.Join(dir, kept, log, "00001")); err != nil || string(b) != log {
			t.Errorf("%s log was not kept: %q, %v", log, b, err)
		}
		if _, err := os.Stat(filepath.Join(dir, log)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s log is still there: %v", log, err)
		}
	}

	lock, err := lockAccount(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var busy *LockedError
	if _, err := SetAside(ctx, dir, Options{NoWait: true}); !errors.As(err, &busy) {
		t.Errorf("while somebody holds the lock: %v", err)
	}
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
}
