package drivertest

import (
	"fmt"
	"strings"
	"time"

	"driftless/merge"
)

// MessageOptions shape a message of Message.
type MessageOptions struct {
	NoMessageID bool
	EightBit    bool // 8-bit characters in the header and, as UTF-8, in the body
	Multipart   bool
	Size        int // at least so many bytes; 0 = a short message
}

// Message returns the message with the number n, in wire form: realistic, always the same for the same arguments, and different in
// its identity fields from every other number.
func Message(n int, opt MessageOptions) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	names := []string{"Ada Byron", "Grace Hopper", "Karen Jones", "Edsger Dijkstra", "Barbara Liskov"}
	from := n % len(names)
	line("Return-Path: <sender%d@example.org>", from)
	line("Received: from relay%d.example.org (relay%d.example.org [192.0.2.%d])", n%7, n%7, n%200+1)
	line("\tby mx.example.net with ESMTPS id %08x;", n*2654435761&0xffffffff)
	line("\t%s", MessageDate(n).Format(time.RFC1123Z))
	line("Date: %s", MessageDate(n).Format(time.RFC1123Z))
	line("From: %s <sender%d@example.org>", names[from], from)
	line("To: Reader <reader@example.net>")
	if opt.EightBit {
		line("Subject: Grüße aus Köln, Nummer %d", n)
	} else {
		line("Subject: Message number %d about", n)
		line(" something that needs a folded line")
	}
	if !opt.NoMessageID {
		line("Message-ID: <%d.%x@example.org>", n, n*40503&0xffff)
	}
	line("MIME-Version: 1.0")
	const boundary = "=_part"
	if opt.Multipart {
		line("Content-Type: multipart/mixed; boundary=%q", boundary)
		line("")
		line("--%s", boundary)
	}
	line("Content-Type: text/plain; charset=utf-8")
	line("Content-Transfer-Encoding: 8bit")
	line("")
	line("This is message %d.", n)
	line("")
	if opt.EightBit {
		line("Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.")
	}
	line("From the start of a line, and .a dot, and > a quote, = and all.")
	for i := 0; b.Len() < opt.Size; i++ {
		line("%d %s %d", n, strings.Repeat("lorem ipsum ", 5), i)
	}
	if opt.Multipart {
		line("--%s", boundary)
		line("Content-Type: application/octet-stream")
		line("Content-Transfer-Encoding: base64")
		line("")
		line("AAECAwQFBgcICQ==")
		line("--%s--", boundary)
	}
	return []byte(b.String())
}

// MessageDate returns the date of the message with the number n: whole seconds, after 1970, in varying zones.
func MessageDate(n int) time.Time {
	zone := time.FixedZone("", (n%25-12)*3600+n%2*1800)
	return time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC).Add(time.Duration(n) * 7919 * time.Minute / 100).Truncate(time.Second).In(zone)
}

// MessageFlags returns a set of system flags for the message with the number n; every set of them occurs, without \Deleted.
func MessageFlags(n int) merge.Flags {
	all := []merge.System{merge.Seen, merge.Answered, merge.Flagged, merge.Draft}
	var s merge.System
	for i, f := range all {
		if n>>i&1 == 1 {
			s |= f
		}
	}
	return merge.SystemFlags(s)
}

// digest returns what identifies a message and its content.
func digest(data []byte) (merge.Identity, merge.Content) {
	d := merge.NewDigest()
	_, _ = d.Write(data)
	return d.Sum()
}
