package logstate

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"driftless/merge"
	"pgregory.net/rapid"
)

var update = flag.Bool("update-records", false, "write testdata/records.hex anew")

// sample is a payload of each kind with everything in it.
type sample struct {
	kind    frameKind
	payload []byte
}

func samples() []sample {
	yes, cursor, cnt := true, "cursor", counts{pairs: 3}
	cnt.halves[merge.Held][1] = 2
	pair := merge.Pair{
		ID: [2]merge.ID{"1763661234.M1P2.host", "1700000000.42"}, Base: [2]merge.Flags{merge.NewFlags(`\Seen`, "work"), merge.NewFlags(`\Seen`)},
		Identity: merge.Identity{Header: 0x0102030405060708, Size: 4321}, Content: merge.Content{1, 2, 3, 15: 9},
	}
	half := merge.Half{
		Side: merge.Right, ID: "1700000000.43", Base: merge.NewFlags(`\Flagged`), Reason: merge.InDoubt, Identity: pair.Identity, Content: pair.Content,
		Mark: "mark", Reserved: "res", Since: 1763661234000, Retry: 1763661235000, Tries: 2, Note: "552 5.3.4 too big", Hold: 7,
	}
	var ops []byte
	for _, op := range []Op{
		{Kind: PutPair, Pair: pair},
		{Kind: DropPair, Pair: pair},
		{Kind: AdjustBase, Pair: pair, Add: [2]merge.Flags{merge.NewFlags("x"), {}}, Remove: [2]merge.Flags{{}, merge.NewFlags(`\Draft`)}},
		{Kind: PutHalf, Half: half},
		{Kind: DropHalf, Half: half},
		{Kind: Clear},
	} {
		ops = appendOp(ops, rawOpOf(op))
	}
	in := Intent{Target: merge.Right, Mailbox: 7, Time: 1763661234567, Mark: "m", MarkTo: "to", Effects: []Effect{
		{Kind: EffectCopy, New: pair, Reserved: "res", Tries: 1, HasHalf: true, HalfSide: merge.Left, HalfID: "h"},
		{Kind: EffectMove, Old: pair, New: pair, Now: pair.Base[0], To: 8},
		{Kind: EffectFlags, Old: pair, Add: merge.NewFlags("a"), Remove: merge.NewFlags(`\Draft`)},
		{Kind: EffectCreateMailbox},
	}}
	out := Outcome{Time: 1763661234999, Results: []Result{
		{Status: Done, ID: "new", Flags: pair.Base[1]}, {Status: Refused, Note: "no", Retry: 5}, {Status: Doubt}, {Status: NotDone},
	}}
	b := &box{id: 7, named: true, names: [2]string{"INBOX", "INBOX"}, known: [2]bool{true, true}, cursor: [2]string{"cl", "cr"}, counts: cnt, changes: 4}
	b.used[0] = consumed{epoch: 1, low: 5, extra: []uint64{7, 9}}
	mark := markRecord{time: 1763661234567, sharedEpoch: 2, void: true, facts: []fact{{mailbox: 7, names: b.names, floor: 5, changes: 4}}}
	return []sample{
		{kindRegister, appendNames(nil, 1763661234567, [2]string{"Sent", "[Gmail]/Sent Mail"})},
		{kindStoreIdentity, appendStoreIdentity(nil, 1763661234567, merge.Right, "uidvalidity 7")},
		{kindCommit, appendCommit(nil, commitRecord{
			time: 1763661234567, uses: []use{{log: merge.Left, epoch: 1, seq: 6, low: 5}},
			sections: []section{
				{mailbox: 7, counts: &cnt, repair: &yes, changes: 9, cursor: [2]*string{&cursor, &cursor}, known: &[2]bool{true, false}, ops: ops},
				{mailbox: 8},
			},
		})},
		{kindIntent, appendIntent(nil, intentRecord{changes: 3, sharedEpoch: 1, in: in})},
		{kindOutcome, appendOutcome(nil, outcomeRecord{since: []changeCount{{7, 3}, {8, 1}}, out: out})},
		{kindMark, appendMark(nil, mark)},
		{kindEpoch, appendMark(nil, mark)},
		{kindCheckpointBegin, appendCheckpointBegin(nil, checkpointBegin{time: 1, identity: [2]string{"a", "b"}, next: 9, sideEpoch: [2]uint32{1, 2}})},
		{kindCheckpointBoxes, countedChunk(1, appendBox(nil, b))},
		{kindCheckpointPairs, countedChunk(1, appendPair(nil, rawPairOf(pair)))},
		{kindCheckpointHalfs, countedChunk(1, appendHalf(nil, half))},
		{kindCheckpointEnd, appendCheckpointEnd(nil, checkpointEnd{begin: 12, frames: 3})},
	}
}

// again decodes a payload and encodes what came out.
func again(kind frameKind, payload []byte) ([]byte, error) {
	switch kind {
	case kindRegister:
		t, n, err := decodeNames(payload)
		return appendNames(nil, t, n), err
	case kindStoreIdentity:
		t, s, id, err := decodeStoreIdentity(payload)
		return appendStoreIdentity(nil, t, s, id), err
	case kindCommit:
		r, err := decodeCommit(payload)
		if err != nil {
			return nil, err
		}
		for i := range r.sections {
			var ops []byte
			if r.sections[i].ops != nil {
				ops = []byte{}
			}
			err := decodeOps(r.sections[i].ops, &flagCache{}, func(op rawOp) error {
				ops = appendOp(ops, op)
				return nil
			})
			if err != nil {
				return nil, err
			}
			r.sections[i].ops = ops
		}
		return appendCommit(nil, r), nil
	case kindIntent:
		r, err := decodeIntent(7, payload)
		return appendIntent(nil, r), err
	case kindOutcome:
		r, err := decodeOutcome(payload)
		return appendOutcome(nil, r), err
	case kindMark, kindEpoch:
		r, err := decodeMark(payload)
		return appendMark(nil, r), err
	case kindCheckpointBegin:
		r, err := decodeCheckpointBegin(payload)
		return appendCheckpointBegin(nil, r), err
	case kindCheckpointBoxes:
		boxes, err := decodeBoxes(payload)
		var body []byte
		for _, b := range boxes {
			body = appendBox(body, b)
		}
		return countedChunk(len(boxes), body), err
	case kindCheckpointPairs, kindCheckpointHalfs:
		t := newTable()
		if err := t.addChunk(7, frame{Kind: kind, Mailbox: 7, Payload: payload}); err != nil {
			return nil, err
		}
		w := chunkWriter{snap: t.pin()}
		_, out := w.chunk()
		if out == nil {
			out = countedChunk(0, nil) // none is written for no pairs
		}
		return out, nil
	case kindCheckpointEnd:
		r, err := decodeCheckpointEnd(payload)
		return appendCheckpointEnd(nil, r), err
	}
	return nil, fmt.Errorf("kind %d", kind)
}

// The golden file holds records as released programs write them: they must be read, and written the same.
func TestGoldenRecords(t *testing.T) {
	const file = "testdata/records.hex"
	var text strings.Builder
	for _, s := range samples() {
		fmt.Fprintf(&text, "%d %s %s\n", s.kind, kindName(s.kind), hex.EncodeToString(s.payload))
	}
	if *update {
		must(t, os.WriteFile(file, []byte(text.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if text.String() != string(want) {
		t.Errorf("records are not written as before; a change of the layout needs a new frame version")
	}
	for line := range strings.Lines(string(want)) {
		var kind frameKind
		var name, data string
		if _, err := fmt.Sscan(line, &kind, &name, &data); err != nil {
			t.Fatal(err)
		}
		payload, err := hex.DecodeString(data)
		must(t, err)
		if kindName(kind) != name {
			t.Errorf("kind %d is called %s, not %s", kind, kindName(kind), name)
		}
		got, err := again(kind, payload)
		must(t, err)
		if !bytes.Equal(got, payload) {
			t.Errorf("%s: read and written again it is %x", name, got)
		}
	}
}

// Every prefix of a record is refused, and so is a record with something behind it.
func TestTruncatedRecords(t *testing.T) {
	for _, s := range samples() {
		for n := range s.payload {
			if _, err := again(s.kind, s.payload[:n]); err == nil {
				t.Errorf("%s: %d of %d bytes are accepted", kindName(s.kind), n, len(s.payload))
			}
		}
		if _, err := again(s.kind, append(bytes.Clone(s.payload), 0)); err == nil {
			t.Errorf("%s: a byte too many is accepted", kindName(s.kind))
		}
	}
}

// A number that promises more than there is must not make a reader allocate it.
func TestHostileLengths(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}
	for _, s := range samples() {
		for i := range s.payload {
			evil := append(append(bytes.Clone(s.payload[:i]), huge...), s.payload[i:]...)
			allocated := testing.AllocsPerRun(1, func() { _, _ = again(s.kind, evil) })
			if allocated > 1000 {
				t.Fatalf("%s: %v allocations", kindName(s.kind), allocated)
			}
		}
	}
}

func TestCodecRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := genIntent(t, 7, []Mailbox{7, 8})
		r, err := decodeIntent(7, appendIntent(nil, intentRecord{changes: 1, sharedEpoch: 2, in: in}))
		must(t, err)
		if !reflect.DeepEqual(r.in, in) {
			t.Fatalf("intent\n%+v\nwas\n%+v", r.in, in)
		}
		out := genOutcome(t, in)
		o, err := decodeOutcome(appendOutcome(nil, outcomeRecord{out: out}))
		must(t, err)
		if !reflect.DeepEqual(o.out, out) {
			t.Fatalf("outcome\n%+v\nwas\n%+v", o.out, out)
		}
		p := genPair(t)
		d := decoder{b: appendPair(nil, rawPairOf(p)), flags: &flagCache{}}
		if got := d.readPair().pair(); got != p || d.end() != nil {
			t.Fatalf("pair %+v was %+v", got, p)
		}
		h := genHalf(t)
		d = decoder{b: appendHalf(nil, h)}
		if got := d.readHalf(); got != h || d.end() != nil {
			t.Fatalf("half-pair %+v was %+v", got, h)
		}
	})
}

func FuzzRecords(f *testing.F) {
	for _, s := range samples() {
		f.Add(uint8(s.kind), s.payload)
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		once, err := again(frameKind(kind), payload)
		if err != nil {
			return
		}
		twice, err := again(frameKind(kind), once)
		if err != nil {
			t.Fatalf("what was written is refused: %v", err)
		}
		if !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
		n := narrator{names: map[Mailbox]string{}, intents: map[batchKey]Intent{}}
		if _, err := n.record(frame{Kind: frameKind(kind), Mailbox: 7, Payload: once}); err != nil {
			t.Fatalf("a sound record cannot be told: %v", err)
		}
	})
}
