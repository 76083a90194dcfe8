package everystep

import (
	"errors"
	"os"
	"path/filepath"

	"driftless/daemon/engine"
	"driftless/drivers/memory"
	"driftless/logstate"
	"driftless/merge"
)

// small makes logs of many segments.
func small(a *engine.Account) { a.Logs.SegmentSize = 1 << 10 }

// checkpoints makes every sync that writes something write a checkpoint and cut the logs, too.
func checkpoints(a *engine.Account) { a.Logs.SegmentSize, a.Logs.CheckpointSize = 512, 1 }

// noDeletions keeps on each side what was removed on the other.
func noDeletions(a *engine.Account) { a.Rules.Deletions = merge.Direction{} }

// numbered wants a far side that numbers its messages.
func numbered(_, far *memory.Options) bool { return far != nil && !far.Reserves }

// memoryFar wants a far side with options.
func memoryFar(_, far *memory.Options) bool { return far != nil }

// scenarios are all that is played. Of rows of the merge table the mirrored ones are played by mirroring the stores.
var scenarios = append(append(append([]scenario{}, mergeTable...), peculiar...), journal...)

// mergeTable has the rows of the merge table.
var mergeTable = []scenario{
	{name: "new", before: "INBOX: a b/S", want: "INBOX: a b/S c d/RS,todo",
		change: func(h hand) { h.near.put("INBOX: c d/RS,todo") }},
	{name: "new on both", before: "INBOX: a", want: "INBOX: a b c/F d e/S", tune: small,
		change: func(h hand) { h.near.put("INBOX: b c/F"); h.far.put("INBOX: d e/S") }},
	{name: "new and new equal", before: "INBOX: a", want: "INBOX: a b/FS c noid:d/S",
		change: func(h hand) { h.near.put("INBOX: b/F c/T noid:d/S"); h.far.put("INBOX: b/S c noid:d") }},
	{name: "same Message-ID other content", before: "INBOX: a", want: "INBOX: a b b!x c c~y",
		change: func(h hand) { h.near.put("INBOX: b c c~y"); h.far.put("INBOX: b!x") }},
	{name: "flags on one side", before: "INBOX: a/S b c/F", want: "INBOX: a b/FRS,todo c/F",
		change: func(h hand) { h.near.flag("INBOX", "", "a"); h.near.flag("INBOX", "FRS,todo", "b") }},
	{name: "flags on both sides", before: "INBOX: a/S b/F c/,todo", want: "INBOX: a/F b/R c/S,late",
		change: func(h hand) {
			h.near.flag("INBOX", "FS", "a")
			h.far.flag("INBOX", "", "a")
			h.near.flag("INBOX", "R", "b")
			h.far.flag("INBOX", "R", "b")
			h.near.flag("INBOX", "S", "c")
			h.far.flag("INBOX", ",todo,late", "c")
		}},
	{name: "gone", before: "INBOX: a b c d/S", want: "INBOX: a c",
		change: func(h hand) { h.near.drop("INBOX", "b", "d") }},
	{name: "gone on both", before: "INBOX: a b c d", want: "INBOX: a",
		change: func(h hand) {
			h.near.drop("INBOX", "b", "c")
			h.far.drop("INBOX", "b", "d")
		}},
	{name: "gone and flagged", before: "INBOX: a b c", want: "INBOX: a c",
		change: func(h hand) {
			h.near.drop("INBOX", "b")
			h.far.flag("INBOX", "F", "b")
		}},
	{name: "gone and flagged keep", before: "INBOX: a b c", want: "INBOX: a b/F c",
		tune: func(a *engine.Account) { a.Rules.Conflict = merge.ConflictKeep },
		change: func(h hand) {
			h.near.drop("INBOX", "b")
			h.far.flag("INBOX", "F", "b")
		}},
	{name: "moved", before: "INBOX: a b c; Box: x", want: "INBOX: a; Box: x b c",
		change: func(h hand) { h.near.take("INBOX", "Box", "b", "c") }},
	{name: "moved and flagged here", before: "INBOX: a b/S; Box: x", want: "INBOX: a; Box: x b/FS",
		change: func(h hand) { h.near.take("INBOX", "Box", "b"); h.near.flag("Box", "FS", "b") }},
	{name: "moved and flagged there", before: "INBOX: a b/S; Box: x", want: "INBOX: a; Box: x b/F,todo",
		change: func(h hand) { h.near.take("INBOX", "Box", "b"); h.far.flag("INBOX", "F,todo", "b") }},
	{name: "moved and gone", before: "INBOX: a b; Box: x", want: "INBOX: a; Box: x",
		change: func(h hand) { h.near.take("INBOX", "Box", "b"); h.far.drop("INBOX", "b") }},
	{name: "moved to two places", before: "INBOX: a b; X: x; Y: y", want: "INBOX: a; X: x b; Y: y", reverse: "INBOX: a; X: x; Y: y b",
		change: func(h hand) { h.near.take("INBOX", "X", "b"); h.far.take("INBOX", "Y", "b") }},
	{name: "moved to two places right wins", before: "INBOX: a b; X: x; Y: y", want: "INBOX: a; X: x; Y: y b", reverse: "INBOX: a; X: x b; Y: y",
		tune:   func(a *engine.Account) { a.Rules.Conflict = merge.ConflictRight },
		change: func(h hand) { h.near.take("INBOX", "X", "b"); h.far.take("INBOX", "Y", "b") }},
	{name: "moved and gone keep", before: "INBOX: a b; Box: x", want: "INBOX: a; Box: x b/S",
		tune: func(a *engine.Account) { a.Rules.Conflict = merge.ConflictKeep },
		change: func(h hand) {
			h.near.take("INBOX", "Box", "b")
			h.near.flag("Box", "S", "b")
			h.far.drop("INBOX", "b")
		}},
	{name: "moved and gone without deletions", before: "INBOX: a b; Box: x", want: "INBOX: a; Box: x b", wantFar: "INBOX: a; Box: x",
		tune: noDeletions, change: func(h hand) { h.near.take("INBOX", "Box", "b"); h.far.drop("INBOX", "b") }},
	{name: "gone without deletions", before: "INBOX: a b c; Box: x", want: "INBOX: a; Box: x c d", wantFar: "INBOX: a b c; Box: x c d", tune: noDeletions,
		change: func(h hand) { h.near.drop("INBOX", "b"); h.near.take("INBOX", "Box", "c"); h.far.put("Box: d") }},
	{name: "nothing new", want: "INBOX: a/S b", wantFar: "INBOX: a/S c",
		tune: func(a *engine.Account) { a.Rules.New = merge.Direction{} },
		history: func(h hand) {
			h.near.put("INBOX: a")
			h.far.put("INBOX: a")
			h.sync()
		},
		change: func(h hand) { h.near.put("INBOX: b"); h.far.put("INBOX: c"); h.far.flag("INBOX", "S", "a") }},
	{name: "moved to one place by both", before: "INBOX: a b; X: x", want: "INBOX: a; X: x b",
		change: func(h hand) { h.near.take("INBOX", "X", "b"); h.far.take("INBOX", "X", "b") }},
	{name: "moved both ways", before: "INBOX: a b; X: x y", want: "INBOX: a y; X: x b", tune: small,
		change: func(h hand) { h.near.take("INBOX", "X", "b"); h.near.take("X", "INBOX", "y") }},
	{name: "moved on while others are new", before: "INBOX: a b; X: x", want: "INBOX: a c d; X: x b e/S",
		change: func(h hand) { h.near.put("INBOX: c; X: e/S"); h.near.take("INBOX", "X", "b"); h.far.put("INBOX: d") }},
	{name: "a day's work", before: "INBOX: a/S b/S c/S d/S e/S f/S", tune: small,
		want: "INBOX: a/FR f g i/,todo; Near: d h; Far: e/S",
		change: func(h hand) {
			h.near.flag("INBOX", "RS", "a")
			h.far.flag("INBOX", "F", "a")
			h.near.drop("INBOX", "b")
			h.far.drop("INBOX", "c")
			h.near.put("INBOX: g")
			h.far.put("INBOX: i/,todo")
			h.near.flag("INBOX", "", "d")
			h.near.take("INBOX", "Near", "d")
			h.far.take("INBOX", "Far", "e")
			h.near.flag("INBOX", "", "f")
			h.near.put("Near: h")
		}},
}

// peculiar has mail and mailboxes that are unlike others, and stores that are met for the first time or not as they were left.
var peculiar = []scenario{
	{name: "equal copies", before: "INBOX: a b b", want: "INBOX: a b b b",
		change: func(h hand) { h.near.put("INBOX: b") }},
	{name: "equal copies on both sides", before: "INBOX: a", want: "INBOX: a b b b",
		change: func(h hand) { h.near.put("INBOX: b b b"); h.far.put("INBOX: b b") }},
	{name: "one of three copies gone", before: "INBOX: a b b b", want: "INBOX: a b b",
		change: func(h hand) { h.near.drop("INBOX", "b") }},
	{name: "equal copies in two mailboxes", before: "INBOX: a b; Box: b", want: "INBOX: a; Box: b b",
		change: func(h hand) { h.near.take("INBOX", "Box", "b") }},
	{name: "no header", before: "INBOX: a raw:b bare:c", want: "INBOX: a bare:c raw:d bare:e bare:f",
		change: func(h hand) {
			h.near.drop("INBOX", "raw:b")
			h.near.put("INBOX: raw:d bare:e")
			h.far.put("INBOX: bare:f")
		}},
	{name: "no Message-ID", before: "INBOX: a noid:b; Box: noid:x", want: "INBOX: a noid:c/S; Box: noid:x noid:b",
		change: func(h hand) { h.near.put("INBOX: noid:c/S"); h.near.take("INBOX", "Box", "noid:b") }},
	{name: "odd and large mail", before: "INBOX: a", want: "INBOX: a 8bit:b big:c big:d/F 8bit:e",
		change: func(h hand) { h.near.put("INBOX: 8bit:b big:c"); h.far.put("INBOX: big:d/F 8bit:e") }},
	{name: "keywords", before: "INBOX: a/,todo b/,todo,later c", want: "INBOX: a b/,later,new c/,x,y,z d/,todo,x",
		change: func(h hand) {
			h.near.flag("INBOX", "", "a")
			h.far.flag("INBOX", ",later,new", "b")
			h.near.flag("INBOX", ",x,y", "c")
			h.far.flag("INBOX", ",z", "c")
			h.near.put("INBOX: d/,todo,x")
		}},
	{name: "keywords that one side cannot hold", before: "INBOX: a/,known", want: "INBOX: a/,known,strange b/S,strange", wantFar: "INBOX: a/,known b/S",
		only: memoryFar,
		options: func(o *memory.Options, near bool) {
			if !near {
				o.FixedKeywords, o.Keywords = true, []string{"known"}
			}
		},
		change: func(h hand) { h.near.flag("INBOX", ",known,strange", "a"); h.near.put("INBOX: b/S,strange") }},
	{name: "flags then delete", before: "INBOX: a b/S c", want: "INBOX: a c/T",
		change: func(h hand) {
			h.near.flag("INBOX", "FST", "b")
			h.near.drop("INBOX", "b")
			h.near.flag("INBOX", "T", "c")
		}},
	{name: "delivered and read", before: "INBOX: a b", want: "INBOX: a/S b c d/S",
		change: func(h hand) { h.near.put("INBOX: c d"); h.near.flag("INBOX", "S", "d"); h.near.flag("INBOX", "S", "a") }},
	{name: "mailbox made", before: "INBOX: a", want: "INBOX: a; Empty:; Full: b c/S",
		change: func(h hand) { h.near.create("Empty"); h.near.put("Full: b c/S") }},
	{name: "mailboxes made on both sides", before: "INBOX: a", want: "INBOX: a; Both: b c; Near: d; Far: e",
		change: func(h hand) { h.near.put("Both: b; Near: d"); h.far.put("Both: c; Far: e") }},
	{name: "nested and foreign names", before: "INBOX: a; Lists/Go/Nuts: x", want: "INBOX: a; Lists/Go/Nuts: x b; Entwürfe: c; 予定/今日: d; Lists/C: e",
		change: func(h hand) { h.near.put("Lists/Go/Nuts: b; Entwürfe: c"); h.far.put("予定/今日: d; Lists/C: e") }},
	{name: "moved into a new mailbox", before: "INBOX: a b c/S", want: "INBOX: a; Made: b d; Made/Below: c/S",
		change: func(h hand) {
			h.near.take("INBOX", "Made", "b")
			h.near.put("Made: d")
			h.near.take("INBOX", "Made/Below", "c")
		}},
	{name: "first contact", want: "INBOX: a b/S c d; Near: e; Far: f",
		change: func(h hand) { h.near.put("INBOX: a b/S; Near: e"); h.far.put("INBOX: c d; Far: f") }},
	{name: "first contact with overlap", want: "INBOX: a/FS b c noid:d raw:e x x y y!1; Box: f/S",
		change: func(h hand) {
			h.near.put("INBOX: a/S b noid:d raw:e x y; Box: f/S")
			h.far.put("INBOX: a/F c noid:d raw:e x x y!1; Box: f")
		}},
	{name: "numbered anew", before: "INBOX: a/S b c noid:d; Box: x", want: "INBOX: a/S b c noid:d; Box: x",
		change: func(h hand) { h.far.renumber("INBOX") }},
	{name: "numbered anew amid changes", before: "INBOX: a/S b c d e/F; Box: x", want: "INBOX: a/S b/F c d/S e/F g h; Box: x c",
		// c comes back to where it was moved from: pairing anew never deletes. After an interruption some of that is paired already, and which of both
		// places it is known in decides.
		or: []string{"INBOX: a/S b/F d/S e/F g h; Box: x c", "INBOX: a/S b/F c d/S e/F g h; Box: x"},
		change: func(h hand) {
			h.near.take("INBOX", "Box", "c")
			h.near.put("INBOX: g")
			h.near.flag("INBOX", "S", "d")
			h.far.renumber("INBOX")
			h.far.put("INBOX: h")
			h.far.flag("INBOX", "F", "b")
		}, only: numbered},
	{name: "near went back in time", want: "INBOX: a b c/S d; Box: x",
		history: func(h hand) {
			h.near.put("INBOX: a b; Box: x")
			h.sync()
			restore := h.near.keep()
			h.far.put("INBOX: c/S d")
			h.sync()
			restore()
		}, only: func(near, _ *memory.Options) bool { return near != nil && !near.Reserves }},
	{name: "both numbered anew", before: "INBOX: a/S b c; Box: x", want: "INBOX: a/S b c d; Box: x",
		change: func(h hand) { h.near.renumber("INBOX"); h.far.renumber("INBOX"); h.far.put("INBOX: d") }},
	{name: "far went back in time", want: "INBOX: a b c/S d; Box: x",
		history: func(h hand) {
			h.near.put("INBOX: a b; Box: x")
			h.sync()
			restore := h.far.keep()
			h.near.put("INBOX: c/S d")
			h.sync()
			restore()
		}, only: numbered},
	{name: "refused", before: "INBOX: a", want: "INBOX: a bad:b c d", wantFar: "INBOX: a c d", only: memoryFar,
		options: func(o *memory.Options, near bool) {
			if !near {
				o.Refuse = func(data []byte) error {
					if isBad(data) {
						return errors.New("this message is bad")
					}
					return nil
				}
			}
		},
		change: func(h hand) { h.near.put("INBOX: bad:b c"); h.far.put("INBOX: d") }},
}

// journal has what happens to the logs, and what fills more than one batch of them.
var journal = []scenario{
	{name: "more than a batch", before: "INBOX: a", want: "INBOX: a m1..m140/S", tune: small,
		change: func(h hand) { h.near.put("INBOX: m1..m140/S") }},
	{name: "checkpoint", before: "INBOX: a b c; Box: x", want: "INBOX: a/S c d e; Box: x", tune: checkpoints,
		change: func(h hand) {
			h.near.put("INBOX: d")
			h.far.put("INBOX: e")
			h.near.flag("INBOX", "S", "a")
			h.far.drop("INBOX", "b")
		}},
	{name: "checkpoint after many syncs", want: "INBOX: a b c d e/S; Box: x y", tune: checkpoints,
		history: func(h hand) {
			h.near.put("INBOX: a b; Box: x")
			h.sync()
			h.far.put("INBOX: c")
			h.sync()
			h.near.put("INBOX: d")
			h.sync()
		},
		change: func(h hand) { h.near.put("Box: y"); h.far.put("INBOX: e/S") }},
	{name: "first sync with checkpoint", want: "INBOX: a b/S c; Box: x", tune: checkpoints,
		change: func(h hand) { h.near.put("INBOX: a b/S; Box: x"); h.far.put("INBOX: c") }},
	{name: "rebuild", before: "INBOX: a/S b c; Box: x", want: "INBOX: a/S b/F c d; Box: x",
		change: func(h hand) { h.near.flag("INBOX", "F", "b"); h.far.put("INBOX: d") },
		run: func(w *world) error {
			if _, err := logstate.SetAside(w.t.Context(), w.acc.Dir, w.acc.Logs); err != nil {
				return err
			}
			_, err := w.sync(w.t.Context())
			return err
		}},
	{name: "all logs lost", before: "INBOX: a/S b c", want: "INBOX: a/S b c d e",
		change: func(h hand) { h.w.lose("left", "right", "shared"); h.near.put("INBOX: d"); h.far.put("INBOX: e") }},
	{name: "shared log lost", before: "INBOX: a/S b c; Box: x", want: "INBOX: a/S c d; Box: x b", tune: small,
		change: func(h hand) { h.w.lose("shared"); h.near.put("INBOX: d"); h.near.take("INBOX", "Box", "b") }},
	{name: "side logs lost", before: "INBOX: a/S b c", want: "INBOX: a/S c d",
		change: func(h hand) { h.w.lose("left", "right"); h.near.put("INBOX: d"); h.near.drop("INBOX", "b") }},
	{name: "old logs restored", want: "INBOX: a/S b/F c d e", tune: small,
		history: func(h hand) {
			h.near.put("INBOX: a/S b")
			h.sync()
			restore := h.w.keepLogs()
			h.near.put("INBOX: c")
			h.far.flag("INBOX", "F", "b")
			h.sync()
			restore()
		},
		change: func(h hand) { h.near.put("INBOX: d"); h.far.put("INBOX: e") }},
}

// lose removes logs.
func (w *world) lose(logs ...string) {
	w.t.Helper()
	for _, l := range logs {
		if err := os.RemoveAll(filepath.Join(w.acc.Dir, l)); err != nil {
			w.t.Fatal(err)
		}
	}
}

// keepLogs remembers the logs; what it returns brings them back.
func (w *world) keepLogs() (restore func()) {
	w.t.Helper()
	kept := filepath.Join(w.t.TempDir(), "logs")
	copyTree(w.t, w.acc.Dir, kept)
	return func() {
		if err := os.RemoveAll(w.acc.Dir); err != nil {
			w.t.Fatal(err)
		}
		copyTree(w.t, kept, w.acc.Dir)
	}
}
