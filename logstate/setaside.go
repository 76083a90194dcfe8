package logstate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// logDirs are the directories of an account's logs, in the order in which SetAside moves them: while the shared log is there a reader sees
// the old state, and without it there is none, so that being cut off in between loses side logs only, which a sync after that survives.
var logDirs = [...]string{"shared", "left", "right"}

// SetAside takes the account's lock and moves its logs into a new directory "old-TIME" of the account's directory, so that the next Open
// begins with nothing known. It returns that directory's name, "" when there were no logs. It also works on logs that Open refuses.
func SetAside(ctx context.Context, dir string, opt Options) (kept string, err error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	lock, err := lockAccount(ctx, dir, opt)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	name := "old-" + opt.Now().UTC().Format("20060102T150405.000000000Z")
	target := filepath.Join(dir, name)
	moved := false
	for _, log := range logDirs {
		from := filepath.Join(dir, log)
		if _, err := os.Lstat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if !moved {
			if err := os.Mkdir(target, 0o700); err != nil {
				return "", fmt.Errorf("set the logs aside: %w", err)
			}
			moved = true
		}
		if err := os.Rename(from, filepath.Join(target, log)); err != nil {
			return "", fmt.Errorf("set the logs aside: %w", err)
		}
	}
	if !moved {
		return "", nil
	}
	if err := errors.Join(osFiles{}.SyncDir(target), osFiles{}.SyncDir(dir)); err != nil {
		return "", fmt.Errorf("set the logs aside: %w", err)
	}
	return name, nil
}
