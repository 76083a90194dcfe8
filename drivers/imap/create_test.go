package imap_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"driftless/drivers"
	"driftless/drivers/imap/embedded"
	"driftless/drivers/imap/hostile"
	"driftless/tests/harness"
)

// TestCreateLies meets servers that say OK to a CREATE and do nothing, or refuse it and take the subscription all the same: it is an error, and no
// subscription stays behind.
func TestCreateLies(t *testing.T) {
	for name, answer := range map[string]string{"OK": "{tag} OK created\r\n", "NO": "{tag} NO [CANNOT] not such a name\r\n"} {
		t.Run(name, func(t *testing.T) {
			e, err := embedded.Start(context.Background(), embedded.Options{User: "u", Password: harness.Password})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = e.Close() })
			s, err := hostile.Start(hostile.Options{Upstream: e.Addr(), Commands: []hostile.Command{
				{On: `^CREATE`, Send: answer},
				{On: `^SUBSCRIBE`, Send: "{tag} OK subscribed\r\n"},
				{On: `^UNSUBSCRIBE`, Send: "{tag} OK unsubscribed\r\n"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			st := open(t, options(t, s.Addr(), "u"))
			err = st.Create(context.Background(), "new")
			if drivers.RetryOf(err) == drivers.RetryNow || drivers.ReachOf(err) != drivers.ReachMailbox || err == nil {
				t.Errorf("create: %v", err)
			}
			seen := s.Seen()
			if at := slices.Index(seen, `UNSUBSCRIBE "new"`); at < slices.Index(seen, `SUBSCRIBE "new"`) {
				t.Errorf("the subscription stays: %q", seen)
			}
			if _, err := st.Open(context.Background(), "new"); !errors.Is(err, drivers.ErrNoMailbox) {
				t.Errorf("open: %v", err)
			}
			m := openBox(t, st, "INBOX")
			appendAll(t, m, letters(0, 2))
		})
	}
}
