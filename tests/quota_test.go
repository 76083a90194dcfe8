package tests

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"driftless/tests/harness"
)

// quota returns the configuration of a server on which each user may keep so many KiB.
func quota(kib int) string {
	return fmt.Sprintf("mail_plugins = zlib quota\nprotocol imap {\n mail_plugins = zlib imap_zlib quota imap_quota\n}\n"+
		"plugin {\n quota = count:User quota\n quota_vsizes = yes\n quota_rule = *:storage=%dK\n quota_grace = 0\n}\n", kib)
}

// requireQuota skips the test where Dovecot has no quota plugin.
func requireQuota(t *testing.T) {
	t.Helper()
	harness.RequireDovecot(t)
	found := errors.New("found")
	err := filepath.WalkDir("/usr/lib", func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "/lib10_quota_plugin.so") {
			return found
		}
		if errors.Is(err, os.ErrPermission) {
			return fs.SkipDir
		}
		return nil
	})
	if !errors.Is(err, found) {
		t.Skip("this Dovecot has no quota plugin")
	}
}

// TestServerOverQuota pushes more than the server lets its user keep: what fits is there, what does not fit waits, everything else goes on, and when there is room the
// next sync completes. The messages are appended one by one or many at a time, as the rung has it.
func TestServerOverQuota(t *testing.T) {
	t.Parallel()
	requireQuota(t)
	for _, rung := range harness.Rungs {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			const n, size = 60, 5000
			d := harness.StartDovecot(t, harness.Options{Rung: rung, Extra: quota(120)})
			w := onServer(t, d, "u", "")
			w.c.Append("INBOX", letters(1000, 3, 400, `\Seen`)...)
			w.p.Sync(0)
			for k := range n {
				w.m.Deliver([]string{"INBOX", "Archive"}[k%2], mail(k, size), date(k), `\Seen`)
			}
			w.c.Store("INBOX", []uint32{1}, "+", `\Flagged`)
			before := 0
			for i := range 2 {
				r := w.p.Run("sync")
				if r.Code != 1 || !strings.Contains(r.Stderr, "quota") || !strings.Contains(r.Stderr, "make room on the server") || !strings.Contains(r.Stderr, "append to ") {
					t.Errorf("want exit code 1, the mailbox, the quota and what to do: %v", r)
				}
				have := w.c.All().Count()
				if have >= n+3 || have == 3 && rung != harness.Full { // there, many are appended by one command, all or none
					t.Errorf("sync %d: the server has %d messages", i, have)
				}
				if i > 0 && have < before {
					t.Errorf("the server had %d messages, and has %d", before, have)
				}
				before = have
			}
			if left := w.m.All().Count(); left != n+3 {
				t.Errorf("%d messages on the left", left)
			}
			if got := w.m.All()["INBOX"]; !containsFlags(got, `\Flagged \Seen`) {
				t.Error("a flag did not come from a server that is full")
			}
			w.c.Close()
			d.Stop()
			d.Opts.Extra = quota(10_000)
			d.Start()
			w.c = d.Client("u")
			w.p.Sync(0)
			w.same("with room")
			if got := w.c.All().Count(); got != n+3 {
				t.Errorf("%d messages, want %d", got, n+3)
			}
			w.verify()
			w.idle()
		})
	}
}

func containsFlags(msgs []harness.Message, flags string) bool {
	for _, m := range msgs {
		if m.Flags == flags {
			return true
		}
	}
	return false
}
