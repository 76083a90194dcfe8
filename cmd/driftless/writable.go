package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"driftless/daemon/config"
)

// stateDirs returns the state directory and, where they exist, those of the accounts in it.
func stateDirs(c *config.Config, accounts []config.Account) []string {
	dirs := []string{c.StateDir}
	for _, acc := range accounts {
		if dir := accountDir(c, acc.Name); !isMissing(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// writable returns an error when a sync could not write to a directory, or could not make it. Nothing is created to find out.
func writable(dir string) error {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			continue
		}
		verb := "written"
		if at != dir {
			verb = "created"
		}
		switch {
		case errors.Is(err, unix.ENOTDIR):
			continue // what is not a directory is further up
		case err != nil:
		case !info.IsDir():
			err = fmt.Errorf("%s is not a directory", at)
		default:
			if err = unix.Access(at, unix.W_OK|unix.X_OK); err != nil {
				err = fmt.Errorf("%s: %w", at, err)
			}
		}
		if err != nil {
			return fmt.Errorf("the state directory %s cannot be %s: %w", dir, verb, err)
		}
		return nil
	}
}
