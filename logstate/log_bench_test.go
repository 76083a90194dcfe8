package logstate

import (
	"fmt"
	"testing"
)

// BenchmarkAppend shows that the fsyncs of a batch do not depend on how many records it has.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("frames=%d", n), func(b *testing.B) {
			l, _, err := openLog(b.TempDir(), logOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			frames := make([]frame, n)
			for i := range frames {
				frames[i] = frame{Kind: 1, Payload: make([]byte, 200)}
			}
			b.SetBytes(int64(n * (200 + frameHeaderSize)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Append(frames); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(l.syncs)/float64(b.N), "fsyncs/op")
		})
	}
}

// benchLog writes 64 MiB.
func benchLog(b *testing.B, payload int) string {
	dir := b.TempDir()
	l, _, err := openLog(dir, logOptions{})
	if err != nil {
		b.Fatal(err)
	}
	frames := make([]frame, 1<<20/payload)
	for i := range frames {
		frames[i] = frame{Kind: 1, Payload: make([]byte, payload)}
	}
	for range 64 {
		if _, err := l.Append(frames); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	return dir
}

func BenchmarkReadFrames(b *testing.B) {
	for _, payload := range []int{100, 1000, 100000} {
		b.Run(fmt.Sprintf("payload=%d", payload), func(b *testing.B) {
			dir := benchLog(b, payload)
			b.SetBytes(64 << 20)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := readFrames(dir, position{}, func(frame, position) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := benchLog(b, 1000)
	b.SetBytes(64 << 20)
	for b.Loop() {
		l, _, err := openLog(dir, logOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResync(b *testing.B) {
	buf := make([]byte, 2<<20)
	for i := range buf {
		buf[i] = byte(i * 131)
	}
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, _, ok := resync(buf, 1, 1); ok {
			b.Fatal("found a frame in noise")
		}
	}
}
