package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker for releases: -X main.version=v1.2.3.
var version = ""

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			a.print("%s\n", versionText())
			return nil
		},
	}
}

// versionText returns the version, the commit it was built from if that is known, and the compiler.
func versionText() string {
	v, commit, changed := version, "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = " " + s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				changed = " with changes"
			}
		}
	}
	if v == "" {
		v = "development version"
	}
	return fmt.Sprintf("driftless %s%s%s (%s, %s/%s)", v, commit, changed, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
