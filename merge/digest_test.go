package merge

import (
	"strings"
	"testing"
)

func digest(parts ...string) (Identity, Content) {
	d := NewDigest()
	for _, p := range parts {
		_, _ = d.Write([]byte(p)) // it never fails
	}
	return d.Sum()
}

// TestDigestFromLine wants a leading mbox separator to be left out, and a message that begins like one and never ends its line to keep its content: two
// such messages were taken for equal, and one of them was lost.
func TestDigestFromLine(t *testing.T) {
	const text = "Subject: x\r\n\r\ntext\r\n"
	id, content := digest(text)
	for _, parts := range [][]string{{"From a  Sun Sep  7 21:40:07 2008\r\n" + text}, {"Fro", "m a\n", text}, {text, "\r\n\r\n"}} {
		gotID, got := digest(parts...)
		if !got.Same(content) || gotID.Header != id.Header {
			t.Errorf("%q is another message", strings.Join(parts, ""))
		}
	}
	_, one := digest("From a\rSubject: x\r\rone\r")
	_, two := digest("From b\rSubject: y\r\rtwo\r")
	if _, again := digest("From a", "\rSubject: x\r\rone"); !one.Same(again) || one.Same(two) {
		t.Error("messages without any LF are told apart by all of their content")
	}
}
