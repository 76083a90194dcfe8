package logstate

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"driftless/merge"
)

// Record is a decoded log record, for people.
type Record struct {
	Log     string    `json:"log"`
	Index   uint64    `json:"index"`
	Epoch   uint32    `json:"epoch"`
	Kind    string    `json:"kind"`
	Mailbox string    `json:"mailbox,omitempty"` // its left name; "#7" when the name is not known
	Seq     uint64    `json:"seq,omitempty"`
	Time    time.Time `json:"time"`            // zero when the record has none
	Lines   []string  `json:"lines,omitempty"` // what the record says, in words
}

// batchKey names a batch within a log.
type batchKey struct {
	mailbox Mailbox
	seq     uint64
}

// narrator puts the records of one log into words.
type narrator struct {
	log     string
	names   map[Mailbox]string
	intents map[batchKey]Intent // without an outcome yet: an outcome is told with what was intended
}

func (n *narrator) mailbox(m Mailbox) string {
	if s, ok := n.names[m]; ok {
		return s
	}
	return fmt.Sprintf("#%d", m)
}

func millis(t int64) time.Time { return time.UnixMilli(t).UTC() }

// record decodes a frame of any kind.
func (n *narrator) record(fr frame) (Record, error) {
	r := Record{Log: n.log, Index: fr.Index, Epoch: fr.Epoch, Kind: kindName(fr.Kind), Seq: fr.Seq}
	t, lines, err := n.tell(fr)
	if err != nil {
		return r, err
	}
	if t != 0 {
		r.Time = millis(t)
	}
	if fr.Mailbox != 0 {
		r.Mailbox = n.mailbox(fr.Mailbox)
	}
	r.Lines = lines
	return r, nil
}

func (n *narrator) tell(fr frame) (t int64, lines []string, err error) {
	switch fr.Kind {
	case kindRegister:
		t, names, err := decodeNames(fr.Payload)
		n.names[fr.Mailbox] = names[0]
		return t, []string{fmt.Sprintf("mailbox %d is %s on the left and %s on the right", fr.Mailbox, names[0], names[1])}, err
	case kindStoreIdentity:
		t, side, id, err := decodeStoreIdentity(fr.Payload)
		return t, []string{fmt.Sprintf("the %s store is %s", side, showID(merge.ID(id)))}, err
	case kindIntent:
		r, err := decodeIntent(fr.Mailbox, fr.Payload)
		if err != nil {
			return 0, nil, err
		}
		n.intents[batchKey{fr.Mailbox, fr.Seq}] = r.in
		for _, e := range r.in.Effects {
			lines = append(lines, "will "+n.effect(&r.in, &e))
		}
		return r.in.Time, lines, nil
	case kindOutcome:
		r, err := decodeOutcome(fr.Payload)
		return r.out.Time, n.outcome(batchKey{fr.Mailbox, fr.Seq}, r.out), err
	case kindCommit:
		return n.commit(fr)
	case kindMark, kindEpoch:
		r, err := decodeMark(fr.Payload)
		if fr.Kind == kindEpoch {
			lines = append(lines, fmt.Sprintf("the log was lost or too old and goes on in epoch %d", counted(fr.Epoch)))
		}
		for _, f := range r.facts {
			if f.names[0] != "" {
				n.names[f.mailbox] = f.names[0]
			}
			lines = append(lines, fmt.Sprintf("%s: batches up to %d are in the shared log", n.mailbox(f.mailbox), f.floor))
		}
		return r.time, lines, err
	case frameLost:
		return 0, []string{"a record that stood here was damaged and is lost"}, nil
	}
	return n.checkpoint(fr)
}

func (n *narrator) checkpoint(fr frame) (t int64, lines []string, err error) {
	switch fr.Kind {
	case kindCheckpointBegin:
		r, err := decodeCheckpointBegin(fr.Payload)
		return r.time, []string{"a checkpoint begins"}, err
	case kindCheckpointBoxes:
		boxes, err := decodeBoxes(fr.Payload)
		for _, b := range boxes {
			if b.named {
				n.names[b.id] = b.names[0]
			}
			lines = append(lines, fmt.Sprintf("%s: %d pairs, %d messages known on the left, %d on the right",
				n.mailbox(b.id), b.counts.pairs, b.counts.on(merge.Left), b.counts.on(merge.Right)))
		}
		return 0, lines, err
	case kindCheckpointPairs, kindCheckpointHalfs:
		what := "pairs"
		if fr.Kind == kindCheckpointHalfs {
			what = "half-pairs"
		}
		count, size := binary.Uvarint(fr.Payload)
		if size <= 0 {
			return 0, nil, errBadRecord
		}
		return 0, []string{fmt.Sprintf("%d %s of %s", count, what, n.mailbox(fr.Mailbox))}, nil
	case kindCheckpointEnd:
		r, err := decodeCheckpointEnd(fr.Payload)
		return 0, []string{fmt.Sprintf("the checkpoint that began at entry %d is complete", r.begin)}, err
	}
	return 0, nil, fmt.Errorf("%w: unknown kind %d", errBadRecord, fr.Kind)
}

// showID shows an id, quoted when it could be mistaken or would upset a terminal.
func showID(id merge.ID) string {
	plain := id != "" && strings.IndexFunc(string(id), func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' }) < 0
	if plain {
		return string(id)
	}
	return fmt.Sprintf("%q", string(id))
}

func show(s merge.Side, id merge.ID) string { return s.String() + " " + showID(id) }

// effect says what is intended, in the infinitive.
func (n *narrator) effect(in *Intent, e *Effect) string {
	to := in.Target
	switch e.Kind {
	case EffectCopy:
		s := fmt.Sprintf("copy %s to %s", show(to.Other(), e.New.ID[to.Other()]), to)
		if e.Reserved != "" {
			s += " as " + showID(e.Reserved)
		}
		return s
	case EffectMove:
		return fmt.Sprintf("move %s to %s", show(to, e.Old.ID[to]), n.mailbox(e.To))
	case EffectFlags:
		return fmt.Sprintf("change flags of %s:%s", show(to, e.Old.ID[to]), flagChange(e.Add, e.Remove))
	case EffectDelete:
		return "delete " + show(to, e.Old.ID[to]) + n.movedFrom(e)
	case EffectCreateMailbox:
		return fmt.Sprintf("create the mailbox on the %s", to)
	}
	return fmt.Sprintf("do something unknown (%d)", e.Kind)
}

func flagChange(add, remove merge.Flags) string {
	var s string
	if !add.Empty() {
		s += " add " + add.String()
	}
	if !remove.Empty() {
		s += " remove " + remove.String()
	}
	if s == "" {
		return " nothing"
	}
	return s
}

// outcome says what became of a batch.
func (n *narrator) outcome(key batchKey, out Outcome) []string {
	in, ok := n.intents[key]
	delete(n.intents, key)
	var lines []string
	for i, r := range out.Results {
		what := fmt.Sprintf("effect %d", i+1)
		if ok && i < len(in.Effects) {
			e := &in.Effects[i]
			what = n.effect(&in, e)
			if r.Status == Done {
				lines = append(lines, n.done(&in, e, r))
				continue
			}
		}
		switch r.Status {
		case Done:
			what = "done: " + what
		case NotDone:
			what = "not done: " + what
		case Doubt:
			what = "fate unknown: " + what
		case Refused:
			what = "refused: " + what
		}
		if r.Note != "" {
			what += ": " + oneLine(r.Note)
		}
		lines = append(lines, what)
	}
	return lines
}

// done says what was done, in the past tense.
func (n *narrator) done(in *Intent, e *Effect, r Result) string {
	to := in.Target
	switch e.Kind {
	case EffectCopy:
		return fmt.Sprintf("copied %s to %s", show(to.Other(), e.New.ID[to.Other()]), show(to, r.ID))
	case EffectMove:
		return fmt.Sprintf("moved %s to %s, there it is %s", show(to, e.Old.ID[to]), n.mailbox(e.To), showID(r.ID))
	case EffectFlags:
		return fmt.Sprintf("changed flags of %s:%s, now %s", show(to, e.Old.ID[to]), flagChange(e.Add, e.Remove), r.Flags)
	case EffectDelete:
		return "deleted " + show(to, e.Old.ID[to]) + n.movedFrom(e)
	case EffectCreateMailbox:
		return fmt.Sprintf("created the mailbox on the %s", to)
	}
	return "done: " + n.effect(in, e)
}

// oneLine keeps a server's words from breaking lines or terminals.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}

// commit says what a commit changes.
func (n *narrator) commit(fr frame) (int64, []string, error) {
	r, err := decodeCommit(fr.Payload)
	if err != nil {
		return 0, nil, err
	}
	var lines []string
	for _, u := range r.uses {
		lines = append(lines, fmt.Sprintf("batch %d of the %s log (epoch %d) is taken over", u.seq, u.log, counted(u.epoch)))
	}
	for i := range r.sections {
		s := &r.sections[i]
		in := ""
		if s.mailbox != fr.Mailbox {
			in = "in " + n.mailbox(s.mailbox) + ": "
		}
		err := decodeOps(s.ops, nil, func(op rawOp) error {
			lines = append(lines, in+tellOp(op))
			return nil
		})
		if err != nil {
			return 0, nil, err
		}
		lines = append(lines, prefixed(in, tellFacts(s))...)
	}
	return r.time, lines, nil
}

func prefixed(prefix string, lines []string) []string {
	out := slices.Clone(lines)
	for i := range out {
		out[i] = prefix + out[i]
	}
	return out
}

func tellOp(op rawOp) string {
	p := op.pair.pair()
	both := func(join string) string {
		return show(merge.Left, p.ID[0]) + " " + join + " " + show(merge.Right, p.ID[1])
	}
	switch op.kind {
	case PutPair:
		s := "paired " + both("with") + " " + p.Base[0].String()
		if !p.Base[0].Equal(p.Base[1]) {
			s += " and " + p.Base[1].String()
		}
		return s
	case DropPair:
		return "forgot the pair of " + both("and")
	case AdjustBase:
		s := "flags of " + both("and")
		for _, side := range merge.Sides {
			s += fmt.Sprintf(";%s on the %s", flagChange(op.add[side], op.remove[side]), side)
		}
		return s
	case PutHalf:
		h := op.half
		s := fmt.Sprintf("%s stays alone: %s", show(h.Side, h.ID), h.Reason)
		if h.Note != "" {
			s += ", " + oneLine(h.Note)
		}
		if h.Hold != 0 {
			s += fmt.Sprintf(", hold %d", h.Hold)
		}
		return s
	case DropHalf:
		return show(op.half.Side, op.half.ID) + " does not stay alone any more"
	case Clear:
		return "forgot everything about the mailbox: it is paired again by content"
	}
	return fmt.Sprintf("unknown op %d", op.kind)
}

func tellFacts(s *section) []string {
	var out []string
	for i, c := range s.cursor {
		if c != nil && *c != "" {
			out = append(out, fmt.Sprintf("%s is observed up to %.80q", merge.Side(i), *c))
		} else if c != nil {
			out = append(out, fmt.Sprintf("%s is to be observed from the beginning", merge.Side(i)))
		}
	}
	if s.known != nil {
		for i, k := range s.known {
			if k {
				out = append(out, fmt.Sprintf("the mailbox is known on the %s", merge.Side(i)))
			} else {
				out = append(out, fmt.Sprintf("the mailbox is not expected on the %s", merge.Side(i)))
			}
		}
	}
	if s.repair != nil && *s.repair {
		out = append(out, "part of the mailbox's state was lost: it will be paired again by content")
	}
	return out
}

// movedFrom says of a deletion from where the message had been moved.
func (n *narrator) movedFrom(e *Effect) string {
	if e.To == 0 {
		return ""
	}
	return ", which had been moved from " + n.mailbox(e.To) + " and was removed there"
}
