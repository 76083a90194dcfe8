package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Client is somebody else's mail client on an IMAP server: plain text, one command after the other. Every method fails the test
// when the server refuses, unless it says otherwise. It is for one goroutine.
type Client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
	tag  int
	caps map[string]bool
	in   string // mailbox selected for writing
}

// Answer is what a command got.
type Answer struct {
	Status   string // OK, NO or BAD
	Text     string // the rest of the tagged line
	Untagged []string
	vals     [][]node
}

// Client logs in to the server as user. The connection is closed with the test.
func (d *Dovecot) Client(user string) *Client {
	d.t.Helper()
	return Dial(d.t, d.Addr(), user, Password)
}

// Dial connects without encryption and logs in.
func Dial(t testing.TB, addr, user, password string) *Client {
	t.Helper()
	conn := must(net.DialTimeout("tcp", addr, 10*time.Second))(t)
	c := &Client{t: t, conn: conn, r: bufio.NewReaderSize(conn, 1<<16), caps: map[string]bool{}}
	t.Cleanup(c.Close)
	if _, _, err := c.read(); err != nil {
		t.Fatalf("greeting: %v", err)
	}
	c.Do("LOGIN %s %s", quote(user), quote(password))
	for _, line := range c.Do("CAPABILITY").vals {
		for _, v := range line {
			c.caps[v.upper()] = true
		}
	}
	return c
}

// Close closes the connection without a word.
func (c *Client) Close() { _ = c.conn.Close() } // closing twice is fine here

// Has reports whether the server offers a capability.
func (c *Client) Has(capability string) bool { return c.caps[strings.ToUpper(capability)] }

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func (c *Client) read() ([]node, string, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, "", err
	}
	return readLine(c.r)
}

// Try sends a command and returns the answer, whatever it is; the error is for a broken connection.
func (c *Client) Try(format string, args ...any) (Answer, error) {
	tag, err := c.send(fmt.Sprintf(format, args...) + "\r\n")
	if err != nil {
		return Answer{}, err
	}
	return c.await(tag)
}

func (c *Client) send(text string) (string, error) {
	c.tag++
	tag := "c" + strconv.Itoa(c.tag)
	_, err := io.WriteString(c.conn, tag+" "+text)
	return tag, err
}

func (c *Client) await(tag string) (Answer, error) {
	var a Answer
	for {
		vals, raw, err := c.read()
		if err != nil {
			return a, err
		}
		if len(vals) == 0 {
			continue
		}
		if vals[0].text != tag {
			a.Untagged = append(a.Untagged, raw)
			a.vals = append(a.vals, vals)
			continue
		}
		if len(vals) < 2 {
			return a, fmt.Errorf("tagged line %q", raw)
		}
		a.Status = vals[1].upper()
		_, rest, _ := strings.Cut(raw, " ")
		_, a.Text, _ = strings.Cut(rest, " ")
		return a, nil
	}
}

// Do sends a command and returns the answer, which must be OK.
func (c *Client) Do(format string, args ...any) Answer {
	c.t.Helper()
	a, err := c.Try(format, args...)
	if err != nil || a.Status != "OK" {
		word, _, _ := strings.Cut(format, " ")
		c.t.Fatalf("%s: %s %s, %v", word, a.Status, a.Text, err)
	}
	return a
}

// box returns a mailbox name as it goes over the wire.
func box(name string) string { return quote(encodeName(name)) }

// Create makes mailboxes.
func (c *Client) Create(names ...string) {
	c.t.Helper()
	for _, n := range names {
		c.Do("CREATE %s", box(n))
	}
}

// Delete removes a mailbox.
func (c *Client) Delete(name string) { c.t.Helper(); c.in = ""; c.Do("DELETE %s", box(name)) }

// Rename renames a mailbox.
func (c *Client) Rename(from, to string) {
	c.t.Helper()
	c.in = ""
	c.Do("RENAME %s %s", box(from), box(to))
}

// List returns the names of all mailboxes that can be selected.
func (c *Client) List() []string {
	c.t.Helper()
	var out []string
	for _, v := range c.Do(`LIST "" "*"`).vals {
		if len(v) < 5 || v[1].upper() != "LIST" || strings.Contains(strings.ToLower(fmt.Sprint(v[2].texts())), "noselect") {
			continue
		}
		name := decodeName(v[4].text)
		if d := v[3].text; d != "" && d != "/" {
			name = strings.ReplaceAll(name, d, "/")
		}
		out = append(out, name)
	}
	return out
}

// Status returns STATUS items of a mailbox by their names; one that the server does not give is missing.
func (c *Client) Status(name string, items ...string) map[string]uint64 {
	c.t.Helper()
	out := map[string]uint64{}
	for _, v := range c.Do("STATUS %s (%s)", box(name), strings.Join(items, " ")).vals {
		if len(v) < 4 || v[1].upper() != "STATUS" {
			continue
		}
		l := v[3].list
		for i := 0; i+1 < len(l); i += 2 {
			out[l[i].upper()] = must(strconv.ParseUint(l[i+1].text, 10, 64))(c.t)
		}
	}
	return out
}

// Select opens a mailbox for writing, unless it is open already.
func (c *Client) Select(name string) {
	c.t.Helper()
	if c.in != name {
		c.in = ""
		c.Do("SELECT %s", box(name))
		c.in = name
	}
}

// TrySelect opens a mailbox for writing, unless it is open already, and reports whether it is there.
func (c *Client) TrySelect(name string) bool {
	c.t.Helper()
	if c.in == name {
		return true
	}
	c.in = ""
	a, err := c.Try("SELECT %s", box(name))
	if err != nil {
		c.t.Fatalf("SELECT: %v", err)
	}
	if a.Status == "OK" {
		c.in = name
	}
	return a.Status == "OK"
}

// TryMove moves messages of the selected mailbox, given by their UIDs, with MOVE, and returns what the server says: a message or a mailbox may be missing.
func (c *Client) TryMove(uids, to string) Answer {
	c.t.Helper()
	a, err := c.Try("UID MOVE %s %s", uids, box(to))
	if err != nil {
		c.t.Fatalf("UID MOVE: %v", err)
	}
	return a
}

func uidSet(uids []uint32) string {
	var b strings.Builder
	for i := 0; i < len(uids); {
		j := i
		for j+1 < len(uids) && uids[j+1] == uids[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.FormatUint(uint64(uids[i]), 10))
		if j > i {
			b.WriteString(":" + strconv.FormatUint(uint64(uids[j]), 10))
		}
		i = j + 1
	}
	return b.String()
}

// Store changes flags; op is "+", "-" or "" (replace).
func (c *Client) Store(name string, uids []uint32, op string, flags ...string) {
	c.t.Helper()
	c.Select(name)
	c.Do("UID STORE %s %sFLAGS.SILENT (%s)", uidSet(uids), op, strings.Join(flags, " "))
}

// Move moves messages with MOVE (RFC 6851). Dovecot knows the command even where it does not advertise it.
func (c *Client) Move(name string, uids []uint32, to string) {
	c.t.Helper()
	c.Select(name)
	c.Do("UID MOVE %s %s", uidSet(uids), box(to))
}

// Expunge removes just these messages with UID EXPUNGE (RFC 4315).
func (c *Client) Expunge(name string, uids []uint32) {
	c.t.Helper()
	c.Store(name, uids, "+", `\Deleted`)
	c.Do("UID EXPUNGE %s", uidSet(uids))
}

// Letter is a message to append.
type Letter struct {
	Body  []byte // in wire form
	Flags []string
	Date  time.Time // zero: now
}

// Append stores letters, sent one behind the other without waiting (LITERAL+, RFC 7888), and returns the UIDs that the server told (0 if it did not). A
// refused one fails the test.
func (c *Client) Append(name string, letters ...Letter) []uint32 {
	c.t.Helper()
	uids, refused, err := c.TryAppend(name, letters...)
	if err != nil {
		c.t.Fatalf("append to %s: %v", name, err)
	}
	for i, r := range refused {
		c.t.Fatalf("append to %s: letter %d refused: %s", name, i, r)
	}
	return uids
}

// TryAppend is Append that returns the server's refusals, by the letter's number.
func (c *Client) TryAppend(name string, letters ...Letter) (uids []uint32, refused map[int]string, err error) {
	tags := make(chan string, len(letters))
	sent := make(chan error, 1)
	go func() { // the server answers while we still send
		defer close(tags)
		w := bufio.NewWriterSize(c.conn, 1<<16)
		for _, l := range letters {
			date := l.Date
			if date.IsZero() {
				date = time.Now()
			}
			c.tag++
			tag := "c" + strconv.Itoa(c.tag)
			fmt.Fprintf(w, "%s APPEND %s (%s) %s {%d+}\r\n", tag, box(name), strings.Join(l.Flags, " "),
				date.Format(`"_2-Jan-2006 15:04:05 -0700"`), len(l.Body))
			_, _ = w.Write(l.Body) // Flush reports it
			_, _ = w.WriteString("\r\n")
			tags <- tag
		}
		sent <- w.Flush()
	}()
	refused = map[int]string{}
	i := 0
	for tag := range tags {
		a, err := c.await(tag)
		if err != nil {
			_ = c.conn.Close() // ends the sender, which may wait for the server to read
			for range tags {
			}
			return uids, refused, errors.Join(err, <-sent)
		}
		uid := uint32(0)
		if a.Status != "OK" {
			refused[i] = a.Status + " " + a.Text
		} else if _, code, ok := strings.Cut(a.Text, "[APPENDUID "); ok {
			var validity uint32
			if _, err := fmt.Sscanf(code, "%d %d", &validity, &uid); err != nil {
				return uids, refused, fmt.Errorf("APPENDUID %q: %w", code, err)
			}
		}
		uids = append(uids, uid)
		i++
	}
	return uids, refused, <-sent
}

// Messages returns all messages of a mailbox in UID order. It looks without changing anything.
func (c *Client) Messages(name string, bodies bool) []Message {
	c.t.Helper()
	c.in = ""
	c.Do("EXAMINE %s", box(name))
	items := "UID FLAGS INTERNALDATE RFC822.SIZE"
	if c.Has("CONDSTORE") {
		items += " MODSEQ"
	}
	if bodies {
		items += " BODY.PEEK[]"
	}
	var out []Message
	tag := must(c.send("UID FETCH 1:* (" + items + ")\r\n"))(c.t)
	for {
		vals, raw, err := c.read()
		if err != nil {
			c.t.Fatalf("fetch from %s: %v", name, err)
		}
		if len(vals) > 1 && vals[0].text == tag {
			if vals[1].upper() != "OK" {
				c.t.Fatalf("fetch from %s: %s", name, raw)
			}
			return out
		}
		if len(vals) >= 4 && vals[2].upper() == "FETCH" {
			out = append(out, c.message(vals[3].list))
		}
	}
}

func (c *Client) message(l []node) Message {
	var m Message
	for i := 0; i+1 < len(l); i += 2 {
		v := l[i+1]
		switch k := l[i].upper(); {
		case k == "UID":
			m.UID = uint32(must(strconv.ParseUint(v.text, 10, 32))(c.t))
		case k == "FLAGS":
			m.Flags = canonFlags(v.texts())
		case k == "INTERNALDATE":
			m.Date = must(time.Parse("_2-Jan-2006 15:04:05 -0700", v.text))(c.t)
		case k == "RFC822.SIZE":
			m.Size = must(strconv.ParseInt(v.text, 10, 64))(c.t)
		case k == "MODSEQ" && len(v.list) == 1:
			m.ModSeq = must(strconv.ParseUint(v.list[0].text, 10, 64))(c.t)
		case strings.HasPrefix(k, "BODY["):
			m.Hash = Digest([]byte(v.text))
		}
	}
	return m
}

// All returns the content of the store: every mailbox with every message, bodies included.
func (c *Client) All() Mail {
	c.t.Helper()
	mail := Mail{}
	for _, n := range c.List() {
		mail[n] = c.Messages(n, true)
	}
	return mail
}

// ModSeqs returns HIGHESTMODSEQ, UIDNEXT and the number of messages of every mailbox, in words that can be compared.
func (c *Client) ModSeqs() string {
	c.t.Helper()
	var b strings.Builder
	states := map[string]string{}
	for _, n := range c.List() {
		s := c.Status(n, "HIGHESTMODSEQ", "UIDNEXT", "MESSAGES", "UIDVALIDITY")
		states[n] = fmt.Sprint(s["HIGHESTMODSEQ"], s["UIDNEXT"], s["MESSAGES"], s["UIDVALIDITY"])
	}
	for _, n := range sortedKeys(states) {
		fmt.Fprintf(&b, "%s: %s\n", n, states[n])
	}
	return b.String()
}

// WireName returns a mailbox name as it is written in a command.
func WireName(name string) string { return box(name) }
