package harness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var built struct {
	once sync.Once
	path string
	err  error
}

// Main runs a package's tests and removes what Build made; it returns the exit code for os.Exit. Call it from TestMain in packages that use Build.
func Main(m *testing.M) int {
	code := m.Run()
	if built.path != "" {
		if err := os.RemoveAll(filepath.Dir(built.path)); err != nil {
			fmt.Fprintln(os.Stderr, "clean up:", err)
			return max(code, 1)
		}
	}
	return code
}

// Build compiles the program once per test process and returns its path. With DRIFTLESS_RACE=1 it has the race detector.
func Build(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		root := repoRoot(t)
		dir, err := os.MkdirTemp("", "driftless-bin-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "driftless")
		args := []string{"build", "-o", built.path}
		if os.Getenv("DRIFTLESS_RACE") == "1" {
			args = append(args, "-race")
		}
		cmd := exec.Command("go", append(args, "./cmd/driftless")...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// Program is the driftless binary with a home of its own.
type Program struct {
	t       testing.TB
	Home    string   // HOME and everything below it
	Config  string   // path of its configuration file
	State   string   // state_dir
	Env     []string // more environment
	Wrap    []string // a command that runs the program, such as strace with its options
	Secrets []string // must appear in no output; Password is always among them
}

// NewProgram returns a program with an empty home and no configuration yet.
func NewProgram(t testing.TB) *Program {
	t.Helper()
	home := publicDir(t, "home")
	p := &Program{t: t, Home: home, Config: filepath.Join(home, "config.toml"), State: filepath.Join(home, "state"), Secrets: []string{Password}}
	if err := os.Mkdir(filepath.Join(home, "run"), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

// Result is how a run ended.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Code           int   // exit code; -1 when a signal ended it
	MaxRSS         int64 // peak memory in bytes; 0 where it cannot be told
	CPU            time.Duration
}

// String shows everything, for failure messages.
func (r Result) String() string {
	return fmt.Sprintf("driftless %s: exit code %d\n--- stdout\n%s\n--- stderr\n%s", strings.Join(r.Args, " "), r.Code, shorten(r.Stdout), shorten(r.Stderr))
}

func shorten(s string) string {
	if len(s) > 8000 {
		return s[:4000] + "\n[...]\n" + s[len(s)-4000:]
	}
	return s
}

// output is what a program has written. It can be looked at while the program runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// WriteString never fails.
func (o *output) WriteString(s string) (int, error) { return o.Write([]byte(s)) }

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Running is a program that was started.
type Running struct {
	p        *Program
	cmd      *exec.Cmd
	out, err output
	done     chan struct{}
	result   Result
}

// Run runs the program to its end. Whatever the exit code is, a panic, a data race or a secret in its output fails the test.
func (p *Program) Run(args ...string) Result {
	p.t.Helper()
	return p.Start(args...).Wait()
}

// Start starts the program with -c Config before args.
func (p *Program) Start(args ...string) *Running {
	p.t.Helper()
	line := append([]string{Build(p.t), "-c", p.Config}, args...)
	line = append(append([]string{}, p.Wrap...), line...)
	r := &Running{p: p, cmd: exec.Command(line[0], line[1:]...), done: make(chan struct{})}
	r.cmd.Env = append([]string{
		"HOME=" + p.Home, "PATH=" + os.Getenv("PATH"), "TZ=UTC", "LANG=C.UTF-8",
		"XDG_CONFIG_HOME=" + filepath.Join(p.Home, ".config"), "XDG_STATE_HOME=" + filepath.Join(p.Home, ".state"),
		"XDG_RUNTIME_DIR=" + filepath.Join(p.Home, "run"), "TMPDIR=" + os.TempDir(),
	}, p.Env...)
	r.cmd.Dir = p.Home
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	r.result.Args = args
	if err := spawn(r.cmd, syscall.SIGKILL); err != nil {
		p.t.Fatalf("start driftless: %v", err)
	}
	go r.wait()
	p.t.Cleanup(func() { r.Signal(syscall.SIGKILL); <-r.done })
	return r
}

func (r *Running) wait() {
	defer close(r.done)
	ended := make(chan struct{})
	peak := watchPeak(r.cmd.Process.Pid, ended)
	err := r.cmd.Wait()
	close(ended)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		_, _ = r.err.WriteString("\nharness: " + err.Error()) // it never fails
	}
	ps := r.cmd.ProcessState
	r.result.Stdout, r.result.Stderr, r.result.Code = r.out.String(), r.err.String(), ps.ExitCode()
	r.result.CPU = ps.UserTime() + ps.SystemTime()
	r.result.MaxRSS = <-peak
}

// watchPeak returns a channel that gets the peak memory of a process in bytes once ended is closed. It reads the process's own high-water mark again and again:
// the maximum that wait reports counts what the test process itself used before the exec.
func watchPeak(pid int, ended <-chan struct{}) <-chan int64 {
	peak := make(chan int64, 1)
	go func() {
		most := int64(0)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			most = max(most, highWater(pid))
			select {
			case <-ended:
				peak <- most
				return
			case <-tick.C:
			}
		}
	}()
	return peak
}

// highWater returns VmHWM of a process in bytes, 0 when it cannot be read.
func highWater(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0 // it has ended, or this system has no /proc
	}
	_, rest, _ := strings.Cut(string(data), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		return 0
	}
	return kib << 10
}

// Signal sends a signal, unless the program has ended.
func (r *Running) Signal(sig syscall.Signal) {
	select {
	case <-r.done:
		return
	default:
	}
	if err := r.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.p.t.Errorf("signal: %v", err)
	}
}

// Pid returns the number of the process.
func (r *Running) Pid() int { return r.cmd.Process.Pid }

// Stderr returns what the program has written to its standard error so far.
func (r *Running) Stderr() string { return r.err.String() }

// Done is closed when the program has ended.
func (r *Running) Done() <-chan struct{} { return r.done }

// Wait waits for the end; a program that runs for more than five minutes is killed, with its goroutines printed, and fails the test.
func (r *Running) Wait() Result {
	t := r.p.t
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(5 * time.Minute):
		r.Signal(syscall.SIGQUIT)
		select {
		case <-r.done:
		case <-time.After(10 * time.Second):
			r.Signal(syscall.SIGKILL)
			<-r.done
		}
		t.Fatalf("does not end: %v", r.result)
	}
	all := r.result.Stdout + r.result.Stderr
	for _, bad := range []string{"panic: ", "fatal error: ", "DATA RACE", "goroutine 1 ["} {
		if strings.Contains(all, bad) {
			t.Errorf("%q in the output: %v", bad, r.result)
		}
	}
	for _, s := range r.p.Secrets {
		if strings.Contains(all, s) {
			t.Errorf("a secret is printed: %v", r.result)
		}
	}
	return r.result
}

// PerSide is a count for each side.
type PerSide struct{ Left, Right int }

// Summary is the last line that sync --json prints for an account.
type Summary struct {
	Type        string
	Account     string
	Mailboxes   int
	Copied      PerSide
	Flags       PerSide
	Deleted     PerSide
	Moved       PerSide
	Held        int
	Conflicts   int
	Quarantined int
	Errors      int
	DurationMS  int64 `json:"duration_ms"`
	RoundTrips  int64 `json:"round_trips"`
	BytesIn     int64 `json:"bytes_in"`
	BytesOut    int64 `json:"bytes_out"`
}

// Idle reports whether the sync changed nothing on either side.
func (s Summary) Idle() bool {
	zero := PerSide{}
	return s.Copied == zero && s.Flags == zero && s.Deleted == zero && s.Moved == zero
}

// Summaries returns the summaries in a run's output. Every line of it must be a JSON object.
func (r Result) Summaries() ([]Summary, error) {
	var out []Summary
	lines := bufio.NewScanner(strings.NewReader(r.Stdout))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var s Summary
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		if s.Type == "summary" {
			out = append(out, s)
		}
	}
	return out, lines.Err()
}

// Sync runs sync --json with more arguments, wants that exit code, and returns the one summary.
func (p *Program) Sync(code int, args ...string) Summary {
	p.t.Helper()
	r := p.Run(append([]string{"sync", "--json"}, args...)...)
	if r.Code != code {
		p.t.Fatalf("want exit code %d: %v", code, r)
	}
	s, err := r.Summaries()
	if err != nil || len(s) != 1 {
		p.t.Fatalf("want one summary, got %d, %v: %v", len(s), err, r)
	}
	return s[0]
}

// WriteConfig writes the configuration file: state_dir and what is given.
func (p *Program) WriteConfig(parts ...string) {
	p.t.Helper()
	text := fmt.Sprintf("state_dir = %q\n%s\n", p.State, strings.Join(parts, "\n"))
	if err := os.WriteFile(p.Config, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// Account returns the configuration of an account: its own lines and its two sides.
func Account(name, own, left, right string) string {
	return fmt.Sprintf("[accounts.%s]\n%s\n[accounts.%s.left]\n%s\n[accounts.%s.right]\n%s\n", name, own, name, left, name, right)
}

// MaildirSide returns the configuration of a Maildir side.
func MaildirSide(path string, more ...string) string {
	return fmt.Sprintf("driver = \"maildir\"\npath = %q\n%s", path, strings.Join(more, "\n"))
}

// IMAPSide returns the configuration of an IMAP side on loopback without TLS, with Password. A line in more that sets one of its keys (host, port, tls,
// user, password_*) replaces it.
func IMAPSide(port int, user string, more ...string) string {
	keys := []struct{ key, line string }{
		{"host", `host = "127.0.0.1"`}, {"port", fmt.Sprintf("port = %d", port)}, {"tls", `tls = "none"`},
		{"user", fmt.Sprintf("user = %q", user)}, {"password", fmt.Sprintf("password_command = [\"printf\", \"%%s\", %q]", Password)},
	}
	var b strings.Builder
	b.WriteString("driver = \"imap\"\n")
	for _, k := range keys {
		replaced := false
		for _, m := range more {
			replaced = replaced || strings.HasPrefix(m, k.key)
		}
		if !replaced {
			b.WriteString(k.line + "\n")
		}
	}
	b.WriteString(strings.Join(more, "\n"))
	return b.String()
}
