package maildir

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// holder says, for people, who holds the flock on a file: the program's name and process number where the system tells (Linux, in /proc).
func holder(f *os.File) string {
	const unknown = "another program"
	fi, err := f.Stat()
	if err != nil {
		return unknown
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return unknown
	}
	table, err := os.ReadFile("/proc/locks")
	if err != nil {
		return unknown
	}
	dev := uint64(st.Dev)
	pid := flockHolder(table, unix.Major(dev), unix.Minor(dev), st.Ino)
	if pid == 0 {
		return unknown
	}
	if pid == os.Getpid() {
		return fmt.Sprintf("this very program (process %d)", pid)
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("process %d", pid)
	}
	return fmt.Sprintf("%s (process %d)", printable(name), pid)
}

// flockHolder returns the process that holds the flock on an inode according to the text of /proc/locks, 0 if it does not tell. A line is
//
//	1: FLOCK  ADVISORY  WRITE 4711 08:01:131090 0 EOF
//
// with the device as two hexadecimal numbers; a waiting process has "->" after the first field. Some file systems show another device there than
// stat does: an entry for the same inode on another device counts if there is none on this one and no other.
func flockHolder(table []byte, major, minor uint32, ino uint64) int {
	var others []int
	for line := range bytes.Lines(table) {
		f := strings.Fields(string(line))
		if len(f) < 6 || f[1] != "FLOCK" {
			continue
		}
		pid, err := strconv.Atoi(f[4])
		at := strings.Split(f[5], ":")
		if err != nil || pid <= 0 || len(at) != 3 {
			continue // 0 and -1 stand for a process that cannot be seen from here
		}
		n, err := strconv.ParseUint(at[2], 10, 64)
		if err != nil || n != ino {
			continue
		}
		maj, errMaj := strconv.ParseUint(at[0], 16, 32)
		mnr, errMin := strconv.ParseUint(at[1], 16, 32)
		if errMaj == nil && errMin == nil && uint32(maj) == major && uint32(mnr) == minor {
			return pid
		}
		others = append(others, pid)
	}
	if len(others) == 1 {
		return others[0]
	}
	return 0
}

// printable returns a program's name without anything that a terminal would act on.
func printable(name []byte) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\uFFFD' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(strings.TrimSuffix(string(name), "\n"), "?")))
}
