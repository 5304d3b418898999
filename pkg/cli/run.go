package cli

import (
	"errors"
	"fmt"
	"io"
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

// Again reads the settings once more.
func (o RunOptions) Again() (*config.Config, []config.Warning, error) { return config.Load(o.Load) }

// ownFlags are flags that are commands in disguise, as the reference binary has them.
type ownFlags struct {
	version bool
	helpTLS bool
	test    bool
	signal  string
}

func (o *ownFlags) register(f *pflag.FlagSet) {
	addSwitch(f, &o.test, "check", "t", "check the settings and exit, see the command check")
	const signals = "send a `signal[=pid]` to a running daemon: reload, reopen, ldm, quit, term, stop; the pid may be a file"
	f.StringVar(&o.signal, "signal", "", signals)
	f.StringVar(&o.signal, "sl", "", signals)
	f.Lookup("sl").Hidden = true
	addSwitch(f, &o.version, "version", "v", "print the version and exit")
	addSwitch(f, &o.helpTLS, "help_tls", "", "print help on TLS and exit")
}

func newRun(exe string, d Daemon, settings bool) *cobra.Command {
	return newRunWith(exe, d, func(f *pflag.FlagSet) {
		if settings {
			config.RegisterFlags(f, d.Name)
		}
	})
}

// newRunWith leaves it to register which flags of settings there are.
func newRunWith(exe string, d Daemon, register func(*pflag.FlagSet)) *cobra.Command {
	var own ownFlags
	cmd := &cobra.Command{
		Long: "Run the daemon until it is told to stop (SIGINT, SIGTERM: at once; SIGUSR2: clients are sent away one by one first).",
		Args: cobra.ArbitraryArgs,
		Example: example(exe, `-c /etc/EXE/EXE.yaml
run -c EXE.conf -D
-p 4222 -m 8222`),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case own.version:
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
			if own.test && o.File == "" {
				return errors.New("must specify [-c, --config] option to check configuration file syntax")
			}
			if own.test {
				return check(cmd, o, false)
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
	register(f)
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
func normalize(root *cobra.Command, args []string) ([]string, error) {
	if len(args) == 0 {
		return args, nil
	}
	cmd := root
	if c, _, err := root.Find(args[:1]); err == nil {
		cmd = c
	}
	switch {
	case cmd.Name() == "run" || cmd.Name() == "check":
		rest := config.NormalizeArgs(args[1:])
		_, err := firstWord(cmd, rest)
		return append(args[:1:1], rest...), err
	case cmd != root || strings.HasPrefix(args[0], "__") || args[0] == "help" || args[0] == "completion":
		return args, nil
	}
	args = config.NormalizeArgs(args)
	word, err := firstWord(cmd, args)
	// Behind flags these two words are flags as well.
	switch {
	case word == "help":
		return []string{"--help"}, err
	case word == "version":
		return []string{"--version"}, err
	}
	return args, err
}

// firstWord returns the first argument that is neither a flag nor a flag's
// value. On its way it refuses what pflag would take for several short flags in
// one word, or a short flag with its value glued on: "-nope" is a misspelt flag
// here, not "-n ope".
func firstWord(cmd *cobra.Command, args []string) (string, error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if len(arg) < 2 || arg[0] != '-' || arg == "--" {
			return arg, nil
		}
		name, _, assigned := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		f := cmd.Flags().Lookup(name)
		if !strings.HasPrefix(arg, "--") {
			if len(name) != 1 {
				return "", cmd.FlagErrorFunc()(cmd, fmt.Errorf("flag provided but not defined: -%s", name))
			}
			f = cmd.Flags().ShorthandLookup(name)
		}
		if f != nil && f.NoOptDefVal == "" && !assigned {
			i++
		}
	}
	return "", nil
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
