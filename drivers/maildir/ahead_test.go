package maildir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"driftless/drivers"
	"driftless/merge"
)

// TestReadAhead reads many messages, some twice, gone, unreadable or large: in order, each once, with never more files ahead than the store has workers, and nothing
// left open whatever ends it.
func TestReadAhead(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	for _, workers := range []int{1, 2, 8, 16} {
		_, c := tree(t, FS)
		s, err := Open(t.Context(), Options{Path: c.root, Layout: FS, Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		m := openBox(t, s, inbox)
		var ids, want []merge.ID
		for i := range 100 {
			id := merge.ID(fmt.Sprintf("m%03d.host", i))
			ids = append(ids, id)
			if i%10 == 7 {
				continue
			}
			want = append(want, id)
			data := fmt.Sprintf("Subject: %d\n\n", i)
			if i%25 == 3 {
				data += strings.Repeat("x", readAhead)
			}
			if err := os.WriteFile(c.root+"/INBOX/cur/"+string(id)+":2,S", []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		ids = append(ids, ids[:5]...)
		boom := errors.New("cannot be read")
		var mu sync.Mutex
		opens, used, most := 0, 0, 0
		s.disk.fault = func(op, path string) error {
			mu.Lock()
			defer mu.Unlock()
			if op == "open" {
				opens++
				most = max(most, opens-used)
				if strings.HasPrefix(filepath.Base(path), "m050.") {
					return boom
				}
			}
			return nil
		}
		var got []merge.ID
		err = m.Fetch(t.Context(), ids, func(f drivers.Fetched) error {
			mu.Lock()
			used++
			mu.Unlock()
			got = append(got, f.ID)
			if f.ID == "m050.host" {
				if !errors.Is(f.Err, boom) {
					t.Errorf("%q: %v", f.ID, f.Err)
				}
				return nil
			}
			if data := contentBytes(t, f.Content); f.Err != nil || !strings.HasPrefix(string(data), fmt.Sprintf("Subject: %d\r\n", len(got)-1+(len(got)+1)/9)) {
				t.Errorf("%q: %v, %.20q", f.ID, f.Err, data)
			}
			return f.Content.Close()
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d workers: got %q, %v", workers, got, err)
		}
		if most > workers {
			t.Errorf("%d workers: %d files are ahead", workers, most)
		}
		stop := errors.New("enough")
		n := 0
		err = m.Fetch(t.Context(), ids, func(f drivers.Fetched) error {
			if n++; n == 9 {
				return errors.Join(stop, f.Content.Close())
			}
			return f.Content.Close()
		})
		if !errors.Is(err, stop) || n != 9 {
			t.Errorf("%d workers: %d yielded, %v", workers, n, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		n = 0
		err = m.Fetch(ctx, ids, func(f drivers.Fetched) error {
			if n++; n == 9 {
				cancel()
			}
			return f.Content.Close()
		})
		if !errors.Is(err, context.Canceled) || n != 9 {
			t.Errorf("%d workers: %d yielded after the context ended at the ninth, %v", workers, n, err)
		}
		cancel()
	}
	goleak.VerifyNone(t, leaks)
	if open := openBelow(t, os.TempDir()); len(open) > 0 {
		t.Errorf("left open: %q", open)
	}
}

// openBelow returns the messages below dir that this process has open, as far as the system tells.
func openBelow(t *testing.T, dir string) []string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var open []string
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, dir) && strings.Contains(to, "/cur/") {
			open = append(open, to)
		}
	}
	return open
}
