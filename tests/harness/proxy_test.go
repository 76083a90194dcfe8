package harness

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// echoServer answers every line that it gets with itself, and sends what it got, as a whole, once the connection has ended; "RESET" if it did not end in good order.
func echoServer(t *testing.T) (addr string, got chan string) {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = l.Close() })
	got = make(chan string, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				var all strings.Builder
				_, err := io.Copy(c, io.TeeReader(c, &all))
				if err != nil {
					all.WriteString("RESET")
				}
				_ = c.Close()
				got <- all.String()
			}()
		}
	}()
	return l.Addr().String(), got
}

// TestFaults has every kind of fault strike a connection, and looks at what either end sees.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault        Fault
		echo, server string // what the client reads, and what the server had got at its end; the client sends 12 bytes, says nothing more
		err          string
	}{
		{Fault{Kind: Close, Up: true, At: 5}, "01234", "01234", "EOF"},
		{Fault{Kind: Close, Up: true, At: 12}, "0123456789a\n", "0123456789a\n", "EOF"},
		{Fault{Kind: Close, At: 5}, "01234", "0123456789a\n", "EOF"},
		{Fault{Kind: Close, At: 0}, "", "0123456789a\n", "EOF"},
		{Fault{Kind: Reset, Up: true, At: 0}, "", "RESET", "reset"},
		{Fault{Kind: Reset, At: 0}, "", "0123456789a\n", "reset"},
		{Fault{Kind: Silence, Up: true, At: 5}, "", "", "timeout"},
		{Fault{Kind: Deaf, At: 5}, "01234", "", "timeout"},
		{Fault{Kind: Hold, Up: true, At: 5}, "01234", "0123456789a\n", "timeout"},
		{Fault{Kind: Garbage, At: 5, Bytes: []byte("XY")}, "01234XY56789a\n", "", "timeout"},
		{Fault{Kind: Repeat, At: 5}, "012340123456789a\n", "", "timeout"},
		{Fault{Kind: Trickle, At: 5, Count: 3, Pace: time.Millisecond}, "0123456789a\n", "", "timeout"},
	} {
		addr, got := echoServer(t)
		p := StartProxy(t, addr)
		struck := p.Strike(c.fault)
		conn := must(net.Dial("tcp", p.Addr()))(t)
		if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		must(io.WriteString(conn, "0123456789a\n"))(t)
		echo, err := io.ReadAll(bufio.NewReader(conn))
		var ne net.Error
		switch {
		case err == nil && c.err != "EOF", err != nil && c.err == "EOF",
			errors.As(err, &ne) && ne.Timeout() != (c.err == "timeout"):
			t.Errorf("%+v: the client got %v, want %s", c.fault, err, c.err)
		}
		if c.fault.Kind != Silence && c.fault.Kind != Reset && c.fault.Kind != Close && string(echo) != c.echo || !strings.HasPrefix(c.echo, string(echo)) {
			t.Errorf("%+v: the client got %q, want %q", c.fault, echo, c.echo)
		}
		<-struck
		_ = conn.Close()
		if c.fault.Kind == Hold {
			select {
			case all := <-got:
				t.Errorf("%+v: the server's connection ended, with %q, before what was held came", c.fault, all)
			case <-time.After(50 * time.Millisecond):
			}
			if n := p.Waiting(); n != 7 {
				t.Errorf("%+v: %d bytes wait, want 7", c.fault, n)
			}
			p.Release()
		}
		if c.server != "" {
			if all := <-got; all != c.server {
				t.Errorf("%+v: the server got %q, want %q", c.fault, all, c.server)
			}
		}
	}
}

// TestRefuse refuses connections for a while, then answers none, then works again.
func TestRefuse(t *testing.T) {
	t.Parallel()
	addr, _ := echoServer(t)
	p := StartProxy(t, addr)
	p.Refuse()
	if c, err := net.Dial("tcp", p.Addr()); err == nil {
		_ = c.Close()
		t.Error("a connection was accepted")
	}
	p.Accept()
	say := func() error {
		c := must(net.Dial("tcp", p.Addr()))(t)
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(300 * time.Millisecond))
		must(io.WriteString(c, "hello\n"))(t)
		_, err := bufio.NewReader(c).ReadString('\n')
		return err
	}
	p.Mute()
	if err := say(); err == nil {
		t.Error("a mute proxy answered")
	}
	p.Mend()
	Eventually(t, say)
}
