package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestSecretIsNeverShown(t *testing.T) {
	s := NewSecret("geheim")
	type holder struct {
		S Secret
		P *Secret
		M map[string]Secret
	}
	h := holder{s, &s, map[string]Secret{"k": s}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s"} {
		fmt.Fprintf(&out, verb+verb, s, h)
	}
	j, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(j)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "h", h)
	core, logs := observer.New(zapcore.DebugLevel)
	zap.New(core).Info("x", zap.Any("s", s), zap.Any("h", h), zap.Stringer("t", s), zap.Reflect("r", s))
	enc := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig())
	for _, e := range logs.All() {
		b, err := enc.EncodeEntry(e.Entry, e.Context)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b.Bytes())
	}
	if strings.Contains(out.String(), "geheim") || strings.Contains(out.String(), "67656865696d") {
		t.Errorf("the secret is shown: %s", out.String())
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing stands in the secret's place")
	}
	if s.Reveal() != "geheim" || s.Empty() || !(Secret{}).Empty() {
		t.Error("the secret itself is lost")
	}
}

func TestPasswords(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sh := func(script string) Password { return Password{Command: []string{"/bin/sh", "-c", script}} }
	open := file("open", "geheim\n", 0o644)
	rows := []struct {
		name string
		p    Password
		want string
		err  string
	}{
		{"command", sh("echo geheim"), "geheim", ""},
		{"command without newline", sh("printf geheim"), "geheim", ""},
		{"command with CRLF", sh(`printf 'geheim\r\n'`), "geheim", ""},
		{"blanks stay", sh(`printf ' ge heim \n'`), " ge heim ", ""},
		{"first line", sh(`printf 'geheim\nuser: me\n'`), "geheim", ""},
		{"no shell", Password{Command: []string{"/bin/echo", "$HOME; x"}}, "$HOME; x", ""},
		{"much stderr", sh(`i=0; while [ $i -lt 3000 ]; do echo 12345678901234567890 >&2; i=$((i+1)); done; echo geheim`), "geheim", ""},
		{"failing command", sh("echo geheim; echo 'cannot decrypt' >&2; echo 'it was geheim' >&2; exit 3"), "", `password_command "/bin/sh": exit status 3; it said: cannot decrypt it was [redacted]`},
		{"silent failure", sh("exit 1"), "", `password_command "/bin/sh": exit status 1`},
		{"missing program", Password{Command: []string{"/nonexistent/pass"}}, "", `password_command "/nonexistent/pass": fork/exec /nonexistent/pass: no such file or directory`},
		{"slow command", Password{Command: []string{"/bin/sleep", "600"}, timeout: 50 * time.Millisecond}, "", `password_command "/bin/sleep": took longer than 50ms and was stopped`},
		{"slow grandchild", Password{Command: []string{"/bin/sh", "-c", "sleep 4 & wait"}, timeout: 50 * time.Millisecond}, "", `password_command "/bin/sh": took longer than 50ms and was stopped`},
		{"empty output", sh("echo"), "", `password_command "/bin/sh": the password is empty`},
		{"NUL", sh(`printf 'a\000b\n'`), "", `password_command "/bin/sh": the password has a NUL character`},
		{"file", Password{File: file("ok", "geheim\nmore\n", 0o600)}, "geheim", ""},
		{"group may read", Password{File: file("group", "geheim", 0o640)}, "geheim", ""},
		{"world-readable", Password{File: open}, "", fmt.Sprintf("password_file %s: other users can access it (mode 0644); run: chmod 600 %q", open, open)},
		{"missing file", Password{File: "/nonexistent/pw"}, "", "password_file /nonexistent/pw: no such file or directory"},
		{"directory", Password{File: dir}, "", "password_file " + dir + ": not a regular file"},
		{"environment", Password{Env: "PW"}, "geheim", ""},
		{"unset", Password{Env: "NOPE"}, "", "password_env NOPE: the environment variable is not set"},
		{"none", Password{}, "", "no password is configured"},
	}
	env := testEnv("PW", "geheim")
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			got, err := r.p.Read(context.Background(), env.Lookup)
			if got.Reveal() != r.want || (err == nil) != (r.err == "") || (err != nil && err.Error() != r.err) {
				t.Errorf("got %q, %v\nwant %q, %s", got.Reveal(), err, r.want, r.err)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := sh("sleep 600").Read(ctx, env.Lookup); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
