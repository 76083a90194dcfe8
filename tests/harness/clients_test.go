package harness

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
	"time"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"INBOX": "INBOX", "A&B": "A&-B", "Entwürfe": "Entw&APw-rfe", "日本語": "&ZeVnLIqe-", "😀": "&2D3eAA-"} {
		if got := encodeName(name); got != want {
			t.Errorf("encodeName(%q) = %q, want %q", name, got, want)
		}
	}
	back := func(name string) bool {
		name = strings.ToValidUTF8(name, "?")
		return decodeName(encodeName(name)) == name
	}
	if err := quick.Check(back, nil); err != nil {
		t.Error(err)
	}
}

// TestClients gives both clients the same mail and wants them to see the same, and every kind of change to be seen.
func TestClients(t *testing.T) {
	t.Parallel()
	d := StartDovecot(t, Options{})
	c := d.Client("u")
	m := NewMaildir(t, t.TempDir())
	c.Create("Größe/日本")
	m.Create("Größe/日本", "INBOX", "Größe")
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.FixedZone("", 3600))
	var uids []uint32
	var files []string
	for i := range 5 {
		body := fmt.Sprintf("Subject: %d\n\nText (with \"signs)\n", i)
		flags := []string{`\Seen`, "Work", "$Forwarded"}[:i%4]
		uids = append(uids, c.Append("Größe/日本", Letter{Body: ToCRLF([]byte(body)), Flags: flags, Date: date})...)
		files = append(files, m.Deliver("Größe/日本", []byte(body), date, flags...))
	}
	same := func(what string) {
		t.Helper()
		left, right := m.All(), c.All()
		delete(left, "Größe") // Dovecot's parent cannot be selected
		if diff := Diff(left, right); len(diff) > 0 {
			t.Errorf("%s: %s", what, strings.Join(diff, "\n"))
		}
	}
	same("delivered")
	before := c.ModSeqs()
	if got := c.Messages("Größe/日本", false); len(got) != 5 || got[3].ModSeq == 0 || got[3].Size == 0 || !got[3].Date.Equal(date) {
		t.Errorf("messages: %+v", got)
	}
	if after := c.ModSeqs(); after != before {
		t.Errorf("looking changed something: %s -> %s", before, after)
	}
	c.Store("Größe/日本", uids[:2], "+", `\Flagged`)
	if diff := Diff(m.All(), c.All()); len(diff) != 5 { // two messages, each only left and only right, and the parent
		t.Errorf("want 5 differences: %s", strings.Join(diff, "\n"))
	}
	files[0] = m.SetFlags("Größe/日本", files[0], `\Flagged`)
	files[1] = m.SetFlags("Größe/日本", files[1], `\Seen`, `\Flagged`)
	same("flags")
	c.Move("Größe/日本", uids[2:3], "INBOX")
	m.Move("Größe/日本", files[2], "INBOX")
	same("moved")
	c.Expunge("Größe/日本", uids[3:4])
	m.Remove("Größe/日本", files[3])
	same("removed")
}

func TestTree(t *testing.T) {
	t.Parallel()
	m := NewMaildir(t, t.TempDir())
	file := m.Deliver("INBOX", []byte("x\n"), time.Now())
	before := Tree(t, m.Root, true)
	if diff := TreeDiff(before, Tree(t, m.Root, true)); len(diff) != 0 {
		t.Errorf("nothing happened: %v", diff)
	}
	m.SetFlags("INBOX", file, `\Seen`)
	if diff := TreeDiff(before, Tree(t, m.Root, true)); len(diff) != 4 { // new and cur touched, one name gone, one new
		t.Errorf("a rename shows as %v", diff)
	}
}

// echo answers every line with "ok".
func echo(t *testing.T) net.Listener {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				buf := make([]byte, 1000)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					if _, err := io.WriteString(c, "ok"); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l
}

func TestProxy(t *testing.T) {
	t.Parallel()
	p := StartProxy(t, echo(t).Addr().String())
	p.Latency(5 * time.Millisecond)
	dial := func() net.Conn {
		c := must(net.Dial("tcp", p.Addr()))(t)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	ask := func(c net.Conn) (string, error) {
		if _, err := io.WriteString(c, "hello"); err != nil {
			return "", err
		}
		buf := make([]byte, 2)
		_, err := io.ReadFull(c, buf)
		return string(buf), err
	}
	c := dial()
	for range 3 {
		if got, err := ask(c); got != "ok" || err != nil {
			t.Fatalf("answer %q, %v", got, err)
		}
	}
	// This server does not greet, so the first word is no answer to anything.
	if got, want := p.Counts(), (Counts{Up: 15, Down: 6, Turns: 2, Connections: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	p.CutUp(3)
	if got, err := ask(c); err == nil {
		t.Errorf("answer %q after the cut", got)
	}
	if got := p.Counts().Up; got != 18 {
		t.Errorf("%d bytes went up, want 18", got)
	}
	c = dial()
	if got, err := ask(c); got != "ok" || err != nil {
		t.Errorf("after the cut the network works again: %q, %v", got, err)
	}
	p.Stall()
	answered := make(chan error, 1)
	go func() { _, err := ask(c); answered <- err }()
	select {
	case err := <-answered:
		t.Errorf("an answer through a stalled network, %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	p.Resume()
	if err := <-answered; err != nil {
		t.Errorf("after the stall: %v", err)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	a, b := []byte("a\nb\r\nc"), []byte("a\r\nb\r\nc")
	if Digest(a) != Digest(b) || Digest(a) == Digest([]byte("a\nb\nc\n")) || Digest(a) == Digest([]byte("a\rb\nc")) {
		t.Error("only a CRLF and an LF are the same")
	}
	if !bytes.Equal(ToCRLF(a), b) {
		t.Errorf("ToCRLF: %q", ToCRLF(a))
	}
	if got := stripFromLine([]byte("From x\nSubject: y\n")); string(got) != "Subject: y\n" {
		t.Errorf("stripFromLine: %q", got)
	}
	if !reflect.DeepEqual(diffLines("m", []string{"a", "b", "b"}, []string{"b", "c"}), []string{`"m" only left: a`, `"m" only left: b`, `"m" only right: c`}) {
		t.Error("diffLines")
	}
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	for archive, want := range map[string]int{"ordinary": 2280, "odd": 390} {
		if got := len(Corpus(t, archive)); got != want {
			t.Errorf("%s: %d samples, want %d", archive, got, want)
		}
	}
}
