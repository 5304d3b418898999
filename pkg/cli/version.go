package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/version"
)

func newVersion(exe string, d Daemon) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the protocol version and Banyan's own",
		Long: `Print two versions: the one of the protocol, which clients and servers see, and
Banyan's own in parentheses.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				i := version.Get()
				i.Daemon = string(d.Name)
				return writeJSONLine(cmd.OutOrStdout(), i)
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), version.String(exe))
			return err
		},
	}
	addSwitch(cmd.Flags(), &asJSON, "json", "j", "print as JSON")
	return cmd
}
