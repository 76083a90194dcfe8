package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"driftless/daemon/config"
	"driftless/daemon/engine"
)

// maxParallelAccounts bounds how many accounts are worked on at the same time.
const maxParallelAccounts = 8

type syncFlags struct {
	mailbox string
	dryRun  bool
	json    bool
	full    bool
	noWait  bool
}

func (a *app) syncCommand() *cobra.Command {
	var f syncFlags
	cmd := &cobra.Command{
		Use:   "sync [ACCOUNT...]",
		Short: "Make both sides of accounts identical",
		Long: `Make both sides of the accounts identical, once; all accounts when none is named.

Without a terminal there is one line per account. Exit codes: 0 in sync, 1 some mailbox failed, 2 usage or configuration,
3 something is held or in conflict, 4 interrupted. A dry run says per mailbox how much there is to do, with -v each action. An account that another process works on is waited for, up to 30 s.`,
		Example: `  driftless sync
  driftless sync work --mailbox "Archive/*" --dry-run`,
		ValidArgsFunction: a.completeAccounts,
		RunE: func(cmd *cobra.Command, args []string) error {
			only, err := mailboxFilter(cmd, f.mailbox)
			if err != nil {
				return err
			}
			return a.sync(cmd.Context(), args, f, only)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.mailbox, "mailbox", "m", "", "only mailboxes whose left name matches `GLOB`")
	fl.BoolVarP(&f.dryRun, "dry-run", "n", false, "print the plan and write nothing anywhere")
	fl.BoolVar(&f.json, "json", false, "one JSON object per line, a summary per account at the end")
	fl.BoolVar(&f.full, "full", false, "list both sides in full instead of asking for changes")
	fl.BoolVar(&f.noWait, "no-wait", false, "fail at once when another process works on the account")
	return cmd
}

// mailboxFilter returns what --mailbox selects, nil for everything.
func mailboxFilter(cmd *cobra.Command, glob string) (func(string) bool, error) {
	if !cmd.Flags().Changed("mailbox") {
		return nil, nil
	}
	g, err := config.ParseGlobs(glob)
	if err != nil {
		return nil, usage(fmt.Errorf("--mailbox %q: %w", glob, err))
	}
	return g.Match, nil
}

func (a *app) sync(ctx context.Context, names []string, f syncFlags, only func(string) bool) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	accounts, err := a.accounts(c, names)
	if err != nil {
		return err
	}
	matched := matches{glob: f.mailbox}
	out := a.newSyncOutput(f)
	defer out.close()
	code, err := forAccounts(ctx, a, accounts, func(ctx context.Context, acc config.Account) int {
		eacc := a.engineAccount(c, acc, f.dryRun)
		eacc.Logs.NoWait = f.noWait
		line := out.account(acc.Name)
		report, err := engine.Sync(ctx, eacc, engine.Request{Mailbox: only, DryRun: f.dryRun, Full: f.full}, line.event)
		if ctx.Err() != nil && err == nil {
			err = ctx.Err()
		}
		if err == nil && report.Errors == 0 && report.Held == 0 {
			err = matched.check(acc, report.Mailboxes)
		}
		line.done(report, err)
		return cycleCode(report, err)
	})
	if err != nil {
		return err
	}
	return silent(matched.code(code))
}

// forAccounts runs f for several accounts at the same time and returns the worst code. A panic in f is an error of its account.
func forAccounts(ctx context.Context, a *app, accounts []config.Account, f func(context.Context, config.Account) int) (int, error) {
	var g errgroup.Group
	g.SetLimit(maxParallelAccounts)
	var mu sync.Mutex
	code := exitOK
	for _, acc := range accounts {
		g.Go(func() (err error) {
			defer func() {
				if v := recover(); v != nil {
					err = fmt.Errorf("%s: %w", acc.Name, a.recovered(v))
				}
			}()
			one := f(ctx, acc)
			mu.Lock()
			defer mu.Unlock()
			code = worse(code, one)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return exitFailed, &exitError{exitFailed, err}
	}
	return code, nil
}

// interrupted reports whether an error only says that the user ended the run.
func interrupted(err error) bool { return errors.Is(err, context.Canceled) }
