package harness

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

var spawner struct {
	once sync.Once
	work chan func()
}

// spawn starts cmd so that it is sent sig when this test process dies, however that happens. The kernel ties such a
// signal to the thread that started the child, so one thread, which lives as long as the process, starts them all.
func spawn(cmd *exec.Cmd, sig syscall.Signal) error {
	spawner.once.Do(func() {
		spawner.work = make(chan func())
		go func() {
			runtime.LockOSThread()
			for f := range spawner.work {
				f()
			}
		}()
	})
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = sig
	done := make(chan error, 1)
	spawner.work <- func() { done <- cmd.Start() }
	return <-done
}
