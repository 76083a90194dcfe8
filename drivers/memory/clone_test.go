package memory

import (
	"reflect"
	"testing"
	"time"

	"driftless/merge"
)

// A clone has the same mail and goes on by itself: neither sees what happens to the other, and both give the ids that the one server would have given.
func TestClone(t *testing.T) {
	for name, opt := range map[string]Options{"imap": {Mode: QResync}, "maildir": {Mode: ListOnly, Reserves: true, StableIDs: true}} {
		t.Run(name, func(t *testing.T) {
			s := New(opt)
			first := s.Deliver("INBOX", merge.NewFlags(`\Seen`, "work"), time.Unix(1e9, 0), []byte("Subject: 1\r\n\r\n1\r\n"))
			if _, err := s.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			c := s.Clone()
			if !reflect.DeepEqual(s.Snapshot(), c.Snapshot()) {
				t.Fatalf("%+v is not %+v", c.Snapshot(), s.Snapshot())
			}
			if c.OpenStores() != 0 {
				t.Error("a clone has open stores")
			}
			before := s.Snapshot()
			if err := c.SetFlags("INBOX", first, merge.NewFlags(`\Flagged`)); err != nil {
				t.Fatal(err)
			}
			inClone := c.Deliver("INBOX", merge.Flags{}, time.Unix(1e9, 0), []byte("Subject: 2\r\n\r\n2\r\n"))
			c.CreateMailbox("Box")
			if !reflect.DeepEqual(s.Snapshot(), before) {
				t.Error("what happened to the clone shows in the original")
			}
			if id := s.Deliver("INBOX", merge.Flags{}, time.Unix(1e9, 0), []byte("Subject: 3\r\n\r\n3\r\n")); id != inClone {
				t.Errorf("the original gave %q, the clone %q", id, inClone)
			}
			if n := len(c.Snapshot()["INBOX"].Messages); n != 2 {
				t.Errorf("the clone has %d messages", n)
			}
		})
	}
}
