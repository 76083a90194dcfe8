package maildir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"driftless/drivers"
	"driftless/merge"
)

// Mailbox is a handle on one mailbox. It implements drivers.Mailbox. It keeps the names of its last listing, as hints where files are.
type Mailbox struct {
	store    *Store
	name     string
	dir      string
	clock    clockKind
	readOnly bool
	half     bool // cur was missing: who made the mailbox was cut off; the first writing call makes it

	// naming is held while an append makes or renames a file: the kernel does this one at a time in a directory anyway, and whoever waits for its turn
	// there burns processor time.
	naming sync.Mutex

	// finding is held while a listing is made for one message that is read: others that are read meanwhile wait for its hints.
	finding sync.Mutex

	mu    sync.Mutex
	last  *snapshot          // the last listing, nil before the first
	moved map[merge.ID]*file // what this handle did since: the new file of an id, nil if it removed it
}

var _ drivers.Mailbox = (*Mailbox)(nil)

// Open returns a handle on a mailbox; ErrNoMailbox if it does not exist or is a mere parent. Nothing is read yet.
func (s *Store) Open(ctx context.Context, name string) (drivers.Mailbox, error) {
	m, err := s.open(ctx, name)
	if err != nil {
		return nil, err // and not a nil *Mailbox, which would be no nil Mailbox
	}
	return m, nil
}

func (s *Store) open(ctx context.Context, name string) (*Mailbox, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	dir, err := s.dirOf(name)
	if err != nil {
		return nil, err
	}
	for _, sub := range []string{"/cur", "/new"} {
		if _, err = os.Stat(dir + sub); err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		if _, rootErr := os.Stat(s.root); rootErr != nil {
			return nil, classify("open mailbox", s.root, drivers.ReachStore, rootErr)
		}
		err = drivers.ErrNoMailbox
	}
	if err != nil {
		return nil, classify("open mailbox", canonical(name), drivers.ReachMailbox, err)
	}
	m := &Mailbox{store: s, name: canonical(name), dir: dir}
	if m.clock, err = clockOf(dir); err != nil {
		return nil, m.fail("open mailbox", err)
	}
	err = unix.Access(dir+"/cur", unix.W_OK)
	if m.half = errors.Is(err, unix.ENOENT); m.half {
		err = unix.Access(dir, unix.W_OK)
	}
	m.readOnly = err != nil
	return m, nil
}

// Name returns the name of the mailbox.
func (m *Mailbox) Name() string { return m.name }

// Status returns the count of the last listing and what the mailbox can hold: any keyword. Before the first listing the directories are read
// once, without the proof that nothing was missed while others changed them; the count is 0 if that fails.
func (m *Mailbox) Status() drivers.Status {
	st := drivers.Status{ReadOnly: m.readOnly, NewKeywords: true, Reserves: true}
	m.mu.Lock()
	last := m.last
	m.mu.Unlock()
	if last == nil {
		s, err := m.pass(context.Background())
		if err != nil {
			return st
		}
		m.mu.Lock()
		if m.last == nil {
			m.last = s
		}
		m.mu.Unlock()
		last = s
	}
	st.Messages = len(last.entries)
	return st
}

// Mark returns the empty mark: what became of an append is found by its reserved id.
func (m *Mailbox) Mark(ctx context.Context) (drivers.Mark, error) { return "", ctx.Err() }

// Reserve returns a unique part that no file has.
func (m *Mailbox) Reserve() merge.ID { return merge.ID(m.store.unique.next(m.store.now())) }

// Close releases the handle.
func (m *Mailbox) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.moved = nil, nil
	return nil
}

func (m *Mailbox) fail(op string, err error) error {
	return classify(op, m.name, drivers.ReachMailbox, err)
}

// failMessage classifies what concerns one message only.
func (m *Mailbox) failMessage(op string, err error) error {
	return classify(op, m.name, drivers.ReachMessage, err)
}

func (m *Mailbox) stamps() (stamps, error) {
	s, err := stampsOf(m.dir)
	if err == nil && !s.cur.exists() && !s.fresh.exists() {
		err = drivers.ErrNoMailbox
	}
	return s, m.fail("look at", err)
}

// writable prepares a writing call: the store learns that this run may write, and a read-only mailbox is refused.
func (m *Mailbox) writable(ctx context.Context, op string) error {
	if err := m.store.usable(ctx); err != nil {
		return err
	}
	if m.readOnly {
		return &drivers.Error{Op: op, Where: m.name, Reach: drivers.ReachMailbox, Retry: drivers.RetryNever, Err: drivers.ErrReadOnly}
	}
	m.store.mayWrite.Store(true)
	if m.half {
		return m.fail(op, m.store.makeMaildir(m.dir))
	}
	return nil
}

// keep remembers a listing.
func (m *Mailbox) keep(s *snapshot) *snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last, m.moved = s, nil
	return s
}

// note remembers what this handle did to a message; f is nil when the message was removed.
func (m *Mailbox) note(id merge.ID, f *file) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moved == nil {
		m.moved = make(map[merge.ID]*file)
	}
	m.moved[id] = f
}

// hint returns where a message was last seen; ok is false when nothing is known of it.
func (m *Mailbox) hint(id merge.ID) (f file, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f, ok := m.moved[id]; ok {
		if f == nil {
			return file{}, false
		}
		return *f, true
	}
	if m.last == nil {
		return file{}, false
	}
	return m.last.find(id)
}
