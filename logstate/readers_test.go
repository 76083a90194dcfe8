package logstate

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"driftless/merge"
	"driftless/tests/torture"
)

// A writer commits, checkpoints, truncates and opens the account anew, with tiny segments; readers of all kinds look on. What they see is always what was true at some moment, and
// never an older one than before.
func TestReadersBesideAWriter(t *testing.T) {
	for range torture.Rounds(t, 1) {
		readBesideWriter(t)
	}
}

func readBesideWriter(t *testing.T) {
	dir := filepath.Join(memoryDir(t), "account")
	opt := Options{SegmentSize: 1500}
	a, err := Open(ctx, dir, opt)
	must(t, err)
	boxes := registerTest(t, a, 2)
	var committed atomic.Int64 // pairs in each mailbox
	done := make(chan struct{})
	var wg sync.WaitGroup
	var views, stale, records atomic.Int64
	over := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	// check compares everything that a view shows with what may be, and returns the number of pairs.
	check := func(v *View, least int) (int, error) {
		views.Add(1)
		sums := v.Mailboxes()
		if len(sums) != 2 || sums[0].Repair || sums[1].Repair {
			return 0, fmt.Errorf("mailboxes %+v", sums)
		}
		n, m := sums[0].Count[0], sums[1].Count[0]
		if n != m && n != m+1 || n < least || int64(m) > committed.Load()+1 {
			return 0, fmt.Errorf("%d and %d pairs, at least %d, at most %d", n, m, least, committed.Load())
		}
		for i, box := range boxes {
			s, err := v.State(box)
			switch {
			case errors.Is(err, ErrStale):
				stale.Add(1)
			case err != nil:
				return 0, err
			case s.Count(merge.Left) != sums[i].Count[0]:
				return 0, fmt.Errorf("mailbox %d has %d pairs, its summary says %d", box, s.Count(merge.Left), sums[i].Count[0])
			}
		}
		return n, nil
	}
	reader := func(step func() error) {
		wg.Go(func() {
			for last := false; !last; {
				last = over()
				if err := step(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	following, err := OpenView(dir)
	must(t, err)
	seen := 0
	reader(func() error { // goes along
		if _, err := following.Refresh(); err != nil {
			return err
		}
		n, err := check(following, seen)
		seen = n
		return err
	})
	reader(func() error { // begins anew each time
		v, err := OpenView(dir)
		if err == nil {
			_, err = check(v, 0)
		}
		return err
	})
	reader(func() error { // stays where it is while the segments vanish beneath it
		v, err := OpenView(dir)
		if err != nil {
			return err
		}
		first, err := check(v, 0)
		for i := 0; err == nil && i < 20; i++ {
			var n int
			if n, err = check(v, 0); n != first && err == nil {
				err = fmt.Errorf("a pinned view moved from %d to %d", first, n)
			}
			time.Sleep(time.Millisecond)
		}
		return err
	})
	reader(func() error { // prints the records
		v, err := OpenView(dir)
		if err != nil {
			return err
		}
		for _, log := range []string{"left", "right", "shared"} {
			at := uint64(0)
			_, err = v.Records(log, 0, func(r Record) error {
				// A truncation under the reader may skip what is gone.
				if r.Index <= at || r.Kind == "lost" {
					return fmt.Errorf("%s log: record %d (%s) after %d", log, r.Index, r.Kind, at)
				}
				at = r.Index
				records.Add(1)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	opens, checkpoints := 1, 0
	for i := range 300 {
		for _, box := range boxes {
			must(t, a.Commit(ctx, box, []Op{{Kind: PutPair, Pair: benchPair(i)}}))
		}
		committed.Add(1)
		if i%15 == 7 {
			must(t, a.Checkpoint(ctx, true))
			checkpoints++
		}
		if i%40 == 39 {
			must(t, a.Close())
			a, err = Open(ctx, dir, opt)
			must(t, err)
			opens++
		}
	}
	close(done)
	wg.Wait()
	must(t, a.Close())
	t.Logf("600 commits, %d checkpoints, opened %d times; %d looks at views, %d of them stale, %d records read", checkpoints, opens, views.Load(), stale.Load(), records.Load())
}
