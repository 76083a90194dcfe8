package imap_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/imap"
	"driftless/drivers/imap/embedded"
	"driftless/drivers/imap/hostile"
	"driftless/merge"
	"driftless/tests/harness"
)

// work does what a cycle does with a store that holds one message, and returns the first error.
func work(ctx context.Context, o imap.Options) (err error) {
	st, err := imap.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	boxes, err := st.List(ctx, nil)
	if err != nil {
		return err
	}
	for _, info := range boxes {
		if info.NoSelect {
			continue
		}
		for _, level := range strings.Split(info.Name, "/") {
			if level == "" || level == "." || level == ".." || strings.ContainsRune(level, 0) {
				return errors.New("a listing shows a name that leads outside: " + info.Name)
			}
		}
		if err := workIn(ctx, st, info.Name); err != nil {
			return err
		}
	}
	return nil
}

func workIn(ctx context.Context, st *imap.Store, name string) error {
	m, err := st.Open(ctx, name)
	if err != nil {
		return err
	}
	var cursor drivers.Cursor
	for _, scope := range []drivers.Scope{drivers.Delta, drivers.Delta, drivers.Present, drivers.Full} {
		var ids []merge.ID
		obs, err := m.Changes(ctx, cursor, scope, func(e drivers.Entry) error { ids = append(ids, e.ID); return nil })
		if err != nil {
			return err
		}
		cursor = obs.Cursor
		n := 0
		err = m.Fetch(ctx, ids, func(f drivers.Fetched) error {
			if f.Err != nil {
				return f.Err
			}
			n++
			r, err := f.Content.Open()
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, r)
			return errors.Join(err, r.Close(), f.Content.Close())
		})
		if err != nil {
			return err
		}
		if obs.All && obs.Count != n {
			return errors.New("fewer messages fetched than counted")
		}
		if err := m.Look(ctx, ids, func(drivers.Entry) error { return nil }); err != nil {
			return err
		}
	}
	return m.Close()
}

func TestHostile(t *testing.T) {
	message := "Subject: x\r\nMessage-ID: <1@example.org>\r\n\r\n" + strings.Repeat("line\r\n", 500)
	for _, c := range hostile.Cases() {
		t.Run(c.Name, func(t *testing.T) {
			var upstream string
			if c.Needs == hostile.Condstore {
				d := harness.StartDovecot(t, harness.Options{})
				d.Client("u").Append("INBOX", harness.Letter{Body: []byte(message)})
				upstream = d.Addr()
			} else {
				e, err := embedded.Start(context.Background(), embedded.Options{User: "u", Password: harness.Password})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = e.Close() })
				if _, err := e.Deliver("INBOX", []byte(message), time.Now()); err != nil {
					t.Fatal(err)
				}
				upstream = e.Addr()
			}
			script := c.Options
			if !c.StartTLS {
				script.Upstream = upstream
			}
			s, err := hostile.Start(script)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			o := options(t, s.Addr(), "u")
			o.Timeout = 3 * time.Second
			if c.StartTLS {
				o.TLS = imap.StartTLS
			}
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = work(ctx, o)
			runtime.ReadMemStats(&after)
			switch {
			case c.Works && err != nil:
				t.Errorf("a server that %s can be worked with, but: %v", c.Does, err)
			case !c.Works && err == nil:
				t.Errorf("a server that %s gave no error", c.Does)
			case errors.Is(err, context.DeadlineExceeded):
				t.Errorf("gave up only with the test: %v", err)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 512<<20 {
				t.Errorf("allocated %d MiB", n>>20)
			}
			if err != nil {
				t.Logf("error: %.200s", err)
				if strings.Contains(err.Error(), harness.Password) {
					t.Error("the password is in the error")
				}
			}
			if c.StartTLS {
				for _, line := range s.Seen() {
					if strings.HasPrefix(line, "LOGIN") || strings.HasPrefix(line, "AUTHENTICATE") {
						t.Errorf("logged in in plain text")
					}
				}
			}
			if c.Name == "wrong password" && (!errors.Is(err, drivers.ErrLogin) || drivers.RetryOf(err) != drivers.RetryNever) {
				t.Errorf("a refused password gives %v", err)
			}
		})
	}
}
