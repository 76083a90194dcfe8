package tests

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

// disturbance is a network that does not break, but does something worse.
type disturbance struct {
	name    string
	fault   harness.Fault
	also    func(*harness.Proxy) // what happens to connections that are opened after it
	timeout string               // of the configuration
	fails   bool                 // the sync cannot come to a good end if the fault is met
	works   bool                 // it must come to a good end
	says    []string             // and says one of these when it fails; nil = the sync says something
}

// What a sync says about a silent server, and about one that went away, whatever of it the sync met first.
var (
	silence = []string{"no answer for"}
	lost    = []string{"server closed the connection", "connection reset", "connection refused", "broken pipe", "no answer for"}
)

var disturbances = []disturbance{
	{name: "one falls silent", fault: harness.Fault{Kind: harness.Silence}, timeout: "1s", says: silence},
	{name: "all fall silent, new ones too", fault: harness.Fault{Kind: harness.Silence, All: true}, also: (*harness.Proxy).Mute, timeout: "1s", fails: true, says: silence},
	{name: "one goes deaf", fault: harness.Fault{Kind: harness.Deaf}, timeout: "1s", says: silence},
	{name: "closed, then refused", fault: harness.Fault{Kind: harness.Close, All: true}, also: (*harness.Proxy).Refuse, timeout: "1m", fails: true, says: lost},
	{name: "closed, then mute", fault: harness.Fault{Kind: harness.Reset, All: true}, also: (*harness.Proxy).Mute, timeout: "1s", fails: true, says: lost},
	// Slow is not dead: it goes on for longer than the time-out, one byte at a time.
	{name: "trickles", fault: harness.Fault{Kind: harness.Trickle, Count: 60, Pace: 100 * time.Millisecond}, timeout: "5s", works: true},
	{name: "repeats", fault: harness.Fault{Kind: harness.Repeat}, timeout: "3s"},
	{name: "a foreign line", fault: harness.Fault{Kind: harness.Garbage, Bytes: []byte("\r\n* 3 EXPUNGE\r\n")}, timeout: "3s"},
	{name: "an endless literal", fault: harness.Fault{Kind: harness.Garbage, Bytes: []byte("\r\n* 1 FETCH (BODY[] {4294967295}\r\n")}, timeout: "3s"},
	{name: "noise", fault: harness.Fault{Kind: harness.Garbage, Bytes: []byte("\x00\xff\x01((((\"{9}\r\n\r\n)\x80 OK \r\n")}, timeout: "3s"},
}

// TestStalls has the network stall, stammer, and put in what nobody said, at any byte of a sync. The sync notices in bounded time (Run waits no longer than some minutes) and says so.
// The next one puts everything right.
func TestStalls(t *testing.T) {
	t.Parallel()
	for _, rung := range []harness.Rung{harness.Full, harness.Plain} {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			f := freeze(t, rung)
			each := int(f.bytes[0] + f.bytes[1])
			var tried, hit, failed, slowest atomic.Int64
			name := func(p int) string { return fmt.Sprintf("%s/%d", disturbances[p/each].name, p%each) }
			crowd(t, 8, torture.Points(t, each*len(disturbances), 2*len(disturbances)), name, func(t *testing.T, point int) {
				d, fault := disturbances[point/each], disturbances[point/each].fault
				fault.At = int64(point % each)
				if fault.Up = fault.At >= f.bytes[0]; fault.Up {
					fault.At -= f.bytes[0]
					if fault.Kind == harness.Garbage || fault.Kind == harness.Repeat || fault.Kind == harness.Trickle {
						// Bytes put into a message on its way to the server would make it another message, and nobody could tell; TLS is there for that. And
						// that the network is slow on the way up cannot be told from a server that does not answer.
						fault.Up, fault.At = false, fault.At%f.bytes[0]
					}
				}
				if d.works {
					fault.At = max(fault.At, 200) // up to the greeting the time-out is for all of it
				}
				tried.Add(1)
				w := f.world(t, 4)
				w.configure(w.user, 4, d.timeout)
				struck := w.proxy.Strike(fault)
				over := make(chan struct{})
				var then sync.WaitGroup
				then.Go(func() {
					select {
					case <-struck:
						if d.also != nil {
							d.also(w.proxy)
						}
					case <-over:
					}
				})
				begun := time.Now()
				r := w.disturbed(f.want)
				took := time.Since(begun)
				close(over)
				then.Wait()
				met := false
				select {
				case <-struck:
					met = true
					hit.Add(1)
				default:
				}
				if r.Code != 0 {
					failed.Add(1)
					if d.says != nil && !slices.ContainsFunc(d.says, func(s string) bool { return strings.Contains(r.Stdout+r.Stderr, s) }) {
						t.Errorf("want one of %q in: %v", d.says, r)
					}
				}
				// Behind the last answers nothing is missing any more.
				early := fault.Up && fault.At < f.bytes[1]-1000 || !fault.Up && fault.At < f.bytes[0]-1000
				if met && early && d.fails && r.Code == 0 || d.works && r.Code != 0 {
					t.Errorf("fault %v, up %v: %v", fault.Kind, fault.Up, r)
				}
				if took.Milliseconds() > slowest.Load() {
					slowest.Store(took.Milliseconds())
				}
				if d.name == "closed, then refused" && met {
					w.proxy.Accept()
				}
				w.proxy.Mend()
				w.configure(w.user, 4, "1m")
				w.recovers(f.want)
			})
			t.Logf("%s: %d tried, %d met a connection, %d syncs failed, the slowest took %v", rung, tried.Load(), hit.Load(), failed.Load(), time.Duration(slowest.Load())*time.Millisecond)
			if hit.Load() < tried.Load()*3/4 {
				t.Error("too few met anything")
			}
		})
	}
}

// TestNobodyThere syncs two accounts, one of which has a server that refuses, or accepts and says nothing, or dies in the middle. The other account is synced all the same.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	d := harness.StartDovecot(t, harness.Options{})
	for name, c := range map[string]struct {
		port func(t *testing.T, w *world) int
		says string
	}{
		"refused": {func(t *testing.T, _ *world) int {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := l.Addr().(*net.TCPAddr).Port
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}, "connection refused"},
		"mute": {func(_ *testing.T, w *world) int {
			w.proxy.Mute()
			return w.proxy.Port()
		}, "no answer for 1s"},
		"silent after the login": {func(_ *testing.T, w *world) int {
			w.proxy.Strike(harness.Fault{Kind: harness.Silence, At: 1000})
			return w.proxy.Port()
		}, "no answer for 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			user := strings.ReplaceAll(name, " ", "")
			w := onServer(t, d, user, "")
			w.c.Append("INBOX", letters(0, 5, 400)...)
			good := harness.Account("good", "", harness.MaildirSide(w.m.Root), harness.IMAPSide(d.Port(), user))
			bad := harness.Account("bad", "", harness.MaildirSide(w.p.Home+"/Bad"), harness.IMAPSide(c.port(t, w), user+"2", `timeout = "1s"`, "connections = 1"))
			w.p.WriteConfig(bad, good)
			r := w.p.Run("sync", "--json")
			if r.Code != 1 || !strings.Contains(r.Stdout, c.says) {
				t.Errorf("want exit code 1 and %q: %v", c.says, r)
			}
			w.same("the other account")
		})
	}
}
