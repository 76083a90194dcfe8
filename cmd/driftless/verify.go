package main

import (
	"context"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"driftless/daemon/config"
	"driftless/daemon/engine"
)

type verifyFlags struct {
	content bool
	json    bool
	mailbox string
}

func (a *app) verifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [ACCOUNT...]",
		Short: "Compare both sides in full, with each other and with the state",
		Long: `List both sides of the accounts in full and compare them with each other and with what the logs say. Nothing is written.
Exit code 1 and a list when something differs. With --content the bodies are read and compared, too.`,
		ValidArgsFunction: a.completeAccounts,
		RunE: func(cmd *cobra.Command, args []string) error {
			only, err := mailboxFilter(cmd, f.mailbox)
			if err != nil {
				return err
			}
			return a.verify(cmd.Context(), args, f, only)
		},
	}
	cmd.Flags().BoolVar(&f.content, "content", false, "compare the bodies, too")
	cmd.Flags().BoolVar(&f.json, "json", false, "one JSON object per line, a summary per account at the end")
	cmd.Flags().StringVarP(&f.mailbox, "mailbox", "m", "", "only mailboxes whose left name matches `GLOB`")
	return cmd
}

// differenceObject is a difference in verify --json.
type differenceObject struct {
	Type    string `json:"type"`
	Account string `json:"account"`
	engine.Difference
}

// verifySummary is the end of an account in verify --json.
type verifySummary struct {
	Type        string  `json:"type"`
	Account     string  `json:"account"`
	Mailboxes   int     `json:"mailboxes"`
	Messages    perSide `json:"messages"`
	Pairs       int     `json:"pairs"`
	Known       int     `json:"known_halves"`
	Compared    int     `json:"compared"`
	Differences int     `json:"differences"`
	Error       string  `json:"error,omitempty"`
}

func (a *app) verify(ctx context.Context, names []string, f verifyFlags, only func(string) bool) error {
	c, err := a.load()
	if err != nil {
		return err
	}
	accounts, err := a.accounts(c, names)
	if err != nil {
		return err
	}
	matched := matches{glob: f.mailbox}
	var mu sync.Mutex // one account's lines at a time
	code, err := forAccounts(ctx, a, accounts, func(ctx context.Context, acc config.Account) int {
		r, err := engine.Verify(ctx, a.engineAccount(c, acc, true), engine.VerifyRequest{Mailbox: only, Content: f.content}, nil)
		if ctx.Err() != nil && err == nil {
			err = ctx.Err()
		}
		if err == nil && len(r.Differences) == 0 {
			err = matched.check(acc, r.Mailboxes)
		}
		mu.Lock()
		defer mu.Unlock()
		if f.json {
			a.verifiedJSON(acc.Name, r, err)
		} else {
			a.verified(acc.Name, r, err)
		}
		switch {
		case err != nil:
			return exitCode(err)
		case len(r.Differences) > 0:
			return exitFailed
		}
		return exitOK
	})
	if err != nil {
		return err
	}
	return silent(matched.code(code))
}

func (a *app) verified(name string, r engine.VerifyReport, err error) {
	for _, d := range r.Differences {
		line := name + ": " + clean(d.Mailbox) + ": " + clean(d.What)
		var ids []string
		for i, side := range []string{"left", "right"} {
			if d.ID[i] != "" {
				ids = append(ids, side+" "+clean(d.ID[i]))
			}
		}
		if len(ids) > 0 {
			line += " (" + strings.Join(ids, ", ") + ")"
		}
		if d.Detail != "" {
			line += ": " + clean(d.Detail)
		}
		a.print("%s\n", line)
	}
	if err != nil {
		a.say("%s: %s", name, clean(err.Error()))
		return
	}
	if a.quiet {
		return
	}
	verdict := a.style(styleGood, "equal on both sides")
	if n := len(r.Differences); n > 0 {
		verdict = a.style(styleBad, plural(n, "difference", "differences"))
	}
	line := mailboxes(r.Mailboxes) + ", " + messages(r.Messages[0]) + " on the left, " + messages(r.Messages[1]) + " on the right"
	if r.Compared > 0 {
		line += ", " + plural(r.Compared, "body", "bodies") + " compared"
	}
	if r.Known > 0 {
		line += ", " + plural(r.Known, "message", "messages") + " known to be on one side only"
	}
	a.print("%s: %s: %s\n", a.style(styleHead, name), verdict, line)
}

func (a *app) verifiedJSON(name string, r engine.VerifyReport, err error) {
	for _, d := range r.Differences {
		a.object(differenceObject{"difference", name, d})
	}
	s := verifySummary{
		Type: "summary", Account: name, Mailboxes: r.Mailboxes, Messages: sides(r.Messages), Pairs: r.Pairs, Known: r.Known,
		Compared: r.Compared, Differences: len(r.Differences),
	}
	if err != nil {
		s.Error = clean(err.Error())
		a.say("%s: %s", name, s.Error)
	}
	a.object(s)
}
