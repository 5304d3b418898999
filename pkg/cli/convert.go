package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/config"
)

func newConvert(exe string, d Daemon) *cobra.Command {
	var file, format, out string
	cmd := &cobra.Command{
		Use:   "convert -c FILE",
		Short: "Rewrite a .conf file in YAML",
		Long: `Read a settings file in the .conf format and print the same settings in YAML.

Variables and includes are resolved, comments are not kept, and the names of
files become absolute, as seen from here. A password that the file takes from an
environment variable is taken from there by the result too, so that nothing
secret is printed but what the file itself holds. What can have no effect is left
out and named on stderr. A file that could not be started with is refused, each
finding with its line.

The settings of a hub with a gateway block become, for gwd, a file of gwd's own.

` + exitCodesHelp,
		Example: example(exe, `convert -c /etc/nats-server.conf >EXE.yaml
convert -c nats.conf -o EXE.yaml && EXE check -c EXE.yaml`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("-c FILE is needed: which file is to be converted?")
			}
			text, warnings, err := config.Convert(config.LoadOptions{Daemon: d.Name, File: file, Format: format, Env: os.Environ()})
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", exe, w)
			}
			if err != nil {
				return err
			}
			if out == "" {
				_, err = cmd.OutOrStdout().Write(text)
				return err
			}
			return writeNew(out, text)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&file, "config", "c", "", "the `file` to convert")
	f.StringVar(&format, "config-format", "auto", "`format` of that file: auto or conf")
	f.StringVarP(&out, "output", "o", "", "write to this `file`, which must not exist yet, instead of stdout; only its owner may read it")
	return cmd
}

// writeNew makes a file that may hold secrets.
func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already: remove it or choose another name", name)
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}
