package imap_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/imap"
	"driftless/merge"
	"driftless/tests/harness"
)

// digest returns identity and content of a message.
func digest(b []byte) (merge.Identity, merge.Content) {
	d := merge.NewDigest()
	_, _ = d.Write(b) // never fails
	return d.Sum()
}

func read(t testing.TB, c drivers.Content) []byte {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close(), c.Close()); err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != c.Size() {
		t.Errorf("%d bytes where Size says %d", len(b), c.Size())
	}
	return b
}

// fetchAll returns the content of messages.
func fetchAll(t testing.TB, m drivers.Mailbox, ids []merge.ID) map[merge.ID][]byte {
	t.Helper()
	out := map[merge.ID][]byte{}
	err := m.Fetch(context.Background(), ids, func(f drivers.Fetched) error {
		if f.Err != nil {
			t.Errorf("%s: %v", f.ID, f.Err)
			return nil
		}
		out[f.ID] = read(t, f.Content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// specials are messages that stores tend to alter.
func specials() map[string]string {
	head := "From: a@example.org\r\nSubject: s\r\nMessage-ID: <%@example.org>\r\nDate: Fri, 1 Jan 2021 00:00:00 +0000\r\n"
	return map[string]string{
		"plain":              head + "\r\nbody\r\n",
		"NUL in body":        head + "\r\nbo\x00dy\r\n",
		"NUL in header":      head + "X: a\x00b\r\n\r\nbody\r\n",
		"bare CR":            head + "\r\nbo\rdy\r\nend\r\r\n",
		"bare LF":            head + "\r\none\ntwo\r\n",
		"LF only":            strings.ReplaceAll(head, "\r\n", "\n") + "\nbody\n",
		"mbox line":          "From someone Fri Jan  1 00:00:00 2021\r\n" + head + "\r\nbody\r\n",
		"From in body":       head + "\r\nFrom here\r\n>From there\r\n",
		"8-bit header":       strings.Replace(head, "Subject: s", "Subject: s\xe4\xff", 1) + "\r\nbody\r\n",
		"UTF-8 header":       strings.Replace(head, "Subject: s", "Subject: ä", 1) + "\r\nbody\r\n",
		"empty":              "",
		"one LF":             "\n",
		"no header":          "\r\nbody\r\n",
		"no body":            head + "\r\n",
		"header without end": head,
		"no final line end":  head + "\r\nbody",
		"empty lines at end": head + "\r\nbody\r\n\r\n\r\n",
		"long line":          head + "\r\n" + strings.Repeat("x", 300000) + "\r\n",
		"dots":               head + "\r\n.\r\n..\r\n",
	}
}

// roundTrip appends messages and compares what comes back. It returns the names of those that were refused, and of those whose content differs.
func roundTrip(t *testing.T, o imap.Options, msgs map[string][]byte) (refused map[string]error, differ, notExact []string) {
	t.Helper()
	st := open(t, o)
	m := openBox(t, st, "INBOX")
	var names []string
	var list []drivers.Append
	for name, b := range msgs {
		names = append(names, name)
		list = append(list, drivers.Append{Date: time.Unix(1e9, 0), Content: drivers.Bytes(b)})
	}
	res, err := m.Append(context.Background(), list)
	if err != nil {
		t.Fatal(err)
	}
	refused = map[string]error{}
	byID := map[merge.ID]string{}
	var ids []merge.ID
	for i, r := range res {
		if r.Err != nil {
			refused[names[i]] = r.Err
			continue
		}
		if r.ID == "" {
			t.Errorf("%s has no id", names[i])
			continue
		}
		byID[r.ID] = names[i]
		ids = append(ids, r.ID)
	}
	got := fetchAll(t, m, ids)
	described := map[merge.ID]merge.Identity{}
	if err := m.Describe(context.Background(), ids, func(d drivers.Description) error { described[d.ID] = d.Identity; return nil }); err != nil {
		t.Fatal(err)
	}
	for id, name := range byID {
		b, ok := got[id]
		if !ok {
			t.Errorf("%s did not come back", name)
			continue
		}
		wantID, want := digest(msgs[name])
		gotID, content := digest(b)
		if !content.Same(want) {
			differ = append(differ, name)
		}
		if described[id].Header != wantID.Header {
			t.Logf("%s: identity is described as %x, that of the original is %x, of what came back %x", name, described[id].Header, wantID.Header, gotID.Header)
			differ = append(differ, name+" (identity)")
		}
		if described[id].Size != gotID.Size {
			t.Errorf("%s: described with size %d, came back with %d", name, described[id].Size, gotID.Size)
		}
		if !bytes.Equal(b, harness.ToCRLF(msgs[name])) {
			notExact = append(notExact, name)
		}
	}
	return refused, differ, notExact
}

func TestSpecialMessages(t *testing.T) {
	for _, format := range []string{"sdbox", "maildir"} {
		t.Run(format, func(t *testing.T) {
			d := harness.StartDovecot(t, harness.Options{Format: format})
			msgs := map[string][]byte{}
			for name, s := range specials() {
				msgs[name] = []byte(strings.ReplaceAll(s, "%", strings.ReplaceAll(name, " ", ".")))
			}
			refused, differ, notExact := roundTrip(t, options(t, d.Addr(), "u"), msgs)
			t.Logf("refused %v; content differs %q; not byte for byte %q", refused, differ, notExact)
			if len(differ) > 0 {
				t.Errorf("content differs: %q", differ)
			}
		})
	}
}

func TestOddCorpus(t *testing.T) {
	samples := harness.Corpus(t, "odd")
	d := harness.StartDovecot(t, harness.Options{})
	msgs := map[string][]byte{}
	for _, s := range samples {
		msgs[s.Name] = s.Raw
	}
	refused, differ, notExact := roundTrip(t, options(t, d.Addr(), "u"), msgs)
	t.Logf("%d messages: %d refused, %d with other content, %d not byte for byte", len(msgs), len(refused), len(differ), len(notExact))
	for name, err := range refused {
		if len(msgs[name]) > 0 {
			t.Errorf("refused %s: %v", name, err)
		}
	}
	if len(differ) > 0 {
		t.Errorf("other content: %q", differ)
	}
	// Dovecot keeps everything but NUL, which it shows as 0x80, and a CR before a line end.
	for _, name := range notExact {
		if b := msgs[name]; !bytes.ContainsAny(b, "\x00") && !bytes.Contains(b, []byte("\r\r")) && !bytes.HasSuffix(b, []byte("\r")) {
			t.Errorf("%s did not come back byte for byte", name)
		}
	}
}
