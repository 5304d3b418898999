package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/version"
)

// RunOptions is what a daemon is started with.
type RunOptions struct {
	// Exe is the name under which the process was started; the ports file is
	// named after it.
	Exe string
	// Config is checked and complete.
	Config *config.Config
	// Warnings of reading it; they belong in the log.
	Warnings []config.Warning
	// Load reads the settings again, from the same file and flags.
	Load config.LoadOptions

	Stdout, Stderr io.Writer
}

// ownFlags are flags that are commands in disguise, as the reference binary has them.
type ownFlags struct {
	version bool
	helpTLS bool
	test    bool
	signal  string
}

func (o *ownFlags) register(f *pflag.FlagSet) {
	if f.Lookup("version") == nil {
		f.BoolVarP(&o.version, "version", "v", false, "print the version and exit")
	}
	if f.Lookup("help_tls") == nil {
		f.BoolVar(&o.helpTLS, "help_tls", false, "print help on TLS and exit")
	}
	if f.Lookup("t") == nil {
		f.BoolVarP(&o.test, "t", "t", false, "check the settings and exit, see check")
	}
	if f.Lookup("signal") == nil {
		f.StringVar(&o.signal, "signal", "", "send a `signal[=pid]` to a running daemon: reload, reopen, ldm, quit, term, stop; the pid may be a file")
	}
}

func newRun(exe string, d Daemon) *cobra.Command {
	var own ownFlags
	cmd := &cobra.Command{
		Long: "Run the daemon until it is told to stop (SIGINT, SIGTERM: at once; SIGUSR2: clients are sent away one by one first).",
		Args: cobra.ArbitraryArgs,
		Example: example(exe, `-c /etc/EXE/EXE.yaml
run -c EXE.conf -D
-p 4222 -m 8222`),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 0 && args[0] == "help":
				return cmd.Help()
			case own.version || len(args) > 0 && args[0] == "version":
				_, err := fmt.Fprintln(cmd.OutOrStdout(), version.Line(exe))
				return err
			case own.helpTLS:
				_, err := fmt.Fprint(cmd.OutOrStdout(), tlsHelp)
				return err
			case len(args) > 0:
				return fmt.Errorf("unrecognized command: %q%s", args[0], suggestion(cmd, args[0]))
			case own.signal != "":
				return sendSignal(exe, own.signal)
			}
			o := loadOptions(cmd, d)
			if own.test {
				return checkFile(cmd, o)
			}
			cfg, warnings, err := config.Load(o)
			if err != nil {
				return err
			}
			return d.Run(cmd.Context(), RunOptions{
				Exe: exe, Config: cfg, Warnings: warnings, Load: o,
				Stdout: cmd.OutOrStdout(), Stderr: cmd.ErrOrStderr(),
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	registerFlags(f, d.Name)
	own.register(f)
	return cmd
}

func suggestion(cmd *cobra.Command, word string) string {
	root := cmd.Root()
	root.SuggestionsMinimumDistance = 2
	if s := root.SuggestionsFor(word); len(s) > 0 {
		return fmt.Sprintf("; did you mean %q?", s[0])
	}
	return ""
}

func loadOptions(cmd *cobra.Command, d Daemon) config.LoadOptions {
	file, _ := cmd.Flags().GetString("config")
	return config.LoadOptions{Daemon: d.Name, File: file, Env: os.Environ(), Flags: cmd.Flags()}
}

// newCheck is -t as a command.
func newCheck(exe string, d Daemon) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check -c FILE",
		Short: "Check a settings file",
		Long: `Read the settings as a start would and say what is wrong with them. Nothing is
opened and nothing is started. Findings go to stderr, one a line, with file,
line and column; the exit code is 0 when a start would accept the settings and
1 when it would not. Warnings do not change it.`,
		Example: example(exe, `check -c /etc/EXE/EXE.yaml`),
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return checkFile(cmd, loadOptions(cmd, d)) },
	}
	cmd.Flags().SortFlags = false
	registerFlags(cmd.Flags(), d.Name)
	return cmd
}

func checkFile(cmd *cobra.Command, o config.LoadOptions) error {
	if o.File == "" {
		return usagef("must specify [-c, --config] option to check configuration file syntax")
	}
	cfg, warnings, err := config.Load(o)
	for _, w := range warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", exeOf(cmd), w)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: configuration file %s is valid (%s)\n", exeOf(cmd), o.File, cfg.Digest)
	return nil
}

// flagError words a wrong flag as the reference binary does. On the daemon
// itself the usage follows on stdout.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var (
		unknown *pflag.NotExistError
		invalid *pflag.InvalidValueError
		missing *pflag.ValueRequiredError
	)
	switch {
	case errors.As(err, &unknown):
		err = fmt.Errorf("flag provided but not defined: %s", dashed(unknown.GetSpecifiedName()))
	case errors.As(err, &invalid):
		err = fmt.Errorf("invalid value %q for flag %s: %w", invalid.GetValue(), flagName(invalid.GetFlag()), errors.Unwrap(invalid))
	case errors.As(err, &missing):
		err = fmt.Errorf("flag needs an argument: %s", dashed(missing.GetSpecifiedName()))
	}
	if !cmd.HasParent() || cmd.Name() == "run" {
		_, _ = fmt.Fprint(cmd.OutOrStdout(), cmd.UsageString())
		return exit(ExitUsage, err)
	}
	return usagef("%w; see %q", err, cmd.CommandPath()+" --help")
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func flagName(f *pflag.Flag) string {
	if f.Shorthand != "" {
		return "-" + f.Shorthand
	}
	return "--" + f.Name
}

// normalize rewrites the reference binary's single-dash long flags where the
// daemon itself is meant; the flags of other commands are left alone.
func normalize(root *cobra.Command, args []string) []string {
	if len(args) == 0 {
		return args
	}
	for _, c := range root.Commands() {
		if c.Name() == args[0] || c.HasAlias(args[0]) {
			if c.Name() == "run" || c.Name() == "check" {
				return append(args[:1:1], normalizeArgs(args[1:])...)
			}
			return args
		}
	}
	if strings.HasPrefix(args[0], "__") || args[0] == "help" || args[0] == "completion" {
		return args
	}
	return normalizeArgs(args)
}

const tlsHelp = `TLS for client connections from the command line:

  --tls               use TLS; clients need not show a certificate
  --tlscert FILE      certificate, PEM
  --tlskey FILE       its private key, PEM
  --tlsverify         use TLS; clients must show a certificate
  --tlscacert FILE    authority that must have signed the clients' certificates

Any of these turns TLS on and replaces the tls block of the settings file;
--tls=false turns TLS off. "keys tls" makes certificates for tests.
`
