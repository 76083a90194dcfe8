package engine

import (
	"context"
	"errors"
	"testing"

	"driftless/drivers"
	"driftless/drivers/memory"
	"driftless/merge"
)

// stubborn refuses, message by message, as the imap driver reports a server's NO to UID STORE, UID EXPUNGE or UID MOVE (no right in the ACL).
type stubborn struct{ drivers.Store }

func (s stubborn) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.Store.Open(ctx, name)
	return stubbornBox{m}, err
}

type stubbornBox struct{ drivers.Mailbox }

var errNo = &drivers.Error{Op: "x", Where: "INBOX", Reach: drivers.ReachMessage, Retry: drivers.RetryNever, Err: errors.New("NO [NOPERM] permission denied")}

func (stubbornBox) SetFlags(_ context.Context, c []drivers.FlagChange) ([]drivers.FlagResult, error) {
	out := make([]drivers.FlagResult, len(c))
	for i := range out {
		out[i].Err = errNo
	}
	return out, nil
}

func (stubbornBox) Expunge(_ context.Context, c []drivers.Removal) ([]error, error) {
	out := make([]error, len(c))
	for i := range out {
		out[i] = errNo
	}
	return out, nil
}

func (stubbornBox) Move(_ context.Context, c []merge.ID, _ string) ([]drivers.Moved, error) {
	out := make([]drivers.Moved, len(c))
	for i := range out {
		out[i].Err = errNo
	}
	return out, nil
}

func TestRefusedForEverIsNotInSync(t *testing.T) {
	for what, change := range map[string]func(w *world){
		"flags":  func(w *world) { w.flag(merge.Left, "INBOX", 1, `\Seen`) },
		"delete": func(w *world) { w.remove(merge.Left, "INBOX", 1) },
		"move":   func(w *world) { w.move(merge.Left, "INBOX", 1, "Box") },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t, [2]memory.Options{{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, {Mode: memory.QResync}})
			for n := range 10 {
				w.put(merge.Left, "INBOX", n)
			}
			w.put(merge.Left, "Box", 100)
			w.settled()
			open := w.acc.Open[1]
			w.acc.Open[1] = func(ctx context.Context) (drivers.Store, error) {
				s, err := open(ctx)
				return stubborn{s}, err
			}
			change(w)
			r, err := w.trySync(Request{})
			r2, err2 := w.trySync(Request{})
			if err == nil && err2 == nil && r.Errors == 0 && r2.Errors == 0 && r2.Held+r2.Conflicts+r2.Quarantined == 0 {
				t.Errorf("exit code 0 (\"in sync\") while the sides differ for good: %+v", r2)
			}
		})
	}
}
