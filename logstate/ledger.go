package logstate

import "sync"

// ledger knows the batches of a side log that are not in the shared log yet. The side log's worker opens them, the state driver closes them.
type ledger struct {
	mu   sync.Mutex
	last uint64 // index of the last durable frame of the side log
	max  map[Mailbox]uint64
	open map[Mailbox]map[uint64]uint64 // sequence -> index of the intent, 0 while it is being written
}

func newLedger(last uint64) *ledger {
	return &ledger{last: last, max: map[Mailbox]uint64{}, open: map[Mailbox]map[uint64]uint64{}}
}

// reach makes the next sequence of a mailbox greater than seq.
func (l *ledger) reach(m Mailbox, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max[m] = max(l.max[m], seq)
}

// begin gives a sequence.
func (l *ledger) begin(m Mailbox) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max[m]++
	l.enter(m, l.max[m], 0)
	return l.max[m]
}

// enter adds an open batch.
func (l *ledger) enter(m Mailbox, seq, index uint64) {
	if l.open[m] == nil {
		l.open[m] = map[uint64]uint64{}
	}
	l.open[m][seq] = index
}

// restore adds a batch of an earlier process.
func (l *ledger) restore(m Mailbox, seq, index uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.max[m] = max(l.max[m], seq)
	l.enter(m, seq, index)
}

// durable notes where intents stand.
func (l *ledger) durable(frames []frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range frames {
		l.last = max(l.last, f.Index)
		if f.Kind == kindIntent {
			l.enter(f.Mailbox, f.Seq, f.Index)
		}
	}
}

// isOpen reports whether a batch can be finished.
func (l *ledger) isOpen(m Mailbox, seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, ok := l.open[m][seq]
	return ok && index != 0
}

// low returns the sequence up to which everything is over once seq is.
func (l *ledger) low(m Mailbox, seq uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	low := l.max[m]
	for s := range l.open[m] {
		if s != seq {
			low = min(low, s-1)
		}
	}
	return low
}

// close notes that a batch is in the shared log.
func (l *ledger) close(m Mailbox, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open[m], seq)
}

// keep returns the index of the first frame that the side log must keep.
func (l *ledger) keep() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := l.last + 1
	for _, box := range l.open {
		for _, index := range box {
			if index != 0 {
				first = min(first, index)
			}
		}
	}
	return first
}

// floors returns, per mailbox, the sequence up to which everything is over.
func (l *ledger) floors() map[Mailbox]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[Mailbox]uint64, len(l.max))
	for m, top := range l.max {
		for s := range l.open[m] {
			top = min(top, s-1)
		}
		out[m] = top
	}
	return out
}
