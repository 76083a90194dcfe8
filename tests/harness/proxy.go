package harness

import (
	"errors"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a network between driftless and a server: it counts, it can be slow, it can break.
type Proxy struct {
	t      testing.TB
	l      net.Listener
	target string
	wg     sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	conns   map[*link]bool
	count   Counts
	latency time.Duration
	cutUp   int64 // bytes left before the cut; -1 = never
	cutDown int64
	gate    chan struct{} // not closed: stalled
	taken   int64         // bytes read from clients
	fault   *Fault        // armed, with what is left to pass
	struck  chan struct{} // closed once it has happened
	mute    bool          // new connections are accepted and get no answer
	muted   []net.Conn
	hook    func(up bool)
}

// Counts are what a proxy saw. Up is towards the server.
type Counts struct {
	Up, Down    int64
	Turns       int // how often a client spoke after it had been spoken to: round trips, summed over connections
	Connections int
}

// Sub returns the difference of two counts.
func (c Counts) Sub(d Counts) Counts {
	return Counts{c.Up - d.Up, c.Down - d.Down, c.Turns - d.Turns, c.Connections - d.Connections}
}

type link struct {
	client, server net.Conn
	heard          bool // guarded by the proxy's mutex: the client has been spoken to since it last spoke

	// What a fault did to it; guarded by the proxy's mutex.
	detached bool             // the client's end is no end for the server
	dead     bool             // nothing passes any more, either way
	wait     [2]chan struct{} // that direction waits for it: 0 down, 1 up
	pace     [2]time.Duration // that direction passes one byte at a time
	slow     [2]int           // how many bytes more are paced
}

// StartProxy starts a proxy to target. It ends with the test.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{t: t, l: must(net.Listen("tcp", "127.0.0.1:0"))(t), target: target, conns: map[*link]bool{}, cutUp: -1, cutDown: -1, gate: make(chan struct{})}
	close(p.gate)
	p.wg.Add(1)
	go p.accept(p.l)
	t.Cleanup(p.Close)
	return p
}

// Addr returns host:port of the proxy.
func (p *Proxy) Addr() string { return p.l.Addr().String() }

// Port returns the port of the proxy.
func (p *Proxy) Port() int { return p.l.Addr().(*net.TCPAddr).Port }

// Counts returns what has been counted so far.
func (p *Proxy) Counts() Counts { p.mu.Lock(); defer p.mu.Unlock(); return p.count }

// Latency delays everything, in either direction, by d. It makes Turns exact: what a client sends without waiting for an answer is one turn.
func (p *Proxy) Latency(d time.Duration) { p.mu.Lock(); defer p.mu.Unlock(); p.latency = d }

// CutUp breaks every connection once n more bytes have gone towards the server; CutDown, towards the client. After that the network works again.
func (p *Proxy) CutUp(n int64) { p.mu.Lock(); defer p.mu.Unlock(); p.cutUp = n }

// CutDown breaks every connection once n more bytes have come from the server. After that the network works again.
func (p *Proxy) CutDown(n int64) { p.mu.Lock(); defer p.mu.Unlock(); p.cutDown = n }

// Hook has f called before each chunk of data is passed on, from several goroutines, until the next Hook; nil for nothing. What f does is done before the
// other end learns of the chunk.
func (p *Proxy) Hook(f func(up bool)) { p.mu.Lock(); defer p.mu.Unlock(); p.hook = f }

// Stall stops all traffic, without closing anything, until Resume.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
		p.gate = make(chan struct{})
	default:
	}
}

// Resume ends a Stall.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// Break closes all connections at once.
func (p *Proxy) Break() { p.mu.Lock(); defer p.mu.Unlock(); p.breakAll() }

func (p *Proxy) breakAll() {
	for l := range p.conns {
		_ = l.client.Close() // it may be closed already
		_ = l.server.Close()
	}
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	_ = p.l.Close() // closing twice is fine here
	p.breakAll()
	for _, c := range p.muted {
		_ = c.Close() // nothing was ever said on it
	}
	p.mu.Unlock()
	p.Resume()
	p.Release()
	p.wg.Wait()
}

func (p *Proxy) accept(listener net.Listener) {
	defer p.wg.Done()
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		if p.silent(c) {
			continue
		}
		s, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = c.Close() // the client sees what it would see without the proxy
			continue
		}
		l := &link{client: c, server: s}
		p.mu.Lock()
		if p.closed {
			_ = c.Close() // the test is over
			_ = s.Close()
			p.mu.Unlock()
			return
		}
		p.conns[l] = true
		p.count.Connections++
		p.wg.Add(2)
		p.mu.Unlock()
		go p.pump(l, true)
		go p.pump(l, false)
	}
}

type chunk struct {
	data []byte
	at   time.Time
}

// pump carries one direction of a connection until it breaks.
func (p *Proxy) pump(l *link, up bool) {
	defer p.wg.Done()
	from, to := l.server, l.client
	if up {
		from, to = l.client, l.server
	}
	chunks := make(chan chunk, 4096)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for c := range chunks {
			if !p.deliver(l, to, c, up) {
				p.forget(l)
			}
		}
	}()
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		if n > 0 {
			if up {
				p.spoke(l, n)
			}
			chunks <- chunk{buf[:n], time.Now()}
		}
		if err != nil {
			break
		}
	}
	close(chunks)
	wg.Wait()
	p.await(l, up)
	if up && p.outlived(l) {
		return // the other direction ends with the server
	}
	p.forget(l)
}

// spoke counts a turn when the client speaks for the first time since it heard something.
func (p *Proxy) spoke(l *link, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken += int64(n)
	if l.heard {
		p.count.Turns++
		l.heard = false
	}
}

// deliver writes a chunk when its time has come, or a part of it before a cut. It reports whether the connection lives.
func (p *Proxy) deliver(l *link, to net.Conn, c chunk, up bool) bool {
	p.mu.Lock()
	gate, latency, hook := p.gate, p.latency, p.hook
	p.mu.Unlock()
	time.Sleep(time.Until(c.at.Add(latency)))
	<-gate
	if hook != nil {
		hook(up)
	}
	p.mu.Lock()
	left := &p.cutDown
	if up {
		left = &p.cutUp
	}
	cut := false
	if *left >= 0 {
		if int64(len(c.data)) >= *left {
			c.data, cut, *left = c.data[:*left], true, -1
		} else {
			*left -= int64(len(c.data))
		}
	}
	p.mu.Unlock()
	err := p.pass(l, to, c.data, up)
	if cut {
		p.Break()
	}
	return err == nil && !cut
}

func (p *Proxy) forget(l *link) {
	err := errors.Join(l.client.Close(), l.server.Close())
	if err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Logf("proxy: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, l)
	l.release()
}
