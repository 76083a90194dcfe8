package maildir

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"driftless/merge"
)

// unique makes unique parts of file names: seconds.M<microseconds>P<pid>Q<counter>R<token>.<host>, as the Maildir specification suggests, with a token drawn
// at random for each store that is opened. It remembers which of its own names may have been used, so that an append under
// a name that never was needs no look into the mailbox.
type unique struct {
	tail string // P<pid>Q
	mark string // R<token>.<host>

	mu    sync.Mutex
	count uint64
	used  []uint64 // bits by counter: an append under this name was tried
}

func newUnique() (unique, error) {
	var token [8]byte
	if _, err := rand.Read(token[:]); err != nil {
		return unique{}, fmt.Errorf("draw a token: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return unique{tail: "P" + strconv.Itoa(os.Getpid()) + "Q", mark: "R" + hex.EncodeToString(token[:]) + "." + cleanHost(host)}, nil
}

// cleanHost keeps what may stand in a unique part, at most 64 bytes of it.
func cleanHost(host string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '_'
	}, host)
	if clean == "" {
		return "localhost"
	}
	return clean[:min(len(clean), 64)]
}

// next returns a unique part that no file has.
func (u *unique) next(now time.Time) string {
	u.mu.Lock()
	u.count++
	n := u.count
	u.mu.Unlock()
	return fmt.Sprintf("%d.M%d%s%d%s", now.Unix(), now.Nanosecond()/1000, u.tail, n, u.mark)
}

// take marks a name as used and reports whether it is one of ours that never was used before.
func (u *unique) take(id merge.ID) bool {
	head, ok := strings.CutSuffix(string(id), u.mark)
	if !ok {
		return false
	}
	_, number, ok := strings.Cut(head, u.tail)
	if !ok {
		return false
	}
	n, err := strconv.ParseUint(number, 10, 64)
	u.mu.Lock()
	defer u.mu.Unlock()
	if err != nil || n == 0 || n > u.count {
		return false
	}
	for uint64(len(u.used)) <= n/64 {
		u.used = append(u.used, 0)
	}
	bit := uint64(1) << (n % 64)
	fresh := u.used[n/64]&bit == 0
	u.used[n/64] |= bit
	return fresh
}
