package imap

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"driftless/drivers"
)

// Store is an IMAP account.
type Store struct {
	opt     Options
	in, out atomic.Int64
	trips   atomic.Int64
	pool    pool
	opened  opened

	mu       sync.Mutex
	caps     capSet   // as of the latest login
	server   string   // from the greeting
	names    names    // how mailbox names are written
	known    bool     // names is known
	foreign  []string // prefixes of other users' and shared namespaces, which are not synced
	validity uint32   // UIDVALIDITY of INBOX; 0 not known yet
	notes    []string
	sizeMax  int64
}

var _ drivers.Store = (*Store)(nil)

// Open connects to the account and logs in. Errors are *drivers.Error; a refused password is drivers.ErrLogin, never to be retried by itself.
func Open(ctx context.Context, opt Options) (*Store, error) {
	full, err := opt.withDefaults()
	if err != nil {
		return nil, &drivers.Error{Op: "open IMAP store", Where: opt.Host, Reach: drivers.ReachStore, Retry: drivers.RetryNever, Err: err}
	}
	st := &Store{opt: full}
	st.pool.init(st, full.Connections)
	c, err := st.pool.take(ctx, "")
	if err != nil {
		return nil, err
	}
	st.pool.give(c)
	return st, nil
}

// learn keeps what a login told.
func (st *Store) learn(c *conn) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.caps = c.caps
	st.sizeMax = c.caps.maxAppend()
}

// note keeps something that a person should know, once.
func (st *Store) note(s string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !slices.Contains(st.notes, s) && len(st.notes) < 50 {
		st.notes = append(st.notes, s)
	}
}

// Info describes the server. It asks nothing: what has not been needed yet is not known yet.
func (st *Store) Info() drivers.Info {
	st.mu.Lock()
	defer st.mu.Unlock()
	in := drivers.Info{Kind: "imap", Address: st.opt.address(), Server: st.server, Offered: st.caps.names(), Notes: slices.Clone(st.notes),
		Namespace: st.names.prefix, MaxMessage: st.sizeMax}
	if st.names.delim != 0 {
		in.Delimiter = string(st.names.delim)
	}
	for _, u := range used {
		if st.caps[u] {
			in.Used = append(in.Used, u)
		}
	}
	if !st.caps.uidplus() {
		in.Notes = append(in.Notes, "no UIDPLUS: EXPUNGE is sent only when the deleted messages of the mailbox are exactly ours; otherwise ours are left alone")
	}
	if !st.caps.condstore() {
		in.Notes = append(in.Notes, "no CONDSTORE: every sync lists the flags of all messages")
	}
	return in
}

// Identity returns the UIDVALIDITY of INBOX. It is what the last listing or opening of INBOX told; the server is asked only if there was none.
func (st *Store) Identity(ctx context.Context) (string, error) {
	st.mu.Lock()
	v := st.validity
	st.mu.Unlock()
	if v == 0 {
		c, err := st.pool.take(ctx, "")
		if err != nil {
			return "", err
		}
		defer st.pool.give(c)
		if err := c.prepare(ctx); err != nil {
			return "", err
		}
		info, err := c.status(ctx, inbox, "INBOX", "UIDVALIDITY")
		if errors.Is(err, drivers.ErrNoMailbox) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		v = info.validity
	}
	if v == 0 {
		return "", nil
	}
	return strconv.FormatUint(uint64(v), 10), nil
}

// sawInbox keeps INBOX's UIDVALIDITY.
func (st *Store) sawInbox(validity uint32) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if validity != 0 {
		st.validity = validity
	}
}

// Stats returns the counts since the store was opened. A round trip is a wait for the server with nothing else in flight: the
// greeting, each flight of commands, each continuation request.
func (st *Store) Stats() drivers.Stats {
	return drivers.Stats{RoundTrips: st.trips.Load(), BytesIn: st.in.Load(), BytesOut: st.out.Load()}
}

// Close logs out and waits for everything that the store started.
func (st *Store) Close() error {
	st.pool.close()
	return nil
}

// greeted keeps what the server calls itself.
func (st *Store) greeted(text string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.server = text
}

// raw returns the server's form of a mailbox name. Names must be known (conn.prepare).
func (st *Store) raw(local string) (string, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	raw, err := st.names.toServer(local)
	if err != nil {
		return "", &drivers.Error{Op: "open", Where: local, Reach: drivers.ReachMailbox, Retry: drivers.RetryNever, Err: err}
	}
	return raw, nil
}
