package logstate

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
)

// The three logs of an account belong together: side logs name mailboxes by number, and the shared log counts what it has of them. With a log of another account among
// them, one account's effects would be taken for the other's. So the upper bits of all epochs of an account are a number drawn when its first log is
// made, its lineage; the lower ones count.
const lineageShift = 12

// errForeignLog says that the logs in one place do not belong together.
var errForeignLog = errors.New("the logs do not belong to one account")

// newLineage draws a lineage, from 1 to 2^20-1. Tests make it give the same each time.
var newLineage = func() uint32 {
	var b [4]byte
	for {
		_, _ = rand.Read(b[:]) // it never fails
		if l := binary.LittleEndian.Uint32(b[:]) >> lineageShift; l != 0 {
			return l
		}
	}
}

// lineageOf returns the lineage of an account whose left, right and shared log have these epochs; 0 is a log without any entry. ok is false when
// all are.
func lineageOf(epochs [3]uint32) (lineage uint32, ok bool, err error) {
	for i, e := range epochs {
		if e == 0 {
			continue
		}
		l := e >> lineageShift
		if ok && l != lineage {
			return 0, false, fmt.Errorf("%w: the %s log is not of the same account as those before it (left, right, shared); put back the one that belongs here",
				errForeignLog, [3]string{"left", "right", "shared"}[i])
		}
		lineage, ok = l, true
	}
	return lineage, ok, nil
}

// firstEpoch returns the epoch in which a log begins that has none yet.
func firstEpoch(lineage uint32) uint32 { return lineage<<lineageShift | 1 }

// counted returns the part of an epoch that people are told: the first one is 1.
func counted(epoch uint32) uint32 { return epoch & (1<<lineageShift - 1) }
