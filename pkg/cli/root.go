package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/config"
)

// Daemon is what a main package says about itself.
type Daemon struct {
	Name  config.Daemon
	Short string // one line for --help
	Long  string // what the daemon is for; Short when empty

	// Run serves until the daemon has stopped. Signals are its own business:
	// the context ends only when the caller of NewRoot ends it.
	Run func(context.Context, RunOptions) error

	// Keys makes further commands under "keys"; nil: none.
	Keys func(exe string) []*cobra.Command
	// Access makes the command "check access"; nil: none.
	Access func(exe string, d config.Daemon) *cobra.Command
}

// Main runs the command line of the process and returns its exit code.
func Main(d Daemon) int {
	argv := os.Args
	// Whatever prints or serves the command line later must not show secrets.
	os.Args = config.RedactArgs(argv)
	argv = wipe(argv, os.Args)
	return Execute(context.Background(), d, argv, os.Stdin, os.Stdout, os.Stderr)
}

// Execute is Main with everything given: argv including the program's name,
// and the standard streams.
func Execute(ctx context.Context, d Daemon, argv []string, in io.Reader, out, errOut io.Writer) int {
	exe := filepath.Base(argv[0])
	streams := func(root *cobra.Command) {
		root.SetIn(in)
		root.SetOut(out)
		root.SetErr(errOut)
	}
	err := errNotPlain
	if plainStart(argv[1:]) {
		err = executePlain(ctx, exe, d, argv[1:], streams)
	}
	if errors.Is(err, errNotPlain) {
		root := newRoot(exe, d, withSettings(argv[1:]))
		streams(root)
		var args []string
		if args, err = normalize(root, argv[1:]); err == nil {
			root.SetArgs(args)
			err = root.ExecuteContext(ctx)
		}
	}
	var e *exitError
	if err != nil && (!errors.As(err, &e) || e.err != nil) {
		_, _ = io.WriteString(errOut, prefixed(exe, err))
	}
	return ExitCode(err)
}

// NewRoot builds the command tree of one daemon. exe is the name under which
// it was started; it stands in messages and names the ports file.
func NewRoot(exe string, d Daemon) *cobra.Command {
	return newRoot(exe, d, func(string) bool { return true })
}

// serverWord is the same command as run: images of nats-server that have a shell are
// started with the program's name as the first argument, and so are those that stand
// in for them.
const serverWord = "nats-server"

// withSettings says of a command, the root's name being "", whether it is to
// have the flags of the settings on this command line. They are several hundred:
// only the command that is meant gets them, so that a client command, of which
// scripts start many, costs nothing for them.
func withSettings(args []string) func(name string) bool {
	word := ""
	if len(args) > 0 {
		word = args[0]
	}
	switch word {
	case "pub", "sub", "request", "req", "reply", "status", "signal", "version", "keys", "convert",
		"top", "wait", "health", "conns", "accounts", "routes", "leafs", "gateways", "reload", "drain", "stop":
		return func(string) bool { return false }
	case "run", "check":
		return func(name string) bool { return name == word }
	case serverWord:
		return func(name string) bool { return name == "run" }
	}
	if word == "" || strings.HasPrefix(word, "-") {
		return func(name string) bool { return name == "" }
	}
	return func(string) bool { return true }
}

func newRoot(exe string, d Daemon, settings func(name string) bool) *cobra.Command {
	root := newRun(exe, d, settings(""))
	root.Use = exe
	root.Short = d.Short
	if root.Long = d.Long; root.Long == "" {
		root.Long = d.Short
	}
	root.Long += "\n\nWithout a command the daemon runs, as with \"" + exe + " run\"."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(flagError)

	run := newRun(exe, d, settings("run"))
	run.Use = "run"
	run.Short = "Run the daemon (default)"
	run.Aliases = []string{serverWord}
	root.AddCommand(run, newCheck(exe, d, settings("check")), newConvert(exe, d), newVersion(exe, d), newSignal(exe),
		newPub(exe), newSub(exe), newRequest(exe), newReply(exe), newStatus(exe, d), newKeys(exe, d.Keys),
		newTop(exe), newWait(exe), newHealth(exe), newDocs(exe, d))
	for _, l := range listings() {
		root.AddCommand(newListing(exe, l))
	}
	root.AddCommand(newControls(exe, d)...)
	root.SetHelpCommand(newHelp(exe))
	addHelp(root)
	return root
}

// newHelp is cobra's command, but a wrong word is a failure.
func newHelp(exe string) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help on a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("there is no command %q: see %q", strings.Join(args, " "), exe+" --help")
			}
			return found.Help()
		},
	}
}

// exeOf is the name under which the program was started.
func exeOf(cmd *cobra.Command) string { return cmd.Root().Name() }

// example puts the program's name before each line that does not hold EXE.
func example(exe, lines string) string {
	var b strings.Builder
	for i, l := range strings.Split(lines, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("  ")
		first, _, _ := strings.Cut(l, " ")
		if !strings.Contains(l, "| EXE") && first != "EXE" {
			b.WriteString(exe + " ")
		}
		b.WriteString(strings.ReplaceAll(l, "EXE", exe))
	}
	return b.String()
}

// usageArgs gives a wrong number of arguments its exit code.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%w\nusage: %s", err, cmd.UseLine())
		}
		return nil
	}
}

func needsSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return usagef("%s has no command %q: see %q", cmd.CommandPath(), args[0], cmd.CommandPath()+" --help")
}
