package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man [DIRECTORY]",
		Short: "Print the manual page, or write it into a directory",
		Long:  `Print the manual page in roff (try: driftless man | man -l -), or write it to DIRECTORY/driftless.1.`,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			page := manPage(cmd.Root())
			if len(args) == 0 {
				a.print("%s", page)
				return nil
			}
			file := filepath.Join(args[0], "driftless.1")
			if err := os.WriteFile(file, []byte(page), 0o644); err != nil { //nolint:gosec // a manual page is public
				return fmt.Errorf("write the manual page: %w", err)
			}
			return nil
		},
	}
}

// manPage returns one page for the whole program, made from the tree of commands.
func manPage(root *cobra.Command) string {
	var b strings.Builder
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	fmt.Fprintf(&b, ".\\\" made by: driftless man\n.TH DRIFTLESS 1\n")
	section("NAME")
	fmt.Fprintf(&b, "driftless \\- %s\n", roff(lowerFirst(root.Short)))
	section("SYNOPSIS")
	for _, c := range commands(root) {
		fmt.Fprintf(&b, ".B driftless\n[\\fIOPTION\\fR]... %s\n.br\n", roff(c.Use))
	}
	section("DESCRIPTION")
	paragraphs(&b, root.Long)
	section("COMMANDS")
	for _, c := range commands(root) {
		fmt.Fprintf(&b, ".SS %s\n", roff(c.Use))
		long := c.Long
		if long == "" {
			long = c.Short + "."
		}
		paragraphs(&b, long)
		options(&b, c.LocalNonPersistentFlags())
		if c.Example != "" {
			fmt.Fprintf(&b, ".PP\n.EX\n%s\n.EE\n", roff(c.Example))
		}
	}
	section("OPTIONS")
	b.WriteString("Each command takes these:\n")
	options(&b, root.PersistentFlags())
	section("EXIT STATUS")
	for _, c := range [][2]string{
		{"0", "In sync. Quarantined messages are reported and counted."},
		{"1", "Some mailbox or account failed; the others were done. verify: something differs."},
		{"2", "Wrong usage or configuration."},
		{"3", "Something is held or in conflict."},
		{"4", "Interrupted."},
	} {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", c[0], roff(c[1]))
	}
	section("FILES")
	for _, c := range [][2]string{
		{"$XDG_CONFIG_HOME/driftless/config.toml", "The configuration; ~/.config is the default of the variable."},
		{"~/.local/state/driftless/ACCOUNT/", "The logs of an account: left, right and shared. They are all the state that there is."},
	} {
		fmt.Fprintf(&b, ".TP\n.I %s\n%s\n", roff(c[0]), roff(c[1]))
	}
	section("ENVIRONMENT")
	for _, c := range [][2]string{
		{"NO_COLOR", "Set to anything: no colours."},
		{"STATE_DIRECTORY", "Where the state is when the configuration does not say, set by systemd."},
		{"XDG_CONFIG_HOME, XDG_RUNTIME_DIR", "As in the XDG base directory specification."},
	} {
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(c[0]), roff(c[1]))
	}
	section("SEE ALSO")
	b.WriteString(".BR mbsync (1),\n.BR maildir (5)\n")
	return b.String()
}

// commands returns the commands that the page shows.
func commands(root *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range root.Commands() {
		if !c.Hidden && c.Name() != "help" && c.Name() != "completion" {
			out = append(out, c)
		}
	}
	return append(out, &cobra.Command{Use: "completion bash|fish|powershell|zsh", Short: "Print the completion script for a shell"})
}

// options writes a list of flags.
func options(b *strings.Builder, flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		value, text := pflag.UnquoteUsage(f)
		names := "\\-\\-" + roff(f.Name)
		if f.Shorthand != "" {
			names = "\\-" + f.Shorthand + "\\fR, \\fB" + names
		}
		if value != "" && f.NoOptDefVal == "" {
			names += "\\fR \\fI" + roff(value)
		}
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR\n%s\n", names, roff(text))
	})
}

// paragraphs writes text with blank lines between paragraphs.
func paragraphs(b *strings.Builder, text string) {
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		b.WriteString(roff(p) + "\n")
	}
}

// roff escapes text: backslashes, hyphens, and a leading dot or apostrophe, which would be a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
