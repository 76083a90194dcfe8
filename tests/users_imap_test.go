package tests

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"time"

	"driftless/tests/harness"
)

// rightFlags are the flags that IMAP users set.
var rightFlags = []string{`\Seen`, `\Flagged`, `\Answered`, "Work", "Later", "$Forwarded"}

var copyUID = regexp.MustCompile(`COPYUID \d+ \d+ (\d+)`)

// copied returns the UID that a moved or copied message got.
func copied(a harness.Answer) (uint32, error) {
	for _, line := range append(a.Untagged, a.Text) {
		if m := copyUID.FindStringSubmatch(line); m != nil {
			uid, err := strconv.ParseUint(m[1], 10, 32)
			return uint32(uid), err
		}
	}
	return 0, fmt.Errorf("no COPYUID in %q %q", a.Untagged, a.Text)
}

// imapUser is a mail client on the server. A single connection has at most one user.
func (c *throng) imapUser(name string) {
	client := c.w.d.Client("u")
	var own []*owned
	// Each command's answer is checked; Try does not end the test from another goroutine than its own.
	do := func(format string, args ...any) (harness.Answer, bool) {
		a, err := client.Try(format, args...)
		if err != nil || a.Status != "OK" {
			c.t.Errorf("%s: %s: %s %s %v", name, fmt.Sprintf(format, args...), a.Status, a.Text, err)
			return a, false
		}
		return a, true
	}
	selected := ""
	open := func(box string) bool {
		if selected == box {
			return true
		}
		_, ok := do("SELECT %s", harness.WireName(box))
		selected = box
		return ok
	}
	c.user(name, 2*time.Millisecond, &own, func(r *rand.Rand) (string, int) {
		var mine []*owned
		for _, o := range own {
			if !o.gone {
				mine = append(mine, o)
			}
		}
		box := userBoxes[r.IntN(len(userBoxes))]
		if len(mine) < 20 || len(mine) < 150 && r.IntN(4) == 0 {
			o := &owned{n: c.number(), box: box}
			for _, f := range rightFlags {
				if r.IntN(4) == 0 {
					o.flags = append(o.flags, f)
				}
			}
			uids, refused, err := client.TryAppend(box, harness.Letter{Body: harness.ToCRLF(userMail(o.n)), Flags: o.flags, Date: date(o.n)})
			if err != nil || len(refused) > 0 || uids[0] == 0 {
				c.t.Errorf("append: %v %v %v", uids, refused, err)
				return "", 0
			}
			o.uid = uids[0]
			own = append(own, o)
			return "right append", 1
		}
		o := mine[r.IntN(len(mine))]
		if !open(o.box) {
			return "", 0
		}
		switch r.IntN(8) {
		case 0, 1:
			if box == o.box {
				return "", 0
			}
			a, ok := do("UID MOVE %d %s", o.uid, harness.WireName(box))
			uid, err := copied(a)
			if !ok || err != nil {
				c.t.Errorf("move: %v", err)
			}
			o.uid, o.box = uid, box
			return "right move", 1
		case 2:
			if !c.twins {
				return "", 0
			}
			a, ok := do("UID COPY %d %s", o.uid, harness.WireName(box))
			uid, err := copied(a)
			if !ok || err != nil {
				c.t.Errorf("copy: %v", err)
			}
			own = append(own, &owned{n: o.n, box: box, flags: slices.Clone(o.flags), uid: uid})
			return "right copy", 1
		case 3:
			if _, ok := do(`UID STORE %d +FLAGS.SILENT (\Deleted)`, o.uid); ok {
				do("UID EXPUNGE %d", o.uid)
			}
			o.gone = true
			return "right expunge", 1
		default:
			f := rightFlags[r.IntN(len(rightFlags))]
			op := "+"
			if slices.Contains(o.flags, f) {
				op = "-"
			}
			do("UID STORE %d %sFLAGS.SILENT (%s)", o.uid, op, f)
			o.toggle(f)
			return "right flag", 1
		}
	})
}
