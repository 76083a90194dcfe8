package engine

import (
	"context"
	"testing"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/merge"
)

// The connection is lost after the server stored our flag; the user takes the flag off again before the next sync.
func TestUndoneFlagComesBackAfterALostAnswer(t *testing.T) {
	onAll(t, func(t *testing.T, w *world, l, r merge.Side) {
		for n := range 3 {
			w.put(l, "INBOX", n)
		}
		w.settled()
		w.flag(l, "INBOX", 1, `\Flagged`)
		plan := &drivertest.Plan{AtName: r.String() + " SetFlags INBOX 1.1", Fault: drivertest.UnknownAfter}
		open := w.acc.Open[r]
		w.acc.Open[r] = func(ctx context.Context) (drivers.Store, error) {
			s, err := open(ctx)
			if err != nil {
				return nil, err
			}
			return drivertest.FaultyNamed(s, plan, r.String()), nil
		}
		if _, err := w.trySync(Request{}); err == nil || plan.Hit() == "" {
			t.Fatal(err, plan.Points())
		}
		w.acc.Open[r] = open
		w.flag(l, "INBOX", 1)
		w.sync()
		w.flags("INBOX", 1)
	})
}
