package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// slow is a store whose mailboxes take long to open.
type slow struct {
	drivers.Store
	clock *atomic.Int64
}

func (s slow) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	s.clock.Add(int64(31 * time.Second)) // a server that is throttled: its SELECT takes this long
	return s.Store.Open(ctx, name)
}

// A mailbox takes longer to be opened than a cycle holds its lock: the sync gets on all the same.
func TestMailboxThatIsSlowToOpen(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		var clock atomic.Int64
		start := time.Now()
		w.acc.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
		w.filled()
		open := w.acc.Open[r]
		w.acc.Open[r] = func(ctx context.Context) (drivers.Store, error) {
			s, err := open(ctx)
			return slow{s, &clock}, err
		}
		w.put(l, "INBOX", 2)
		rounds := 0
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		rep, err := Sync(ctx, w.acc, Request{}, func(e Event) {
			if e.Kind == EventStage && e.Text == "syncing" {
				rounds++
			}
		})
		t.Logf("err %v rounds %d copied %v, simulated %v", err, rounds, rep.Copied, time.Duration(clock.Load()))
		if w.find(r, "INBOX", 2) == "" {
			t.Errorf("the sync goes on for ever and copies nothing")
		}
	})
}
