package memory_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
	"driftless/merge"
)

// hand adapts the user's hand of a Server.
type hand struct{ *memory.Server }

func (h hand) Deliver(mailbox string, flags merge.Flags, date time.Time, data []byte) error {
	h.Server.Deliver(mailbox, flags, date, data)
	return nil
}

func (h hand) Move(mailbox string, id merge.ID, to string) error {
	_, err := h.Server.Move(mailbox, id, to)
	return err
}

func (h hand) Spoil(mailbox string, id merge.ID) error {
	return h.SetUnreadable(mailbox, id, true)
}

// characters are all kinds of store that the package can be.
func characters() map[string]struct {
	opt    memory.Options
	traits drivertest.Traits
} {
	imap := drivertest.Traits{TellsIDs: true, TellsGone: true, Quiet: true, Unchanged: true, Counts: true, Guards: true, Subscribes: true}
	cond := imap
	cond.TellsGone = false
	plain := imap
	plain.Quiet, plain.Unchanged, plain.TellsIDs, plain.Guards, plain.Counts = false, false, false, false, false
	maildir := imap
	maildir.Reserves = true
	stable := maildir
	stable.StableIDs = true
	limited := stable
	limited.MaxKeywords = 3
	alters := imap
	alters.Alters, alters.MayRefuse = true, true
	kinds := map[string]struct {
		opt    memory.Options
		traits drivertest.Traits
	}{
		"QRESYNC":             {memory.Options{MaxMessage: 4 << 20}, imap},
		"QRESYNC same epochs": {memory.Options{SameValidity: true, RenameBumps: true}, imap},
		"QRESYNC names":       {memory.Options{Reserves: true}, maildir},
		"CONDSTORE":           {memory.Options{Mode: memory.CondStore}, cond},
		"CONDSTORE names":     {memory.Options{Mode: memory.CondStore, Reserves: true}, func() drivertest.Traits { m := maildir; m.TellsGone = false; return m }()},
		"plain":               {memory.Options{Mode: memory.ListOnly, NoUIDPlus: true, NoUnchanged: true, NoCounts: true, NoChanged: true, FixedKeywords: true, Keywords: []string{"$Forwarded", "work"}}, plain},
		"Maildir":             {memory.Options{Mode: memory.ListOnly, Reserves: true, StableIDs: true}, stable},
		"Maildir new names":   {memory.Options{Mode: memory.ListOnly, Reserves: true}, maildir},
		"few keywords":        {memory.Options{Mode: memory.ListOnly, Reserves: true, StableIDs: true, MaxKeywords: 3}, limited},
		"no keywords":         {memory.Options{FixedKeywords: true}, imap},
		"alters and refuses": {memory.Options{
			Alter: func(b []byte) []byte {
				if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
					for j := range b[:i] {
						if b[j] >= 0x80 {
							b[j] = 'X'
						}
					}
				}
				if !bytes.HasSuffix(b, []byte("\r\n")) {
					b = append(b, '\r', '\n')
				}
				return b
			},
			Refuse: func(b []byte) error {
				if bytes.IndexByte(b, 0) >= 0 || !bytes.Contains(b, []byte("\r\n\r\n")) {
					return errors.New("refused")
				}
				return nil
			},
		}, alters},
	}
	return kinds
}

func TestConformance(t *testing.T) {
	for name, c := range characters() {
		t.Run(name, func(t *testing.T) {
			drivertest.Run(t, func(t *testing.T) drivertest.Subject {
				opt := c.opt
				opt.ReadOnly = []string{"Locked"}
				srv := memory.New(opt)
				srv.Deliver("Locked", merge.NewFlags(`\Seen`), drivertest.MessageDate(1), drivertest.Message(1, drivertest.MessageOptions{}))
				t.Cleanup(func() {
					if n := srv.OpenContents(); n != 0 {
						t.Errorf("the suite left %d contents open", n)
					}
				})
				return drivertest.Subject{Traits: c.traits, Open: func(ctx context.Context) (drivers.Store, error) { return srv.Open(ctx) }, Hand: hand{srv}}
			})
		})
	}
}
