package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"driftless/daemon/engine"
	"driftless/drivers/imap/embedded"
	"driftless/logstate"
)

// home is a user's world for tests of run.
type home struct {
	t   *testing.T
	dir string
	env []string
}

func newHome(t *testing.T, config string) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir()}
	h.env = []string{"HOME=" + h.dir, "PATH=" + os.Getenv("PATH")}
	h.write("config.toml", "state_dir = \"state\"\n"+config)
	return h
}

func (h *home) write(name, text string) {
	h.t.Helper()
	file := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// run runs one command line and wants its exit code.
func (h *home) run(ctx context.Context, want int, args ...string) (stdout, stderr string) {
	h.t.Helper()
	var out, errs bytes.Buffer
	code := run(ctx, append([]string{"-c", filepath.Join(h.dir, "config.toml")}, args...), strings.NewReader(""), &out, &errs, h.env)
	if code != want {
		h.t.Fatalf("driftless %s: exit code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args, " "), code, want, &out, &errs)
	}
	return out.String(), errs.String()
}

// twoMaildirs is the configuration of an account between two Maildirs.
const twoMaildirs = `[accounts.work]
left = { driver = "maildir", path = "left" }
right = { driver = "maildir", path = "right" }
`

// fill puts n messages into the left inbox.
func (h *home) fill(n int) {
	for i := range n {
		h.write(fmt.Sprintf("left/INBOX/cur/%d.x:2,S", i), fmt.Sprintf("Message-ID: <%d@example.org>\n\n%d\n", i, i))
	}
	for _, sub := range []string{"new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(h.dir, "left/INBOX", sub), 0o700); err != nil {
			h.t.Fatal(err)
		}
	}
}

func TestHeldDeletionsAreExitCodeThree(t *testing.T) {
	h := newHome(t, twoMaildirs)
	h.fill(30)
	h.run(t.Context(), exitOK, "sync")
	for i := range 28 {
		if err := os.Remove(filepath.Join(h.dir, fmt.Sprintf("left/INBOX/cur/%d.x:2,S", i))); err != nil {
			t.Fatal(err)
		}
	}
	h.run(t.Context(), exitHeld, "sync", "--dry-run")
	_, stderr := h.run(t.Context(), exitHeld, "sync", "-q")
	if !strings.Contains(stderr, "work: INBOX: held: ") {
		t.Errorf("with -q what is held must still be said: %q", stderr)
	}
	stdout, _ := h.run(t.Context(), exitHeld, "sync", "--json")
	var last summary
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if last.Held != 28 || last.Deleted != (perSide{}) {
		t.Errorf("summary: %+v", last)
	}
}

func TestStateDirectoryWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write anywhere")
	}
	h := newHome(t, twoMaildirs)
	state := filepath.Join(h.dir, "state")
	if err := os.Mkdir(state, 0o500); err != nil {
		t.Fatal(err)
	}
	_, stderr := h.run(t.Context(), exitFailed, "check")
	if !strings.Contains(stderr, "the state directory "+state+" cannot be written: "+state+": permission denied") {
		t.Errorf("stderr: %q", stderr)
	}
}

func TestInterruptedIsExitCodeFour(t *testing.T) {
	h := newHome(t, twoMaildirs)
	h.fill(3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, stderr := h.run(ctx, exitInterrupted, "sync")
	if !strings.Contains(stderr, "interrupted") {
		t.Errorf("stderr: %q", stderr)
	}
	h.run(ctx, exitInterrupted, "verify")
	h.run(ctx, exitInterrupted, "check")
	h.run(ctx, exitInterrupted, "log", "--follow")
	h.run(t.Context(), exitOK, "sync")
	h.run(t.Context(), exitOK, "verify", "--content")
}

// TestSignals: the first SIGTERM ends a waiting process in an orderly way.
func TestSignals(t *testing.T) {
	h := newHome(t, twoMaildirs)
	h.fill(1)
	h.run(t.Context(), exitOK, "sync")
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd := exec.CommandContext(t.Context(), "driftless", "-c", filepath.Join(h.dir, "config.toml"), "log", "--follow")
		cmd.Env = h.env
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // it is at work
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, out); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
			t.Errorf("%s: %v", sig, err)
		}
		if !strings.Contains(errs.String(), "once more to stop at once") {
			t.Errorf("%s: stderr %q", sig, errs.String())
		}
	}
}

func TestBusyAccount(t *testing.T) {
	h := newHome(t, twoMaildirs)
	h.fill(1)
	h.run(t.Context(), exitOK, "sync")
	held, err := logstate.Open(t.Context(), filepath.Join(h.dir, "state", "work"), logstate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, stderr := h.run(t.Context(), exitFailed, "sync", "--no-wait")
	if !strings.Contains(stderr, fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("it does not say who holds the lock: %q", stderr)
	}
	_, stderr = h.run(t.Context(), exitFailed, "rebuild", "work", "--no-wait")
	if !strings.Contains(stderr, fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("it does not say who holds the lock: %q", stderr)
	}
	// What only reads needs no lock.
	for _, args := range [][]string{{"status"}, {"log"}, {"verify"}, {"check"}, {"sync", "--dry-run"}} {
		h.run(t.Context(), exitOK, args...)
	}
	// A sync that waits says for whom, and goes on when the lock is free.
	pipe := &notifyingWriter{seen: make(chan struct{})}
	done := make(chan int, 1)
	go func() {
		done <- run(t.Context(), []string{"-c", filepath.Join(h.dir, "config.toml"), "sync"}, strings.NewReader(""), io.Discard, pipe, h.env)
	}()
	<-pipe.seen
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if code := <-done; code != exitOK || !strings.Contains(pipe.String(), "in use by") {
		t.Errorf("after waiting: exit code %d, stderr %q", code, pipe)
	}
}

// notifyingWriter closes seen at the first write. It is written to by one goroutine, and read after that has ended.
type notifyingWriter struct {
	bytes.Buffer
	seen chan struct{}
}

func (w *notifyingWriter) Write(p []byte) (int, error) {
	if w.Len() == 0 {
		defer close(w.seen)
	}
	return w.Buffer.Write(p)
}

func TestServers(t *testing.T) {
	server, err := embedded.Start(t.Context(), embedded.Options{User: "me", Password: "geheim"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := server.Deliver("INBOX", []byte("Message-ID: <1@example.org>\r\n\r\none\r\n"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	account := func(name, more string) string {
		return fmt.Sprintf("[accounts.%s]\nleft = { driver = \"maildir\", path = \"%s\" }\n[accounts.%s.right]\ndriver = \"imap\"\nhost = %q\nport = %s\nuser = \"me\"\n%s\n",
			name, name, name, host, port, more)
	}
	h := newHome(t, account("good", "tls = \"none\"\npassword_env = \"PW\"")+
		account("wrong", "tls = \"none\"\npassword_command = [\"echo\", \"falsch\"]")+
		account("locked", "tls = \"none\"\npassword_command = [\"sh\", \"-c\", \"echo gpg: locked >&2; exit 2\"]")+
		account("starttls", "tls = \"starttls\"\npassword_env = \"PW\""))
	h.env = append(h.env, "PW=geheim")

	stdout, stderr := h.run(t.Context(), exitFailed, "sync")
	for _, want := range []string{"driftless: wrong: right store: ", "driftless: starttls: right store: ", `password_command "sh": exit status 2; it said: gpg: locked`} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr has no %q:\n%s", want, stderr)
		}
	}
	if !strings.Contains(stdout, "good: 1 mailbox in sync: on left 1 copied") {
		t.Errorf("the good account was not synced: %s", stdout)
	}
	all := stdout + stderr
	stdout, stderr = h.run(t.Context(), exitFailed, "check", "-vv")
	if !strings.Contains(stdout, "INBOX") || !strings.Contains(stdout, "UIDPLUS") {
		t.Errorf("check: %s", stdout)
	}
	all += stdout + stderr
	stdout, stderr = h.run(t.Context(), exitFailed, "sync", "--json", "-vv", "--log-format", "json")
	all += stdout + stderr
	for line := range strings.Lines(stdout) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil || o["type"] == nil {
			t.Errorf("not an object with a type: %q", line)
		}
	}
	if strings.Count(stdout, `"type":"summary"`) != 4 {
		t.Errorf("want a summary per account:\n%s", stdout)
	}
	for _, secret := range []string{"geheim", "falsch"} {
		if strings.Contains(all, secret) {
			t.Errorf("the secret %q is printed:\n%s", secret, all)
		}
	}
	h.run(t.Context(), exitOK, "sync", "good")
	h.run(t.Context(), exitOK, "verify", "good", "--content")
}

type badWriter struct{ panics bool }

func (w badWriter) Write([]byte) (int, error) {
	if w.panics {
		panic("boom")
	}
	return 0, errors.New("no space left on device")
}

func TestNoPanicReachesTheUser(t *testing.T) {
	var errs bytes.Buffer
	code := run(t.Context(), []string{"version"}, strings.NewReader(""), badWriter{true}, &errs, nil)
	if code != exitFailed || !strings.HasPrefix(errs.String(), "driftless: internal error: boom; this is a bug") {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
	if strings.Contains(errs.String(), "goroutine") {
		t.Errorf("a stack is shown without -v: %s", &errs)
	}
}

func TestAnUnwritableResultIsAFailure(t *testing.T) {
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"version"}, strings.NewReader(""), badWriter{}, &errs, nil); code != exitFailed {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
}

func TestCodes(t *testing.T) {
	if got := worse(worse(exitOK, exitHeld), exitFailed); got != exitFailed {
		t.Errorf("held and failed: %d", got)
	}
	if got := worse(exitInterrupted, exitFailed); got != exitInterrupted {
		t.Errorf("interrupted and failed: %d", got)
	}
	rows := []struct {
		r    engine.Report
		err  error
		want int
	}{
		{engine.Report{}, nil, exitOK},
		{engine.Report{Quarantined: 3}, nil, exitOK},
		{engine.Report{Held: 1}, nil, exitHeld},
		{engine.Report{Conflicts: 1}, nil, exitHeld},
		{engine.Report{Held: 1, Errors: 1}, nil, exitFailed},
		{engine.Report{}, errors.New("x"), exitFailed},
		{engine.Report{}, fmt.Errorf("interrupted: %w", context.Canceled), exitInterrupted},
		{engine.Report{}, context.DeadlineExceeded, exitFailed},
	}
	for _, r := range rows {
		if got := cycleCode(r.r, r.err); got != r.want {
			t.Errorf("%+v, %v: %d, want %d", r.r, r.err, got, r.want)
		}
	}
}
