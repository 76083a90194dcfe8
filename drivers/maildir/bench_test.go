package maildir

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"driftless/drivers"
	"driftless/merge"
)

// tiny is a message as mailing lists have them by the thousand.
var tiny = drivers.Bytes("From: a@example.org\r\nSubject: x\r\nMessage-ID: <1@example.org>\r\n\r\n" + strings.Repeat("A line of text.\r\n", 40))

// BenchmarkAppendTiny appends batches as the engine makes them: 128 tiny messages, which go to cur.
func BenchmarkAppendTiny(b *testing.B) {
	workers, _ := strconv.Atoi(os.Getenv("APPEND_WORKERS")) // 0: the default
	s, err := Open(b.Context(), Options{Path: b.TempDir(), Layout: FS, Create: true, Workers: workers})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Create(b.Context(), inbox); err != nil {
		b.Fatal(err)
	}
	m := openBox(b, s, inbox)
	msgs := make([]drivers.Append, 128)
	b.ReportAllocs()
	for b.Loop() {
		for i := range msgs {
			msgs[i] = drivers.Append{Reserved: m.Reserve(), Content: tiny, Flags: merge.NewFlags(`\Seen`)}
		}
		if _, err := m.Append(b.Context(), msgs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(msgs))/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkFetchTiny reads batches of 128 tiny messages, from the page cache.
func BenchmarkFetchTiny(b *testing.B) {
	s, c := tree(b, FS)
	data := strings.ReplaceAll(string(tiny), "\r\n", "\n")
	const n = 1024
	var ids []merge.ID
	for i := range n {
		id := fmt.Sprintf("m%06d.host", i)
		if err := os.WriteFile(c.root+"/INBOX/cur/"+id+":2,S", []byte(data), 0o600); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, merge.ID(id))
	}
	m := openBox(b, s, inbox)
	b.ReportAllocs()
	for b.Loop() {
		for at := 0; at < n; at += 128 {
			got := 0
			err := m.Fetch(b.Context(), ids[at:at+128], func(f drivers.Fetched) error {
				got++
				return f.Content.Close()
			})
			if err != nil || got != 128 {
				b.Fatal(got, err)
			}
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "msgs/s")
}
