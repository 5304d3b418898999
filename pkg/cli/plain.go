package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/banyanmq/banyan/pkg/config"
)

// A start of the daemon needs none of the other commands and hardly any of the flags
// of settings, and building them all takes longer than the rest of reading the
// command line. So what is plainly a start is tried without them; whatever is not as
// expected is left to the whole tree, which knows what to say about it.

// errNotPlain says that the whole tree must deal with a command line.
var errNotPlain = errors.New("not a plain start")

// plainStart: nothing but flags, and none that asks for help.
func plainStart(args []string) bool {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return false
	}
	return !slices.ContainsFunc(args, func(arg string) bool {
		word := strings.TrimLeft(arg, "-")
		return word == "h" || word == "help" || word == "version"
	})
}

// executePlain starts the daemon, or returns errNotPlain having done nothing.
func executePlain(ctx context.Context, exe string, d Daemon, args []string, streams func(*cobra.Command)) error {
	root := newRunWith(exe, d, func(f *pflag.FlagSet) { config.RegisterUsedFlags(f, d.Name, args) })
	root.Use = exe
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(*cobra.Command, error) error { return errNotPlain })
	streams(root)
	args, err := normalize(root, args)
	if err != nil {
		return err
	}
	if word, err := firstWord(root, args); word != "" || err != nil {
		return errNotPlain
	}
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}
