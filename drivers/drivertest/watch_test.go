package drivertest_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"driftless/drivers"
	"driftless/drivers/drivertest"
	"driftless/drivers/memory"
)

// Watch is told of each item before and after it is done, and of nothing that the fault prevented.
func TestWatch(t *testing.T) {
	srv := memory.New(memory.Options{})
	var mu sync.Mutex
	var told []string
	var before, after []int
	plan := &drivertest.Plan{AtName: "left Append INBOX 1.3", Fault: drivertest.UnknownBefore}
	plan.Watch = func(label, op string, done bool) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, label+" "+op)
		n := len(srv.Snapshot()["INBOX"].Messages)
		if done {
			after = append(after, n)
		} else {
			before = append(before, n)
		}
	}
	s, err := srv.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s = drivertest.FaultyNamed(s, plan, "left")
	b, err := s.Open(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	msgs := make([]drivers.Append, 4)
	for i := range msgs {
		msgs[i] = drivers.Append{Content: drivers.Bytes(drivertest.Message(i, drivertest.MessageOptions{}))}
	}
	res, err := b.Append(t.Context(), msgs)
	if err == nil || len(res) != 4 || res[0].Err != nil || res[1].Err != nil || res[2].Err == nil || res[3].Err == nil {
		t.Errorf("%+v, %v", res, err)
	}
	if want := []string{"left Open", "left Open", "left Append", "left Append", "left Append", "left Append"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if !slices.Equal(before, []int{0, 0, 1}) || !slices.Equal(after, []int{0, 1, 2}) {
		t.Errorf("there were %v messages before and %v after each call", before, after)
	}
}

// localStore is a store of files in what Faulty must not hide.
type localStore struct {
	drivers.Store
	ensured, locked int
}

func (l *localStore) EnsureIdentity(context.Context) (string, error) { l.ensured++; return "id", nil }

func (l *localStore) Lock(context.Context) (func(), error) { l.locked++; return func() {}, nil }

// What a store of files can do beside the others is there behind the wrapper, and is a point, too.
func TestFaultyLocal(t *testing.T) {
	type local interface {
		EnsureIdentity(ctx context.Context) (string, error)
		Lock(ctx context.Context) (func(), error)
	}
	inner, err := memory.New(memory.Options{}).Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := drivertest.Faulty(inner, &drivertest.Plan{}).(local); ok {
		t.Error("a server is wrapped as if it were a store of files")
	}
	store := &localStore{Store: inner}
	l, ok := drivertest.Faulty(store, &drivertest.Plan{At: 2, Fault: drivertest.FailBefore}).(local)
	if !ok {
		t.Fatal("the wrapper hides what the store can do")
	}
	if id, err := l.EnsureIdentity(t.Context()); id != "id" || err != nil {
		t.Errorf("%q, %v", id, err)
	}
	if id, err := l.EnsureIdentity(t.Context()); id != "" || err == nil || store.ensured != 1 {
		t.Errorf("at the fault: %q, %v; asked %d times", id, err, store.ensured)
	}
	if _, err := l.Lock(t.Context()); err != nil || store.locked != 1 {
		t.Errorf("lock: %v, %d", err, store.locked)
	}
}
