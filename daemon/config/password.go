package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// PasswordTimeout is how long a password command may take.
const PasswordTimeout = 60 * time.Second

// Bounds of what is read of a password source.
const (
	maxPassword = 64 << 10
	maxStderr   = 4 << 10
)

// Password says where a password comes from. Exactly one of the fields is set.
type Password struct {
	Command []string // program and arguments; never given to a shell
	File    string   // absolute path
	Env     string   // name of an environment variable

	timeout time.Duration // of Command; 0 means PasswordTimeout
}

// Read returns the password: the first line of what its source has. env looks up environment variables
// (os.LookupEnv, usually) and is also the whole source of Env; a command gets the environment of the process. Errors say what
// failed and hold no part of the password.
func (p Password) Read(ctx context.Context, env func(string) (string, bool)) (Secret, error) {
	var raw []byte
	var err error
	var what string
	switch {
	case len(p.Command) > 0:
		what = fmt.Sprintf("password_command %q", p.Command[0])
		raw, err = p.runCommand(ctx)
	case p.File != "":
		what = "password_file " + p.File
		raw, err = readPasswordFile(p.File)
	case p.Env != "":
		what = "password_env " + p.Env
		s, ok := env(p.Env)
		if !ok {
			err = errors.New("the environment variable is not set")
		}
		raw = []byte(s)
	default:
		return Secret{}, errors.New("no password is configured")
	}
	if err != nil {
		return Secret{}, fmt.Errorf("%s: %w", what, err)
	}
	line := firstLine(raw)
	switch {
	case len(line) == 0:
		return Secret{}, fmt.Errorf("%s: the password is empty", what)
	case bytes.IndexByte(line, 0) >= 0:
		return Secret{}, fmt.Errorf("%s: the password has a NUL character", what)
	}
	return NewSecret(string(line)), nil
}

// firstLine drops the line ending and what follows: password managers print further fields below the password.
func firstLine(b []byte) []byte {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	return bytes.TrimSuffix(b, []byte("\r"))
}

func (p Password) runCommand(parent context.Context) ([]byte, error) {
	limit := p.timeout
	if limit == 0 {
		limit = PasswordTimeout
	}
	ctx, cancel := context.WithTimeout(parent, limit)
	defer cancel()
	stdout, stderr := &limitedBuffer{limit: maxPassword}, &limitedBuffer{limit: maxStderr}
	cmd := exec.CommandContext(ctx, p.Command[0], p.Command[1:]...) //nolint:gosec // running the user's own command is the feature
	cmd.Stdout, cmd.Stderr = stdout, stderr
	// A grandchild that keeps the pipes open must not keep us.
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	switch {
	case parent.Err() != nil:
		return nil, parent.Err()
	case ctx.Err() != nil:
		return nil, fmt.Errorf("took longer than %s and was stopped", limit)
	case err != nil:
		return nil, fmt.Errorf("%w%s", err, said(stderr.Bytes(), stdout.Bytes()))
	}
	return stdout.Bytes(), nil
}

// said returns what a failed command wrote to stderr, for the error. Lines of its stdout are masked: they may be the password.
func said(stderr, stdout []byte) string {
	text := string(stderr)
	for line := range strings.Lines(string(stdout)) {
		if line = strings.TrimSpace(line); line != "" {
			text = strings.ReplaceAll(text, line, redacted)
		}
	}
	text = strings.Join(strings.Fields(strings.Map(printable, text)), " ")
	if text == "" {
		return ""
	}
	return "; it said: " + text
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

func readPasswordFile(name string) ([]byte, error) {
	f, err := os.Open(name) //nolint:gosec // the path is the user's own setting
	if err != nil {
		return nil, pathless(err)
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, pathless(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		return nil, fmt.Errorf("other users can access it (mode %04o); run: chmod 600 %q", mode, name)
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxPassword))
	if err != nil {
		return nil, pathless(err)
	}
	return raw, nil
}

// pathless drops the path from an error that is shown behind the path.
func pathless(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// limitedBuffer keeps the first limit bytes and swallows the rest, so that the writer is never stopped by it.
type limitedBuffer struct {
	bytes.Buffer
	limit int
}

// Write never fails.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room > 0 {
		_, _ = b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
