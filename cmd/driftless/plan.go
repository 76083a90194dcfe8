package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"driftless/daemon/engine"
	"driftless/merge"
)

// plan adds up the actions of a dry run per mailbox: on a first sync there is one action per message.
type plan struct{ count map[string]map[planned]int }

type planned struct {
	action string
	side   merge.Side
}

// plannedWords has the actions in the order of showing, each with a format for the number and the side.
var plannedWords = []struct{ action, one, many string }{
	{"create mailbox", "create it on %[2]s", "create it on %[2]s"},
	{merge.Copy.String(), "copy %d to %s", "copy %d to %s"},
	{merge.Move.String(), "move %d on %s", "move %d on %s"},
	{merge.SetFlags.String(), "%d flag change on %s", "%d flag changes on %s"},
	{merge.Delete.String(), "delete %d on %s", "delete %d on %s"},
}

func (p *plan) add(e engine.Event) {
	if p.count == nil {
		p.count = map[string]map[planned]int{}
	}
	if p.count[e.Mailbox] == nil {
		p.count[e.Mailbox] = map[planned]int{}
	}
	p.count[e.Mailbox][planned{e.Action, e.Side}]++
}

// lines returns one line per mailbox, sorted: "INBOX: copy 190 to left, 3 flag changes on right".
func (p *plan) lines() []string {
	var out []string
	for _, box := range slices.Sorted(maps.Keys(p.count)) {
		var what []string
		for _, w := range plannedWords {
			for _, side := range merge.Sides {
				switch n := p.count[box][planned{w.action, side}]; {
				case n == 1:
					what = append(what, fmt.Sprintf(w.one, n, side))
				case n > 1:
					what = append(what, fmt.Sprintf(w.many, n, side))
				}
			}
		}
		out = append(out, clean(box)+": "+strings.Join(what, ", "))
	}
	return out
}
