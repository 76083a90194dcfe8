package imap

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"driftless/drivers"
	"driftless/merge"
)

// shape is what must be known of a message before it can be sent.
type shape struct {
	size     int64 // with every bare LF as CRLF
	bareLF   bool
	nul      bool
	eight    bool           // the header has 8-bit bytes
	identity merge.Identity // zero unless asked for
}

// measure reads the content once.
func measure(c drivers.Content, identity bool) (shape, error) {
	var s shape
	r, err := c.Open()
	if err != nil {
		return s, fmt.Errorf("open content: %w", err)
	}
	defer func() { _ = r.Close() }() // only read
	var digest *merge.Digest
	if identity {
		digest = merge.NewDigest()
	}
	buf := make([]byte, 64<<10)
	last := byte(0)
	var header headerScan
	for {
		n, err := r.Read(buf)
		b := buf[:n]
		header.see(b)
		s.size += int64(n)
		s.nul = s.nul || bytes.IndexByte(b, 0) >= 0
		for i := 0; i < len(b); {
			j := bytes.IndexByte(b[i:], '\n')
			if j < 0 {
				break
			}
			if i += j; i == 0 && last != '\r' || i > 0 && b[i-1] != '\r' {
				s.size++
				s.bareLF = true
			}
			i++
		}
		if n > 0 {
			last = b[n-1]
		}
		if digest != nil {
			_, _ = digest.Write(b) // never fails
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return s, fmt.Errorf("read content: %w", err)
		}
	}
	s.eight = header.eight
	if digest != nil {
		s.identity, _ = digest.Sum()
	}
	return s, nil
}

// copyCRLF copies r, writing every bare LF as CRLF, and returns how many bytes it wrote.
func copyCRLF(w *bufio.Writer, r io.Reader) (int64, error) {
	var total int64
	buf := make([]byte, 64<<10)
	last := byte(0)
	for {
		n, err := r.Read(buf)
		b := buf[:n]
		for len(b) > 0 {
			j := bytes.IndexByte(b, '\n')
			piece := b
			if j >= 0 {
				piece = b[:j]
			}
			if _, err := w.Write(piece); err != nil {
				return total, err
			}
			total += int64(len(piece))
			if len(piece) > 0 {
				last = piece[len(piece)-1]
			}
			if j < 0 {
				break
			}
			end := "\r\n"
			if last == '\r' {
				end = "\n"
			}
			if _, err := w.WriteString(end); err != nil {
				return total, err
			}
			total += int64(len(end))
			last = '\n'
			b = b[j+1:]
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}
