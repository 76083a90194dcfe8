package logstate

import (
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"slices"
	"strings"
)

// The three logs of an account belong together: side logs name mailboxes by number, and the shared log counts what it has of them. With a log of another account among
// them, one account's effects would be taken for the other's. So the upper bits of all epochs of an account's logs are one number, their lineage; the lower ones count.
//
// The lineage is made of the account's name when its first log is made, so that logs that were lost and come back later are still known. An account whose directory got another
// name keeps the lineage that its logs have.
const lineageShift = 12

// errForeignLog says that the logs in one place do not belong together.
var errForeignLog = errors.New("the logs do not belong to one account")

// lineageFor returns the lineage that the logs in an account's directory get if there are none yet; never 0.
func lineageFor(dir string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(filepath.Base(dir))) // it never fails
	return max(h.Sum32()>>lineageShift, 1)
}

// lineageOf returns the lineage of an account whose left, right and shared log have these epochs; 0 is a log without any entry. ok is false when
// all are.
func lineageOf(epochs [3]uint32) (lineage uint32, ok bool, err error) {
	logs := map[uint32][]string{}
	for i, e := range epochs {
		if e != 0 {
			lineage = e >> lineageShift
			logs[lineage] = append(logs[lineage], [3]string{"left", "right", "shared"}[i])
		}
	}
	if len(logs) > 1 {
		return 0, false, fmt.Errorf("%w: %s; put back what belongs here", errForeignLog, odd(logs))
	}
	return lineage, len(logs) == 1, nil
}

// odd says which log is not like the others, if that can be told.
func odd(logs map[uint32][]string) string {
	var one, all []string
	for _, names := range logs {
		if len(names) == 1 {
			one = append(one, names[0])
		}
		all = append(all, names...)
	}
	slices.Sort(all)
	if len(one) == 1 {
		return fmt.Sprintf("the %s log is of another one than the two others", one[0])
	}
	return fmt.Sprintf("the logs %s are each of another one", strings.Join(all, ", "))
}

// firstEpoch returns the epoch in which a log begins that has none yet.
func firstEpoch(lineage uint32) uint32 { return lineage<<lineageShift | 1 }

// counted returns the part of an epoch that people are told: the first one is 1.
func counted(epoch uint32) uint32 { return epoch & (1<<lineageShift - 1) }
