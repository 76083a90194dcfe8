package harness

import (
	"errors"
	"net"
	"slices"
	"time"
)

// FaultKind is what goes wrong with a connection.
type FaultKind int

// The kinds of faults. Client and server are those of the connection; "what was sent" is what the client has sent.
const (
	// Close ends the connection in good order (FIN). On the way up the server gets nothing more; on the way down the client gets nothing more, and the
	// server still gets everything that was sent: it does what it was told, and nobody learns of it.
	Close FaultKind = iota
	// Reset does the same with a reset (RST).
	Reset
	// Silence lets nothing pass any more, either way. Nobody is told, not even of the other's end.
	Silence
	// Deaf is Silence in the direction of the fault only.
	Deaf
	// Garbage puts Bytes into the stream.
	Garbage
	// Repeat puts the last bytes before the fault into the stream once more.
	Repeat
	// Trickle lets the next Count bytes pass one at a time, with Pace between.
	Trickle
	// Hold keeps what goes up until Release. The client's end does not reach the server before what was sent does. Drop ends the client's part.
	Hold
)

// String returns the kind's name, for subtests.
func (k FaultKind) String() string {
	return []string{"close", "reset", "silence", "deaf", "garbage", "repeat", "trickle", "hold"}[k]
}

// Fault is something that goes wrong once, at a certain byte.
type Fault struct {
	Kind  FaultKind
	Up    bool  // the byte goes towards the server, else towards the client
	At    int64 // as many bytes pass before, counted over all connections from Strike on
	All   bool  // it happens to all connections, else to the one that carried the byte
	Bytes []byte
	Count int
	Pace  time.Duration
}

// Strike arms a fault, in place of an earlier one. The channel is closed when it has happened.
func (p *Proxy) Strike(f Fault) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.struck = &f, make(chan struct{})
	return p.struck
}

// Mend disarms a fault that has not happened yet, and lets new connections through again. Connections that a fault silenced stay so.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.mute = nil, false
}

// Mute accepts new connections from now on and says nothing on them.
func (p *Proxy) Mute() { p.mu.Lock(); defer p.mu.Unlock(); p.mute = true }

// Refuse refuses new connections; Accept ends that.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.l.Close() // closing twice is fine here
}

// Accept accepts connections again after Refuse, on the same port.
func (p *Proxy) Accept() {
	p.t.Helper()
	l, err := net.Listen("tcp", p.Addr())
	if err != nil {
		p.t.Fatalf("proxy: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.l = l
	p.wg.Add(1)
	go p.accept(l)
}

// Waiting returns how many bytes the clients have sent that have not gone on to the server.
func (p *Proxy) Waiting() int64 { p.mu.Lock(); defer p.mu.Unlock(); return p.taken - p.count.Up }

// Drop ends the clients' part of the connections that a Hold has struck, with a reset or in good order.
func (p *Proxy) Drop(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.conns {
		if l.wait[way(true)] != nil && l.detached {
			hangUp(l.client, reset)
		}
	}
}

// Release passes on what a Hold, a Silence or a Deaf kept.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.conns {
		l.release()
	}
}

// release ends what keeps a connection waiting. Called with the proxy locked.
func (l *link) release() {
	for i, c := range l.wait {
		if c != nil {
			close(c)
			l.wait[i] = nil
		}
	}
}

// await waits while a fault stops a direction of a connection.
func (p *Proxy) await(l *link, up bool) {
	p.mu.Lock()
	wait := l.wait[way(up)]
	p.mu.Unlock()
	if wait != nil {
		<-wait
	}
}

// Outlived returns how many connections to the server go on, or wait to go on, though a fault has parted them from their client's end.
func (p *Proxy) Outlived() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for l := range p.conns {
		if l.detached {
			n++
		}
	}
	return n
}

func way(up bool) int {
	if up {
		return 1
	}
	return 0
}

// hangUp ends our part of a connection. That it is over already is no error.
func hangUp(c net.Conn, reset bool) {
	t, ok := c.(*net.TCPConn)
	switch {
	case !ok:
		_ = c.Close()
	case reset:
		_ = t.SetLinger(0)
		_ = t.Close()
	default:
		_ = t.CloseWrite()
	}
}

// silent keeps a new connection without a word if that is how it shall be.
func (p *Proxy) silent(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		p.muted = append(p.muted, c)
	}
	return p.mute
}

// outlived reports whether the connection to the server goes on though the client's has ended; the server is told that nothing follows.
func (p *Proxy) outlived(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.detached && !l.dead {
		hangUp(l.server, false)
		return true
	}
	return false
}

// lastKept is how much of the latest data is remembered for Repeat.
const lastKept = 64

// pass writes data to one end of a connection, until a fault strikes and after it as far as that lets it.
func (p *Proxy) pass(l *link, to net.Conn, data []byte, up bool) error {
	for first := true; first || len(data) > 0; first = false {
		p.await(l, up)
		p.mu.Lock()
		if l.dead {
			p.mu.Unlock()
			return nil
		}
		n, pace, f := p.share(l, len(data), up)
		if up {
			p.count.Up += int64(n)
		} else {
			p.count.Down += int64(n)
			l.heard = true
		}
		p.mu.Unlock()
		time.Sleep(pace)
		_, err := to.Write(data[:n])
		if f != nil {
			err = errors.Join(err, p.strike(l, to, data[:n], *f))
		}
		if err != nil && !p.lost(l, up) {
			return err
		}
		data = data[n:]
	}
	return nil
}

// share returns how many of n bytes pass next, at which pace, and the fault that strikes after them. Called locked.
func (p *Proxy) share(l *link, n int, up bool) (int, time.Duration, *Fault) {
	var pace time.Duration
	if d := way(up); l.slow[d] > 0 && n > 0 {
		l.slow[d]--
		n, pace = 1, l.pace[d]
	}
	f := p.fault
	if f == nil || f.Up != up {
		return n, pace, nil
	}
	if int64(n) < f.At {
		f.At -= int64(n)
		return n, pace, nil
	}
	p.fault = nil
	return int(f.At), pace, f
}

// lost reports whether a failure to write is of no interest: nobody listens to what the server still says.
func (p *Proxy) lost(l *link, up bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !up && l.detached
}

// strike lets a fault happen. passed is what came just before it.
func (p *Proxy) strike(l *link, to net.Conn, passed []byte, f Fault) error {
	p.mu.Lock()
	links := []*link{l}
	if f.All {
		links = links[:0]
		for l := range p.conns {
			links = append(links, l)
		}
	}
	for _, l := range links {
		afflict(l, f)
	}
	close(p.struck)
	p.mu.Unlock()
	extra := f.Bytes
	switch f.Kind {
	case Repeat:
		extra = slices.Clone(passed[max(0, len(passed)-lastKept):])
	case Garbage:
	default:
		return nil
	}
	_, err := to.Write(extra)
	return err
}

// afflict does to one connection what a fault does. Called locked.
func afflict(l *link, f Fault) {
	switch f.Kind {
	case Close, Reset:
		hangUp(l.client, f.Kind == Reset)
		if l.detached = !f.Up; f.Up {
			l.dead = true
			hangUp(l.server, f.Kind == Reset)
		}
	case Silence:
		l.wait = [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	case Deaf:
		l.wait[way(f.Up)] = make(chan struct{})
	case Hold:
		l.wait[way(true)], l.detached = make(chan struct{}), true
	case Trickle:
		l.slow[way(f.Up)], l.pace[way(f.Up)] = f.Count, f.Pace
	case Garbage, Repeat:
	}
}
