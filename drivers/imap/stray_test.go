package imap_test

import (
	"context"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/imap/embedded"
	"driftless/drivers/imap/hostile"
	"driftless/merge"
	"driftless/tests/harness"
)

// TestStrayBody sends contents that belong to nothing that was asked for, and then a message without content: it must not get theirs.
func TestStrayBody(t *testing.T) {
	e, err := embedded.Start(context.Background(), embedded.Options{User: "u", Password: harness.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	if _, err := e.Deliver("INBOX", []byte("Subject: x\r\n\r\nhonest\r\n"), time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, stray := range map[string]string{
		"unknown response": "* XYZZY BODY[] {5}\r\nwrong\r\n",
		"no message":       "* 1 FETCH (FLAGS () BODY[] {5}\r\nwrong)\r\n",
		"other message":    "* 2 FETCH (UID 2 FLAGS () BODY[] {5}\r\nwrong)\r\n",
		"other item":       "* 1 FETCH (UID 1 FLAGS () XBODY[] {5}\r\nwrong)\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s, err := hostile.Start(hostile.Options{Upstream: e.Addr(), Commands: []hostile.Command{
				{On: `^UID FETCH .*BODY.PEEK\[\]`, Send: stray + "* 1 FETCH (UID 1 FLAGS () BODY[] NIL)\r\n{tag} OK done\r\n"}}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			st := open(t, options(t, s.Addr(), "u"))
			var ids []merge.ID
			got, _ := observe(t, openBox(t, st, "INBOX"), "", drivers.Full)
			for id := range got {
				ids = append(ids, id)
			}
			n := 0
			err = openBox(t, st, "INBOX").Fetch(context.Background(), ids, func(f drivers.Fetched) error {
				n++
				if f.Err == nil {
					t.Errorf("a message without content has %d bytes", f.Content.Size())
					return f.Content.Close()
				}
				return nil
			})
			if err != nil || n != 1 {
				t.Errorf("%d messages: %v", n, err)
			}
		})
	}
}
