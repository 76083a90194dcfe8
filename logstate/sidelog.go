package logstate

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"driftless/merge"
)

// sideLog is the worker that since a side log.
type sideLog struct {
	*worker
	side   merge.Side
	log    appender
	ledger *ledger
	named  map[Mailbox]bool // mailboxes whose names the log knows
	poison error
}

func newSideLog(side merge.Side, log appender) *sideLog {
	return &sideLog{worker: newWorker(side.String()), side: side, log: log, ledger: newLedger(log.Last()), named: map[Mailbox]bool{}}
}

func (s *sideLog) start() {
	s.wg.Go(func() {
		for {
			select {
			case j := <-s.jobs:
				group, call := s.gather(j)
				if len(group) > 0 {
					s.write(group)
				}
				if call != nil {
					call.done <- s.guard(call.call)
				}
			case <-s.quit:
				return
			}
		}
	})
}

// guard keeps a poisoned log from being used.
func (s *sideLog) guard(f func() error) error {
	if s.poison != nil {
		return fmt.Errorf("%s log: %w (%w)", s.side, errPoisoned, s.poison)
	}
	return f()
}

// write makes the frames of a group durable with one fsync.
func (s *sideLog) write(group []*job) {
	var frames []frame
	from := make([]int, 0, len(group)+1)
	errs := make([]error, len(group))
	for i, j := range group {
		from = append(from, len(frames))
		errs[i] = s.guard(func() error {
			add, err := j.write()
			frames = append(frames, add...)
			return err
		})
	}
	from = append(from, len(frames))
	if len(frames) > 0 {
		if _, err := s.log.Append(frames); err != nil {
			s.poison = err
			for i := range errs {
				if errs[i] == nil {
					errs[i] = err
				}
			}
		} else {
			s.ledger.durable(frames)
		}
	}
	for i, j := range group {
		if errs[i] == nil && j.written != nil {
			j.written(frames[from[i]:from[i+1]])
		}
		j.done <- errs[i]
	}
}

// begin makes an intent durable and returns its batch. names has the names of the mailboxes that it is about, in case that the log does not know
// them: a shared log that is lost learns them from here.
func (s *sideLog) begin(ctx context.Context, r intentRecord, names map[Mailbox][2]string) (Batch, error) {
	b := Batch{Intent: r.in}
	m := r.in.Mailbox
	payload := appendIntent(nil, r)
	if err := checkLen("an intent", len(payload), maxPayload); err != nil {
		return b, err
	}
	err := s.run(ctx, &job{
		write: func() ([]frame, error) {
			var out []frame
			for _, m := range slices.Sorted(maps.Keys(names)) {
				if !s.named[m] {
					out = append(out, frame{Kind: kindRegister, Mailbox: m, Payload: appendNames(nil, r.in.Time, names[m])})
					s.named[m] = true
				}
			}
			b.Seq = s.ledger.begin(m)
			return append(out, frame{Kind: kindIntent, Mailbox: m, Seq: b.Seq, Payload: payload}), nil
		},
		written: func(f []frame) { b.Epoch = f[len(f)-1].Epoch },
	})
	return b, err
}

// finish makes an outcome durable.
func (s *sideLog) finish(ctx context.Context, b Batch, r outcomeRecord) error {
	payload := appendOutcome(nil, r)
	if err := checkLen("an outcome", len(payload), maxPayload); err != nil {
		return err
	}
	return s.run(ctx, &job{write: func() ([]frame, error) {
		return []frame{{Kind: kindOutcome, Mailbox: b.Intent.Mailbox, Seq: b.Seq, Payload: payload}}, nil
	}})
}

// truncate drops what a complete checkpoint of the shared log has made superfluous. facts has names and commits of each mailbox; a mark with
// them and the sequences takes the place of what is dropped.
func (s *sideLog) truncate(ctx context.Context, keep uint64, r markRecord) error {
	return s.run(ctx, &job{call: func() error {
		if s.log.First() == 0 || s.log.First() >= keep {
			return nil
		}
		frames := s.markFrames(kindMark, r)
		if _, err := s.log.Append(frames); err != nil {
			s.poison = err
			return err
		}
		s.ledger.durable(frames)
		if err := s.log.TruncateFront(keep); err != nil {
			s.poison = err
			return err
		}
		return nil
	}})
}

// markFrames writes the facts of the mailboxes that the log knows, as many per frame as a reader takes.
func (s *sideLog) markFrames(kind frameKind, r markRecord) []frame {
	const perFrame = 4096
	floors := s.ledger.floors()
	var facts []fact
	for _, f := range r.facts {
		floor, ok := floors[f.mailbox]
		if !ok && !s.named[f.mailbox] {
			continue
		}
		f.floor = floor
		s.named[f.mailbox] = true
		facts = append(facts, f)
	}
	var out []frame
	for first := true; first || len(facts) > 0; first = false {
		part := r
		part.void = r.void && first
		n := min(perFrame, len(facts))
		part.facts, facts = facts[:n], facts[n:]
		out = append(out, frame{Kind: kind, Payload: appendMark(nil, part)})
	}
	return out
}
