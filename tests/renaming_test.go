package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"driftless/tests/harness"
)

// TestRenamingClient lets a mail client set flags by renaming 1,500 files a second, in the mailboxes of 1,500 messages, while twelve syncs run. Such
// renames hide files from a directory listing; none may be taken for gone.
func TestRenamingClient(t *testing.T) {
	t.Parallel()
	const n, syncs = 1500, 12
	w := newWorld(t, harness.Full, "")
	want := w.fill(false, n, 500)
	if s := w.p.Sync(0); s.Copied.Right != n {
		t.Fatalf("first sync: %+v", s)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	total := 0
	wg.Add(1)
	go func() {
		defer wg.Done()
		total = rename(t, w.m, rng(t), stop)
	}()
	for range syncs {
		if r := w.p.Run("sync", "--json"); r.Code != 0 {
			t.Errorf("sync beside a renaming client: %v", r)
		}
	}
	close(stop)
	wg.Wait()
	w.p.Sync(0)
	w.same("after the renaming client")
	for side, got := range map[string]harness.Mail{"left": w.m.All(), "right": w.c.All()} {
		// Flags have changed; that every message is there once is what counts.
		if diff := harness.Diff(unflagged(want), unflagged(got)); len(diff) > 0 {
			t.Errorf("%s: %d of %d messages, %d differences:\n%s", side, got.Count(), n, len(diff), few(diff))
		}
	}
	t.Logf("%d renames", total)
	if total < 500 {
		t.Errorf("only %d renames: the client did not get to do anything", total)
	}
	w.idle()
}

func unflagged(mail harness.Mail) harness.Mail {
	out := harness.Mail{}
	for name, msgs := range mail {
		for _, m := range msgs {
			m.Flags = ""
			out[name] = append(out[name], m)
		}
	}
	return out
}

// rename renames random files of the Maildir, 1,500 a second, until stop is closed, and returns how many it renamed. Where driftless moved a file itself, the client looks
// for it again, as a real one does.
func rename(t *testing.T, m *harness.Maildir, r *rand.Rand, stop <-chan struct{}) int {
	type file struct{ box, name string }
	var files []file
	for box, msgs := range m.All() {
		for _, msg := range msgs {
			files = append(files, file{box, msg.Name})
		}
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	total := 0
	for {
		select {
		case <-stop:
			return total
		case <-tick.C:
		}
		for range 15 {
			f := &files[r.IntN(len(files))]
			dir := filepath.Join(m.Path(f.box), "cur")
			unique, letters, _ := strings.Cut(f.name, ":2,")
			to := unique + ":2," + toggle(letters, []string{"S", "F", "R"}[r.IntN(3)])
			if err := os.Rename(filepath.Join(dir, f.name), filepath.Join(dir, to)); err != nil {
				t.Errorf("a file that nobody else renames: %v", err)
				return total
			}
			f.name = to
			total++
		}
	}
}

// toggle adds or removes a letter, keeping them sorted.
func toggle(letters, letter string) string {
	if strings.Contains(letters, letter) {
		return strings.Replace(letters, letter, "", 1)
	}
	i := strings.IndexFunc(letters, func(c rune) bool { return fmt.Sprintf("%c", c) > letter })
	if i < 0 {
		i = len(letters)
	}
	return letters[:i] + letter + letters[i:]
}
