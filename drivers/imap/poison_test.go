package imap_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/imap"
	"driftless/drivers/imap/embedded"
	"driftless/drivers/imap/hostile"
	"driftless/merge"
	"driftless/tests/harness"
)

// cutting starts a server whose INBOX has a message of each of these body sizes, and a store that reaches it through one that cuts the
// connection in each literal larger than that.
func cutting(t *testing.T, larger int64, sizes ...int) (*imap.Store, *hostile.Server, []merge.ID) {
	t.Helper()
	e, err := embedded.Start(context.Background(), embedded.Options{User: "u", Password: harness.Password})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	for i, n := range sizes {
		body := fmt.Sprintf("Subject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\n%s\r\n", i, i, strings.Repeat("x", n))
		if _, err := e.Deliver("INBOX", []byte(body), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	s, err := hostile.Start(hostile.Options{Upstream: e.Addr(), Literal: hostile.Literal{Larger: larger, Close: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	st := open(t, options(t, s.Addr(), "u"))
	var ids []merge.ID
	_, err = openBox(t, st, "INBOX").Changes(context.Background(), "", drivers.Full, func(e drivers.Entry) error {
		ids = append(ids, e.ID)
		return nil
	})
	if err != nil || len(ids) != len(sizes) {
		t.Fatalf("%d messages listed, want %d: %v", len(ids), len(sizes), err)
	}
	return st, s, ids
}

// tryFetch returns which messages were read, which were reported as unreadable, and the error of the call.
func tryFetch(t *testing.T, st *imap.Store, ids []merge.ID) (read, bad []merge.ID, err error) {
	t.Helper()
	seen := map[merge.ID]bool{}
	err = openBox(t, st, "INBOX").Fetch(context.Background(), ids, func(f drivers.Fetched) error {
		if seen[f.ID] {
			t.Errorf("%q is yielded twice", f.ID)
		}
		seen[f.ID] = true
		if f.Err != nil {
			if drivers.ReachOf(f.Err) != drivers.ReachMessage {
				t.Errorf("%q: reach %d", f.ID, drivers.ReachOf(f.Err))
			}
			bad = append(bad, f.ID)
			return nil
		}
		read = append(read, f.ID)
		return f.Content.Close()
	})
	return read, bad, err
}

// TestEveryLiteralCut wants a connection that breaks on each message to be trouble with the store, not with its messages, and to be found out soon.
func TestEveryLiteralCut(t *testing.T) {
	for _, n := range []int{2, 40} {
		st, s, ids := cutting(t, 10, make([]int, n)...)
		read, bad, err := tryFetch(t, st, ids)
		if len(read) != 0 || len(bad) != 0 {
			t.Errorf("%d of %d read, %d called unreadable", len(read), n, len(bad))
		}
		if err == nil || drivers.ReachOf(err) != drivers.ReachStore || drivers.RetryOf(err) != drivers.RetryLater {
			t.Errorf("%d messages: error %v", n, err)
		}
		fetches := 0
		for _, line := range s.Seen() {
			if strings.Contains(line, "BODY.PEEK[]") {
				fetches++
			}
		}
		if fetches > 20 {
			t.Errorf("tried %d times to fetch %d messages", fetches, n)
		}
	}
}

// TestPoison isolates the messages on which the connection breaks, wherever they are, and even when nothing else is asked for.
func TestPoison(t *testing.T) {
	const huge = 5000
	for name, sizes := range map[string][]int{
		"first":          {huge, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		"last":           {1, 1, 1, 1, 1, 1, 1, 1, 1, huge},
		"middle":         {1, 1, 1, 1, huge, 1, 1, 1, 1, 1},
		"three in front": {huge, huge, huge, 1, 1, 1, 1, 1, 1, 1},
		"ends":           {huge, huge, 1, 1, 1, 1, 1, 1, huge, huge},
	} {
		t.Run(name, func(t *testing.T) {
			st, _, ids := cutting(t, 1000, sizes...)
			want, alone := 0, []merge.ID(nil)
			for i, n := range sizes {
				if n == huge {
					want++
					alone = append(alone, ids[i])
				}
			}
			read, bad, err := tryFetch(t, st, ids)
			if err != nil || len(bad) != want || len(read) != len(ids)-want {
				t.Errorf("%d read, %d unreadable, want %d: %v", len(read), len(bad), want, err)
			}
			read, bad, err = tryFetch(t, st, alone)
			if err != nil || len(bad) != want || len(read) != 0 {
				t.Errorf("alone: %d read, %d unreadable, want %d: %v", len(read), len(bad), want, err)
			}
		})
	}
}

// TestOnlyPoison cannot tell a bad message from a bad connection when the mailbox has no other: nothing is set aside.
func TestOnlyPoison(t *testing.T) {
	st, _, ids := cutting(t, 1000, 5000)
	read, bad, err := tryFetch(t, st, ids)
	if len(read)+len(bad) != 0 || err == nil || drivers.RetryOf(err) != drivers.RetryLater || drivers.ReachOf(err) < drivers.ReachMailbox {
		t.Errorf("%d read, %d unreadable: %v", len(read), len(bad), err)
	}
}
