package faultfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// FS is a mounted file system. Its methods may be called from any goroutine, but not from a hook, except for Backing and Dir.
type FS struct {
	dir, backing, scratch string

	frozen    atomic.Bool
	scratches atomic.Uint64
	reads     atomic.Pointer[func(ReadKind, string) syscall.Errno]

	order sync.Mutex // held through each effect; before tree
	hook  func(Op) Verdict
	trace []Op
	base  *disk // the durable state that the trace begins with
	tree  nodes
}

// Dir returns where the file system is mounted.
func (f *FS) Dir() string { return f.dir }

// Backing returns the directory behind the mount. Whoever changes something there himself must see to it that nobody uses the mount at that time, and
// call Mark or Reset.
func (f *FS) Backing() string { return f.backing }

// Scratch returns a path where nothing is, without faults and in memory as the directory behind is, so that it costs no wait for a disk: for an image, say. It goes away
// with the next Reset.
func (f *FS) Scratch() string {
	return filepath.Join(f.scratch, strconv.FormatUint(f.scratches.Add(1), 10))
}

// SetHook replaces the hook; nil lets everything pass.
func (f *FS) SetHook(hook func(Op) Verdict) {
	f.order.Lock()
	defer f.order.Unlock()
	f.hook = hook
}

// SetReadFault installs what decides whether a question fails; nil, as after Mount, answers all. It is called from several goroutines at once.
func (f *FS) SetReadFault(fault func(kind ReadKind, path string) syscall.Errno) {
	if fault == nil {
		f.reads.Store(nil)
		return
	}
	f.reads.Store(&fault)
}

// Freeze makes everything fail with EIO from now on.
func (f *FS) Freeze() {
	f.order.Lock()
	defer f.order.Unlock()
	f.frozen.Store(true)
}

// Thaw ends a freeze: what the mount shows then is what a process that is started after the old one was killed finds. Files that were opened before stay
// dead.
func (f *FS) Thaw() {
	f.order.Lock()
	defer f.order.Unlock()
	f.tree.kill()
	f.frozen.Store(false)
}

// Trace returns all effects since Mount, Mark or Reset, also those that did not take place.
func (f *FS) Trace() []Op {
	f.order.Lock()
	defer f.order.Unlock()
	return slices.Clone(f.trace)
}

// Mark makes all that is there now count as durable, and begins the trace anew.
func (f *FS) Mark() error {
	f.order.Lock()
	defer f.order.Unlock()
	base, err := readDisk(f.backing)
	if err != nil {
		return fmt.Errorf("mark: %w", err)
	}
	f.base, f.trace = base, nil
	return nil
}

// Reset empties the file system, thaws it, removes hook and read fault, and begins the trace anew. Files that are still open are dead from then on.
func (f *FS) Reset() error {
	f.order.Lock()
	defer f.order.Unlock()
	if err := f.tree.empty(f.backing); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if err := os.RemoveAll(f.scratch); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	if err := os.Mkdir(f.scratch, 0o700); err != nil {
		return fmt.Errorf("reset: %w", err)
	}
	f.base, f.trace, f.hook = newDisk(), nil, nil
	f.reads.Store(nil)
	f.frozen.Store(false)
	return nil
}

// Image writes to dst, a directory that does not exist or is empty, what a disk holds that lost its power once op upTo had happened, or, with the loss
// Nothing, what is there when only the process died. 0 means before the first op.
func (f *FS) Image(dst string, upTo int, loss Loss) error {
	f.order.Lock()
	if upTo < 0 || upTo > len(f.trace) {
		f.order.Unlock()
		return fmt.Errorf("image: there is no op %d, only 1 to %d", upTo, len(f.trace))
	}
	base, ops := f.base, f.trace[:upTo:upTo] // ops are never changed once they are in the trace
	f.order.Unlock()
	after, err := base.after(ops, loss)
	if err == nil {
		err = after.write(dst)
	}
	if err != nil {
		return fmt.Errorf("image after op %d: %w", upTo, err)
	}
	return nil
}

// effect has one effect judged, performed and written down. name fills in the paths, do performs it; it may shorten op.Data.
func (f *FS) effect(op Op, name, do func(*Op) syscall.Errno) syscall.Errno {
	f.order.Lock()
	defer f.order.Unlock()
	if f.frozen.Load() {
		return syscall.EIO
	}
	if errno := name(&op); errno != 0 {
		return errno // the name is not ours any more: nothing was asked for
	}
	op.N = len(f.trace) + 1
	var v Verdict
	if f.hook != nil {
		v = f.hook(op)
	}
	if v.Before != 0 {
		op.Err = v.Before
	} else {
		if op.Kind == Write && v.Short > 0 && v.Short < len(op.Data) {
			op.Data = op.Data[:v.Short]
		}
		op.Err = do(&op)
		op.Done = op.Err == 0
		if op.Done {
			op.Err = v.After
		}
	}
	if v.Freeze {
		f.frozen.Store(true)
		op.Err, op.gone = syscall.EIO, !op.Done
	}
	f.trace = append(f.trace, op)
	return op.Err
}

// question reports whether reading is to fail.
func (f *FS) question(kind ReadKind, path func() string) syscall.Errno {
	if f.frozen.Load() {
		return syscall.EIO
	}
	if fault := f.reads.Load(); fault != nil {
		return (*fault)(kind, path())
	}
	return 0
}

// Mount mounts an empty file system that asks hook, which may be nil, about each effect. It is unmounted with the test, however that ends. The test is skipped
// where the machine cannot do that.
func Mount(tb testing.TB, hook func(Op) Verdict) *FS {
	tb.Helper()
	if err := usable(); err != nil {
		tb.Skipf("no fault-injecting file system here: %v", err)
	}
	f := &FS{hook: hook, base: newDisk()}
	unmount, err := f.mount(tb.TempDir())
	if err != nil {
		tb.Fatalf("mount a file system: %v", err)
	}
	tb.Cleanup(func() {
		if err := unmount(); err != nil {
			tb.Errorf("unmount: %v", err)
		}
	})
	return f
}
