package tests

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"driftless/tests/harness"
	"driftless/tests/torture"
)

// TestServerKills takes the server away in the middle of a sync, in every way in which servers go: a killed session, a killed instance, an orderly shutdown, and an
// administrator who throws the user out. The sync ends in order, and the next ones make everything as the ledger says.
func TestServerKills(t *testing.T) {
	t.Parallel()
	for _, rung := range []harness.Rung{harness.Full, harness.Plain} {
		t.Run(rung.String(), func(t *testing.T) {
			t.Parallel()
			k := maildirAndServer(t, rung)
			d, h := k.server, k.hands[1].(*mailHand)
			k.shaky = true // an instance that shuts down goes on accepting connections for a moment
			k.struckRounds(4, []blow{
				{"sessions killed", func(*harness.Running) {
					for _, pid := range d.Children("imap") {
						if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
							t.Logf("it has just ended: %v", err)
						}
					}
					h.again()
				}},
				{"instance killed", func(*harness.Running) { d.Kill(); d.Start(); h.again() }},
				{"instance shut down", func(*harness.Running) { d.Stop(); d.Start(); h.again() }},
				{"user thrown out", func(*harness.Running) { d.Doveadm("kick", "u"); h.again() }},
			}, func(r harness.Result) bool { return r.Code == 0 || r.Code == 1 })
		})
	}
}

// TestPoliteSignals ends syncs politely, at any moment: the exit code is 4, and nothing is left to be repaired by hand.
func TestPoliteSignals(t *testing.T) {
	t.Parallel()
	k := maildirAndServer(t, harness.Full)
	k.struckRounds(5, []blow{
		{"SIGTERM", func(r *harness.Running) { r.Signal(syscall.SIGTERM) }},
		{"SIGINT", func(r *harness.Running) { r.Signal(syscall.SIGINT) }},
	}, func(r harness.Result) bool {
		return r.Code == 4 || r.Code == 0 || r.Code == -1 && r.Stdout == "" // 0: it was just done; -1: it had not begun
	})
}

// TestSleeps stops a sync in the middle, as a laptop does that is closed; when it goes on, the server has lost its patience, and people have gone on working.
func TestSleeps(t *testing.T) {
	t.Parallel()
	k := maildirAndServer(t, harness.Full)
	h := k.hands[1].(*mailHand)
	k.struckRounds(4, []blow{{"stopped", func(r *harness.Running) {
		r.Signal(syscall.SIGSTOP)
		k.server.Doveadm("kick", "u")
		h.again()
		k.people.mu.Unlock()
		time.Sleep(300 * time.Millisecond) // people go on
		k.people.mu.Lock()
		r.Signal(syscall.SIGCONT)
	}}}, func(r harness.Result) bool { return r.Code == 0 || r.Code == 1 })
}

// blow is something that happens to a sync.
type blow struct {
	name string
	do   func(*harness.Running)
}

// struckRounds lets each blow hit a running sync so many times a round, while people work; at the end of a round they stop, and everything must be right. While a blow is
// struck nobody works: what the server did last for them is certain.
func (k *pairOfStores) struckRounds(each int, blows []blow, fine func(harness.Result) bool) {
	t := k.t
	seed := torture.Seed(t, 0)
	c := k.populate(seed)
	rng := rand.New(rand.NewPCG(seed, 7))
	codes := map[string]map[int]int{}
	for round := range torture.Rounds(t, 1) {
		stop := c.start()
		k.measure()
		for i := 0; i < each*len(blows) && !t.Failed(); {
			b := blows[i%len(blows)]
			got, struck := k.strike(k.moment(rng), func(r *harness.Running) {
				c.mu.Lock()
				defer c.mu.Unlock()
				b.do(r)
			})
			if !fine(got) && !k.marksLeft(got) {
				t.Errorf("%s: %v", b.name, got)
			}
			if !struck {
				k.measure()
				continue
			}
			if codes[b.name] == nil {
				codes[b.name] = map[int]int{}
			}
			codes[b.name][got.Code]++
			i++
		}
		stop()
		k.quiet(c, fmt.Sprintf("round %d", round))
		c.trimmed()
		if t.Failed() {
			t.Logf("seed %d, round %d", seed, round)
		}
	}
	t.Logf("how often each hit a sync, by its exit code: %v\npeople: %s", codes, c.counts())
}
