package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/certs"
)

func newKeys(exe string, more func(exe string) []*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Make keys and certificates",
		Args:  cobra.ArbitraryArgs,
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(newKeysTLS(exe))
	if more != nil {
		cmd.AddCommand(more(exe)...)
	}
	return cmd
}

func newKeysTLS(exe string) *cobra.Command {
	var (
		s            certs.Spec
		names        []string
		client, both bool
		asJSON       bool
		days         int
	)
	cmd := &cobra.Command{
		Use:   "tls --dir DIR --name NAME...",
		Short: "Make a test authority and certificates signed by it",
		Long: `Make an authority (DIR/ca.crt, DIR/ca.key) unless there is one, and for each
NAME a certificate and its key (DIR/NAME.crt, DIR/NAME.key; ECDSA P-256, keys
readable by their owner only).

Run again it changes nothing that is still good: a certificate is made anew
when it is for other names or another use, not of this authority, or in the
last tenth of its life. The authority is never replaced.

A certificate answers for its name and for each --host; a server's without
--host also for localhost, 127.0.0.1 and ::1. This authority is for tests and
first steps: its key lies beside the certificates.

` + exitCodesHelp,
		Example: example(exe, `keys tls --dir tls --name hub-sfo-0 --host hub.example.net --host 10.0.0.5
keys tls --dir tls --name hub-sfo-0 --name hub-sfo-1 --both
keys tls --dir tls --name edge-42 --client --uri spiffe://example.net/edge/42 --json`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(names) == 0 || s.Dir == "":
				return usagef("--dir and --name are needed")
			case client && both:
				return usagef("--client and --both exclude each other")
			case days < 0:
				return usagef("--days %d: not below 0", days)
			case client:
				s.Usage = certs.Client
			case both:
				s.Usage = certs.Both
			}
			s.Validity = time.Duration(days) * 24 * time.Hour
			said := map[string]bool{}
			for _, s.Name = range names {
				r, err := certs.Ensure(s)
				if err != nil {
					return err
				}
				if asJSON {
					if err := writeJSONLine(cmd.OutOrStdout(), r); err != nil {
						return err
					}
					continue
				}
				for _, f := range r.Files {
					if !said[f.Path] {
						said[f.Path] = true
						fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", f.Action, f.Path)
					}
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.Dir, "dir", "", "`directory` for the files; made when missing")
	f.StringSliceVar(&names, "name", nil, "`name` of a certificate: its common name and file name; may be given several times")
	f.StringSliceVar(&s.Hosts, "host", nil, "host name or IP `address` it answers for; may be given several times")
	f.StringSliceVar(&s.URIs, "uri", nil, "`URI` in the certificate; may be given several times")
	f.StringSliceVar(&s.Emails, "email", nil, "e-mail `address` in the certificate; may be given several times")
	f.StringVar(&s.Org, "org", "", "organization in the subject")
	f.StringVar(&s.CAName, "ca-name", "", `common name of a new authority (default "Banyan test CA")`)
	addSwitch(f, &client, "client", "", "for a client (default: for a server)")
	addSwitch(f, &both, "both", "", "for both ends: routes, gateways, leaf links")
	f.IntVar(&days, "days", 0, "valid for this many days (default 365)")
	addSwitch(f, &s.Force, "force", "", "make it anew though the one there is good")
	addSwitch(f, &asJSON, "json", "j", "print one JSON object for each certificate")
	return cmd
}
