// Package keysjwt is the commands under "keys" that make operators, accounts and
// users: for daemons that have an operator mode. It stands beside package cli so
// that others do not link what it needs.
package keysjwt

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/issuer"
)

// Commands are for cli.Daemon.Keys.
func Commands(exe string) []*cobra.Command {
	return []*cobra.Command{newOperator(exe), newAccount(exe), newUser(exe)}
}

const layout = `DIR holds operator.nk and operator.jwt, accounts/NAME.nk and NAME.jwt,
creds/ACCOUNT/USER.creds, and resolver.conf: settings to be included by a
server, which then knows the operator and all its accounts. Seeds and
credentials can be read by their owner only; they are never printed. What is
there is kept.

`

// print says what was made.
func print(w io.Writer, asJSON bool, results ...*issuer.Result) error {
	for _, r := range results {
		if asJSON {
			e := json.NewEncoder(w)
			e.SetEscapeHTML(false)
			if err := e.Encode(r); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(w, "%s %s %s\n", r.Kind, r.Name, r.Key)
		for _, f := range r.Files {
			fmt.Fprintf(w, "  %s %s\n", f.Action, f.Path)
		}
	}
	return nil
}

// flags are those that all three have.
func flags(cmd *cobra.Command, dir, name *string, asJSON *bool, what string) {
	f := cmd.Flags()
	f.StringVar(dir, "dir", "", "`directory` of keys; made when missing")
	f.StringVar(name, "name", "", "`name` of the "+what)
	f.BoolVarP(asJSON, "json", "j", false, "print one JSON object for each thing made")
}

func newOperator(exe string) *cobra.Command {
	var dir, name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "operator --dir DIR --name NAME",
		Short: "Make an operator with its system account",
		Long: `Make an operator, the system account SYS and a user "sys" of it, and the
settings of a server that knows them.

` + layout + cli.ExitCodesHelp,
		Example: cli.Example(exe, "keys operator --dir keys --name Example"),
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || name == "" {
				return cli.Usagef("--dir and --name are needed")
			}
			all, err := issuer.Store{Dir: dir}.Operator(name)
			if err != nil {
				return err
			}
			return print(cmd.OutOrStdout(), asJSON, all...)
		},
	}
	flags(cmd, &dir, &name, &asJSON, "operator")
	return cmd
}

func newAccount(exe string) *cobra.Command {
	var dir, name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "account --dir DIR --name NAME",
		Short:   "Make an account of the operator",
		Long:    "Make an account without limits, and the settings of servers anew.\n\n" + layout + cli.ExitCodesHelp,
		Example: cli.Example(exe, `keys account --dir keys --name ACME`),
		Args:    cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || name == "" {
				return cli.Usagef("--dir and --name are needed")
			}
			r, err := issuer.Store{Dir: dir}.Account(name)
			if err != nil {
				return err
			}
			return print(cmd.OutOrStdout(), asJSON, r)
		},
	}
	flags(cmd, &dir, &name, &asJSON, "account")
	return cmd
}

func newUser(exe string) *cobra.Command {
	var dir string
	var u issuer.User
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "user --dir DIR --account ACCOUNT --name NAME",
		Short: "Make a user of an account: a credentials file",
		Long:  "Make a user and its credentials file, for clients and for leaf nodes.\n\n" + layout + cli.ExitCodesHelp,
		Example: cli.Example(exe, `keys user --dir keys --account ACME --name ticker --allow-pub 'acme.>'
keys user --dir keys --account ACME --name edge-42 --connection-type leafnode --expires 720h`),
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" || u.Name == "" || u.Account == "" {
				return cli.Usagef("--dir, --account and --name are needed")
			}
			if u.Expires < 0 || u.Expires > 0 && u.Expires < time.Second {
				return cli.Usagef("--expires %s: a second or more", u.Expires)
			}
			r, err := issuer.Store{Dir: dir}.User(u)
			if err != nil {
				return err
			}
			return print(cmd.OutOrStdout(), asJSON, r)
		},
	}
	flags(cmd, &dir, &u.Name, &asJSON, "user")
	f := cmd.Flags()
	f.StringVar(&u.Account, "account", "", "`name` of its account")
	f.StringSliceVar(&u.AllowPub, "allow-pub", nil, "`subject` that it may publish to; may be given several times")
	f.StringSliceVar(&u.DenyPub, "deny-pub", nil, "`subject` that it may not publish to")
	f.StringSliceVar(&u.AllowSub, "allow-sub", nil, "`subject` that it may subscribe to, with a queue after a space")
	f.StringSliceVar(&u.DenySub, "deny-sub", nil, "`subject` that it may not subscribe to")
	f.BoolVar(&u.Responses, "allow-responses", false, "it may answer requests")
	f.BoolVar(&u.Bearer, "bearer", false, "whoever has the token may use it, without the key")
	f.StringSliceVar(&u.ConnectionTypes, "connection-type", nil, "`kind` of connection that it may be used for, e.g. standard or leafnode")
	f.StringSliceVar(&u.Networks, "network", nil, "`CIDR` that it may come from, e.g. 10.0.0.0/8")
	f.DurationVar(&u.Expires, "expires", 0, "how long it is good, e.g. 24h; 0 is for ever")
	f.BoolVar(&u.Force, "force", false, "make it anew though it is there")
	return cmd
}
