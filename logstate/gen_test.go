package logstate

import (
	"fmt"

	"driftless/merge"
	"pgregory.net/rapid"
)

func genID(t *rapid.T, label string) merge.ID {
	n := rapid.IntRange(0, 11).Draw(t, label)
	if n == 11 {
		return merge.ID("long\x00\xff" + fmt.Sprintf("%0200d", n))
	}
	return merge.ID(fmt.Sprintf("id%d", n))
}

func genFlags(t *rapid.T) merge.Flags {
	f := merge.SystemFlags(merge.System(rapid.IntRange(0, 63).Draw(t, "sys")))
	kws := rapid.SliceOfN(rapid.SampledFrom([]string{"work", "$Junk", "NonJunk", "Work", "ü"}), 0, 2).Draw(t, "keywords")
	return f.Union(merge.NewFlags(kws...))
}

func genKnown(t *rapid.T) (merge.Identity, merge.Content) {
	var c merge.Content
	c[0] = byte(rapid.IntRange(0, 3).Draw(t, "content"))
	return merge.Identity{Header: rapid.Uint64Range(0, 3).Draw(t, "header"), Size: rapid.Int64Range(-1, 1<<40).Draw(t, "size")}, c
}

func genPair(t *rapid.T) merge.Pair {
	p := merge.Pair{ID: [2]merge.ID{genID(t, "left"), genID(t, "right")}, Base: [2]merge.Flags{genFlags(t), genFlags(t)}}
	p.Identity, p.Content = genKnown(t)
	return p
}

func genHalf(t *rapid.T) merge.Half {
	h := merge.Half{
		Side: merge.Side(rapid.IntRange(0, 1).Draw(t, "side")), ID: genID(t, "half"), Base: genFlags(t),
		Reason: merge.Reason(rapid.IntRange(1, 5).Draw(t, "reason")), Moved: rapid.Bool().Draw(t, "moved"),
		Mark: rapid.SampledFrom([]string{"", "mark"}).Draw(t, "mark"), Reserved: rapid.SampledFrom([]merge.ID{"", "res"}).Draw(t, "reserved"),
		Since: rapid.Int64().Draw(t, "since"), Retry: rapid.Int64Range(0, 2).Draw(t, "retry"), Tries: rapid.IntRange(0, 2).Draw(t, "tries"),
		Note: rapid.SampledFrom([]string{"", "too big"}).Draw(t, "note"), Hold: rapid.Uint64Range(0, 2).Draw(t, "hold"),
	}
	h.Identity, h.Content = genKnown(t)
	return h
}

func genOp(t *rapid.T) Op {
	side := merge.Side(rapid.IntRange(0, 1).Draw(t, "op side"))
	switch rapid.IntRange(0, 20).Draw(t, "op") {
	default:
		return Op{Kind: PutPair, Pair: genPair(t)}
	case 0, 1, 2, 3:
		p := merge.Pair{ID: [2]merge.ID{genID(t, "left"), genID(t, "right")}}
		if rapid.Bool().Draw(t, "one id") {
			p.ID[side] = ""
		}
		return Op{Kind: DropPair, Pair: p}
	case 4, 5, 6:
		op := Op{Kind: AdjustBase, Pair: merge.Pair{ID: [2]merge.ID{genID(t, "left"), ""}}}
		op.Add[side], op.Remove[side] = genFlags(t), genFlags(t)
		op.Remove[side.Other()] = genFlags(t)
		return op
	case 7, 8, 9:
		return Op{Kind: PutHalf, Half: genHalf(t)}
	case 10, 11:
		return Op{Kind: DropHalf, Half: merge.Half{Side: side, ID: genID(t, "half")}}
	case 12, 13:
		return Op{Kind: SetCursor, Side: side, Cursor: rapid.SampledFrom([]string{"", "c1", "c2", "c3"}).Draw(t, "cursor")}
	case 14:
		if rapid.IntRange(0, 4).Draw(t, "really") == 0 {
			return Op{Kind: Clear}
		}
		return Op{Kind: KnownOn, Side: side}
	case 15:
		return Op{Kind: ForgottenOn, Side: side}
	}
}

// genIntent makes a batch with effects on mailbox m, and moves to another one.
func genIntent(t *rapid.T, m Mailbox, to []Mailbox) Intent {
	in := Intent{
		Target: merge.Side(rapid.IntRange(0, 1).Draw(t, "target")), Mailbox: m,
		Time: rapid.Int64Range(1, 1<<41).Draw(t, "time"), Mark: rapid.SampledFrom([]string{"", "m1"}).Draw(t, "mark"),
	}
	src := in.Target.Other()
	for range rapid.IntRange(1, 3).Draw(t, "effects") {
		e := Effect{Kind: EffectKind(rapid.IntRange(1, 5).Draw(t, "kind"))}
		switch e.Kind {
		case EffectCopy:
			e.New = genPair(t)
			e.New.ID[in.Target] = ""
			e.Tries = rapid.IntRange(0, 3).Draw(t, "tries")
			e.Reserved = rapid.SampledFrom([]merge.ID{"", "reserved"}).Draw(t, "reserved")
		case EffectMove:
			e.Old, e.New = genPair(t), genPair(t)
			e.New.ID[in.Target] = ""
			e.To = rapid.SampledFrom(to).Draw(t, "to")
		case EffectFlags:
			e.Old, e.Add, e.Remove, e.Now = genPair(t), genFlags(t), genFlags(t), genFlags(t)
		case EffectDelete:
			e.Old = genPair(t)
		}
		if e.Kind != EffectCreateMailbox && rapid.Bool().Draw(t, "has half") {
			e.HasHalf, e.HalfSide, e.HalfID = true, src, genID(t, "half id")
		}
		in.Effects = append(in.Effects, e)
	}
	return in
}

func genOutcome(t *rapid.T, in Intent) Outcome {
	out := Outcome{Time: in.Time + 5}
	for _, e := range in.Effects {
		r := Result{Status: Status(rapid.IntRange(1, 4).Draw(t, "status"))}
		if r.Status == Done {
			r.Flags = genFlags(t)
			if e.Kind == EffectCopy || e.Kind == EffectMove {
				r.ID = genID(t, "result id")
			}
		}
		if r.Status == Refused {
			r.Note, r.Retry = "552 too big", 7
		}
		out.Results = append(out.Results, r)
	}
	return out
}

// play applies a batch to the models as Finish must.
func play(models map[Mailbox]*model, in Intent, out Outcome) {
	ops, others := Play(in, out)
	for _, op := range ops {
		models[in.Mailbox].apply(op)
	}
	for m, list := range others {
		for _, op := range list {
			models[m].apply(op)
		}
	}
}
