package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"driftless/drivers/imap/embedded"
)

//go:embed demo/*.eml
var demoMail embed.FS

// demoMessage returns a sample message in wire form.
func demoMessage(name string) ([]byte, error) {
	b, err := demoMail.ReadFile("demo/" + name + ".eml")
	if err != nil {
		return nil, fmt.Errorf("sample message: %w", err)
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")), nil
}

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show a sync between a small IMAP server and a Maildir, both made for it",
		Long: `Start a small IMAP server on this machine, sync it with a Maildir in a temporary directory, change both sides, sync again and show
what happened. It takes some seconds, touches nothing else and cleans up behind itself.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context())
		},
	}
}

// demo is the stage of the demonstration: a server, a Maildir, a configuration that pairs them.
type demo struct {
	app    *app
	server *embedded.Server
	mail   string // root of the Maildir
	config string
	env    []string
}

func (a *app) demo(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "driftless-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	password := rand.Text()
	server, err := embedded.Start(ctx, embedded.Options{User: "demo", Password: password})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	d := &demo{app: a, server: server, mail: filepath.Join(dir, "Mail"), config: filepath.Join(dir, "config.toml")}
	d.env = []string{"HOME=" + dir, "DEMO_PASSWORD=" + password, "PATH=" + a.env["PATH"], "NO_COLOR=" + a.env["NO_COLOR"], "TERM=" + a.env["TERM"]}
	if err := d.writeConfig(dir); err != nil {
		return err
	}
	return d.play(ctx)
}

func (d *demo) writeConfig(dir string) error {
	host, port, err := net.SplitHostPort(d.server.Addr())
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`state_dir = %q
[accounts.demo.left]
driver = "maildir"
path   = %q
[accounts.demo.right]
driver = "imap"
host   = %q
port   = %s
tls    = "none"
user   = "demo"
password_env = "DEMO_PASSWORD"
`, filepath.Join(dir, "state"), d.mail, host, port)
	return os.WriteFile(d.config, []byte(text), 0o600)
}

// play is the story.
func (d *demo) play(ctx context.Context) error {
	d.tell("An IMAP server on %s (the right side) and a Maildir in %s (the left side).", d.server.Addr(), d.mail)
	steps := []struct {
		title string
		do    func() error
		then  []string
	}{
		{"The server has five messages in four mailboxes. The Maildir does not exist yet.", d.prepare, []string{"sync"}},
		{"Now somebody works on both sides before the next sync.", d.work, []string{"sync"}},
		{"Nothing has changed since. A sync finds that out and touches nothing.", nil, []string{"sync"}},
		{"Are both sides really the same? Everything is listed and every body is read.", nil, []string{"verify", "--content"}},
		{"What the logs know, without asking either side:", nil, []string{"status"}},
		{"And what was done on the server, with the message ids of both sides, as it was recorded:", nil, []string{"log", "--log", "left"}},
	}
	for i, s := range steps {
		d.tell("\n%d. %s", i+1, s.title)
		if s.do != nil {
			if err := s.do(); err != nil {
				return err
			}
		}
		if err := d.command(ctx, s.then...); err != nil {
			return err
		}
	}
	d.tell("\nThe mail on both sides:")
	if err := d.compare(); err != nil {
		return err
	}
	d.tell("\nServer, Maildir and logs are removed now. With your own account: see the README, or driftless check --help.")
	return nil
}

func (d *demo) tell(format string, args ...any) { d.app.print(format+"\n", args...) }

// command runs one command line of driftless and shows it with its output, indented; of a long output the end.
func (d *demo) command(ctx context.Context, args ...string) error {
	const most = 18
	d.tell("   $ driftless %s", strings.Join(args, " "))
	var out bytes.Buffer
	code := run(ctx, append([]string{"-c", d.config}, args...), strings.NewReader(""), &out, &out, d.env)
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if extra := len(lines) - most; extra > 0 {
		d.tell("     ... (%d lines)", extra)
		lines = lines[extra:]
	}
	for _, l := range lines {
		d.tell("     %s", l)
	}
	if code != exitOK {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &exitError{code, fmt.Errorf("demo: driftless %s ended with code %d", strings.Join(args, " "), code)}
	}
	return nil
}

// prepare fills the server.
func (d *demo) prepare() error {
	for _, m := range []string{"Sent", "Archive", "Entwürfe"} {
		if err := d.server.Create(m); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		mailbox, name string
		flags         []string
	}{
		{"INBOX", "welcome", []string{`\Seen`}},
		{"INBOX", "lunch", nil},
		{"INBOX", "report", []string{`\Seen`}},
		{"INBOX", "offer", nil},
		{"Sent", "sent", []string{`\Seen`}},
	} {
		if err := d.deliver(m.mailbox, m.name, m.flags...); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) deliver(mailbox, name string, flags ...string) error {
	body, err := demoMessage(name)
	if err != nil {
		return err
	}
	_, err = d.server.Deliver(mailbox, body, time.Time{}, flags...)
	return err
}

// work changes both sides, each change said in words.
func (d *demo) work() error {
	steps := []struct {
		say string
		do  func() error
	}{
		{"Maildir: \"Lunch on Friday?\" is read and answered", func() error { return d.setMaildirFlags("INBOX", "Lunch on Friday?", "RS") }},
		{"Maildir: \"Quarterly report\" is moved to Archive", func() error { return d.moveMaildir("INBOX", "Quarterly report", "Archive") }},
		{"Maildir: a note is written, and a reply filed in Sent", func() error {
			return errors.Join(d.writeMaildir("Entwürfe", "note", "D"), d.writeMaildir("Sent", "reply", "S"))
		}},
		{"server:  \"Welcome\" gets a star", func() error {
			return d.onServer("INBOX", "Welcome", func(uid uint32) error { return d.server.SetFlags("INBOX", uid, `\Seen`, `\Flagged`) })
		}},
		{"server:  \"An offer nobody needs\" is deleted", func() error {
			return d.onServer("INBOX", "An offer nobody needs", func(uid uint32) error { return d.server.Remove("INBOX", uid) })
		}},
		{"server:  a new message arrives", func() error { return d.deliver("INBOX", "news") }},
	}
	for _, s := range steps {
		d.tell("   - %s", s.say)
		if err := s.do(); err != nil {
			return err
		}
	}
	return nil
}

// onServer finds a message by its subject.
func (d *demo) onServer(mailbox, subject string, f func(uid uint32) error) error {
	for _, m := range d.server.Snapshot()[mailbox] {
		if subjectOf(m.Body) == subject {
			return f(m.UID)
		}
	}
	return fmt.Errorf("demo: %q is not in %s on the server", subject, mailbox)
}

// subjectOf returns the subject of a sample message.
func subjectOf(body []byte) string {
	for line := range strings.Lines(string(body)) {
		if s, ok := strings.CutPrefix(line, "Subject: "); ok {
			return strings.TrimSpace(s)
		}
		if strings.TrimSpace(line) == "" {
			break
		}
	}
	return "?"
}
