package imap_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-imap/utf7"

	"driftless/drivers"
	"driftless/merge"
	"driftless/tests/harness"
)

// utf8Front is a server with UTF8=ACCEPT: it translates between a client that enabled it and a server without. It takes names as quoted strings only and
// is strict about what RFC 6855 demands; what the client did wrong is in faults.
type utf8Front struct {
	t        *testing.T
	upstream string
	only     bool // UTF8=ONLY
	refuse   bool // never says ENABLED
	rfc9755  bool // knows no UTF8 (...) in APPEND

	mu     sync.Mutex
	faults []string
	seen   []string
	data   int // messages that came as UTF8 (...)
}

func (f *utf8Front) fault(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, fmt.Sprintf(format, args...))
}

func (f *utf8Front) start() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { f.serve(c) })
		}
	})
	f.t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

func (f *utf8Front) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	up, err := net.Dial("tcp", f.upstream)
	if err != nil {
		return
	}
	t := &utf8Talk{utf8Front: f, client: c, up: up}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.answers()
		_ = c.Close()
	}()
	t.commands()
	_ = up.Close()
	<-done
}

type utf8Talk struct {
	*utf8Front
	client, up net.Conn

	wmu sync.Mutex // guards writing to the client, and on
	on  bool       // the client enabled UTF8=ACCEPT
}

func (t *utf8Talk) say(line string) {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	_, _ = io.WriteString(t.client, line)
}

func (t *utf8Talk) enabled() bool {
	t.wmu.Lock()
	defer t.wmu.Unlock()
	return t.on
}

var (
	literalHead = regexp.MustCompile(`\{(\d+)(\+?)\}\r\n$`)
	dataItem    = regexp.MustCompile(`(?i) UTF8 \(~\{(\d+)(\+?)\}\r\n$`)
	quotedText  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
)

// commands passes on what the client says.
func (t *utf8Talk) commands() {
	r := bufio.NewReader(t.client)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		word, args, _ := strings.Cut(strings.ToUpper(command), " ")
		t.mu.Lock()
		t.seen = append(t.seen, word)
		t.mu.Unlock()
		on := t.enabled()
		if !utf8.ValidString(line) {
			t.fault("not UTF-8: %q", line)
		}
		switch word {
		case "CAPABILITY", "LOGIN", "AUTHENTICATE", "LOGOUT", "NOOP":
			_, _ = io.WriteString(t.up, line)
			continue
		case "ENABLE":
			rest := strings.ReplaceAll(args, "UTF8=ACCEPT", "")
			if rest != args && !t.refuse {
				t.wmu.Lock()
				t.on = true
				_, _ = io.WriteString(t.client, "* ENABLED UTF8=ACCEPT\r\n")
				t.wmu.Unlock()
			}
			_, _ = io.WriteString(t.up, tag+" ENABLE CONDSTORE "+rest+"\r\n")
			continue
		}
		if t.only && !on {
			t.fault("%s before UTF8=ACCEPT was enabled", word)
			t.say(tag + " NO [CANNOT] enable UTF8=ACCEPT first\r\n")
			continue
		}
		if !on && strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
			t.fault("8-bit before UTF8=ACCEPT: %q", line)
		}
		if on && word != "UID" && word != "SEARCH" || strings.HasPrefix(args, "MOVE") || strings.HasPrefix(args, "COPY") {
			line = quotedText.ReplaceAllStringFunc(line, func(q string) string { return t.encode(q) })
		}
		if !t.pass(r, tag, line) {
			return
		}
	}
}

func (t *utf8Talk) encode(q string) string {
	if !t.enabled() {
		return q
	}
	s, err := utf7.Encoding.NewEncoder().String(strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(q[1 : len(q)-1]))
	if err != nil {
		t.fault("%q: %v", q, err)
	}
	return strconv.Quote(s)
}

// pass hands on a command with its literals.
func (t *utf8Talk) pass(r *bufio.Reader, tag, line string) bool {
	for {
		announced := dataItem.FindStringSubmatch(line)
		if announced != nil && t.rfc9755 {
			t.say(tag + " BAD unknown data item\r\n")
			return true // the client waits for leave, so nothing follows
		}
		if announced != nil {
			t.mu.Lock()
			t.data++
			t.mu.Unlock()
			if !t.enabled() {
				t.fault("UTF8 (...) before UTF8=ACCEPT")
			}
			line = dataItem.ReplaceAllString(line, " {$1$2}\r\n")
		}
		_, _ = io.WriteString(t.up, line)
		m := literalHead.FindStringSubmatch(line)
		if m == nil {
			return true
		}
		n, _ := strconv.ParseInt(m[1], 10, 64)
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return false
		}
		header, _, _ := bytes.Cut(body, []byte("\r\n\r\n"))
		if eight := bytes.ContainsFunc(header, func(r rune) bool { return r > '~' }); eight && announced == nil && !t.rfc9755 && t.enabled() {
			t.fault("8-bit header without UTF8 (...)")
		}
		_, _ = t.up.Write(body)
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return false
		}
		if announced != nil {
			if !strings.HasPrefix(line, ")") {
				t.fault("UTF8 (... is not closed: %q", line)
			}
			line = strings.TrimPrefix(line, ")")
		}
	}
}

// answers passes on what the upstream says, with names in UTF-8 once that is enabled.
func (t *utf8Talk) answers() {
	offer := " UTF8=ACCEPT"
	if t.only {
		offer = " UTF8=ONLY"
	}
	r := bufio.NewReader(t.up)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.Replace(line, "CAPABILITY IMAP4rev1", "CAPABILITY IMAP4rev1"+offer, 1)
		word, _, _ := strings.Cut(strings.TrimPrefix(line, "* "), " ")
		if t.enabled() && slices.Contains([]string{"LIST", "LSUB", "STATUS", "NAMESPACE"}, word) {
			line = decodeNames(line)
		}
		t.wmu.Lock()
		_, _ = io.WriteString(t.client, line)
		if m := literalHead.FindStringSubmatch(line); m != nil {
			n, _ := strconv.ParseInt(m[1], 10, 64)
			_, _ = io.CopyN(t.client, r, n)
		}
		t.wmu.Unlock()
	}
}

var encodedName = regexp.MustCompile(`"[^"]*&[^"]*"|[^ "()]*&[^ "()]*`)

func decodeNames(line string) string {
	end := strings.TrimRight(line, "\r\n")
	return encodedName.ReplaceAllStringFunc(end, func(s string) string {
		name, err := utf7.Encoding.NewDecoder().String(strings.Trim(s, `"`))
		if err != nil {
			return s
		}
		return `"` + name + `"`
	}) + "\r\n"
}

const eightBit = "From: Jos\u00e9 <a@example.org>\r\nSubject: Gr\u00fc\u00dfe\r\nMessage-ID: <eight@example.org>\r\n\r\nbody\r\n"

// TestUTF8 uses a server that can do UTF8=ACCEPT, or nothing else. Mailboxes have the same names as without, and each message arrives as it is.
func TestUTF8(t *testing.T) {
	for name, c := range map[string]struct {
		front   *utf8Front
		disable []string
		on      bool
		extra   string
	}{
		"accept":      {on: true},
		"only":        {front: &utf8Front{only: true}, on: true},
		"RFC 9755":    {front: &utf8Front{rfc9755: true}, on: true},
		"disabled":    {disable: []string{"UTF8=ACCEPT"}},
		"not enabled": {front: &utf8Front{refuse: true}},
		"prefix":      {on: true, extra: "namespace inbox {\n separator = /\n prefix = Persönlich/\n inbox = yes\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			d := harness.StartDovecot(t, harness.Options{Extra: c.extra})
			f := c.front
			if f == nil {
				f = &utf8Front{}
			}
			f.t, f.upstream = t, d.Addr()
			o := options(t, f.start(), "u")
			o.DisableExtensions = c.disable
			ctx := context.Background()
			st := open(t, o)
			want := []string{"INBOX", "Archiv/2024/März", "a & b", "&AOQ-", "日本語", `say "hi"`, "emoji 😀"}
			letter := drivers.Append{Date: time.Unix(1600000000, 0), Content: drivers.Bytes(eightBit)}
			for _, box := range want {
				if err := st.Create(ctx, box); err != nil {
					t.Fatalf("create %q: %v", box, err)
				}
				m := openBox(t, st, box)
				ids := appendAll(t, m, append(letters(0, 3), letter))
				if _, err := m.Mark(ctx); err != nil {
					t.Fatal(err)
				}
				got := map[string]bool{}
				err := m.Fetch(ctx, ids, func(f drivers.Fetched) error {
					if f.Err != nil {
						return f.Err
					}
					r, err := f.Content.Open()
					if err != nil {
						return err
					}
					b, err := io.ReadAll(r)
					got[string(b)] = true
					return err
				})
				if err != nil || !got[eightBit] || len(got) != 4 {
					t.Errorf("%q: %d of 4 messages came back, the one with the 8-bit header as it is: %v; %v", box, len(got), got[eightBit], err)
				}
			}
			inboxBox := openBox(t, st, "INBOX")
			all, _ := observe(t, inboxBox, "", drivers.Full)
			for id := range all {
				if res, err := inboxBox.Move(ctx, []merge.ID{id}, "日本語"); err != nil || res[0].Err != nil {
					t.Fatalf("move: %+v, %v", res, err)
				}
				break
			}
			if err := st.Rename(ctx, "emoji 😀", "größer/😀"); err != nil {
				t.Errorf("rename: %v", err)
			}
			want[len(want)-1] = "größer/😀"
			// The same names through the front and without it.
			for _, addr := range []string{"", d.Addr()} {
				fresh := o
				if addr != "" {
					fresh = options(t, addr, "u")
				}
				infos, err := open(t, fresh).List(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, in := range infos {
					if in.Messages > 0 {
						got = append(got, in.Name)
						if !in.Subscribed && in.Name != "INBOX" {
							t.Errorf("%q is not subscribed", in.Name)
						}
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("listed %q, want %q", got, want)
				}
			}
			for _, box := range []string{"a\u2028b", "a\u0085b"} {
				if err := st.Create(ctx, box); c.on && err == nil {
					t.Errorf("create %q succeeds", box)
				}
			}
			if err := st.Delete(ctx, "größer/😀"); err != nil {
				t.Errorf("delete: %v", err)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, fault := range f.faults {
				t.Error(fault)
			}
			if on := f.data > 0; on != (c.on && !f.rfc9755) {
				t.Errorf("%d messages as UTF8 (...)", f.data)
			}
			if n := slices.Index(f.seen, "ENABLE"); n > 2 {
				t.Errorf("ENABLE is late: %q", f.seen[:n])
			}
			if slices.Contains(st.Info().Used, "UTF8=ONLY") != f.only {
				t.Errorf("used: %q", st.Info().Used)
			}
		})
	}
}
