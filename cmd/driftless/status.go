package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"driftless/daemon/config"
	"driftless/logstate"
	"driftless/merge"
)

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status [ACCOUNT...]",
		Short: "Show what the logs know: mailboxes, messages, last run",
		Long: `Show what the logs know of the accounts: when they were last run (whether that run succeeded or not), the mailboxes with
their messages, and how many messages are known to be on one side only, and why. What is held is not in the logs: sync --dry-run
tells it. Nothing is connected to and nothing is locked.`,
		ValidArgsFunction: a.completeAccounts,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			accounts, err := a.accounts(c, args)
			if err != nil {
				return err
			}
			code := exitOK
			for _, acc := range accounts {
				if err := a.status(c, acc, asJSON, time.Now()); err != nil {
					a.say("%s: %v", acc.Name, err)
					code = exitFailed
				}
			}
			return silent(code)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// statusMailbox is a mailbox in status --json.
type statusMailbox struct {
	Type     string         `json:"type"`
	Account  string         `json:"account"`
	Mailbox  string         `json:"mailbox"`
	Right    string         `json:"right,omitempty"` // its right name, if it differs
	Messages perSide        `json:"messages"`
	Halves   map[string]int `json:"halves,omitempty"`
	Repair   bool           `json:"repair,omitempty"` // will be paired again by content
}

// statusAccount is an account in status --json.
type statusAccount struct {
	Type      string         `json:"type"`
	Account   string         `json:"account"`
	LastSync  *time.Time     `json:"last_sync"` // the last run; null: never
	Mailboxes int            `json:"mailboxes"`
	Messages  perSide        `json:"messages"`
	Halves    map[string]int `json:"halves,omitempty"`
	Unsettled perSide        `json:"unsettled"`
	Running   *statusRun     `json:"running,omitempty"`    // who works on the account now
	Lost      bool           `json:"state_lost,omitempty"` // the shared log is gone; the next sync restores what the side logs know
}

// statusRun is a process that works on an account, in status --json.
type statusRun struct {
	Holder string    `json:"holder"`
	Since  time.Time `json:"since"`
}

func (a *app) status(c *config.Config, acc config.Account, asJSON bool, now time.Time) error {
	dir := accountDir(c, acc.Name)
	last, err := logstate.LastRun(dir)
	if err != nil {
		return err
	}
	view, err := logstate.OpenView(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return logstate.Explain(acc.Name, err)
	}
	total := statusAccount{Type: "account", Account: acc.Name, Halves: map[string]int{}}
	if !last.IsZero() {
		total.LastSync = &last
	}
	var boxes []statusMailbox
	if err == nil {
		boxes = statusMailboxes(acc.Name, view, &total)
		total.Lost = view.SharedLost()
	}
	if busy := logstate.Running(dir); busy != nil {
		total.Running = &statusRun{busy.Holder, busy.Since}
	}
	if asJSON {
		for _, b := range boxes {
			a.object(b)
		}
		a.object(total)
		return nil
	}
	a.printStatus(total, boxes, now)
	return nil
}

// statusMailboxes returns the mailboxes by name and adds them up in total.
func statusMailboxes(account string, view *logstate.View, total *statusAccount) []statusMailbox {
	var out []statusMailbox
	for _, s := range view.Mailboxes() {
		if !s.Known[merge.Left] && !s.Known[merge.Right] {
			continue
		}
		b := statusMailbox{
			Type: "mailbox", Account: account, Mailbox: s.Names[merge.Left], Messages: sides(s.Count), Halves: map[string]int{}, Repair: s.Repair,
		}
		if s.Names[merge.Right] != s.Names[merge.Left] {
			b.Right = s.Names[merge.Right]
		}
		for reason, n := range s.Halves {
			if n > 0 {
				b.Halves[reason.String()] += n
				total.Halves[reason.String()] += n
			}
		}
		total.Mailboxes++
		total.Messages.Left += s.Count[merge.Left]
		total.Messages.Right += s.Count[merge.Right]
		out = append(out, b)
	}
	slices.SortFunc(out, func(x, y statusMailbox) int { return strings.Compare(x.Mailbox, y.Mailbox) })
	total.Unsettled = sides(view.Unsettled())
	return out
}

func (a *app) printStatus(t statusAccount, boxes []statusMailbox, now time.Time) {
	head := a.style(styleHead, t.Account) + ": "
	if t.LastSync == nil {
		head += "never synced"
	} else {
		head += fmt.Sprintf("last run %s (%s)", t.LastSync.Local().Format(time.DateTime), since(now, *t.LastSync))
	}
	head += fmt.Sprintf("; %s, %s on the left, %d on the right", mailboxes(t.Mailboxes), messages(t.Messages.Left), t.Messages.Right)
	a.print("%s\n", head)
	if t.Lost {
		a.print("  %s\n", a.style(styleMaybe, "the shared log was lost; the next sync restores what the side logs know"))
	}
	if r := t.Running; r != nil {
		a.print("  %s\n", fmt.Sprintf("%s is at work since %s", r.Holder, r.Since.Local().Format(time.DateTime)))
	} else if n := t.Unsettled.Left + t.Unsettled.Right; n > 0 {
		a.print("  %s\n", a.style(styleMaybe, plural(n, "batch was", "batches were")+" interrupted; the next sync finds out what became of it"))
	}
	rows := [][]string{{"mailbox", " left", " right", "remarks"}}
	for _, b := range boxes {
		var remarks []string
		for _, reason := range slices.Sorted(maps.Keys(b.Halves)) {
			remarks = append(remarks, fmt.Sprintf("%d %s", b.Halves[reason], reason))
		}
		if b.Right != "" {
			remarks = append(remarks, "right name "+clean(b.Right))
		}
		if b.Repair {
			remarks = append(remarks, "state lost in part, will be paired again by content")
		}
		rows = append(rows, []string{clean(b.Mailbox), fmt.Sprint(b.Messages.Left), fmt.Sprint(b.Messages.Right), strings.Join(remarks, "; ")})
	}
	if len(rows) > 1 {
		a.table("  ", rows)
	}
}
