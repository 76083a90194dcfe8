package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"driftless/logstate"
)

func (a *app) rebuildCommand() *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "rebuild ACCOUNT",
		Short: "Forget the state of an account; the next sync pairs by content",
		Long: `Forget what the logs know of an account. Both stores stay as they are, and the next sync pairs their messages again by content:
nothing is deleted by that, and what is on both sides is not copied. What was deleted on one side only since the last sync comes back, and
flags are united. The old logs are set aside under a dated name, not removed.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeAccounts,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			if _, err := a.accounts(c, args); err != nil {
				return err
			}
			if len(args) == 0 {
				return usage(fmt.Errorf("name the account to rebuild: one of %s", strings.Join(accountNames(c), ", ")))
			}
			return a.rebuild(cmd.Context(), args[0], accountDir(c, args[0]), logstate.Options{NoWait: noWait})
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "fail at once when another process works on the account")
	return cmd
}

func (a *app) rebuild(ctx context.Context, name, dir string, opt logstate.Options) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		a.print("%s: has never been synced, there is nothing to forget\n", name)
		return nil
	}
	opt.Waiting = func(holder string, since time.Time) {
		a.note("%s: waiting for %s, at work since %s", name, clean(holder), since.Format(time.TimeOnly))
	}
	kept, err := logstate.SetAside(ctx, dir, opt)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if kept == "" {
		a.print("%s: there are no logs, there is nothing to forget\n", name)
		return nil
	}
	if !a.quiet {
		a.print("%s: forgotten; the old logs are in %s. The next sync pairs by content.\n", name, filepath.Join(dir, kept))
	}
	return nil
}
