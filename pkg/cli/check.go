package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/config"
)

// newCheck is -t as a command.
func newCheck(exe string, d Daemon, settings bool) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a settings file",
		Long: `Read the settings as a start would, with the environment and the flags given,
load the certificates, and say all that is wrong. Nothing is opened or started.

Findings go to stderr, one a line, with file, line and column. The exit code is
0 when a start would accept the settings and 1 when it would not; warnings do
not change it.`,
		Example: example(exe, `check -c /etc/EXE/EXE.yaml
check -c EXE.conf --json | jq -r '.errors[].message'`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file, _ := configFile(cmd); file == "" {
				return usagef("-c FILE is needed: which file is to be checked?")
			}
			return check(cmd, loadOptions(cmd, d), asJSON)
		},
	}
	cmd.Flags().SortFlags = false
	if settings {
		config.RegisterFlags(cmd.Flags(), d.Name)
	}
	addSwitch(cmd.Flags(), &asJSON, "json", "", "print the findings on stdout as one JSON object")
	cmd.AddCommand(newCheckHost(exe, d))
	if d.Access != nil {
		cmd.AddCommand(d.Access(exe, d.Name))
	}
	return cmd
}

// jsonFinding is a finding as check --json prints it.
type jsonFinding struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
}

func jsonFindings(list []config.Finding) []jsonFinding {
	out := make([]jsonFinding, len(list))
	for i, f := range list {
		out[i] = jsonFinding{File: f.Pos.File, Line: f.Pos.Line, Column: f.Pos.Col, Key: f.Key, Message: f.Message}
	}
	return out
}

func check(cmd *cobra.Command, o config.LoadOptions, asJSON bool) error {
	r := config.Check(o)
	if asJSON {
		err := writeJSONLine(cmd.OutOrStdout(), map[string]any{
			"file": o.File, "digest": r.Digest, "ok": r.OK(),
			"errors": jsonFindings(r.Errors), "warnings": jsonFindings(r.Warnings),
		})
		if err == nil && !r.OK() {
			err = exit(ExitFailure, nil)
		}
		return err
	}
	exe, w := exeOf(cmd), cmd.ErrOrStderr()
	for _, f := range r.Warnings {
		fmt.Fprintf(w, "%s: warning: %s\n", exe, f)
	}
	if !r.OK() {
		return exit(ExitFailure, config.Errors(r.Errors))
	}
	fmt.Fprintf(w, "%s: configuration file %s is valid (%s)\n", exe, o.File, r.Digest)
	return nil
}

func configFile(cmd *cobra.Command) (string, bool) {
	f := cmd.Flags().Lookup("config")
	if f == nil {
		return "", false
	}
	return f.Value.String(), f.Changed
}

func loadOptions(cmd *cobra.Command, d Daemon) config.LoadOptions {
	file, _ := configFile(cmd)
	return config.LoadOptions{Daemon: d.Name, File: file, Env: os.Environ(), Flags: cmd.Flags()}
}

// prefixed puts the program's name before an error, and before each of several findings.
func prefixed(exe string, err error) string {
	var found config.Errors
	if !errors.As(err, &found) {
		return exe + ": " + err.Error() + "\n"
	}
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s: %s\n", exe, f)
	}
	return b.String()
}
