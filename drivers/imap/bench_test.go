package imap_test

import (
	"context"
	"testing"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/tests/harness"
)

// BenchmarkFetch reads 2,000 messages of 20 kB with one command per 500; BenchmarkList lists 20,000 messages with their flags.
func BenchmarkFetch(b *testing.B) {
	d := harness.StartDovecot(b, harness.Options{})
	st := open(b, options(b, d.Addr(), "u"))
	m := openBox(b, st, "INBOX")
	var msgs []drivers.Append
	for n := range 2000 {
		msgs = append(msgs, drivers.Append{Content: drivers.Bytes(drivertest.Message(n, drivertest.MessageOptions{Size: 20 << 10}))})
	}
	ids := appendAll(b, m, msgs)
	b.ReportAllocs()
	for b.Loop() {
		var total int64
		err := m.Fetch(context.Background(), ids, func(f drivers.Fetched) error {
			if f.Err != nil {
				return f.Err
			}
			total += f.Content.Size()
			return f.Content.Close()
		})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(total)
	}
}

func BenchmarkAppend(b *testing.B) {
	d := harness.StartDovecot(b, harness.Options{})
	m := openBox(b, open(b, options(b, d.Addr(), "u")), "INBOX")
	msgs := letters(0, 1000)
	for b.Loop() {
		appendAll(b, m, msgs)
	}
}

func BenchmarkList(b *testing.B) {
	d := harness.StartDovecot(b, harness.Options{})
	m := openBox(b, open(b, options(b, d.Addr(), "u")), "INBOX")
	for range 20 {
		appendAll(b, m, letters(0, 1000))
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		_, err := m.Changes(context.Background(), "", drivers.Full, func(e drivers.Entry) error { n++; return nil })
		if err != nil || n != 20000 {
			b.Fatal(n, err)
		}
	}
}
