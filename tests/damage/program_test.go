package damage

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// scene is everything that there was at a moment of a program's life: a Maildir, a server's mail, the logs.
type scene struct {
	name    string
	maildir string // a copy
	thaw    func(user string)
	logs    files
	pre     [2]harness.Mail
	deleted map[string]bool // digests of messages that were deleted on one side since the last sync
}

// stage is the server that all scenes are played on.
type stage struct {
	t      testing.TB
	d      *harness.Dovecot
	scenes []*scene
	users  int
}

// TestDamagedLogsOfTheProgram damages the logs of the real program, between a Maildir and a real server, and looks at what each command makes of it.
func TestDamagedLogsOfTheProgram(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	cases := s.cases()
	tried, refused := 0, 0
	for i := range torture.Points(t, len(cases), 12) {
		tried++
		if s.try(t, cases[i]) {
			refused++
		}
	}
	t.Logf("%d of %d cases, %d of them refused", tried, len(cases), refused)
}

func letter(n int, more string) []byte {
	return harness.ToCRLF(fmt.Appendf(nil, "From: a%d@example.org\nSubject: message %d\nMessage-ID: <%d@example.org>\nDate: Sat, 3 Feb 2001 04:05:06 +0000\n\nmessage %d\n%s", n, n, n, n, more))
}

func file(n int) []byte { return []byte(strings.ReplaceAll(string(letter(n, "")), "\r\n", "\n")) }

func date(n int) time.Time { return time.Date(2003, 4, 5, 6, 7, n, 0, time.UTC) }

// newStage plays the life of an account and keeps four scenes of it.
func newStage(t *testing.T) *stage {
	s := &stage{t: t, d: harness.StartDovecot(t, harness.Options{})}
	p := harness.NewProgram(t)
	m, c := harness.NewMaildir(t, p.Home+"/Mail"), s.d.Client("u")
	proxy := harness.StartProxy(t, s.d.Addr())
	p.WriteConfig(harness.Account("work", "", harness.MaildirSide(m.Root), harness.IMAPSide(proxy.Port(), "u")))
	var names []string
	for n := 1; n <= 14; n++ {
		names = append(names, m.Deliver("INBOX", file(n), date(n), `\Seen`))
	}
	var letters []harness.Letter
	for n := 11; n <= 24; n++ {
		letters = append(letters, harness.Letter{Body: letter(n, ""), Date: date(n), Flags: []string{`\Flagged`}})
	}
	c.Append("INBOX", letters...)
	var uids []uint32
	for _, msg := range c.Messages("INBOX", false) {
		uids = append(uids, msg.UID)
	}
	c.Create("Archive")
	p.Sync(0)
	s.keep("first sync", p, m, c, nil)

	m.Deliver("INBOX", file(31), date(31))
	m.Deliver("Größe", file(32), date(32), `\Seen`, "Work")
	c.Append("Archive", harness.Letter{Body: letter(33, ""), Date: date(33)})
	m.SetFlags("INBOX", names[0], `\Seen`, `\Answered`)
	c.Store("INBOX", uids[8:9], "+", `\Answered`)
	m.Remove("INBOX", names[1])
	c.Expunge("INBOX", uids[9:10])
	m.Move("INBOX", names[2], "Größe")
	c.Move("INBOX", uids[10:11], "Archive")
	gone := map[string]bool{harness.Digest(letter(2, "")): true, harness.Digest(letter(20, "")): true}
	s.keep("changes", p, m, c, gone)
	p.Sync(0)
	s.keep("second sync", p, m, c, nil)

	for n := 41; n <= 44; n++ {
		m.Deliver("INBOX", file(n), date(n))
	}
	m.Deliver("INBOX", []byte(strings.ReplaceAll(string(letter(45, strings.Repeat("a long line of a long message\n", 100_000))), "\r\n", "\n")), date(45))
	start := proxy.Counts()
	run := p.Start("sync")
	harness.Eventually(t, func() error {
		if up := proxy.Counts().Sub(start).Up; up < 200_000 {
			return fmt.Errorf("only %d bytes are on their way", up)
		}
		return nil
	})
	run.Signal(syscall.SIGKILL)
	run.Wait()
	last := -1
	harness.Eventually(t, func() error { // until the server has seen that nobody is there any more
		n := len(c.Messages("INBOX", false))
		if n != last {
			last = n
			return fmt.Errorf("there are %d messages now", n)
		}
		return nil
	})
	s.keep("killed sync", p, m, c, nil)
	return s
}

// keep keeps a scene.
func (s *stage) keep(name string, p *harness.Program, m *harness.Maildir, c *harness.Client, deleted map[string]bool) {
	s.t.Helper()
	sc := &scene{name: name, maildir: filepath.Join(s.t.TempDir(), "Mail"), deleted: deleted, logs: readTree(s.t, filepath.Join(p.State, "work"))}
	sc.pre = [2]harness.Mail{m.All(), c.All()}
	harness.CopyTree(s.t, m.Root, sc.maildir)
	c.Close()
	sc.thaw = s.d.Freeze(s.t, "u")
	*c = *s.d.Client("u")
	s.scenes = append(s.scenes, sc)
}

// act is one case: a scene with other logs.
type act struct {
	name     string
	scene    *scene
	logs     files
	link     string // this path is a link to nowhere
	refuse   bool   // it must be refused
	reported bool   // the sync must say that it was repaired
}

// cases returns a representative share of what the tests of the engine try.
func (s *stage) cases() []act {
	var out []act
	for at, sc := range s.scenes {
		add := func(name string, logs files, a act) {
			a.name, a.scene, a.logs = name, sc, logs
			out = append(out, a)
		}
		for _, log := range logNames {
			names := segmentNames(sc.logs, log)
			if len(names) == 0 {
				continue
			}
			path := log + "/" + names[len(names)-1]
			data := sc.logs[path]
			entries := segment{names[0], []byte(data)}.entries(s.t)
			last := entries[len(entries)-1]
			told := act{reported: true}
			for _, cut := range []int{0, last.begin, last.begin + 1, last.begin + 20, len(data) - 1, len(data) / 2} {
				add(fmt.Sprintf("%s cut to %d", path, cut), with(sc.logs, path, data[:cut]), act{})
			}
			for _, bit := range []int{3, 8*last.begin + 100, 8*last.end - 1, 4 * len(data)} {
				add(fmt.Sprintf("bit %d of %s", bit, path), flip(sc.logs, path, bit), told)
			}
			add("zeroes behind "+path, with(sc.logs, path, data+strings.Repeat("\x00", 4096)), told)
			add("garbage behind "+path, with(sc.logs, path, data+"garbage, and more garbage, up to here\xff\xff"), told)
			add(path+" is empty", with(sc.logs, path, ""), act{})
			add(log+" is missing", without(sc.logs, log+"/"), act{})
			add(log+" is a file", with(without(sc.logs, log+"/"), log, "x"), act{refuse: true})
			add(log+" is a link to nowhere", without(sc.logs, log+"/"), act{link: log, refuse: true})
			add(path+" is a directory", with(without(sc.logs, path), path+"/", ""), act{refuse: true})
			add("a newer version in "+path, with(sc.logs, path, data+string(newer(last.index+1))), act{refuse: true})
			add(path+".START.TEMP", with(sc.logs, path+".START.TEMP", data[:len(data)/2]), act{})
			add(path+".START", with(sc.logs, path+".START", data[:len(data)/2]), told)
			if at > 0 {
				old := without(sc.logs, log+"/")
				take(old, s.scenes[at-1].logs, log)
				add("an older "+log, old, act{})
			}
		}
		add("all logs are missing", files{}, act{})
		add("left and right exchanged", exchanged(sc.logs), act{})
		if at > 0 {
			add("all logs are older", s.scenes[at-1].logs, act{})
		}
	}
	return out
}

// exchanged returns the logs with the left one in the place of the right one, and the other way round.
func exchanged(logs files) files {
	out := files{}
	for path, data := range logs {
		switch log, rest, _ := strings.Cut(path, "/"); log {
		case "left":
			path = "right/" + rest
		case "right":
			path = "left/" + rest
		}
		out[path] = data
	}
	return out
}

// try plays a case. It reports whether the sync was refused.
func (s *stage) try(t *testing.T, a act) (refused bool) {
	t.Helper()
	var wrong []string
	bad := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	defer func() {
		if len(wrong) > 0 {
			t.Errorf("%s, %s:\n  %s", a.scene.name, a.name, strings.Join(wrong, "\n  "))
		}
	}()
	s.users++
	user := fmt.Sprintf("d%d", s.users)
	a.scene.thaw(user)
	p := harness.NewProgram(t)
	root := p.Home + "/Mail"
	harness.CopyTree(t, a.scene.maildir, root)
	p.WriteConfig(harness.Account("work", "", harness.MaildirSide(root), harness.IMAPSide(s.d.Port(), user)))
	dir := filepath.Join(p.State, "work")
	a.logs.writeTree(t, dir)
	if a.link != "" {
		must(t, os.Symlink("/nowhere", filepath.Join(dir, a.link)))
	}
	m, c := harness.NewMaildir(t, root), s.d.Client(user)
	defer c.Close()

	before := readTree(t, dir)
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"log"}, {"log", "--json"}, {"verify"}, {"sync", "--dry-run"}} {
		r := p.Run(args...)
		if r.Code != 0 && r.Code != 1 && r.Code != 3 || r.Code == 1 && r.Stderr+r.Stdout == "" {
			bad("%v", r)
		}
		if r.Code == 1 && args[0] != "verify" && !strings.Contains(r.Stderr, "sync repairs it") && !strings.Contains(r.Stderr, "driftless rebuild work") {
			bad("it does not say what to do: %v", r)
		}
		if slices.Contains(args, "--json") {
			for line := range strings.Lines(r.Stdout) {
				if !json.Valid([]byte(line)) {
					bad("not JSON: %q", line)
				}
			}
		}
	}
	if diff := before.diff(readTree(t, dir)); len(diff) > 0 {
		bad("reading has written: %s", strings.Join(diff, ", "))
	}
	r := p.Run("sync")
	refused = r.Code != 0
	switch {
	case refused && (r.Code > 3 || !strings.Contains(r.Stderr, "driftless rebuild work")):
		bad("%v", r)
	case refused:
		if now := [2]harness.Mail{m.All(), c.All()}; len(harness.Diff(now[0], a.scene.pre[0])) > 0 || len(harness.Diff(now[1], a.scene.pre[1])) > 0 {
			bad("the refusal has changed a store: %v", r)
		}
		if r := p.Run("rebuild", "work"); r.Code != 0 {
			bad("%v", r)
		}
		if r := p.Run("sync"); r.Code != 0 {
			bad("after the rebuild: %v", r)
		}
	case a.refuse:
		bad("not refused: %v", r)
	case a.reported && !strings.Contains(r.Stderr, "log repaired at entry "):
		bad("it does not say that it has repaired anything: %v", r)
	}
	left, right := m.All(), c.All()
	if diff := harness.Diff(left, right); len(diff) > 0 {
		bad("the sides differ: %s", strings.Join(diff, ", "))
	}
	for _, w := range compare(a.scene, right) {
		bad("%s; the sync said: %v", w, r)
	}
	after := readTree(t, dir)
	if s := p.Sync(0); !s.Idle() {
		bad("the second sync is not silent: %+v", s)
	}
	if diff := after.diff(readTree(t, dir)); len(diff) > 0 {
		bad("the second sync has written: %s", strings.Join(diff, ", "))
	}
	if r := p.Run("verify", "--content"); r.Code != 0 {
		bad("%v", r)
	}
	return refused
}

// compare returns what is lost and what there is too much of.
func compare(sc *scene, post harness.Mail) (wrong []string) {
	count := func(m harness.Mail) (all map[string]int, total map[string]int) {
		all, total = map[string]int{}, map[string]int{}
		for box, list := range m {
			for _, msg := range list {
				all[box+" "+msg.Hash]++
				total[msg.Hash]++
			}
		}
		return all, total
	}
	l, inLeft := count(sc.pre[0])
	r, inRight := count(sc.pre[1])
	got, total := count(post)
	for key, n := range got {
		if n > max(l[key], r[key]) {
			wrong = append(wrong, fmt.Sprintf("%s is there %d times, it was %d and %d", key, n, l[key], r[key]))
		}
	}
	both := maps.Clone(inLeft)
	for d, n := range inRight {
		both[d] = max(both[d], n)
	}
	for d := range both {
		if total[d] == 0 && !sc.deleted[d] {
			wrong = append(wrong, d+" is lost")
		}
	}
	return wrong
}

// TestLogsWithoutPermission takes the right to read or write the logs away. That is refused, with the path and the reason; nothing is done to a store, and once the right is
// back the sync goes on as if nothing had been.
func TestLogsWithoutPermission(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("not root: the program is run as somebody else")
	}
	const uid = 1500
	p := harness.NewProgram(t)
	roots := [2]string{p.Home + "/left", p.Home + "/right"}
	p.WriteConfig(harness.Account("work", "", harness.MaildirSide(roots[0]), harness.MaildirSide(roots[1])))
	m := harness.NewMaildir(t, roots[0])
	for n := 1; n <= 5; n++ {
		m.Deliver("INBOX", file(n), date(n))
	}
	p.Sync(0)
	program, err := os.ReadFile(harness.Build(t))
	must(t, err)
	own := filepath.Join(p.Home, "driftless")
	must(t, os.WriteFile(own, program, 0o755))
	must(t, filepath.WalkDir(p.Home, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	}))
	p.Wrap = []string{"setpriv", fmt.Sprintf("--reuid=%d", uid), fmt.Sprintf("--regid=%d", uid), "--clear-groups", "sh", "-c", "shift; exec " + own + ` "$@"`, "sh"}
	dir := filepath.Join(p.State, "work")
	n := 0
	for _, log := range logNames {
		segs := segments(t, filepath.Join(dir, log))
		if len(segs) == 0 {
			continue // nothing came from that side
		}
		for _, c := range []struct {
			path  string
			mode  os.FileMode
			write bool // only writing fails
		}{
			{log, 0, false}, {log, 0o500, true}, {log + "/" + segs[0].name, 0, false}, {log + "/" + segs[0].name, 0o400, true},
		} {
			n++
			path := filepath.Join(dir, c.path)
			info, err := os.Stat(path)
			must(t, err)
			m.Deliver("INBOX", file(100+n), date(n))
			must(t, filepath.WalkDir(roots[0], func(path string, _ os.DirEntry, err error) error {
				if err != nil {
					return err
				}
				return os.Lchown(path, uid, uid)
			}))
			must(t, os.Chmod(path, c.mode))
			before := harness.NewMaildir(t, roots[1]).All()
			r := p.Run("sync")
			// A directory that cannot be written is no matter as long as no segment is begun in it.
			if r.Code != 0 {
				if r.Code != 1 || !strings.Contains(r.Stderr, "permission denied") || !strings.Contains(r.Stderr, log) {
					t.Errorf("%s with mode %v: %v", c.path, c.mode, r)
				}
				if diff := harness.Diff(before, harness.NewMaildir(t, roots[1]).All()); len(diff) > 0 && !c.write {
					t.Errorf("%s with mode %v: a store was changed: %v", c.path, c.mode, diff)
				}
			} else if !c.write {
				t.Errorf("%s with mode %v: %v", c.path, c.mode, r)
			}
			if r := p.Run("status"); r.Code != 0 && (r.Code != 1 || !strings.Contains(r.Stderr, "permission denied")) {
				t.Errorf("%s with mode %v: %v", c.path, c.mode, r)
			}
			must(t, os.Chmod(path, info.Mode()))
			p.Sync(0)
			if s := p.Sync(0); !s.Idle() {
				t.Errorf("%s with mode %v: the second sync is not silent: %+v", c.path, c.mode, s)
			}
			if diff := harness.Diff(m.All(), harness.NewMaildir(t, roots[1]).All()); len(diff) > 0 || m.All().Count() != 5+n {
				t.Errorf("%s with mode %v: %v", c.path, c.mode, diff)
			}
		}
	}
	if r := p.Run("verify", "--content"); r.Code != 0 {
		t.Errorf("%v", r)
	}
	t.Logf("%d permissions taken away", n)
}
