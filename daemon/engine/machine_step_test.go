package engine

import (
	"cmp"
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
)

// userAct is one thing that a user does on his side.
type userAct struct {
	what   string // deliver, copy, move, flag, delete, create, drop, rename
	side   merge.Side
	letter int    // deliver: which content
	pick   int    // which of the messages that he sees
	box    string // deliver: where to; copy, move: to where; create, drop, rename: which
	flags  string // deliver: which; flag: which to turn over
}

func (d userAct) String() string {
	switch d.what {
	case "deliver":
		return fmt.Sprintf("%s: deliver %s to %s [%s]", d.side, mails[d.letter].name, d.box, d.flags)
	case "copy", "move":
		return fmt.Sprintf("%s: %s message %d to %s", d.side, d.what, d.pick, d.box)
	case "flag":
		return fmt.Sprintf("%s: turn %s of message %d", d.side, d.flags, d.pick)
	case "delete":
		return fmt.Sprintf("%s: delete message %d", d.side, d.pick)
	}
	return fmt.Sprintf("%s: %s mailbox %s", d.side, d.what, d.box)
}

// point is a moment in a sync: the nth time that a side's store is asked to do op (anything if op is empty), counted by items where there are several.
type point struct {
	side merge.Side
	op   string
	nth  int
}

func (p point) String() string { return fmt.Sprintf("%s %s %d", p.side, cmp.Or(p.op, "call"), p.nth) }

// interruption is what a user does while a sync runs.
type interruption struct {
	at   point
	deed userAct
}

// step is one step of a history.
type step struct {
	what  string // deed, sync, cut, rest (at the end of a chapter), bump, clock, backup, restore, save, revert, lose, truncate, scribble
	deed  userAct
	side  merge.Side
	box   string           // bump
	at    point            // sync: where the fault is
	fault drivertest.Fault // sync: 0 = none
	skip  int              // cut: appends that succeed before the connection dies
	fate  memory.Fate      // cut
	mid   []interruption   // sync, cut
	logs  [3]bool          // lose, revert, truncate, scribble: left, right, shared
	n     int              // truncate: bytes; clock: seconds
}

// anyFault are the faults that keep the drivers contract, and none.
var anyFault = append([]drivertest.Fault{
	0, drivertest.FailBefore, drivertest.UnknownBefore, drivertest.UnknownAfter, drivertest.DieBefore, drivertest.DieAfter,
}, drivertest.Refusals...)

var logNames = [3]string{"left", "right", "shared"}

func (s step) String() string {
	var b strings.Builder
	switch s.what {
	case "deed":
		return s.deed.String()
	case "sync":
		b.WriteString("sync")
		if s.fault != 0 {
			fmt.Fprintf(&b, ", %s at %s", s.fault, s.at)
		}
	case "cut":
		fmt.Fprintf(&b, "sync, connection to the %s cut in append %d, whose message is %s", s.side, s.skip+1, [...]string{"lost", "stored", "stored later"}[s.fate])
	case "bump":
		return fmt.Sprintf("new ids in %s of the %s", s.box, s.side)
	case "clock":
		return fmt.Sprintf("clock %+d s", s.n)
	case "backup", "restore":
		return fmt.Sprintf("%s the %s store", s.what, s.side)
	case "revert", "lose", "truncate", "scribble":
		fmt.Fprintf(&b, "%s", s.what)
		for i, name := range logNames {
			if s.logs[i] {
				b.WriteString(" " + name)
			}
		}
		if s.what == "truncate" {
			fmt.Fprintf(&b, " by %d bytes", s.n)
		}
	default:
		return s.what
	}
	for _, m := range s.mid {
		fmt.Fprintf(&b, "\n      at %s %s", m.at, m.deed)
	}
	return b.String()
}

var (
	userBoxes = []string{"INBOX", "A", "B"}
	flagWords = []string{`\Seen`, `\Flagged`, `\Deleted`, "work"}
	faultOps  = []string{"Append", "Append", "Append", "SetFlags", "Move", "Move", "Expunge", "Expunge", "Fetch", "Changes", "Look", "Open", "List", "Describe", "Mark", "Since", "Create", "Identity"}
)

var (
	anySide = rapid.SampledFrom([]merge.Side{merge.Left, merge.Right})
	anyBox  = rapid.SampledFrom(userBoxes)
	anyLogs = rapid.Custom(func(t *rapid.T) [3]bool {
		n := rapid.IntRange(1, 7).Draw(t, "logs")
		return [3]bool{n&1 > 0, n&2 > 0, n&4 > 0}
	})
	anyPoint = rapid.Custom(func(t *rapid.T) point {
		side := anySide.Draw(t, "side")
		if rapid.Bool().Draw(t, "of all calls") {
			return point{side, "", rapid.IntRange(1, 40).Draw(t, "nth")}
		}
		return point{side, rapid.SampledFrom(faultOps).Draw(t, "op"), rapid.IntRange(1, 3).Draw(t, "nth")}
	})
	anyMessageDeed = rapid.Custom(func(t *rapid.T) userAct {
		d := userAct{
			what: rapid.SampledFrom([]string{"deliver", "deliver", "deliver", "flag", "flag", "move", "move", "delete", "copy"}).Draw(t, "what"),
			side: anySide.Draw(t, "side"),
		}
		if d.what != "deliver" {
			d.pick = rapid.IntRange(0, 9).Draw(t, "pick")
		}
		switch d.what {
		case "deliver":
			d.letter = rapid.IntRange(0, len(mails)-1).Draw(t, "letter")
			d.box = anyBox.Draw(t, "box")
			d.flags = rapid.SampledFrom([]string{"", "", `\Seen`, `\Flagged work`}).Draw(t, "flags")
		case "copy", "move":
			d.box = anyBox.Draw(t, "to")
		case "flag":
			d.flags = rapid.SampledFrom(flagWords).Draw(t, "flag")
		}
		return d
	})
	anyBoxDeed = rapid.Custom(func(t *rapid.T) userAct {
		return userAct{
			what: rapid.SampledFrom([]string{"create", "drop", "rename"}).Draw(t, "what"),
			side: anySide.Draw(t, "side"),
			box:  rapid.SampledFrom([]string{"A", "B", "C"}).Draw(t, "box"),
		}
	})
	anyStep = rapid.Custom(func(t *rapid.T) step {
		s := step{what: rapid.SampledFrom([]string{
			"deed", "deed", "deed", "deed", "deed", "deed", "deed", "deed",
			"sync", "sync", "sync", "sync", "cut", "hazard",
		}).Draw(t, "step")}
		if s.what == "hazard" {
			s.what = rapid.SampledFrom([]string{"clock", "scribble", "box", "backup", "restore", "bump", "save", "revert", "revert", "lose", "truncate"}).Draw(t, "hazard")
		}
		switch s.what {
		case "deed":
			s.deed = anyMessageDeed.Draw(t, "deed")
		case "box":
			s.what, s.deed = "deed", anyBoxDeed.Draw(t, "deed")
		case "sync":
			if s.fault = rapid.SampledFrom(anyFault).Draw(t, "fault"); s.fault != 0 {
				s.at = anyPoint.Draw(t, "at")
			}
		case "cut":
			s.side = anySide.Draw(t, "side")
			s.skip = rapid.IntRange(0, 2).Draw(t, "skip")
			s.fate = rapid.SampledFrom([]memory.Fate{memory.Lost, memory.Stored, memory.Late}).Draw(t, "fate")
		case "bump":
			s.side, s.box = anySide.Draw(t, "side"), anyBox.Draw(t, "box")
		case "clock":
			s.n = rapid.SampledFrom([]int{1, 40, 86400, -1, -40, -86400}).Draw(t, "seconds")
		case "backup", "restore":
			s.side = anySide.Draw(t, "side")
		case "truncate":
			s.n = rapid.IntRange(1, 300).Draw(t, "bytes")
			s.logs = anyLogs.Draw(t, "which")
		case "revert", "lose", "scribble":
			s.logs = anyLogs.Draw(t, "which")
		}
		if s.what == "sync" || s.what == "cut" {
			for range rapid.IntRange(0, 2).Draw(t, "interruptions") {
				s.mid = append(s.mid, interruption{anyPoint.Draw(t, "at"), anyMessageDeed.Draw(t, "deed")})
			}
		}
		return s
	})
)
