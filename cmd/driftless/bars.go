package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"driftless/daemon/engine"
)

// bars shows one progress bar per account on stderr. Diagnostics that are written meanwhile appear above them.
type bars struct {
	progress *mpb.Progress
	undo     []func()
	once     sync.Once

	mu  sync.Mutex
	all []*bar
}

func (a *app) newBars() *bars {
	target := a.stderr.w
	b := &bars{progress: mpb.New(mpb.WithOutput(target), mpb.WithWidth(40), mpb.WithRefreshRate(120*time.Millisecond), mpb.WithAutoRefresh())}
	b.undo = append(b.undo, a.stderr.redirect(b.progress))
	if a.outIsTerminal {
		// Lines on the same terminal would tear the bars apart.
		b.undo = append(b.undo, a.stdout.redirect(b.progress))
	}
	return b
}

// close waits for the last drawing and gives the terminal back.
func (b *bars) close() {
	b.once.Do(func() {
		b.mu.Lock()
		for _, one := range b.all {
			one.done() // an account whose work panicked has not done it
		}
		b.mu.Unlock()
		b.progress.Wait()
		for _, undo := range b.undo {
			undo()
		}
	})
}

// bar is the progress of one account.
type bar struct {
	bar *mpb.Bar

	mu             sync.Mutex
	stage, mailbox string
	messages       [2]int64 // done, total
	bytes          [2]int64
	began          time.Time // of the first copy
}

func (b *bars) add(account string) *bar {
	one := &bar{stage: "starting"}
	one.bar = b.progress.New(0,
		mpb.BarStyle().Lbound("").Rbound("").Filler("━").Tip("━").Padding("─"),
		mpb.PrependDecorators(
			decor.Name(account+" ", decor.WCSyncSpaceR),
			decor.Any(func(decor.Statistics) string { return one.where() }, decor.WC{W: 24, C: decor.DindentRight}),
		),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return one.numbers(time.Now()) })),
		mpb.BarRemoveOnComplete(),
	)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, one)
	return one
}

// where says what is being worked on.
func (b *bar) where() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := b.stage
	if b.mailbox != "" {
		name = b.mailbox
	}
	if r := []rune(name); len(r) > 22 {
		name = "…" + string(r[len(r)-21:])
	}
	return name
}

// numbers says how far it is: messages, bytes, rate and the time that is left.
func (b *bar) numbers(now time.Time) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.messages[1] == 0 {
		return ""
	}
	s := fmt.Sprintf(" %d/%d  %s", b.messages[0], b.messages[1], byteCount(b.bytes[0]))
	if elapsed := now.Sub(b.began).Seconds(); elapsed > 0.5 && b.messages[0] > 0 {
		left := elapsed / float64(b.messages[0]) * float64(b.messages[1]-b.messages[0])
		s += fmt.Sprintf("  %s/s  %s left", byteCount(int64(float64(b.bytes[0])/elapsed)), time.Duration(left*float64(time.Second)).Round(time.Second))
	}
	return s
}

func (b *bar) event(e engine.Event) {
	b.note(e)
	// Not under the lock: the bar's own goroutine takes it to draw, and these calls wait for that goroutine.
	done, total := b.counts()
	b.bar.SetTotal(total, false)
	b.bar.SetCurrent(done)
}

func (b *bar) counts() (done, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.messages[0], b.messages[1]
}

// note keeps what an event tells.
func (b *bar) note(e engine.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e.Kind {
	case engine.EventStage:
		b.stage, b.mailbox = clean(e.Text), clean(e.Mailbox)
	case engine.EventTotal, engine.EventProgress:
		n := 0
		if e.Kind == engine.EventTotal {
			n = 1
		}
		if b.began.IsZero() {
			b.began = time.Now()
		}
		b.mailbox = clean(e.Mailbox)
		b.messages[n] += int64(e.Messages)
		b.bytes[n] += e.Bytes
	case engine.EventWaiting:
		b.stage, b.mailbox = "waiting", ""
	case engine.EventAction, engine.EventRepair, engine.EventProblem:
	}
}

// done removes the bar. It is safe to call twice.
func (b *bar) done() { b.bar.Abort(true) }
