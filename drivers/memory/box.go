package memory

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"driftless/merge"
)

// message is one message of one mailbox. data is never written to.
type message struct {
	id         merge.ID
	uid        uint32
	flags      merge.Flags
	date       time.Time
	data       []byte
	identity   merge.Identity
	arrived    uint64 // box.mod when it came
	mod        uint64 // box.mod when it came or its flags changed
	unreadable bool
}

type tombstone struct {
	id  merge.ID
	uid uint32
	mod uint64
}

// box is one mailbox. It is guarded by its server's mutex.
type box struct {
	srv        *Server
	name       string
	serial     uint64 // never used twice
	epoch      uint32 // UIDVALIDITY
	next       uint32 // UIDNEXT
	mod        uint64 // counts changes
	floor      uint64 // tombstones up to here are forgotten
	msgs       map[merge.ID]*message
	order      []*message // by uid
	gone       []tombstone
	words      map[string]string // keywords that were ever used: folded to first spelling
	readOnly   bool
	noSelect   bool
	subscribed bool
	specialUse string
}

// add puts a message into the mailbox, under this id or, if empty, a new one.
func (b *box) add(m *message, id merge.ID) {
	b.mod++
	m.uid = b.next
	b.next++
	m.mod, m.arrived = b.mod, b.mod
	switch {
	case !b.srv.opt.Reserves:
		m.id = merge.ID(fmt.Sprintf("%d:%d", b.epoch, m.uid))
	case id != "":
		m.id = id
	default:
		m.id = b.srv.reserve()
	}
	b.msgs[m.id] = m
	b.order = append(b.order, m)
	if id != "" {
		b.gone = slices.DeleteFunc(b.gone, func(t tombstone) bool { return t.id == id })
	}
}

// take removes a message.
func (b *box) take(m *message) {
	b.mod++
	delete(b.msgs, m.id)
	if i, ok := slices.BinarySearchFunc(b.order, m.uid, func(o *message, uid uint32) int { return cmp.Compare(o.uid, uid) }); ok {
		b.order = slices.Delete(b.order, i, i+1)
	}
	b.gone = append(b.gone, tombstone{m.id, m.uid, b.mod})
}

// setFlags reports whether that changed anything.
func (b *box) setFlags(m *message, f merge.Flags) bool {
	f = b.keep(f)
	if f.Equal(m.flags) {
		return false
	}
	b.mod++
	m.flags, m.mod = f, b.mod
	return true
}

// bump makes the ids of all messages meaningless: a new UIDVALIDITY, or other names where ids are names.
func (b *box) bump() {
	old := b.order
	b.msgs, b.order = map[merge.ID]*message{}, nil
	if b.srv.opt.Reserves {
		for _, m := range old {
			b.mod++
			b.gone = append(b.gone, tombstone{m.id, m.uid, b.mod})
		}
	} else {
		b.srv.epoch++
		b.epoch = b.srv.epoch
		b.next, b.mod, b.floor, b.gone = 1, 0, 0, nil
	}
	for _, m := range old {
		c := *m
		b.add(&c, "")
	}
}

// keep returns what of the flags the mailbox can hold, in the spelling that it has.
func (b *box) keep(f merge.Flags) merge.Flags {
	names := merge.SystemFlags(f.System() & allSystem).Names()
	kws := f.Keywords()
	if f.System()&merge.Forwarded != 0 {
		kws = append(kws, "$Forwarded")
	}
	opt := &b.srv.opt
	for _, k := range kws {
		folded := lower(k)
		if opt.FixedKeywords {
			if i := slices.IndexFunc(opt.Keywords, func(o string) bool { return lower(o) == folded }); i >= 0 {
				names = append(names, opt.Keywords[i])
			}
			continue
		}
		spelled, known := b.words[folded]
		if !known {
			if opt.MaxKeywords > 0 && len(b.words) >= opt.MaxKeywords {
				continue
			}
			spelled = k
			b.words[folded] = k
		}
		names = append(names, spelled)
	}
	return merge.NewFlags(names...)
}

// keywords returns what Status tells about keywords.
func (b *box) keywords() (fresh bool, storable merge.Flags) {
	names := merge.SystemFlags(allSystem).Names()
	if b.srv.opt.FixedKeywords {
		return false, merge.NewFlags(append(names, b.srv.opt.Keywords...)...)
	}
	for _, w := range b.words {
		names = append(names, w)
	}
	limit := b.srv.opt.MaxKeywords
	return limit == 0 || len(b.words) < limit, merge.NewFlags(names...)
}

// cursor notes where the mailbox stands. Its form: version, box, UIDVALIDITY, UIDNEXT, change count.
func (b *box) cursor() string {
	return fmt.Sprintf("m1 %d %d %d %d", b.serial, b.epoch, b.next, b.mod)
}

type position struct {
	serial uint64
	epoch  uint32
	next   uint32
	mod    uint64
}

// parsePosition reads a cursor or a mark; what cannot be read is not known.
func parsePosition(s string) (position, bool) {
	f := strings.Split(s, " ")
	if len(f) != 5 || f[0] != "m1" {
		return position{}, false
	}
	var n [4]uint64
	for i := range n {
		v, err := strconv.ParseUint(f[i+1], 10, 64)
		if err != nil {
			return position{}, false
		}
		n[i] = v
	}
	return position{n[0], uint32(n[1]), uint32(n[2]), n[3]}, true
}

// reached reports whether the mailbox has been at this position.
func (b *box) reached(p position) bool {
	return p.serial == b.serial && p.epoch == b.epoch && p.next <= b.next && p.mod <= b.mod
}

// stale reports whether id is of another epoch than the present one.
func (b *box) stale(id merge.ID) bool {
	if b.srv.opt.Reserves {
		return false
	}
	epoch, _, ok := strings.Cut(string(id), ":")
	return !ok || epoch != strconv.FormatUint(uint64(b.epoch), 10)
}
