package merge

// Identity is what proposes that two messages are the same one: a hash over the header fields that
// survive known alterations, and the size in CRLF form. It never proves anything by itself; equal
// Content does. The zero value means "not known".
type Identity struct {
	Header uint64 // hash of Message-ID, Date, From and Subject, 8-bit bytes masked; never 0 when known
	Size   int64  // bytes with every bare LF counted as CRLF
}

// weakHeader marks the hash of a header without Message-ID: mail from scripts and devices that may well have the same date and subject as another one,
// or no header at all.
const weakHeader = 1 << 63

// Weak reports whether the header has no Message-ID. Such an identity proposes, but even if it is unique it proves nothing: contents are compared.
func (i Identity) Weak() bool { return i.Header&weakHeader != 0 }

// Known reports whether the identity has been read from the message.
func (i Identity) Known() bool { return i.Header != 0 }

// Content is a digest of a message's canonical content: line endings unified, the final line ended, and
// the bytes masked that servers are known to mask. The zero value means "not known".
type Content [16]byte

// Known reports whether the digest has been computed.
func (c Content) Known() bool { return c != Content{} }

// Unreadable is the content of a message that could not be read: known, but equal to nothing.
var Unreadable = Content{0xff, 0xff}

// Same reports whether both contents are known, readable and equal: the proof that two messages are the same.
func (c Content) Same(d Content) bool { return c.Known() && c != Unreadable && c == d }
