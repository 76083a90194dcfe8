package maildir

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// clockKind says how the times of a file system can be trusted.
type clockKind uint8

const (
	clockFine    clockKind = iota // stamps by this machine's clock, a few milliseconds apart
	clockCoarse                   // stamps by this machine's clock, up to two seconds apart
	clockForeign                  // stamps by another machine's clock, or nothing is known
)

// stamp is what tells that a directory or file did not change: equal stamps, older than the file system's granularity. The zero
// value stands for what does not exist.
type stamp struct {
	dev, ino     uint64
	mtime, ctime int64 // nanoseconds since 1970
}

// stamps are the stamps of all that makes up the listing of a mailbox.
type stamps struct {
	cur, fresh, table, side stamp // cur/, new/, dovecot-keywords, driftless-keywords
}

// exists reports whether there is anything.
func (s stamp) exists() bool { return s != stamp{} }

func stampOf(path string) (stamp, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, err
	}
	return stampFrom(fi), nil
}

func stampFrom(fi fs.FileInfo) stamp {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return stamp{ino: 1, mtime: fi.ModTime().UnixNano()}
	}
	sec, nsec := changeTime(st)
	return stamp{dev: uint64(st.Dev), ino: st.Ino, mtime: fi.ModTime().UnixNano(), ctime: sec*int64(time.Second) + nsec}
}

func inodeOf(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// linksOf returns how many names a file has; 1 where that is not told.
func linksOf(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}

// stampsOf returns the present stamps of a mailbox directory.
func stampsOf(dir string) (stamps, error) {
	var s stamps
	for _, p := range []struct {
		to   *stamp
		name string
	}{{&s.cur, "cur"}, {&s.fresh, "new"}, {&s.table, keywordsFile}, {&s.side, sidecarFile}} {
		var err error
		if *p.to, err = stampOf(dir + "/" + p.name); err != nil {
			return stamps{}, err
		}
	}
	return s, nil
}

// Ages below which a change may still give the stamp that is already there.
const (
	coarseAge  = 3 * time.Second
	foreignAge = time.Minute
)

// granule returns how old stamps must be on this file system to be trusted.
func (s stamps) granule(kind clockKind, tick time.Duration) (time.Duration, clockKind) {
	if kind == clockFine && s.whole() {
		kind = clockCoarse
	}
	switch kind {
	case clockFine:
		return tick + tick/4, kind
	case clockCoarse:
		return coarseAge, kind
	default:
		return foreignAge, kind
	}
}

// whole reports whether the change times are all whole multiples of 10 ms, which means that the file system keeps no finer ones.
func (s stamps) whole() bool {
	for _, t := range []stamp{s.cur, s.fresh, s.table, s.side} {
		if t.exists() && t.ctime%int64(10*time.Millisecond) != 0 {
			return false
		}
	}
	return true
}

// freshFor returns for how long a change at now could still give one of these stamps again, 0 or less if not at all. The
// change time decides, for no program can set it. A stamp in the future (the clock was set back) is as safe as an old one.
func (s stamps) freshFor(now time.Time, granule time.Duration) time.Duration {
	var wait time.Duration
	for _, t := range []stamp{s.cur, s.fresh, s.table, s.side} {
		age := now.Sub(time.Unix(0, t.ctime))
		if t.exists() && age < granule && age > -granule {
			wait = max(wait, granule-age)
		}
	}
	return wait
}
