package logstate

import (
	"fmt"

	"driftless/merge"
)

// rawOp is an Op on pairs or half-pairs whose ids are still part of a payload. Ops on a mailbox's facts are not among these: a commit
// records the facts themselves.
type rawOp struct {
	kind        OpKind
	pair        rawPair
	add, remove [2]merge.Flags
	half        merge.Half
}

func rawOpOf(op Op) rawOp {
	return rawOp{kind: op.Kind, pair: rawPairOf(op.Pair), add: op.Add, remove: op.Remove, half: op.Half}
}

func appendOp(b []byte, op rawOp) []byte {
	b = append(b, byte(op.kind))
	switch op.kind {
	case PutPair:
		b = appendPair(b, op.pair)
	case DropPair:
		b = appendBytes(b, op.pair.id[0])
		b = appendBytes(b, op.pair.id[1])
	case AdjustBase:
		b = appendBytes(b, op.pair.id[0])
		b = appendBytes(b, op.pair.id[1])
		for s := range op.add {
			b = appendFlags(b, op.add[s])
			b = appendFlags(b, op.remove[s])
		}
	case PutHalf:
		b = appendHalf(b, op.half)
	case DropHalf:
		b = append(b, byte(op.half.Side))
		b = appendBytes(b, op.half.ID)
	}
	return b
}

func (d *decoder) readOp() (op rawOp) {
	op.kind = OpKind(d.byte())
	switch op.kind {
	case PutPair:
		op.pair = d.readPair()
		d.needID(op.pair.id[0], op.pair.id[1])
	case DropPair, AdjustBase:
		op.pair.id = [2][]byte{d.bytes(maxID), d.bytes(maxID)}
		if op.kind == AdjustBase {
			for s := range op.add {
				op.add[s] = d.readFlags()
				op.remove[s] = d.readFlags()
			}
		}
	case PutHalf:
		op.half = d.readHalf()
		d.needID([]byte(op.half.ID))
	case DropHalf:
		op.half.Side = d.readSide()
		op.half.ID = merge.ID(d.str(maxID))
	case Clear:
	default:
		d.fail("unknown op %d", op.kind)
	}
	return op
}

func (d *decoder) needID(ids ...[]byte) {
	for _, id := range ids {
		if len(id) == 0 {
			d.fail("empty id")
		}
	}
}

// decodeOps calls f for each op.
func decodeOps(ops []byte, flags *flagCache, f func(rawOp) error) error {
	d := decoder{b: ops, flags: flags}
	for len(d.b) > 0 {
		op := d.readOp()
		if d.err != nil {
			return d.err
		}
		if err := f(op); err != nil {
			return err
		}
	}
	return d.err
}

// checkOp refuses an op that no state can take, before anything is written.
func checkOp(op Op) error {
	switch op.Kind {
	case PutPair:
		if op.Pair.ID[0] == "" || op.Pair.ID[1] == "" {
			return fmt.Errorf("a pair needs the ids of both sides")
		}
		return checkPair(op.Pair)
	case DropPair, AdjustBase:
		return checkPair(op.Pair)
	case PutHalf:
		h := op.Half
		if h.ID == "" || h.Side > merge.Right || h.Reason == 0 || h.Reason > maxReason {
			return fmt.Errorf("a half-pair needs a side, an id and a reason")
		}
		if err := checkLen("a reserved id", len(h.Reserved), maxID); err != nil {
			return err
		}
		if err := checkLen("a mark", len(h.Mark), maxMark); err != nil {
			return err
		}
		return checkLen("an id", len(h.ID), maxID)
	case DropHalf:
		if op.Half.Side > merge.Right {
			return fmt.Errorf("a half-pair needs a side")
		}
		return checkLen("an id", len(op.Half.ID), maxID)
	case SetCursor:
		if op.Side > merge.Right {
			return fmt.Errorf("a cursor needs a side")
		}
		return checkLen("a cursor", len(op.Cursor), maxCursor)
	case KnownOn, ForgottenOn:
		if op.Side > merge.Right {
			return fmt.Errorf("side %d", op.Side)
		}
		return nil
	case Clear:
		return nil
	}
	return fmt.Errorf("unknown op %d", op.Kind)
}

// maxPayload is what fits into one frame; an op list stays well below it, for a commit has more than its ops.
const (
	maxPayload = maxFrameSize - frameHeaderSize
	maxOps     = 40 << 20
)

// checkOps refuses a list of ops that cannot be committed in one entry.
func checkOps(lists ...[]Op) error {
	var size int
	var buf []byte
	for _, ops := range lists {
		for i, op := range ops {
			if err := checkOp(op); err != nil {
				return fmt.Errorf("op %d: %w", i, err)
			}
			buf = appendOp(buf[:0], rawOpOf(op))
			if size += len(buf); size > maxOps {
				return fmt.Errorf("more than %d bytes of changes do not fit into one commit", maxOps)
			}
		}
	}
	return nil
}

func checkPair(p merge.Pair) error {
	for _, id := range p.ID {
		if err := checkLen("an id", len(id), maxID); err != nil {
			return err
		}
	}
	return nil
}
