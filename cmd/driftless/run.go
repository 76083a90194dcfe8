package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"driftless/daemon/config"
)

// app is one run of the command line.
type app struct {
	stdin          io.Reader
	stdout, stderr *lockedWriter
	env            map[string]string
	outIsTerminal  bool // stdout is a terminal that understands escape sequences
	errIsTerminal  bool

	// global flags
	configFile string
	verbose    int
	quiet      bool
	logFormat  string

	began bool // a command has begun: what goes wrong from here on is not a usage error by itself
}

// run executes one command line and returns the exit code. It is main without the process: env has "NAME=value" entries.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env []string) (code int) {
	a := &app{stdin: stdin, stdout: &lockedWriter{w: stdout}, stderr: &lockedWriter{w: stderr}, env: map[string]string{}}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		a.env[name] = value
	}
	a.outIsTerminal, a.errIsTerminal = a.isTerminal(stdout), a.isTerminal(stderr)
	defer func() {
		if v := recover(); v != nil {
			code = exitFailed
			a.say("%v", a.recovered(v))
		}
	}()
	err := a.execute(ctx, args)
	if err != nil && err.Error() != "" {
		for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
			a.say("%s", line)
		}
	}
	// A result that could not be written is not a success, even if everything else went well.
	if werr := a.stdout.failed(); werr != nil && err == nil {
		a.say("write to standard output: %v", werr)
		return exitFailed
	}
	return exitCode(err)
}

func (a *app) execute(ctx context.Context, args []string) error {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.began {
		return usage(fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath()))
	}
	return err
}

// recovered makes an error of a recovered panic. The stack is for whoever asked for more with -v.
func (a *app) recovered(v any) error {
	stack := ""
	if a.verbose > 0 {
		stack = "\n" + string(debug.Stack())
	}
	return fmt.Errorf("internal error: %v; this is a bug in driftless, please report it%s", v, stack)
}

// root builds the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "driftless",
		Short: "Two-way mail sync that cannot drift",
		Long: `driftless keeps a left and a right mail store identical (a Maildir or an IMAP account on either side)
and remembers what it did in one append-only log per account.

Begin with "driftless demo", which needs nothing, or write a configuration and run "driftless check".`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.began = true
			return cmd.Help()
		},
	}
	f := root.PersistentFlags()
	f.StringVarP(&a.configFile, "config", "c", "", "configuration `FILE` (default $XDG_CONFIG_HOME/driftless/config.toml)")
	f.CountVarP(&a.verbose, "verbose", "v", "say more on stderr; twice: everything")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "say nothing but errors")
	f.StringVar(&a.logFormat, "log-format", "text", "`FORMAT` of what -v says: text or json")
	_ = root.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.logFormat != "text" && a.logFormat != "json" {
			return fmt.Errorf("--log-format is %q; it is \"text\" or \"json\"", a.logFormat)
		}
		if a.quiet && a.verbose > 0 {
			return fmt.Errorf("-q and -v contradict each other")
		}
		return nil
	}
	root.AddCommand(
		a.syncCommand(), a.statusCommand(), a.checkCommand(), a.verifyCommand(), a.logCommand(), a.rebuildCommand(),
		a.demoCommand(), a.versionCommand(), a.manCommand(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Run, c.RunE = nil, help
		case "completion":
			// Without anything to run, the arguments would not be looked at.
			c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	a.mark(root)
	return root
}

// unknownCommand is the error for a word that is no command, with what it was perhaps meant to be.
func unknownCommand(cmd *cobra.Command, word string) error {
	hint := ""
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		hint = fmt.Sprintf("; did you mean %q?", near[0])
	}
	return fmt.Errorf("unknown command %q%s", word, hint)
}

// help shows the help of a command; of one that there is not, it is a usage error.
func help(cmd *cobra.Command, args []string) error {
	root := cmd.Root()
	found, rest, err := root.Find(args)
	if err != nil {
		return usage(err)
	}
	if len(rest) > 0 {
		return usage(fmt.Errorf("%w\nsee: %s --help", unknownCommand(found, rest[0]), found.CommandPath()))
	}
	found.InitDefaultHelpFlag()
	return found.Help()
}

// mark lets every command note that it has begun, when flags and arguments are all right.
func (a *app) mark(cmd *cobra.Command) {
	if inner := cmd.RunE; inner != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.began = true
			return inner(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		a.mark(c)
	}
}

// say writes one diagnostic line.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, "driftless: "+format+"\n", args...) // there is nowhere else to say it
}

// note writes a diagnostic line that -q suppresses.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		a.say(format, args...)
	}
}

// print writes to stdout; a failure is remembered and makes the run fail at its end.
func (a *app) print(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stdout, format, args...)
}

// configEnv is the environment that the configuration is read in.
func (a *app) configEnv() config.Env { return config.Env{Lookup: a.lookup} }

func (a *app) lookup(name string) (string, bool) {
	v, ok := a.env[name]
	return v, ok
}

// load reads the configuration. Every error of it is exit code 2.
func (a *app) load() (*config.Config, error) {
	c, err := config.Load(a.configFile, a.configEnv())
	if err != nil {
		return nil, usage(err)
	}
	return c, nil
}

// accounts returns the accounts with these names, all of them without names.
func (a *app) accounts(c *config.Config, names []string) ([]config.Account, error) {
	if len(names) == 0 {
		return c.Accounts, nil
	}
	var out []config.Account
	for i, n := range names {
		acc, ok := c.Account(n)
		if !ok {
			return nil, usage(fmt.Errorf("there is no account %q; there is: %s", n, strings.Join(accountNames(c), ", ")))
		}
		if !slices.Contains(names[:i], n) {
			out = append(out, acc)
		}
	}
	return out, nil
}

// accountNames returns the names of all accounts in the order of the file.
func accountNames(c *config.Config) []string {
	var out []string
	for _, acc := range c.Accounts {
		out = append(out, acc.Name)
	}
	return out
}

// completeAccounts offers account names to the shell.
func (a *app) completeAccounts(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	c, err := config.Load(a.configFile, a.configEnv())
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return accountNames(c), cobra.ShellCompDirectiveNoFileComp
}

// isTerminal reports whether w is a terminal that understands escape sequences.
func (a *app) isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && a.env["TERM"] != "dumb" && term.IsTerminal(int(f.Fd())) //nolint:gosec // a file descriptor fits
}

// colour reports whether output to stdout may be coloured (https://no-color.org).
func (a *app) colour() bool { return a.outIsTerminal && a.env["NO_COLOR"] == "" }
