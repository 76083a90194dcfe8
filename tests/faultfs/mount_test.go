package faultfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// deliver writes a file as careful programs do.
func deliver(dir, name, text string) error {
	tmp := filepath.Join(dir, "tmp-"+name)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = os.Chtimes(tmp, time.Unix(1e9, 0), time.Unix(1e9, 0))
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func kinds(ops []Op) string {
	var out []string
	for _, o := range ops {
		out = append(out, o.Kind.String())
	}
	return strings.Join(out, " ")
}

func TestTrace(t *testing.T) {
	f := Mount(t, nil)
	must(t, deliver(f.Dir(), "a", "hello"))
	if got, want := kinds(f.Trace()), "create write utimens fsync rename fsyncdir"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for i, op := range f.Trace() {
		if op.N != i+1 || !op.Done || op.Err != 0 {
			t.Errorf("op %d: %v", i, op)
		}
	}
	if op := f.Trace()[1]; op.Path != "tmp-a" || string(op.Data) != "hello" || op.Off != 0 {
		t.Errorf("the write is %v %q", op, op.Data)
	}
	info, err := os.Stat(f.Dir() + "/a")
	must(t, err)
	behind, err := os.Stat(f.Backing() + "/a")
	must(t, err)
	if in, out := info.Sys().(*syscall.Stat_t), behind.Sys().(*syscall.Stat_t); in.Ino != out.Ino || in.Mtim != out.Mtim || in.Ctim != out.Ctim || info.ModTime().Unix() != 1e9 {
		t.Errorf("attributes differ: %+v and %+v", in, out)
	}
}

func TestVerdicts(t *testing.T) {
	f := Mount(t, nil)
	write := func(v Verdict) (int, error) {
		f.SetHook(func(op Op) Verdict {
			if op.Kind == Write {
				return v
			}
			return Verdict{}
		})
		file, err := os.OpenFile(f.Dir()+"/a", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		must(t, err)
		n, err := unix.Write(int(file.Fd()), []byte("hello"))
		return n, errors.Join(err, file.Close())
	}
	content := func(want string) {
		t.Helper()
		data, err := os.ReadFile(f.Dir() + "/a")
		must(t, err)
		if string(data) != want {
			t.Errorf("got %q, want %q", data, want)
		}
	}
	if _, err := write(Verdict{Before: syscall.ENOSPC}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("before: %v", err)
	}
	content("")
	if _, err := write(Verdict{After: syscall.EDQUOT}); !errors.Is(err, syscall.EDQUOT) {
		t.Errorf("after: %v", err)
	}
	content("hello")
	if n, err := write(Verdict{Short: 2}); n != 2 || err != nil {
		t.Errorf("short: %d, %v", n, err)
	}
	content("hellohe")
	open, err := os.Open(f.Dir() + "/a")
	must(t, err)
	defer func() { must(t, open.Close()) }()
	if _, err := write(Verdict{Freeze: true}); !errors.Is(err, syscall.EIO) {
		t.Errorf("frozen: %v", err)
	}
	for what, err := range map[string]error{
		"read":   second(os.ReadFile(f.Dir() + "/a")),
		"list":   second(os.ReadDir(f.Dir())),
		"stat":   second(os.Stat(f.Dir() + "/a")),
		"pread":  second(open.ReadAt(make([]byte, 1), 0)),
		"unlink": os.Remove(f.Dir() + "/a"),
	} {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%s while frozen: %v", what, err)
		}
	}
	f.Thaw()
	content("hellohehello") // it took place, but nobody learned of it
	if err := second(open.ReadAt(make([]byte, 1), 0)); !errors.Is(err, syscall.EIO) {
		t.Errorf("a file from before the freeze: %v", err)
	}
	if _, err := write(Verdict{Freeze: true, Before: syscall.ENOSPC}); !errors.Is(err, syscall.EIO) {
		t.Errorf("frozen before: %v", err)
	}
	f.Thaw()
	content("hellohehello")
	must(t, os.Truncate(f.Dir()+"/a", 3))
	content("hel")
	f.SetReadFault(func(k ReadKind, path string) syscall.Errno {
		if k == Read && path == "a" {
			return syscall.EIO
		}
		return 0
	})
	if err := second(os.ReadFile(f.Dir() + "/a")); !errors.Is(err, syscall.EIO) {
		t.Errorf("read fault: %v", err)
	}
	f.SetReadFault(nil)
	content("hel")
}

func second[T any](_ T, err error) error { return err }

func TestResetBeginsAnew(t *testing.T) {
	f := Mount(t, nil)
	for round := range 50 {
		must(t, os.MkdirAll(f.Dir()+"/x/y", 0o700))
		must(t, deliver(f.Dir()+"/x/y", "a", strings.Repeat("z", round+1)))
		data, err := os.ReadFile(f.Dir() + "/x/y/a")
		must(t, err)
		if len(data) != round+1 || len(f.Trace()) != 8 {
			t.Fatalf("round %d: %d bytes, %v", round, len(data), f.Trace())
		}
		if round == 25 {
			f.Freeze()
		}
		must(t, f.Reset())
		if list, err := os.ReadDir(f.Dir()); err != nil || len(list) > 0 || len(f.Trace()) > 0 {
			t.Fatalf("not empty: %v, %v, %v", list, err, f.Trace())
		}
	}
}

func TestNamesAndLinks(t *testing.T) {
	f := Mount(t, nil)
	d := f.Dir()
	must(t, os.WriteFile(d+"/a", []byte("one"), 0o600))
	must(t, os.Link(d+"/a", d+"/b"))
	a, err := os.Stat(d + "/a")
	must(t, err)
	b, err := os.Stat(d + "/b")
	must(t, err)
	if !os.SameFile(a, b) || a.Sys().(*syscall.Stat_t).Nlink != 2 {
		t.Errorf("two names: %+v, %+v", a.Sys(), b.Sys())
	}
	file, err := os.OpenFile(d+"/a", os.O_RDWR, 0)
	must(t, err)
	must(t, os.Rename(d+"/a", d+"/c"))
	must(t, second(file.WriteString("two")))
	must(t, os.Remove(d+"/b"))
	must(t, os.Remove(d+"/c"))
	must(t, second(file.WriteAt([]byte("six"), 0)))
	info, err := file.Stat()
	if err != nil || info.Size() != 3 {
		t.Errorf("an open file without a name: %v, %v", info, err)
	}
	must(t, file.Truncate(1))
	must(t, file.Sync())
	buf := make([]byte, 3)
	if n, _ := file.ReadAt(buf, 0); n != 1 || buf[0] != 's' {
		t.Errorf("read %d bytes, %q", n, buf)
	}
	must(t, file.Close())
	must(t, os.WriteFile(d+"/e", nil, 0o600))
	must(t, os.WriteFile(d+"/f", nil, 0o600))
	if err := unix.Renameat2(unix.AT_FDCWD, d+"/e", unix.AT_FDCWD, d+"/f", unix.RENAME_NOREPLACE); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("rename without replacing: %v", err)
	}
	must(t, os.Rename(d+"/e", d+"/f"))
	list, err := os.ReadDir(d)
	if err != nil || len(list) != 1 || list[0].Name() != "f" {
		t.Errorf("the directory has %v, %v", list, err)
	}
}

func TestLocks(t *testing.T) {
	f := Mount(t, nil)
	a, err := os.Open(f.Dir())
	must(t, err)
	b, err := os.Open(f.Dir())
	must(t, err)
	must(t, syscall.Flock(int(a.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	if err := syscall.Flock(int(b.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("a second lock: %v", err)
	}
	must(t, a.Close())
	must(t, syscall.Flock(int(b.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	must(t, b.Close())
}

func BenchmarkDeliver(b *testing.B) {
	f := Mount(b, nil)
	for i := 0; b.Loop(); i++ {
		if err := deliver(f.Dir(), string(rune('a'+i%26)), "hello"); err != nil {
			b.Fatal(err)
		}
	}
}
