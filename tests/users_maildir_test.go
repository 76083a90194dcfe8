package tests

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// leftFlags are the flags that Maildir users set; the keyword has a letter in every mailbox from the first sync on.
var leftFlags = []string{`\Seen`, `\Flagged`, `\Answered`, "Work"}

// info returns the info part of a file name for flags. "Work" is the first keyword of every mailbox.
func info(flags []string) string {
	var out []string
	for _, f := range flags {
		out = append(out, map[string]string{`\Seen`: "S", `\Flagged`: "F", `\Answered`: "R", "Work": "a"}[f])
	}
	slices.Sort(out)
	return ":2," + strings.Join(out, "")
}

func (c *throng) path(o *owned) string { return filepath.Join(c.w.m.Path(o.box), o.dir, o.name) }

// unique returns a unique part that no file has.
func (c *throng) unique() string {
	return fmt.Sprintf("%d.P%dU%d.users", date(0).Unix(), os.Getpid(), c.number())
}

// renamed renames the file of a message to where o says it is now. Nobody else touches it, so this cannot fail.
func (c *throng) renamed(from string, o *owned) {
	if err := os.Rename(from, c.path(o)); err != nil {
		c.t.Errorf("a file that nobody else has anything to do with: %v", err)
	}
}

// deliver puts a new message into a mailbox as a delivery agent does.
func (c *throng) deliver(box string) *owned {
	o := &owned{n: c.number(), box: box, dir: "new", name: c.unique()}
	tmp := filepath.Join(c.w.m.Path(box), "tmp", o.name)
	c.write(tmp, o.n, 1)
	c.renamed(tmp, o)
	return o
}

// write writes a content to a file in so many parts, with its date.
func (c *throng) write(path string, n, parts int) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Errorf("deliver: %v", err)
		return
	}
	body := userMail(n)
	for i := range parts {
		if _, err := f.Write(body[i*len(body)/parts : (i+1)*len(body)/parts]); err != nil {
			c.t.Errorf("deliver: %v", err)
		}
		if parts > 1 {
			time.Sleep(2 * time.Millisecond)
		}
	}
	if err := f.Close(); err != nil {
		c.t.Errorf("deliver: %v", err)
	}
	if err := os.Chtimes(path, date(n), date(n)); err != nil {
		c.t.Errorf("deliver: %v", err)
	}
}

// burst is for how long a flipper sets flags without a pause.
const burst = 150 * time.Millisecond

// flipper is a client that does nothing but set flags in one mailbox, in bursts as fast as the file system lets it. The pauses let a listing come to its end now and then: in a storm
// without any, nothing is ever found to be gone.
func (c *throng) flipper(name string, messages int) {
	own := make([]*owned, messages)
	for i := range own {
		own[i] = c.deliver(userBoxes[0])
	}
	c.user(name, 200*time.Millisecond, &own, func(r *rand.Rand) (string, int) {
		n := 0
		for end := time.Now().Add(burst); time.Now().Before(end); n++ {
			c.flag(own[r.IntN(len(own))], r)
		}
		return "left flag", n
	})
}

func (c *throng) flag(o *owned, r *rand.Rand) {
	from := c.path(o)
	o.toggle(leftFlags[r.IntN(len(leftFlags))])
	base, _, _ := strings.Cut(o.name, ":")
	o.dir, o.name = "cur", base+info(o.flags)
	c.renamed(from, o)
}

// maildirUser is a client that does everything a mail client or a person may do with files.
func (c *throng) maildirUser(name string) {
	var own []*owned
	c.user(name, 4*time.Millisecond, &own, func(r *rand.Rand) (string, int) {
		var mine []*owned
		for _, o := range own {
			if !o.gone {
				mine = append(mine, o)
			}
		}
		box := userBoxes[r.IntN(len(userBoxes))]
		if len(mine) < 20 || len(mine) < 150 && r.IntN(3) == 0 {
			own = append(own, c.deliver(box))
			return "left deliver", 1
		}
		o := mine[r.IntN(len(mine))]
		from := c.path(o)
		base, _, _ := strings.Cut(o.name, ":")
		what := r.IntN(8)
		if !c.twins && (what == 3 || what == 4) {
			what = 7
		}
		switch what {
		case 0:
			if o.box == box || o.fixed {
				return "", 0
			}
			o.box = box
			c.renamed(from, o)
			return "left move", 1
		case 1:
			o.gone = true
			if err := os.Remove(from); err != nil {
				c.t.Errorf("remove: %v", err)
			}
			return "left remove", 1
		case 2:
			o.name = c.unique() + strings.TrimPrefix(o.name, base)
			o.fixed = false
			c.renamed(from, o)
			return "left rename unique part", 1
		case 3:
			twin := *o
			twin.flags = slices.Clone(o.flags)
			twin.box = box
			twin.name = c.unique() + strings.TrimPrefix(o.name, base)
			if twin.box != o.box && !o.fixed && r.IntN(2) == 0 {
				twin.name, twin.fixed, o.fixed = o.name, true, true
			}
			if err := os.Link(from, c.path(&twin)); err != nil {
				c.t.Errorf("hard link: %v", err)
			}
			own = append(own, &twin)
			return "left link", 1
		case 4:
			twin := *o
			twin.flags = slices.Clone(o.flags)
			twin.box = box
			twin.name = c.unique() + strings.TrimPrefix(o.name, base)
			tmp := filepath.Join(c.w.m.Path(box), "tmp", twin.name)
			c.write(tmp, twin.n, 1)
			c.renamed(tmp, &twin)
			own = append(own, &twin)
			return "left copy", 1
		case 5:
			n := &owned{n: c.number(), box: box, dir: "cur", name: c.unique() + ":2,"}
			c.write(c.path(n), n.n, 1+r.IntN(2))
			own = append(own, n)
			return "left careless copy", 1
		case 6:
			if o.dir == "cur" {
				return "", 0
			}
			o.dir, o.name = "cur", base+info(o.flags)
			c.renamed(from, o)
			return "left new to cur", 1
		default:
			c.flag(o, r)
			return "left flag", 1
		}
	})
}
