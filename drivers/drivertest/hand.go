package drivertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"driftless/drivers"
	"driftless/merge"
)

// StoreHand returns a Hand that works through a Store of its own. It cannot bump UIDVALIDITY. The Store stays the caller's.
func StoreHand(s drivers.Store) Hand { return storeHand{s} }

type storeHand struct{ drivers.Store }

func (h storeHand) in(mailbox string, f func(context.Context, drivers.Mailbox) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := h.Open(ctx, mailbox)
	if err != nil {
		return fmt.Errorf("open %q: %w", mailbox, err)
	}
	err = f(ctx, b)
	return errors.Join(err, b.Close())
}

func (h storeHand) Deliver(mailbox string, flags merge.Flags, date time.Time, data []byte) error {
	return h.in(mailbox, func(ctx context.Context, b drivers.Mailbox) error {
		res, err := b.Append(ctx, []drivers.Append{{Reserved: b.Reserve(), Flags: flags, Date: date, Content: drivers.Bytes(data)}})
		if err != nil {
			return err
		}
		return res[0].Err
	})
}

func (h storeHand) SetFlags(mailbox string, id merge.ID, flags merge.Flags) error {
	return h.in(mailbox, func(ctx context.Context, b drivers.Mailbox) error {
		var now merge.Flags
		err := b.Look(ctx, []merge.ID{id}, func(e drivers.Entry) error {
			now = e.Flags
			return nil
		})
		if err != nil {
			return err
		}
		res, err := b.SetFlags(ctx, []drivers.FlagChange{{ID: id, Add: flags.Minus(now), Remove: now.Minus(flags)}})
		if err != nil {
			return err
		}
		return res[0].Err
	})
}

func (h storeHand) Remove(mailbox string, id merge.ID) error {
	return h.in(mailbox, func(ctx context.Context, b drivers.Mailbox) error {
		removal := drivers.Removal{ID: id}
		err := b.Look(ctx, []merge.ID{id}, func(e drivers.Entry) error {
			removal.Seen = e.Flags
			return nil
		})
		if err != nil {
			return err
		}
		res, err := b.Expunge(ctx, []drivers.Removal{removal})
		if err != nil {
			return err
		}
		return res[0]
	})
}

func (h storeHand) Move(mailbox string, id merge.ID, to string) error {
	return h.in(mailbox, func(ctx context.Context, b drivers.Mailbox) error {
		res, err := b.Move(ctx, []merge.ID{id}, to)
		if err != nil {
			return err
		}
		return res[0].Err
	})
}

func (h storeHand) BumpValidity(string) error { return errors.ErrUnsupported }
