package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"driftless/daemon/config"
	"driftless/logstate"
)

// followInterval is how often log --follow looks for new records.
const followInterval = 300 * time.Millisecond

// logNames are an account's logs, in the order in which records of the same moment were written.
var logNames = []string{"left", "right", "shared"}

type logFlags struct {
	follow bool
	json   bool
	log    string
}

func (a *app) logCommand() *cobra.Command {
	var f logFlags
	cmd := &cobra.Command{
		Use:   "log [ACCOUNT...]",
		Short: "Print the records of the logs",
		Long: `Print the records of the accounts' logs in the order of time: what was intended, what came of it, what was committed.
The left log has what came from the left (and was done on the right), the right log what came from the right, the shared log the state.
Nothing is locked, and another process may be writing meanwhile.`,
		ValidArgsFunction: a.completeAccounts,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.log != "" && !slices.Contains(logNames, f.log) {
				return usage(fmt.Errorf("--log is %q; it is \"left\", \"right\" or \"shared\"", f.log))
			}
			c, err := a.load()
			if err != nil {
				return err
			}
			accounts, err := a.accounts(c, args)
			if err != nil {
				return err
			}
			return a.log(cmd.Context(), c, accounts, f)
		},
	}
	cmd.Flags().BoolVarP(&f.follow, "follow", "f", false, "go on as records are written, until interrupted")
	cmd.Flags().BoolVar(&f.json, "json", false, "one JSON object per record")
	cmd.Flags().StringVar(&f.log, "log", "", "only `LOG`: left, right or shared")
	_ = cmd.RegisterFlagCompletionFunc("log", cobra.FixedCompletions(logNames, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// recordObject is a record in log --json.
type recordObject struct {
	Type    string `json:"type"`
	Account string `json:"account"`
	logstate.Record
}

// tail is how far the logs of one account have been printed.
type tail struct {
	account string
	dir     string
	view    *logstate.View
	next    map[string]uint64
}

func (a *app) log(ctx context.Context, c *config.Config, accounts []config.Account, f logFlags) error {
	names := logNames
	if f.log != "" {
		names = []string{f.log}
	}
	var tails []*tail
	for _, acc := range accounts {
		tails = append(tails, &tail{account: acc.Name, dir: accountDir(c, acc.Name)})
	}
	several := len(accounts) > 1
	for {
		for _, t := range tails {
			records, err := t.read(names)
			if err != nil && !f.follow {
				return fmt.Errorf("%s: %w", t.account, logstate.Explain(t.account, err))
			}
			for _, r := range records {
				a.printRecord(t.account, r, f.json, several)
			}
			if err != nil {
				// The logs may just be rebuilt or set aside: begin again with what is there.
				a.note("%s: %v; reading from the start", t.account, err)
				t.view = nil
			}
		}
		if !f.follow {
			return nil
		}
		if a.stdout.failed() != nil {
			return nil // nobody reads any more; run reports it
		}
		select {
		case <-ctx.Done():
			return silent(exitInterrupted)
		case <-time.After(followInterval):
		}
	}
}

// read returns the records since the last call, sorted by time. An account without logs has none.
func (t *tail) read(names []string) ([]logstate.Record, error) {
	if t.view == nil {
		v, err := logstate.OpenView(t.dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		t.view, t.next = v, map[string]uint64{}
	} else if more, err := t.view.Refresh(); err != nil || !more {
		return nil, err
	}
	var out []logstate.Record
	for _, name := range names {
		next, err := t.view.Records(name, t.next[name], func(r logstate.Record) error {
			out = append(out, r)
			return nil
		})
		if err != nil {
			return out, err
		}
		t.next[name] = next
	}
	slices.SortStableFunc(out, func(x, y logstate.Record) int { return x.Time.Compare(y.Time) })
	return out, nil
}

func (a *app) printRecord(account string, r logstate.Record, asJSON, several bool) {
	if asJSON {
		a.object(recordObject{"record", account, r})
		return
	}
	var b strings.Builder
	if several {
		b.WriteString(account + " ")
	}
	when := strings.Repeat(" ", len(time.DateTime))
	if !r.Time.IsZero() {
		when = r.Time.Local().Format(time.DateTime)
	}
	fmt.Fprintf(&b, "%s %-6s %6d  %s", when, r.Log, r.Index, a.style(styleHead, r.Kind))
	if r.Mailbox != "" {
		b.WriteString(" " + clean(r.Mailbox))
	}
	if r.Seq > 0 {
		fmt.Fprintf(&b, " #%d", r.Seq)
	}
	for _, line := range r.Lines {
		b.WriteString("\n    " + clean(line))
	}
	a.print("%s\n", b.String())
}
