package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"driftless/daemon/config"
	"driftless/drivers"
	"driftless/merge"
)

func (a *app) checkCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check [ACCOUNT...]",
		Short: "Check configuration, connection and login; show the pairs of mailboxes",
		Long: `Check the configuration and that the state directory can be written, connect to both stores of the accounts, log in, and show
what the servers offer, what of that is used, and which mailboxes are paired. Nothing is written anywhere.`,
		ValidArgsFunction: a.completeAccounts,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			accounts, err := a.accounts(c, args)
			if err != nil {
				return err
			}
			if !asJSON {
				a.print("configuration %s is right\n", c.File)
			}
			code := exitOK
			for _, dir := range stateDirs(c, accounts) {
				if err := writable(dir); err != nil {
					a.say("%v", err)
					code = exitFailed
				}
			}
			for _, acc := range accounts {
				if err := a.check(cmd.Context(), c, acc, asJSON); err != nil {
					if ctxErr := cmd.Context().Err(); ctxErr != nil {
						return ctxErr
					}
					code = exitFailed
				}
			}
			return silent(code)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// checkedStore is a side in check --json.
type checkedStore struct {
	Type      string   `json:"type"`
	Account   string   `json:"account"`
	Side      string   `json:"side"`
	Kind      string   `json:"kind,omitempty"`
	Address   string   `json:"address,omitempty"`
	Server    string   `json:"server,omitempty"`
	Offered   []string `json:"offered,omitempty"`
	Used      []string `json:"used,omitempty"`
	Notes     []string `json:"notes,omitempty"`
	Mailboxes int      `json:"mailboxes"`
	Error     string   `json:"error,omitempty"`

	info drivers.Info
	list []drivers.MailboxInfo
	err  error
}

// check reports one account; the error says that something failed, and has been said.
func (a *app) check(ctx context.Context, c *config.Config, acc config.Account, asJSON bool) error {
	e := a.engineAccount(c, acc, true)
	var seen [2]checkedStore
	var wg sync.WaitGroup
	for _, side := range merge.Sides {
		wg.Go(func() {
			s := &seen[side]
			defer func() {
				if v := recover(); v != nil {
					s.err = a.recovered(v)
				}
			}()
			s.info, s.list, s.err = look(ctx, e.Open[side])
		})
	}
	wg.Wait()
	failure := errors.Join(seen[0].err, seen[1].err)
	for _, side := range merge.Sides {
		s := &seen[side]
		s.Type, s.Account, s.Side = "store", acc.Name, side.String()
		s.Kind, s.Address, s.Server, s.Offered, s.Used, s.Notes = s.info.Kind, s.info.Address, s.info.Server, s.info.Offered, s.info.Used, s.info.Notes
		s.Mailboxes = selectable(s.list)
		if s.err != nil {
			s.Error = clean(s.err.Error())
			a.say("%s: %s: %s", acc.Name, side, s.Error)
		}
		if asJSON {
			a.object(s)
		}
	}
	pairs := pairMailboxes(acc, seen[0].list, seen[1].list)
	if !asJSON {
		a.printCheck(acc, seen, pairs, failure == nil)
		return failure
	}
	if failure == nil {
		for _, p := range pairs {
			a.object(p)
		}
	}
	return failure
}

// look opens a store, lists its mailboxes and closes it.
func look(ctx context.Context, open func(context.Context) (drivers.Store, error)) (info drivers.Info, list []drivers.MailboxInfo, err error) {
	store, err := open(ctx)
	if err != nil {
		return drivers.Info{}, nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	list, err = store.List(ctx, nil)
	return store.Info(), list, err
}

// selectable counts the mailboxes that can hold messages.
func selectable(list []drivers.MailboxInfo) int {
	n := 0
	for _, m := range list {
		if !m.NoSelect {
			n++
		}
	}
	return n
}

// mailboxPair is a line of the table of pairs.
type mailboxPair struct {
	Type    string `json:"type"`
	Account string `json:"account"`
	Left    string `json:"left"`
	Right   string `json:"right"`
	State   string `json:"state"` // "paired", "new on left", "new on right", "only on left", "only on right", "not selected"
	Counts  [2]int `json:"messages"`
}

// pairMailboxes pairs two listings by the names that the configuration gives them, sorted by the left name.
func pairMailboxes(acc config.Account, left, right []drivers.MailboxInfo) []mailboxPair {
	toRight, toLeft := acc.Rename, map[string]string{}
	for l, r := range toRight {
		toLeft[r] = l
	}
	byLeft := map[string]*mailboxPair{}
	get := func(l, r string) *mailboxPair {
		p := byLeft[l]
		if p == nil {
			p = &mailboxPair{Type: "pair", Account: acc.Name, Left: l, Right: r, Counts: [2]int{-1, -1}}
			byLeft[l] = p
		}
		return p
	}
	var there [2]map[string]bool
	for i, list := range [2][]drivers.MailboxInfo{left, right} {
		there[i] = map[string]bool{}
		for _, m := range list {
			if m.NoSelect {
				continue
			}
			l, r := m.Name, m.Name
			if i == int(merge.Left) {
				if other, ok := toRight[l]; ok {
					r = other
				}
			} else if other, ok := toLeft[r]; ok {
				l = other
			}
			get(l, r).Counts[i] = m.Messages
			there[i][l] = true
		}
	}
	var out []mailboxPair
	for l, p := range byLeft {
		onLeft, onRight := there[merge.Left][l], there[merge.Right][l]
		switch {
		case !acc.Mailboxes.Match(l):
			p.State = "not selected"
		case onLeft && onRight:
			p.State = "paired"
		case onLeft && acc.CreateMailboxes[merge.Right]:
			p.State = "new on right"
		case onRight && acc.CreateMailboxes[merge.Left]:
			p.State = "new on left"
		case onLeft:
			p.State = "only on left"
		default:
			p.State = "only on right"
		}
		out = append(out, *p)
	}
	slices.SortFunc(out, func(x, y mailboxPair) int { return strings.Compare(x.Left, y.Left) })
	return out
}

func (a *app) printCheck(acc config.Account, seen [2]checkedStore, pairs []mailboxPair, complete bool) {
	a.print("\n%s\n", a.style(styleHead, "account "+acc.Name))
	for _, side := range merge.Sides {
		s := seen[side]
		if s.err != nil {
			a.print("  %-6s %s\n", side.String()+":", a.style(styleBad, "failed, see above"))
			continue
		}
		line := s.info.Kind + " " + clean(s.info.Address)
		if s.info.Server != "" {
			line += " (" + clean(s.info.Server) + ")"
		}
		a.print("  %-6s %s: %s\n", side.String()+":", line, a.style(styleGood, mailboxes(s.Mailboxes)))
		for _, l := range []struct {
			what  string
			words []string
		}{{"offers", s.info.Offered}, {"used", s.info.Used}} {
			if len(l.words) > 0 {
				a.print("         %s: %s\n", l.what, clean(strings.Join(l.words, " ")))
			}
		}
		for _, n := range s.info.Notes {
			a.print("         note: %s\n", clean(n))
		}
	}
	if !complete {
		return
	}
	explain := map[string]string{
		"new on right": "new: the next sync creates it on the right", "new on left": "new: the next sync creates it on the left",
		"only on left": "left alone: create_mailboxes does not allow it", "only on right": "left alone: create_mailboxes does not allow it",
	}
	rows := [][]string{{"left mailbox", " messages", "right mailbox", " messages", "state"}}
	for _, p := range pairs {
		state := p.State
		if s, ok := explain[state]; ok {
			state = s
		}
		rows = append(rows, []string{clean(p.Left), count(p.Counts[0]), clean(p.Right), count(p.Counts[1]), state})
	}
	a.table("  ", rows)
}

// count shows a number of messages; a listing need not tell it.
func count(n int) string {
	if n < 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
