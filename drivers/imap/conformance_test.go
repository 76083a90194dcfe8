package imap_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/imap"
	"driftless/tests/harness"
)

// TestMain looks for leaks; the harness keeps one thread on which it starts servers.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("driftless/tests/harness.spawn.func1.1"))
}

// options connects to an address on loopback in plain text.
func options(t testing.TB, addr, user string) imap.Options {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return imap.Options{
		Host: host, Port: n, TLS: imap.None, User: user, SpoolDir: t.TempDir(),
		Password: func(context.Context) (string, error) { return harness.Password, nil },
	}
}

// open opens a store that is closed with the test.
func open(t testing.TB, o imap.Options) *imap.Store {
	t.Helper()
	st, err := imap.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return st
}

var users atomic.Int64

// traits is what a rung can do.
func traits(r harness.Rung) drivertest.Traits {
	full := drivertest.Traits{TellsIDs: true, TellsGone: true, Quiet: true, Unchanged: true, Counts: true, Guards: true, Subscribes: true, Alters: true, MayRefuse: true, Refuses: refuses}
	switch r {
	case harness.Plain:
		full.Quiet, full.Unchanged, full.Counts = false, false, false
		full.NoUIDExpunge = true
	case harness.Condstore:
		full.Counts = false
	}
	return full
}

// refuses reports which names Dovecot cannot hold: a leading tilde, control characters, levels of more than 255 bytes in its own form.
func refuses(name string) bool {
	if strings.HasPrefix(name, "~") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }) {
		return true
	}
	for _, level := range strings.Split(name, "/") {
		wide := 0
		for _, r := range level {
			if r > '~' {
				wide++
			}
		}
		if len(level)+wide > 230 {
			return true
		}
	}
	return false
}

func TestConformance(t *testing.T) {
	for _, r := range harness.Rungs {
		t.Run(r.String(), func(t *testing.T) {
			d := harness.StartDovecot(t, harness.Options{Rung: r})
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				user := fmt.Sprintf("u%d", users.Add(1))
				return drivertest.Subject{Traits: traits(r), Open: func(ctx context.Context) (drivers.Store, error) {
					return imap.Open(ctx, options(t, d.Addr(), user))
				}}
			})
		})
	}
}
