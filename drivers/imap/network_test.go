package imap_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/imap"
	"driftless/drivers/imap/embedded"
	"driftless/merge"
	"driftless/tests/harness"
)

func startEmbedded(t testing.TB, o embedded.Options) *embedded.Server {
	t.Helper()
	o.User, o.Password = "u", harness.Password
	s, err := embedded.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestTLS connects with and without trust, in both ways.
func TestTLS(t *testing.T) {
	good, old, foreign := harness.NewCert(t, time.Hour), harness.NewCert(t, harness.Expired), harness.NewCert(t, time.Hour)
	for _, mode := range []imap.TLSMode{imap.Implicit, imap.StartTLS} {
		for _, c := range []struct {
			name string
			cert *harness.Cert
			ca   string
			host string
			want string // part of the error; "" = it works
		}{
			{"good", good, good.CAFile, "localhost", ""},
			{"expired", old, old.CAFile, "localhost", "expired"},
			{"unknown authority", good, foreign.CAFile, "localhost", "unknown authority"},
			{"wrong name", good, good.CAFile, "mail.example.org", "another name"},
			{"no CA file", good, "/nonexistent", "localhost", "CA file"},
		} {
			t.Run(mode.String()+"/"+c.name, func(t *testing.T) {
				s := startEmbedded(t, embedded.Options{TLS: c.cert.ServerConfig(), StartTLS: mode == imap.StartTLS})
				o := options(t, s.Addr(), "u")
				o.TLS, o.CAFile, o.Host = mode, c.ca, c.host
				o.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, s.Addr())
				}
				st, err := imap.Open(context.Background(), o)
				if err == nil {
					defer func() { _ = st.Close() }()
				}
				switch {
				case c.want == "" && err != nil:
					t.Fatal(err)
				case c.want != "" && err == nil:
					t.Fatal("no error")
				case c.want != "" && (!strings.Contains(err.Error(), c.want) || errors.Is(err, drivers.ErrLogin)):
					t.Errorf("error %v", err)
				}
				if c.want == "" {
					if _, err := st.List(context.Background(), nil); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	t.Run("plain text to a TLS port", func(t *testing.T) {
		s := startEmbedded(t, embedded.Options{})
		o := options(t, s.Addr(), "u")
		o.TLS = imap.Implicit
		if st, err := imap.Open(context.Background(), o); err == nil {
			_ = st.Close()
			t.Error("no error")
		} else if !strings.Contains(err.Error(), "does not speak TLS") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("plain text to a foreign host", func(t *testing.T) {
		o := options(t, "192.0.2.1:143", "u")
		if _, err := imap.Open(context.Background(), o); err == nil || !strings.Contains(err.Error(), "clear") {
			t.Errorf("error %v", err)
		}
	})
}

// TestSecrets looks for the password in what errors and logs say.
func TestSecrets(t *testing.T) {
	d := harness.StartDovecot(t, harness.Options{})
	for _, off := range [][]string{nil, {"SASL-IR"}, {"AUTH"}} {
		core, logs := observer.New(zap.DebugLevel)
		o := options(t, d.Addr(), "u")
		o.Logger, o.DisableExtensions = zap.New(core), off
		const wrong = "Wrong&\\\"pässword"
		o.Password = func(context.Context) (string, error) { return wrong, nil }
		st, err := imap.Open(context.Background(), o)
		if err == nil {
			_ = st.Close()
			t.Fatal("a wrong password is accepted")
		}
		if !errors.Is(err, drivers.ErrLogin) || drivers.RetryOf(err) != drivers.RetryNever || drivers.ReachOf(err) != drivers.ReachStore {
			t.Errorf("without %v: %v, retry %d", off, err, drivers.RetryOf(err))
		}
		text := err.Error() + fmt.Sprint(logs.All())
		if strings.Contains(text, wrong) {
			t.Error("the password shows")
		}
	}
	o := options(t, d.Addr(), "u")
	locked := errors.New("agent is locked")
	o.Password = func(context.Context) (string, error) { return "", locked }
	if _, err := imap.Open(context.Background(), o); !errors.Is(err, locked) || errors.Is(err, drivers.ErrLogin) || drivers.RetryOf(err) != drivers.RetryLater {
		t.Errorf("a password that cannot be had: %v", err)
	}
}

// TestLostAppends breaks the connection at many places of an upload. What is reported as stored is stored, what is reported as not stored is not, and
// what is unknown may be either.
func TestLostAppends(t *testing.T) {
	for _, off := range [][]string{nil, {"MULTIAPPEND"}, {"MULTIAPPEND", "LITERAL+"}} {
		t.Run(fmt.Sprint(off), func(t *testing.T) {
			d := harness.StartDovecot(t, harness.Options{})
			p := harness.StartProxy(t, d.Addr())
			r := rand.New(rand.NewPCG(1, uint64(len(off))))
			o := options(t, p.Addr(), "u")
			o.DisableExtensions, o.Connections = off, 1
			st := open(t, o)
			m := openBox(t, st, "INBOX")
			fates := map[string]int{}
			sent := 0
			for round := range 25 {
				mark, err := m.Mark(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				var msgs []drivers.Append
				for range 12 {
					msgs = append(msgs, drivers.Append{Content: drivers.Bytes(drivertest.Message(sent, drivertest.MessageOptions{Size: 3000})), Flags: merge.NewFlags(`\Seen`)})
					sent++
				}
				if round%2 == 0 {
					p.CutUp(int64(1 + r.IntN(40000)))
				} else {
					p.CutDown(int64(1 + r.IntN(600)))
				}
				res, err := m.Append(context.Background(), msgs)
				p.CutUp(1 << 40)
				p.CutDown(1 << 40)
				time.Sleep(50 * time.Millisecond) // what is on its way in the server arrives
				arrived := map[uint64]int{}
				if err := m.Since(context.Background(), mark, func(d drivers.Description) error { arrived[d.Identity.Header]++; return nil }); err != nil {
					t.Fatal(err)
				}
				for i, a := range res {
					want, _ := digest(msgs[i].Content.(drivers.Bytes))
					there := arrived[want.Header]
					switch {
					case a.Err == nil:
						fates["done"]++
						if there != 1 {
							t.Errorf("round %d: message %d is reported as stored and is there %d times", round, i, there)
						}
					case errors.Is(a.Err, drivers.ErrUnknown):
						fates["unknown"]++
						if err == nil || there > 1 {
							t.Errorf("round %d: message %d is unknown, there %d times, error %v", round, i, there, err)
						}
					default:
						fates["not sent"]++
						if there != 0 {
							t.Errorf("round %d: message %d is reported as not stored (%v) and is there", round, i, a.Err)
						}
					}
				}
			}
			t.Logf("%v", fates)
			if fates["done"] == 0 || fates["unknown"] == 0 {
				t.Errorf("the cuts did not meet every case: %v", fates)
			}
		})
	}
}

// TestSilence ends a command that makes no progress, and goes on afterwards.
func TestSilence(t *testing.T) {
	d := harness.StartDovecot(t, harness.Options{})
	p := harness.StartProxy(t, d.Addr())
	o := options(t, p.Addr(), "u")
	o.Timeout = 300 * time.Millisecond
	st := open(t, o)
	m := openBox(t, st, "INBOX")
	ids := appendAll(t, m, letters(0, 3))
	p.Stall()
	err := m.Look(context.Background(), ids, func(drivers.Entry) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "no answer") || drivers.RetryOf(err) != drivers.RetryLater || drivers.ReachOf(err) != drivers.ReachStore {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := m.Changes(ctx, "", drivers.Full, func(drivers.Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error of a cancelled call: %v", err)
	}
	p.Resume()
	if got, _ := observe(t, m, "", drivers.Full); len(got) != 3 {
		t.Errorf("%d messages afterwards", len(got))
	}
	// Idle for longer than the time-out is no silence.
	time.Sleep(400 * time.Millisecond)
	before := st.Stats().RoundTrips
	if got, _ := observe(t, m, "", drivers.Full); len(got) != 3 {
		t.Errorf("%d messages after a pause", len(got))
	}
	if n := st.Stats().RoundTrips - before; n != 1 {
		t.Errorf("%d round trips after a pause: the connection did not last", n)
	}
	// A slow yield is no silence of the server.
	n := 0
	if err := m.Fetch(context.Background(), ids, func(f drivers.Fetched) error {
		n++
		time.Sleep(400 * time.Millisecond)
		return errors.Join(f.Err, f.Content.Close())
	}); err != nil || n != 3 {
		t.Errorf("slow yield: %d messages, %v", n, err)
	}
}

// TestBigMessages streams messages that do not fit in memory's share, and leaves nothing in the spool directory.
func TestBigMessages(t *testing.T) {
	d := harness.StartDovecot(t, harness.Options{})
	o := options(t, d.Addr(), "u")
	st := open(t, o)
	m := openBox(t, st, "INBOX")
	big := drivertest.Message(1, drivertest.MessageOptions{Size: 20 << 20})
	ids := appendAll(t, m, append(letters(2, 5), drivers.Append{Content: drivers.Bytes(big)}))
	got := fetchAll(t, m, ids)
	if !bytes.Equal(got[ids[3]], big) {
		t.Error("the big message came back changed")
	}
	if left, err := os.ReadDir(o.SpoolDir); err != nil || len(left) != 0 {
		t.Errorf("left in the spool directory: %v, %v", left, err)
	}
	t.Run("limit", func(t *testing.T) {
		o.MaxMessage = 1 << 20
		m := openBox(t, open(t, o), "INBOX")
		bad := 0
		n := 0
		err := m.Fetch(context.Background(), ids, func(f drivers.Fetched) error {
			n++
			if f.Err != nil {
				bad++
				if !errors.Is(f.Err, drivers.ErrTooBig) || f.ID != ids[3] || drivers.ReachOf(f.Err) != drivers.ReachMessage {
					t.Errorf("%s: %v", f.ID, f.Err)
				}
				return nil
			}
			return f.Content.Close()
		})
		if err != nil || n != 4 || bad != 1 {
			t.Errorf("%d messages, %d too big, %v", n, bad, err)
		}
	})
	t.Run("no spool", func(t *testing.T) {
		o := o
		o.MaxMessage, o.SpoolDir = 0, "/nonexistent"
		m := openBox(t, open(t, o), "INBOX")
		err := m.Fetch(context.Background(), ids, func(f drivers.Fetched) error {
			if f.Err != nil {
				t.Errorf("%s: %v", f.ID, f.Err)
				return nil
			}
			return f.Content.Close()
		})
		if err == nil || drivers.ReachOf(err) != drivers.ReachStore {
			t.Errorf("a spool that cannot be written: %v", err)
		}
	})
}

// TestRestart goes on after the server was restarted under idle connections, with a handle from before.
func TestRestart(t *testing.T) {
	d := harness.StartDovecot(t, harness.Options{})
	st := open(t, options(t, d.Addr(), "u"))
	m := openBox(t, st, "INBOX")
	appendAll(t, m, letters(0, 3))
	_, obs := observe(t, m, "", drivers.Delta)
	d.Kill()
	if _, err := m.Mark(context.Background()); err == nil || drivers.ReachOf(err) != drivers.ReachStore || drivers.RetryOf(err) != drivers.RetryLater {
		t.Errorf("without a server: %v", err)
	}
	d.Start()
	if got, obs := observe(t, m, obs.Cursor, drivers.Delta); len(got) != 0 || obs.All || obs.Count != 3 {
		t.Errorf("after a restart: %d entries, %+v", len(got), obs)
	}
	d.Doveadm("mailbox", "update", "-u", "u", "--uid-validity", "2000000000", "INBOX")
	got, now := observe(t, m, obs.Cursor, drivers.Delta)
	if !now.Reset || !now.All || len(got) != 3 {
		t.Errorf("after a new UIDVALIDITY: %d entries, %+v", len(got), now)
	}
	if err := m.Look(context.Background(), []merge.ID{"1:1"}, func(drivers.Entry) error { return nil }); !errors.Is(err, drivers.ErrStale) {
		t.Errorf("an id of another UIDVALIDITY: %v", err)
	}
	res, err := m.Expunge(context.Background(), []drivers.Removal{{ID: "1:1"}})
	if err != nil || !errors.Is(res[0], drivers.ErrStale) {
		t.Errorf("expunge of an id of another UIDVALIDITY: %v, %v", res, err)
	}
	if id, err := st.Identity(context.Background()); err != nil || id != "2000000000" {
		t.Errorf("identity %q, %v", id, err)
	}
}
