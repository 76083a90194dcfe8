package logstate

import "driftless/merge"

// Mailbox is the number of a mailbox in an account's logs. It is given once and never reused; 0 means none.
type Mailbox uint32

// EffectKind is what an effect does. The numbers are written to logs: never reuse one.
type EffectKind uint8

// The kinds of effect.
const (
	EffectCopy          EffectKind = 1
	EffectMove          EffectKind = 2
	EffectFlags         EffectKind = 3
	EffectDelete        EffectKind = 4
	EffectCreateMailbox EffectKind = 5
)

// Effect is one thing that a controller is about to do to its store (the target). The other side is the source.
type Effect struct {
	Kind        EffectKind
	Old         merge.Pair  // the pair as the state has it (move, flags, delete)
	New         merge.Pair  // the pair as it will be; the target's new id is empty (copy, move)
	Now         merge.Flags // what the target showed before (move, flags, delete)
	Add, Remove merge.Flags // flags
	To          Mailbox     // move: destination
	Reserved    merge.ID    // copy: the id reserved on the target
	HasHalf     bool        // a half-pair goes away when the effect is done
	HalfSide    merge.Side  // its side
	HalfID      merge.ID    // its id
	Tries       int         // copy: how often it was tried, this time included
}

// Intent is a batch of effects, durable before the first of them begins.
type Intent struct {
	Target  merge.Side // whose store is changed; it stands in the log of the other side
	Mailbox Mailbox
	Time    int64  // Unix milliseconds
	Mark    string // the target's mark before the batch (copies)
	MarkTo  string // the mark of the destination mailbox (moves; all effects of one batch go to one destination)
	Effects []Effect
}

// Status is what became of an effect. The numbers are written to logs: never reuse one.
type Status uint8

// What may become of an effect.
const (
	Done    Status = 1 // durable in the target
	NotDone Status = 2 // verifiably not done, for a passing reason: it is planned again
	Doubt   Status = 3 // an append whose fate is unknown
	Refused Status = 4 // this message cannot be copied; it is quarantined
)

// Result is what became of one effect.
type Result struct {
	Status Status
	ID     merge.ID    // Done copy or move: the target's id
	Flags  merge.Flags // Done copy or flags: the target's flags as stored
	Note   string      // Refused: why, for a person
	Retry  int64       // Refused: when to try again, Unix milliseconds; 0 = never by itself
}

// Outcome is what became of a batch, one result per effect.
type Outcome struct {
	Time    int64 // Unix milliseconds
	Results []Result
}

// OpKind is a change of the state. The numbers are written to logs: never reuse one.
type OpKind uint8

// The kinds of op.
const (
	PutPair     OpKind = 1 // add a pair, or replace the one with either id
	DropPair    OpKind = 2 // remove the pair with these ids
	AdjustBase  OpKind = 3 // add to and remove from the bases of a pair; the rest of them stays
	PutHalf     OpKind = 4 // add or replace a half-pair
	DropHalf    OpKind = 5 // remove the half-pair of Side with ID
	SetCursor   OpKind = 6 // the cursor of Side
	Clear       OpKind = 7 // forget all pairs, half-pairs and cursors: the mailbox will be paired again by content
	KnownOn     OpKind = 8 // the mailbox has been seen on Side
	ForgottenOn OpKind = 9 // the mailbox is no longer expected on Side
)

// Op is one change of the state of a mailbox. Applying an op twice in a row is the same as applying it once.
type Op struct {
	Kind        OpKind
	Pair        merge.Pair     // PutPair; DropPair and AdjustBase use its ids only
	Add, Remove [2]merge.Flags // AdjustBase, per side
	Half        merge.Half     // PutHalf; DropHalf uses Side and ID only
	Side        merge.Side     // SetCursor, KnownOn, ForgottenOn
	Cursor      string         // SetCursor
}

// Play turns an intent and its outcome into changes of the state: ops for the intent's mailbox, and ops per other mailbox (moves).
// It is a pure function, so that replaying logs gives what the first run committed.
func Play(in Intent, out Outcome) (ops []Op, others map[Mailbox][]Op) {
	src := in.Target.Other()
	for i, e := range in.Effects {
		if i >= len(out.Results) {
			break
		}
		r := out.Results[i]
		dropHalf := func() {
			if e.HasHalf {
				ops = append(ops, Op{Kind: DropHalf, Half: merge.Half{Side: e.HalfSide, ID: e.HalfID}})
			}
		}
		switch {
		case e.Kind == EffectCopy && r.Status == Done:
			dropHalf()
			p := e.New
			p.ID[in.Target] = r.ID
			p.Base[in.Target] = r.Flags
			ops = append(ops, Op{Kind: PutPair, Pair: p})
		case e.Kind == EffectCopy && (r.Status == Doubt || r.Status == Refused):
			h := merge.Half{
				Side: src, ID: e.New.ID[src], Base: e.New.Base[src], Reason: merge.InDoubt, Identity: e.New.Identity,
				Content: e.New.Content, Since: out.Time, Tries: e.Tries, Note: r.Note, Retry: r.Retry,
			}
			if r.Status == Doubt {
				h.Mark, h.Reserved = in.Mark, e.Reserved
			} else {
				h.Reason = merge.Quarantined
			}
			ops = append(ops, Op{Kind: PutHalf, Half: h})
		case r.Status != Done:
		case e.Kind == EffectFlags:
			op := Op{Kind: AdjustBase, Pair: merge.Pair{ID: e.Old.ID}}
			op.Add[src], op.Remove[src] = e.Add, e.Remove
			op.Add[in.Target] = e.Add.Intersect(r.Flags)
			op.Remove[in.Target] = e.Remove.Minus(r.Flags)
			ops = append(ops, op)
		case e.Kind == EffectDelete:
			dropHalf()
			ops = append(ops, Op{Kind: DropPair, Pair: merge.Pair{ID: e.Old.ID}})
			if e.To != 0 {
				others = also(others, e.To, Op{Kind: DropPair, Pair: merge.Pair{ID: e.New.ID}})
			}
		case e.Kind == EffectMove:
			if e.HalfSide == in.Target {
				dropHalf()
			}
			if e.Old.ID[0] != "" && e.Old.ID[1] != "" {
				ops = append(ops, Op{Kind: DropPair, Pair: merge.Pair{ID: e.Old.ID}})
			}
			p := e.New
			p.ID[in.Target] = r.ID
			if e.HasHalf && e.HalfSide != in.Target { // the half-pair waited where the message went
				others = also(others, e.To, Op{Kind: DropHalf, Half: merge.Half{Side: e.HalfSide, ID: e.HalfID}})
			}
			others = also(others, e.To, Op{Kind: PutPair, Pair: p})
		case e.Kind == EffectCreateMailbox:
			ops = append(ops, Op{Kind: KnownOn, Side: in.Target})
		}
	}
	return ops, others
}

// also adds an op to those of a mailbox.
func also(others map[Mailbox][]Op, m Mailbox, op Op) map[Mailbox][]Op {
	if others == nil {
		others = map[Mailbox][]Op{}
	}
	others[m] = append(others[m], op)
	return others
}
