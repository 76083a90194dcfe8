package harness

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Rung is how much a server offers: a rung of the ladder of extensions that driftless climbs.
type Rung int

// The rungs.
const (
	Full      Rung = iota // everything Dovecot has: QRESYNC, LIST-STATUS, ESEARCH, MULTIAPPEND, NOTIFY, COMPRESS ...
	Condstore             // IMAP4rev1 UIDPLUS ENABLE CONDSTORE IDLE MOVE
	Plain                 // IMAP4rev1 and nothing else
)

// Rungs lists all rungs, for loops.
var Rungs = []Rung{Full, Condstore, Plain}

// String returns the rung's name, for subtests.
func (r Rung) String() string {
	switch r {
	case Full:
		return "Full"
	case Condstore:
		return "Condstore"
	case Plain:
		return "Plain"
	}
	return fmt.Sprintf("Rung(%d)", int(r))
}

func (r Rung) capability() string {
	switch r {
	case Condstore:
		return "imap_capability = IMAP4rev1 UIDPLUS ENABLE CONDSTORE IDLE MOVE"
	case Plain:
		return "imap_capability = IMAP4rev1"
	}
	return ""
}

// TLS is how a server offers encryption.
type TLS int

// The ways to offer encryption.
const (
	NoTLS    TLS = iota // none at all: STARTTLS is not offered
	Implicit            // TLS from the first byte
	StartTLS            // STARTTLS is offered, plain text works too
)

// Options say which kind of Dovecot is wanted. The zero value is one with all extensions, sdbox, without TLS.
type Options struct {
	Rung           Rung
	Format         string // mail_location's format: sdbox (default), mdbox or maildir
	TLS            TLS
	Cert           *Cert  // default: NewCert(t, 24 * time.Hour)
	MaxConnections int    // per user and address; default 200
	Extra          string // more lines of configuration
}

// Password is the password of every user of every server the harness starts. It is easy to find in an output where it must not be.
const Password = "hush-Hush9correct7battery"

// Dovecot is a private server. All users exist, with Password.
type Dovecot struct {
	Dir  string // its directory: configuration, log, mail
	Opts Options
	port int
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has been waited for
}

// RequireDovecot skips the test when Dovecot cannot be run here, or fails it when REQUIRE_DOVECOT=1.
func RequireDovecot(t testing.TB) {
	t.Helper()
	give := t.Skipf
	if os.Getenv("REQUIRE_DOVECOT") == "1" {
		give = t.Fatalf
	}
	if os.Getuid() != 0 {
		give("not root: a private Dovecot needs root (make test uses sudo)")
	}
	if _, err := exec.LookPath("dovecot"); err != nil {
		give("no dovecot here (apt-get install dovecot-imapd; make test does it)")
	}
}

// StartDovecot starts a private Dovecot on a free loopback port and waits until it greets. It is stopped with the test.
func StartDovecot(t testing.TB, o Options) *Dovecot {
	t.Helper()
	RequireDovecot(t)
	if o.Format == "" {
		o.Format = "sdbox"
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 200
	}
	if o.TLS != NoTLS && o.Cert == nil {
		o.Cert = NewCert(t, 24*time.Hour)
	}
	d := &Dovecot{Dir: publicDir(t, "dovecot"), Opts: o, t: t}
	home := filepath.Join(d.Dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, dovecotUID, dovecotUID); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Kill() // quicker than Stop, and the mail is thrown away anyway
		if log := d.complaints(); t.Failed() && log != "" {
			t.Logf("dovecot's log:\n%s", log)
		}
	})
	var err error
	for range 5 {
		// Somebody else may take the port between our look and Dovecot's.
		d.port = freePort(t)
		if err = d.start(); err == nil {
			return d
		}
	}
	t.Fatalf("dovecot does not start: %v\n%s", err, tail(filepath.Join(d.Dir, "log"), 40))
	return nil
}

const dovecotUID = 1500

// complaints returns the last lines of the log that are more than information.
func (d *Dovecot) complaints() string {
	var out []string
	for line := range strings.SplitSeq(tail(filepath.Join(d.Dir, "log"), 200), "\n") {
		if !strings.Contains(line, "Info: ") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

func (d *Dovecot) configFile() string { return filepath.Join(d.Dir, "dovecot.conf") }

func (d *Dovecot) config() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("base_dir = %s/run", d.Dir)
	line("state_dir = %s/state", d.Dir)
	line("log_path = %s/log", d.Dir)
	line("listen = 127.0.0.1")
	line("protocols = imap")
	line("disable_plaintext_auth = no")
	line("auth_mechanisms = plain login")
	line("auth_failure_delay = 0")
	line("passdb {\n driver = static\n args = password=%s\n}", Password)
	line("userdb {\n driver = static\n args = uid=%d gid=%d home=%s/home/%%u allow_all_users=yes\n}", dovecotUID, dovecotUID, d.Dir)
	line("mail_location = %s:~/%s", d.Opts.Format, d.Opts.Format)
	line("first_valid_uid = %d", dovecotUID)
	line("namespace inbox {\n inbox = yes\n separator = /\n}")
	line("mail_max_userip_connections = %d", d.Opts.MaxConnections)
	line("mail_fsync = never") // it is not Dovecot's durability that is tested
	line("mail_plugins = zlib")
	line("protocol imap {\n mail_plugins = zlib imap_zlib\n}")
	line("default_vsz_limit = 2G")
	line("service imap-login {\n service_count = 0\n process_min_avail = 1\n vsz_limit = 512M\n"+
		" inet_listener imap {\n  port = %d\n }\n inet_listener imaps {\n  port = %d\n  ssl = yes\n }\n}",
		onlyIf(d.Opts.TLS != Implicit, d.port), onlyIf(d.Opts.TLS == Implicit, d.port))
	line("service imap {\n process_limit = 1024\n}")
	if d.Opts.TLS == NoTLS {
		line("ssl = no")
	} else {
		line("ssl = yes\nssl_cert = <%s\nssl_key = <%s", d.Opts.Cert.CertFile, d.Opts.Cert.KeyFile)
	}
	line("%s", d.Opts.Rung.capability())
	line("%s", d.Opts.Extra)
	return b.String()
}

func onlyIf(cond bool, port int) int {
	if cond {
		return port
	}
	return 0 // Dovecot: this listener is disabled
}

func (d *Dovecot) start() error {
	if err := os.WriteFile(d.configFile(), []byte(d.config()), 0o644); err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := exec.Command("dovecot", "-F", "-c", d.configFile())
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = 5 * time.Second // a grandchild may hold the pipe a moment longer
	// An own group, so that Kill reaches the children too; the master does not change it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := spawn(cmd, syscall.SIGTERM); err != nil {
		return err
	}
	done := make(chan struct{})
	var waited error
	go func() { waited = cmd.Wait(); close(done) }()
	d.cmd, d.done = cmd, done
	deadline := time.Now().Add(20 * time.Second)
	for {
		select {
		case <-done:
			d.cmd = nil
			return fmt.Errorf("dovecot ended: %w: %s", waited, out.String())
		default:
		}
		err := d.greets()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			d.Stop()
			return fmt.Errorf("no greeting: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// greets reports whether the server answers a connection.
func (d *Dovecot) greets() error {
	c, err := net.DialTimeout("tcp", d.Addr(), 5*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // only a look
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if d.Opts.TLS == Implicit {
		// Trust is the program's business; here it is only asked whether somebody is there.
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "* OK") {
		return fmt.Errorf("greeting %q", line)
	}
	return nil
}

// Addr returns host:port of the server.
func (d *Dovecot) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port)) }

// Port returns the server's port. It stays the same over Stop and Start.
func (d *Dovecot) Port() int { return d.port }

// User returns the name of a user that is the test's own: the same name gives the same user.
func (d *Dovecot) User(name string) string { return name }

// Start starts the server again after Stop or Kill, on the same port with the same mail.
func (d *Dovecot) Start() {
	d.t.Helper()
	if d.cmd != nil {
		d.t.Fatal("dovecot is running")
	}
	if err := d.start(); err != nil {
		d.t.Fatalf("dovecot does not start again: %v", err)
	}
}

// Stop stops the server and closes its connections. It does nothing if the server is not running.
func (d *Dovecot) Stop() { d.end(syscall.SIGTERM, false) }

// Kill kills the server with all its processes, at once.
func (d *Dovecot) Kill() { d.end(syscall.SIGKILL, true) }

func (d *Dovecot) end(sig syscall.Signal, group bool) {
	d.t.Helper()
	if d.cmd == nil {
		return
	}
	pid := d.cmd.Process.Pid
	if group {
		pid = -pid
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		d.t.Errorf("stop dovecot: %v", err)
	}
	select {
	case <-d.done:
	case <-time.After(20 * time.Second):
		d.t.Errorf("dovecot does not stop; killed")
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL) // already reported
		<-d.done
	}
	d.cmd = nil
}

// Doveadm runs doveadm with this server's configuration and returns its output; it fails the test when doveadm fails.
func (d *Dovecot) Doveadm(args ...string) string {
	d.t.Helper()
	cmd := exec.Command("doveadm", append([]string{"-c", d.configFile()}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		d.t.Fatalf("doveadm %s: %v: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

func freePort(t testing.TB) int {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return port
}

// tail returns the last n lines of a file, or why it cannot be read.
func tail(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
