package logstate

import (
	"encoding/binary"
	"fmt"

	"driftless/merge"
)

// intentRecord is what an intent's frame holds. The first two fields tell, whenever the logs are opened again, what the shared log must
// know at least: one that knows less is an old copy.
type intentRecord struct {
	changes     uint64 // of the mailbox's pairs and half-pairs until then
	sharedEpoch uint32
	in          Intent // Mailbox comes from the frame
}

func appendIntent(b []byte, r intentRecord) []byte {
	b = binary.AppendUvarint(b, r.changes)
	b = binary.AppendUvarint(b, uint64(r.sharedEpoch))
	b = append(b, byte(r.in.Target))
	b = binary.AppendVarint(b, r.in.Time)
	b = appendBytes(b, r.in.Mark)
	b = appendBytes(b, r.in.MarkTo)
	b = binary.AppendUvarint(b, uint64(len(r.in.Effects)))
	for _, e := range r.in.Effects {
		b = appendEffect(b, e)
	}
	return b
}

// decodeIntentHead reads what is needed of an intent that is settled already.
func decodeIntentHead(payload []byte) (changes uint64, sharedEpoch uint32, err error) {
	d := decoder{b: payload}
	changes = d.uvarint()
	sharedEpoch = d.epoch()
	return changes, sharedEpoch, d.err
}

func decodeIntent(m Mailbox, payload []byte) (intentRecord, error) {
	d := decoder{b: payload}
	r := intentRecord{changes: d.uvarint(), sharedEpoch: d.epoch()}
	r.in = Intent{Mailbox: m, Target: d.readSide(), Time: d.varint(), Mark: d.str(maxMark), MarkTo: d.str(maxMark)}
	n := d.batch(3)
	if n > 0 {
		r.in.Effects = make([]Effect, n)
	}
	for i := range r.in.Effects {
		r.in.Effects[i] = d.readEffect()
	}
	return r, d.end()
}

func (d *decoder) epoch() uint32 {
	e := d.uvarint()
	if e > 1<<32-1 {
		d.fail("epoch %d", e)
		return 0
	}
	return uint32(e)
}

func (d *decoder) mailbox() Mailbox {
	m := d.uvarint()
	if m == 0 || m > 1<<32-1 {
		d.fail("mailbox number %d", m)
		return 0
	}
	return Mailbox(m)
}

// batch is count for lists whose items are much bigger in memory than in a record.
func (d *decoder) batch(size int) int {
	n := d.count(size)
	if n > maxBatch {
		d.fail("%d items, at most %d are allowed", n, maxBatch)
		return 0
	}
	return n
}

func pairEmpty(p merge.Pair) bool { return p == merge.Pair{} }

func appendEffect(b []byte, e Effect) []byte {
	old, fresh := !pairEmpty(e.Old), !pairEmpty(e.New)
	now, add, remove := !e.Now.Empty(), !e.Add.Empty(), !e.Remove.Empty()
	b = append(b, byte(e.Kind), pack(old, fresh, now, add, remove, e.To != 0, e.Reserved != "", e.HasHalf))
	if old {
		b = appendPair(b, rawPairOf(e.Old))
	}
	if fresh {
		b = appendPair(b, rawPairOf(e.New))
	}
	for _, f := range []merge.Flags{e.Now, e.Add, e.Remove} {
		if !f.Empty() {
			b = appendFlags(b, f)
		}
	}
	if e.To != 0 {
		b = binary.AppendUvarint(b, uint64(e.To))
	}
	if e.Reserved != "" {
		b = appendBytes(b, e.Reserved)
	}
	if e.HasHalf {
		b = append(b, byte(e.HalfSide))
		b = appendBytes(b, e.HalfID)
	}
	return binary.AppendVarint(b, int64(e.Tries))
}

func (d *decoder) readEffect() (e Effect) {
	e.Kind = EffectKind(d.byte())
	if e.Kind < EffectCopy || e.Kind > EffectCreateMailbox {
		d.fail("unknown effect %d", e.Kind)
	}
	tag := d.byte()
	if tag&1 != 0 {
		e.Old = d.readPair().pair()
	}
	if tag&2 != 0 {
		e.New = d.readPair().pair()
	}
	for i, f := range []*merge.Flags{&e.Now, &e.Add, &e.Remove} {
		if tag&(4<<i) != 0 {
			*f = d.readFlags()
		}
	}
	if tag&32 != 0 {
		e.To = d.mailbox()
	}
	if tag&64 != 0 {
		e.Reserved = merge.ID(d.str(maxID))
	}
	if tag&128 != 0 {
		e.HasHalf = true
		e.HalfSide = d.readSide()
		e.HalfID = merge.ID(d.str(maxID))
	}
	e.Tries = int(d.varint())
	return e
}

// changeCount says how many commits have changed the pairs or half-pairs of a mailbox.
type changeCount struct {
	mailbox Mailbox
	changes uint64
}

// outcomeRecord is what an outcome's frame holds. since has the mailboxes that the outcome changes, as they were before: when the outcome is
// played again on less than that, something is lost.
type outcomeRecord struct {
	since []changeCount
	out   Outcome
}

func appendOutcome(b []byte, r outcomeRecord) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.since)))
	for _, o := range r.since {
		b = binary.AppendUvarint(b, uint64(o.mailbox))
		b = binary.AppendUvarint(b, o.changes)
	}
	out := r.out
	b = binary.AppendVarint(b, out.Time)
	b = binary.AppendUvarint(b, uint64(len(out.Results)))
	for _, r := range out.Results {
		b = append(b, byte(r.Status), pack(r.ID != "", !r.Flags.Empty(), r.Note != "", r.Retry != 0))
		if r.ID != "" {
			b = appendBytes(b, r.ID)
		}
		if !r.Flags.Empty() {
			b = appendFlags(b, r.Flags)
		}
		if r.Note != "" {
			b = appendBytes(b, r.Note)
		}
		if r.Retry != 0 {
			b = binary.AppendVarint(b, r.Retry)
		}
	}
	return b
}

func (d *decoder) readChanges() []changeCount {
	n := d.batch(2)
	if n == 0 {
		return nil
	}
	since := make([]changeCount, n)
	for i := range since {
		since[i] = changeCount{d.mailbox(), d.uvarint()}
	}
	return since
}

// decodeOutcomeHead reads what is needed of an outcome that is in the shared log already.
func decodeOutcomeHead(payload []byte) ([]changeCount, error) {
	d := decoder{b: payload}
	since := d.readChanges()
	return since, d.err
}

func decodeOutcome(payload []byte) (outcomeRecord, error) {
	d := decoder{b: payload}
	r := outcomeRecord{since: d.readChanges()}
	r.out.Time = d.varint()
	if n := d.batch(2); n > 0 {
		r.out.Results = make([]Result, n)
	}
	for i := range r.out.Results {
		r.out.Results[i] = d.readResult()
	}
	return r, d.end()
}

func (d *decoder) readResult() (r Result) {
	r.Status = Status(d.byte())
	if r.Status < Done || r.Status > Refused {
		d.fail("unknown status %d", r.Status)
	}
	tag := d.byte()
	if tag > 15 {
		d.fail("unknown result field %#x", tag)
	}
	if tag&1 != 0 {
		r.ID = merge.ID(d.str(maxID))
	}
	if tag&2 != 0 {
		r.Flags = d.readFlags()
	}
	if tag&4 != 0 {
		r.Note = d.str(maxNote)
	}
	if tag&8 != 0 {
		r.Retry = d.varint()
	}
	return r
}

// fact is what a mark or an epoch record says about one mailbox.
type fact struct {
	mailbox Mailbox
	names   [2]string
	floor   uint64 // sequences up to here are over; the log need not have them any more
	changes uint64 // as in intentRecord
}

// markRecord is what a mark or an epoch record holds.
type markRecord struct {
	time        int64
	sharedEpoch uint32
	void        bool // epoch record: everything before it belongs to another line of history
	facts       []fact
}

func appendMark(b []byte, r markRecord) []byte {
	b = binary.AppendVarint(b, r.time)
	b = binary.AppendUvarint(b, uint64(r.sharedEpoch))
	b = append(b, pack(r.void))
	b = binary.AppendUvarint(b, uint64(len(r.facts)))
	for _, f := range r.facts {
		b = binary.AppendUvarint(b, uint64(f.mailbox))
		b = appendBytes(b, f.names[0])
		b = appendBytes(b, f.names[1])
		b = binary.AppendUvarint(b, f.floor)
		b = binary.AppendUvarint(b, f.changes)
	}
	return b
}

func decodeMark(payload []byte) (markRecord, error) {
	d := decoder{b: payload}
	r := markRecord{time: d.varint(), sharedEpoch: d.epoch()}
	tag := d.byte()
	if tag > 1 {
		d.fail("unknown mark field %#x", tag)
	}
	r.void = tag == 1
	n := d.batch(5)
	if n > 0 {
		r.facts = make([]fact, n)
	}
	for i := range r.facts {
		f := &r.facts[i]
		f.mailbox = d.mailbox()
		f.names = [2]string{d.str(maxName), d.str(maxName)}
		f.floor = d.uvarint()
		f.changes = d.uvarint()
	}
	return r, d.end()
}

func appendNames(b []byte, time int64, names [2]string) []byte {
	b = binary.AppendVarint(b, time)
	b = appendBytes(b, names[0])
	return appendBytes(b, names[1])
}

func decodeNames(payload []byte) (time int64, names [2]string, err error) {
	d := decoder{b: payload}
	time = d.varint()
	names = [2]string{d.str(maxName), d.str(maxName)}
	return time, names, d.end()
}

// checkLen refuses what a decoder would refuse, before it is written.
func checkLen(what string, n, limit int) error {
	if n > limit {
		return fmt.Errorf("%s of %d bytes, at most %d can be recorded", what, n, limit)
	}
	return nil
}
