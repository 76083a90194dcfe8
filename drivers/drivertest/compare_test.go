package drivertest_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
)

func TestCompare(t *testing.T) {
	fill := func(srv *memory.Server, order ...int) {
		for _, n := range order {
			srv.Deliver("A", drivertest.MessageFlags(n), drivertest.MessageDate(n), drivertest.Message(n, drivertest.MessageOptions{}))
		}
	}
	open := func(srv *memory.Server) drivers.Store {
		s, err := srv.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	one := drivertest.Message(1, drivertest.MessageOptions{})
	cases := []struct {
		name   string
		change func(*memory.Server)
		want   []string // each is in one difference
	}{
		{"equal", func(*memory.Server) {}, nil},
		{"keyword spelling", func(s *memory.Server) {
			s.Deliver("A", merge.NewFlags("WORK"), drivertest.MessageDate(50), one)
		}, nil},
		{"mailbox", func(s *memory.Server) { s.CreateMailbox("B") }, []string{`"B" with 0 messages is missing on left`}},
		{"message", func(s *memory.Server) { fill(s, 9) }, []string{"only on right"}},
		{"one more of the same", func(s *memory.Server) { fill(s, 3) }, []string{"only on right"}},
		{"flags", func(s *memory.Server) {
			m := s.Snapshot()["A"].Messages[0]
			_ = s.SetFlags("A", m.ID, m.Flags.Union(merge.NewFlags(`\Deleted`)))
		}, []string{"only on left", "only on right"}},
		{"date", func(s *memory.Server) {
			m := s.Snapshot()["A"].Messages[0]
			_ = s.Remove("A", m.ID)
			s.Deliver("A", m.Flags, m.Date.Add(time.Second), m.Data)
		}, []string{"only on left", "only on right"}},
		{"content", func(s *memory.Server) {
			m := s.Snapshot()["A"].Messages[0]
			_ = s.Remove("A", m.ID)
			s.Deliver("A", m.Flags, m.Date, bytes.Replace(m.Data, []byte("This"), []byte("That"), 1))
		}, []string{"only on left", "only on right"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, b := memory.New(memory.Options{}), memory.New(memory.Options{Mode: memory.ListOnly, Reserves: true})
			fill(a, 1, 2, 3, 3, 4)
			fill(b, 4, 3, 2, 1, 3)
			if c.name == "keyword spelling" {
				a.Deliver("A", merge.NewFlags("work"), drivertest.MessageDate(50), one)
			}
			c.change(b)
			got, err := drivertest.Compare(t.Context(), open(a), open(b))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(c.want) {
				t.Fatalf("differences: %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("difference %q, want %q", got[i], c.want[i])
				}
			}
			if a.OpenContents()+b.OpenContents() != 0 {
				t.Error("contents are left open")
			}
		})
	}
}

func TestMessages(t *testing.T) {
	seen := map[uint64]int{}
	for n := range 2000 {
		m := drivertest.Message(n, drivertest.MessageOptions{NoMessageID: n%2 == 0, EightBit: n%3 == 0, Size: n})
		if !bytes.Equal(m, drivertest.Message(n, drivertest.MessageOptions{NoMessageID: n%2 == 0, EightBit: n%3 == 0, Size: n})) {
			t.Fatalf("message %d is not always the same", n)
		}
		if len(m) < n || bytes.Count(m, []byte("\n")) != bytes.Count(m, []byte("\r\n")) || !bytes.HasSuffix(m, []byte("\r\n")) {
			t.Errorf("message %d is too short or not in wire form", n)
		}
		d := merge.NewDigest()
		_, _ = d.Write(m)
		id, _ := d.Sum()
		if other, twice := seen[id.Header]; twice {
			t.Errorf("messages %d and %d have one identity", n, other)
		}
		seen[id.Header] = n
		if y := drivertest.MessageDate(n).Year(); y < 1971 || y > 2037 {
			t.Errorf("message %d is of %d", n, y)
		}
	}
}
