package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(Main())
}

// Main runs the command line of this process under its signals and returns the exit code.
func Main() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	// Until the process ends: a signal that comes when all is done must not make a failure of it.
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for n := 0; ; n++ {
			s := <-signals
			if n > 0 {
				os.Exit(exitInterrupted) // what is half done is settled by the next sync
			}
			_, _ = fmt.Fprintf(os.Stderr, "driftless: %s: finishing the running step; once more to stop at once\n", s)
			cancel()
		}
	}()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
}
