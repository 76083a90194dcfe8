package imap

import (
	"sync"
	"time"

	"driftless/drivers"
)

// openedFor is how long an opening is remembered.
const openedFor = time.Minute

// opened remembers the mailboxes that were selected since the latest listing, so that opening one again costs no round trip. Nothing that is read or
// written rests on it: each question and each effect selects the mailbox or is answered by a connection that has, and a mailbox that went away
// in between is told by those. A listing begins anew, for it is how a caller looks at which mailboxes there are.
type opened struct {
	mu    sync.Mutex
	boxes map[string]opening
}

type opening struct {
	validity uint32
	status   drivers.Status
	at       time.Time
}

// keep remembers what a SELECT told.
func (o *opened) keep(name string, sel selection) opening {
	x := opening{validity: sel.validity, at: time.Now(), status: drivers.Status{
		Messages: int(sel.exists), ReadOnly: sel.readOnly, NewKeywords: sel.newKeywords, Keywords: sel.keepable()}}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.boxes == nil {
		o.boxes = map[string]opening{}
	}
	o.boxes[name] = x
	return x
}

// get returns what is remembered of a mailbox.
func (o *opened) get(name string) (opening, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	x, ok := o.boxes[name]
	return x, ok && time.Since(x.at) < openedFor
}

// grown adds messages that were appended.
func (o *opened) grown(name string, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if x, ok := o.boxes[name]; ok {
		x.status.Messages += n
		o.boxes[name] = x
	}
}

// forget drops a mailbox.
func (o *opened) forget(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.boxes, name)
}

// forgetTree drops a mailbox with its children.
func (o *opened) forgetTree(root string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name := range o.boxes {
		if inTree(name, root) {
			delete(o.boxes, name)
		}
	}
}

// clear drops everything.
func (o *opened) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.boxes)
}
