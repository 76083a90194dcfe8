package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"driftless/drivers"
	"driftless/logstate"
	"driftless/merge"
)

const (
	// A batch of copies is bounded by both: it is what memory holds, and what one intent covers.
	batchMessages = 128
	batchBytes    = 4 << 20
	// unknownSize is what a message counts whose size is not known yet.
	unknownSize = 32 << 10
	// batchChanges bounds batches of flag changes, moves and deletions.
	batchChanges = 1000
	// quarantineFor is when a message that was refused for good is tried again all the same, for servers are reconfigured.
	quarantineFor = 7 * 24 * time.Hour
)

// controller applies to one store (the target) what changed on the other side (the source), in one mailbox. It writes the log of the
// source side: "changes that came from there".
type controller struct {
	c      *cycle
	b      *box
	side   merge.Side // of the target
	target drivers.Mailbox
	source drivers.Mailbox
}

// pausing reports whether no further batch should begin: the cycle was interrupted, or others wait for the lock.
func (k controller) pausing() bool {
	tired := k.c.tired()
	if tired {
		k.c.paused.Store(true)
	}
	if tired || k.c.stop.Err() != nil {
		k.b.undone.Store(true)
		return true
	}
	return false
}

// letter is a message between its two stores.
type letter struct {
	action  merge.Action
	content drivers.Content
	date    time.Time
}

// copies appends copies of source messages to the target. While one batch is written the next one is read.
func (k controller) copies(ctx context.Context, actions []merge.Action) error {
	if len(actions) == 0 || !k.writable() {
		return nil
	}
	batches := make(chan []letter)
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(batches)
		for len(actions) > 0 && !k.pausing() {
			n := batchSize(actions)
			letters, err := k.collect(gctx, actions[:n])
			if err != nil {
				discard(letters)
				return err
			}
			actions = actions[n:]
			select {
			case batches <- letters:
			case <-gctx.Done():
				discard(letters)
				return gctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for letters := range batches {
			err := k.deliver(gctx, letters)
			discard(letters)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return g.Wait()
}

// batchSize returns how many of the actions make the next batch: at least one.
func batchSize(actions []merge.Action) int {
	var bytes int64
	for i, a := range actions {
		size := a.New.Identity.Size
		if size <= 0 {
			size = unknownSize
		}
		bytes += size
		if i > 0 && (i >= batchMessages || bytes > batchBytes) {
			return i
		}
	}
	return len(actions)
}

func discard(letters []letter) {
	for _, l := range letters {
		_ = l.content.Close() // a spool file that cannot be removed loses no mail
	}
}

// collect fetches the messages of a batch from the source. One that is gone is left to the next round; one that cannot be read is quarantined.
func (k controller) collect(ctx context.Context, actions []merge.Action) ([]letter, error) {
	from := k.side.Other()
	ids := make([]merge.ID, len(actions))
	index := make(map[merge.ID]int, len(actions))
	for i, a := range actions {
		ids[i] = a.New.ID[from]
		index[ids[i]] = i
	}
	letters := make([]letter, len(actions))
	var bad []logstate.Op
	err := k.source.Fetch(ctx, ids, func(f drivers.Fetched) error {
		i, ok := index[f.ID]
		if !ok || letters[i].content != nil {
			if f.Content != nil {
				return f.Content.Close()
			}
			return nil
		}
		a := actions[i]
		if f.Err == nil {
			id, content, err := digest(f.Content)
			if err == nil {
				a.New.Identity, a.New.Content = id, content
				letters[i] = letter{action: a, content: f.Content, date: f.Date}
				return nil
			}
			f.Err = errors.Join(err, f.Content.Close())
		}
		if drivers.ReachOf(f.Err) == drivers.ReachStore && ctx.Err() != nil {
			return f.Err
		}
		delete(index, f.ID)
		if drivers.RetryOf(f.Err) != drivers.RetryNever {
			k.b.unread[from]++
			k.refused(merge.Copy.String(), f.ID, f.Err)
			return nil
		}
		bad = append(bad, logstate.Op{Kind: logstate.PutHalf, Half: k.quarantine(a, "cannot be read: "+f.Err.Error())})
		k.sayQuarantined(f.ID, "cannot be read", f.Err)
		return nil
	})
	got := letters[:0]
	for i, l := range letters {
		if l.content != nil {
			got = append(got, l)
		} else if _, gone := index[ids[i]]; gone {
			k.b.undone.Store(true)
			k.c.missing.note(k.b, from, ids[i])
		}
	}
	if err != nil {
		return got, fmt.Errorf("fetch from the %s: %w", from, err)
	}
	if len(bad) > 0 {
		if err := k.c.logs.Commit(ctx, k.b.num, bad); err != nil {
			return got, fmt.Errorf("commit quarantined messages: %w", err)
		}
	}
	return got, nil
}

// quarantine returns the half-pair of a message that cannot be copied.
func (k controller) quarantine(a merge.Action, note string) merge.Half {
	from := k.side.Other()
	tries := 1
	if a.Half != nil {
		tries = a.Half.Tries + 1
	}
	now := k.c.acc.Now()
	return merge.Half{
		Side: from, ID: a.New.ID[from], Base: a.New.Base[from], Reason: merge.Quarantined, Identity: a.New.Identity, Content: a.New.Content,
		Since: now.UnixMilli(), Tries: tries, Note: note, Retry: now.Add(quarantineFor).UnixMilli(),
	}
}

func (k controller) sayQuarantined(id merge.ID, what string, err error) {
	k.c.rep.problem(Problem{Kind: ProblemQuarantined, Mailbox: k.b.name(), Side: k.side.Other(), ID: id, Count: 1,
		Text: fmt.Sprintf("%s message %s %s: %v; it is set aside and tried again later", k.side.Other(), id, what, err)})
}

// deliver logs the intents of a batch, appends it to the target and logs the outcomes.
func (k controller) deliver(ctx context.Context, letters []letter) error {
	if len(letters) == 0 {
		return nil
	}
	mark, err := k.target.Mark(ctx)
	if err != nil {
		return fmt.Errorf("mark the %s: %w", k.side, err)
	}
	in := logstate.Intent{Target: k.side, Mailbox: k.b.num, Time: k.c.acc.Now().UnixMilli(), Mark: string(mark)}
	msgs := make([]drivers.Append, len(letters))
	for i, l := range letters {
		e := logstate.Effect{Kind: logstate.EffectCopy, New: l.action.New, Reserved: k.target.Reserve(), Tries: 1}
		if h := l.action.Half; h != nil {
			e.HasHalf, e.HalfSide, e.HalfID, e.Tries = true, h.Side, h.ID, h.Tries+1
		}
		in.Effects = append(in.Effects, e)
		msgs[i] = drivers.Append{Reserved: e.Reserved, Flags: l.action.New.Base[k.side], Date: l.date, Content: l.content}
	}
	return k.effect(ctx, in, merge.Copy, func() ([]logstate.Result, int, error) {
		appended, err := k.target.Append(ctx, msgs)
		results := make([]logstate.Result, len(letters))
		unnamed := 0
		for i := range results {
			results[i] = logstate.Result{Status: logstate.NotDone}
			if i < len(appended) {
				results[i] = k.appendResult(letters[i].action, appended[i], err)
				if appended[i].Err == nil && appended[i].ID == "" {
					unnamed++
				}
			} else if err != nil {
				// The driver did not say what became of it: it may be on its way.
				results[i] = logstate.Result{Status: logstate.Doubt}
			}
		}
		var bytes int64
		for i, r := range results {
			if r.Status == logstate.Done {
				bytes += letters[i].content.Size()
			}
		}
		k.c.rep.did(k.b, k.side, merge.Copy, 0, bytes)
		return results, unnamed, err
	})
}

// appendResult turns a driver's answer into what the log says. common is the error that ended the whole batch.
func (k controller) appendResult(a merge.Action, res drivers.Appended, common error) logstate.Result {
	switch {
	case res.Err == nil && res.ID != "":
		return logstate.Result{Status: logstate.Done, ID: res.ID, Flags: res.Flags}
	case res.Err == nil, errors.Is(res.Err, drivers.ErrUnknown):
		// Either way the message is found by content among what arrived since the mark.
		return logstate.Result{Status: logstate.Doubt}
	case drivers.ReachOf(res.Err) == drivers.ReachMessage && drivers.RetryOf(res.Err) == drivers.RetryNever:
		h := k.quarantine(a, "refused: "+res.Err.Error())
		k.sayQuarantined(h.ID, "was refused", res.Err)
		return logstate.Result{Status: logstate.Refused, Note: h.Note, Retry: h.Retry}
	case common == nil:
		k.refused(merge.Copy.String(), a.New.ID[k.side.Other()], res.Err)
	}
	return logstate.Result{Status: logstate.NotDone}
}

// refused says what a store did not do for one message. What passes by itself when one looks again is planned again in this
// cycle. Anything else (over quota, a busy server, no permission) makes the sync of the mailbox a failure that the next cycle tries again.
func (k controller) refused(what string, id merge.ID, err error) {
	if drivers.RetryOf(err) == drivers.RetryNow || errors.Is(err, drivers.ErrGone) || errors.Is(err, drivers.ErrChanged) {
		return
	}
	if !k.b.stuck.Swap(true) {
		k.c.rep.problem(Problem{Kind: ProblemError, Mailbox: k.b.name(), Side: k.side, ID: id, Text: fmt.Sprintf("%s on the %s: %v", what, k.side, err)})
	}
}

// writable reports whether the store lets us change the mailbox. If not, that is said before anything is logged; the other direction goes on.
func (k controller) writable() bool {
	if !k.target.Status().ReadOnly {
		return true
	}
	k.refused("change", "", fmt.Errorf("mailbox %q of %s: %w: there is no permission to change it, or its file system is mounted read-only", k.b.names[k.side], k.c.stores[k.side].Info().Address, drivers.ErrReadOnly))
	return false
}

// effect is the frame of every batch: intent, effect, outcome. The outcome is logged even when the effect failed, and the
// effect's error comes back after it. run also returns how many effects were done of which the store did not tell the new id: for
// the log they are in doubt until the message is found, for the report they are done.
func (k controller) effect(ctx context.Context, in logstate.Intent, kind merge.Kind, run func() (results []logstate.Result, unnamed int, err error)) error {
	batch, err := k.c.logs.Begin(ctx, in)
	if err != nil {
		return fmt.Errorf("log intents: %w", err)
	}
	k.b.wrote[k.side].Store(true)
	k.c.begun.Store(true)
	results, unnamed, effectErr := run()
	done := unnamed
	for _, r := range results {
		switch r.Status {
		case logstate.Done:
			done++
		case logstate.Doubt, logstate.NotDone:
			k.b.undone.Store(true)
		case logstate.Refused:
		}
	}
	k.c.rep.did(k.b, k.side, kind, done, 0)
	if effectErr != nil && kind != merge.Copy {
		// What became of it is not known. The intent stays open: the next cycle asks the store before anything else, so that our own effect is never
		// taken for somebody's change. (A copy has its own way to stay open: the half-pair in doubt.)
		k.c.left.Store(true)
		err := fmt.Errorf("%s on the %s: %w", kind, k.side, effectErr)
		k.failOthers(in, err)
		return err
	}
	out := logstate.Outcome{Time: k.c.acc.Now().UnixMilli(), Results: results}
	// The effect has happened: its outcome is logged even if the cycle is being torn down.
	if err := k.c.logs.Finish(context.WithoutCancel(ctx), batch, out); err != nil {
		return errors.Join(effectErr, fmt.Errorf("log outcomes: %w", err))
	}
	if effectErr != nil {
		return fmt.Errorf("%s on the %s: %w", kind, k.side, effectErr)
	}
	k.c.acc.Log.Info(kind.String(), zap.String("mailbox", k.b.name()), zap.Stringer("on", k.side), zap.Int("done", done), zap.Int("of", len(results)))
	return nil
}

// failOthers fails the other mailboxes that effects without an outcome may have changed, too: what is half moved there would be taken for new, and be copied before
// the next cycle learns what it is. An error of the whole store ends the cycle anyway.
func (k controller) failOthers(in logstate.Intent, err error) {
	if drivers.ReachOf(err) == drivers.ReachStore {
		return
	}
	for _, e := range in.Effects {
		for _, b := range k.c.boxes {
			if e.To != 0 && b.num == e.To {
				k.c.fail(b, fmt.Errorf("what became of messages between %q and here is not known yet: %w", k.b.name(), err))
			}
		}
	}
}

// each runs f over batches of actions until they end or the cycle pauses.
func (k controller) each(actions []merge.Action, f func([]merge.Action) error) error {
	if len(actions) == 0 || !k.writable() {
		return nil
	}
	for len(actions) > 0 && !k.pausing() {
		n := min(len(actions), batchChanges)
		if err := f(actions[:n]); err != nil {
			return err
		}
		actions = actions[n:]
	}
	return nil
}

// flags changes flags on the target.
func (k controller) flags(ctx context.Context, actions []merge.Action) error {
	return k.each(actions, func(actions []merge.Action) error {
		in := logstate.Intent{Target: k.side, Mailbox: k.b.num, Time: k.c.acc.Now().UnixMilli()}
		changes := make([]drivers.FlagChange, len(actions))
		for i, a := range actions {
			in.Effects = append(in.Effects, logstate.Effect{Kind: logstate.EffectFlags, Old: a.Old, New: a.New, Now: a.Now, Add: a.Add, Remove: a.Remove})
			changes[i] = drivers.FlagChange{ID: a.Old.ID[k.side], Add: a.Add, Remove: a.Remove}
		}
		return k.effect(ctx, in, merge.SetFlags, func() ([]logstate.Result, int, error) {
			done, err := k.target.SetFlags(ctx, changes)
			results := make([]logstate.Result, len(actions))
			for i := range results {
				results[i] = logstate.Result{Status: logstate.NotDone}
				switch {
				case i < len(done) && done[i].Err == nil:
					results[i] = logstate.Result{Status: logstate.Done, Flags: done[i].Flags}
				case i < len(done) && errors.Is(done[i].Err, drivers.ErrUnknown):
					err = cmp.Or(err, done[i].Err)
				case i < len(done) && err == nil:
					k.refused(merge.SetFlags.String(), changes[i].ID, done[i].Err)
				}
			}
			return results, 0, err
		})
	})
}

// deletions expunges on the target what is gone on the source, after asking the source once more for just these messages.
func (k controller) deletions(ctx context.Context, actions []merge.Action) error {
	from := k.side.Other()
	return k.each(actions, func(actions []merge.Action) error {
		gone := map[merge.ID]bool{}
		ids := make([]merge.ID, 0, len(actions))
		for _, a := range actions {
			if id := a.Old.ID[from]; id != "" {
				ids = append(ids, id)
			}
		}
		err := k.source.Look(ctx, ids, func(e drivers.Entry) error {
			gone[e.ID] = e.Gone
			return nil
		})
		if err != nil {
			return fmt.Errorf("ask the %s once more before deleting: %w", from, err)
		}
		in := logstate.Intent{Target: k.side, Mailbox: k.b.num, Time: k.c.acc.Now().UnixMilli()}
		var removals []drivers.Removal
		for _, a := range actions {
			// Without an id on the source this is what a conflict left in another mailbox than the pair's: it was seen to be gone there.
			if id := a.Old.ID[from]; id != "" && !gone[id] {
				k.b.undone.Store(true)
				continue
			}
			e := logstate.Effect{Kind: logstate.EffectDelete, Old: a.Old, Now: a.Now}
			if a.To != "" {
				from := k.c.byName(a.To)
				if from == nil || from.failed.Load() {
					k.b.undone.Store(true)
					continue
				}
				e.To, e.New = from.num, a.New
			}
			in.Effects = append(in.Effects, e)
			removals = append(removals, drivers.Removal{ID: a.Old.ID[k.side], Seen: a.Now})
		}
		if len(removals) == 0 {
			return nil
		}
		return k.effect(ctx, in, merge.Delete, func() ([]logstate.Result, int, error) {
			errs, err := k.target.Expunge(ctx, removals)
			results := make([]logstate.Result, len(removals))
			for i := range results {
				results[i] = logstate.Result{Status: logstate.NotDone}
				switch {
				case i < len(errs) && (errs[i] == nil || errors.Is(errs[i], drivers.ErrGone)):
					results[i] = logstate.Result{Status: logstate.Done}
				case i < len(errs) && errors.Is(errs[i], drivers.ErrUnknown):
					err = cmp.Or(err, errs[i])
				case i < len(errs) && err == nil:
					k.refused(merge.Delete.String(), removals[i].ID, errs[i])
				}
			}
			return results, 0, err
		})
	})
}
