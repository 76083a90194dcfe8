package logstate

import (
	"errors"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"driftless/merge"
)

// Logs of two accounts in one place are refused, by writers and readers, whichever of them are whose, and nothing in them changes.
func TestLogsOfAnotherAccount(t *testing.T) {
	make := func(name string) string {
		dir := filepath.Join(t.TempDir(), name)
		a, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		m, err := a.Register(t.Context(), [2]string{"INBOX", "INBOX"})
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range merge.Sides {
			b, err := a.Begin(t.Context(), Intent{Target: side, Mailbox: m, Effects: []Effect{{Kind: EffectCreateMailbox}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Finish(t.Context(), b, Outcome{Results: []Result{{Status: Done}}}); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	ours, theirs := make("ours"), make("theirs")
	names := []string{"left", "right", "shared"}
	for mixed := 1; mixed < 7; mixed++ {
		dir := filepath.Join(t.TempDir(), "mixed")
		for i, name := range names {
			from := ours
			if mixed>>i&1 == 1 {
				from = theirs
			}
			if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(from, name))); err != nil {
				t.Fatal(err)
			}
		}
		before := contents(t, dir)
		_, err := Open(t.Context(), dir, Options{})
		if !errors.Is(err, errForeignLog) || !NeedsRebuild(err) {
			t.Errorf("mixture %03b was opened: %v", mixed, err)
		}
		odd := mixed
		if bits.OnesCount(uint(mixed)) == 2 {
			odd = 7 - mixed
		}
		if want := "the " + names[bits.TrailingZeros(uint(odd))] + " log is of another one"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("mixture %03b: %v, want %q", mixed, err, want)
		}
		if _, err := OpenView(dir); !errors.Is(err, errForeignLog) {
			t.Errorf("mixture %03b was read: %v", mixed, err)
		}
		if after := contents(t, dir); !slices.Equal(before, after) {
			t.Errorf("mixture %03b was changed:\n%q\n%q", mixed, before, after)
		}
		if _, err := SetAside(t.Context(), dir, Options{}); err != nil {
			t.Fatal(err)
		}
		a, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatalf("after the logs were set aside: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// One log is lost: the others say what the new one has to be.
	if err := os.RemoveAll(filepath.Join(ours, "left")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		a, err := Open(t.Context(), ours, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// contents returns the names and bytes of all log files below dir.
func contents(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	for _, name := range []string{"left", "right", "shared"} {
		files, err := filepath.Glob(filepath.Join(dir, name, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, f+": "+string(data))
		}
	}
	return out
}

// Logs that were lost and come back after new ones were begun are those of this account.
func TestLostLogsComeBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "account")
	begin := func() {
		a, err := Open(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Register(t.Context(), [2]string{"INBOX", "INBOX"}); err != nil {
			t.Fatal(err)
		}
		m, _ := a.lookup([2]string{"INBOX", "INBOX"})
		b, err := a.Begin(t.Context(), Intent{Target: merge.Right, Mailbox: m, Effects: []Effect{{Kind: EffectCreateMailbox}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Finish(t.Context(), b, Outcome{Results: []Result{{Status: Done}}}); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	saved := filepath.Join(t.TempDir(), "saved")
	if err := os.Rename(dir, saved); err != nil {
		t.Fatal(err)
	}
	begin()
	if err := os.RemoveAll(filepath.Join(dir, "left")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "left"), os.DirFS(filepath.Join(saved, "left"))); err != nil {
		t.Fatal(err)
	}
	begin()
}

// A reader says that the shared log is gone, instead of showing an empty account as if nothing had ever been there.
func TestReaderSeesThatTheSharedLogIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "account")
	lost := func() bool {
		v, err := OpenView(dir)
		if err != nil {
			t.Fatal(err)
		}
		return v.SharedLost()
	}
	if lost() {
		t.Error("an account that was never synced has lost nothing")
	}
	a, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := a.Register(t.Context(), [2]string{"INBOX", "INBOX"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Begin(t.Context(), Intent{Target: merge.Right, Mailbox: m, Effects: []Effect{{Kind: EffectCreateMailbox}}}); err != nil {
		t.Fatal(err)
	}
	if Running(dir) == nil {
		t.Error("this process works on the account")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if busy := Running(dir); busy != nil {
		t.Errorf("nobody works on the account any more: %v", busy)
	}
	if lost() {
		t.Error("nothing was lost")
	}
	if err := os.RemoveAll(filepath.Join(dir, "shared")); err != nil {
		t.Fatal(err)
	}
	if !lost() {
		t.Error("the shared log is gone")
	}
}
