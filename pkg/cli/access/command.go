package access

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/config"
)

// Command is for cli.Daemon.Access.
func Command(exe string, d config.Daemon) *cobra.Command {
	var (
		q                                  Question
		file, format, user, account, creds string
		cluster                            string
		asJSON                             bool
	)
	cmd := &cobra.Command{
		Use:   "access -c FILE [--user NAME | --creds FILE] (--publish SUBJECT | --subscribe SUBJECT)",
		Short: "Say whether a user may publish or subscribe, and why",
		Long: `Say by the settings in FILE whether a user may publish or subscribe to a subject:
which entry of which list decides, what mappings make of the subject first, which
accounts messages come from or go to, and what allow_responses adds. Nothing is
opened or connected, but a URL resolver is asked.

The user is one of the settings, by --user (a name or a public key); who connects
without a name, if that is not given; or, in operator mode, that of the token in
--creds, judged by the operators and accounts of FILE as a login would be.

It exits 0 when it is allowed, 6 when it is not, and 1 when there is no such user
or the settings have errors. A message that mappings send to several subjects is
allowed when all of them are.

` + cli.ExitCodesHelp,
		Example: cli.Example(exe, `check access -c hubd.yaml --user app --publish orders.new
check access -c hubd.yaml --user app --subscribe 'orders.>' --queue workers
check access -c hubd.conf --creds app.creds --publish orders.new --json`),
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case file == "":
				return cli.Usagef("-c FILE is needed: by which settings?")
			case (q.Publish == "") == (q.Subscribe == ""):
				return cli.Usagef("one of --publish SUBJECT and --subscribe SUBJECT is needed")
			case q.Queue != "" && q.Subscribe == "":
				return cli.Usagef("--queue is for --subscribe")
			case user != "" && creds != "":
				return cli.Usagef("--user is for users of the settings, --creds for those with a token: give one of them")
			}
			c, _, err := config.Load(config.LoadOptions{Daemon: d, File: file, Format: format, Env: os.Environ()})
			if err != nil {
				return err
			}
			if cluster == "" && c.Cluster != nil {
				cluster = c.Cluster.Name
			}
			a, err := answer(c, q, user, account, creds, cluster)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetEscapeHTML(false)
				err = e.Encode(a)
			} else {
				err = a.print(cmd.OutOrStdout())
			}
			if err == nil && !a.Allowed {
				err = cli.Exit(cli.ExitRefused)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&file, "config", "c", "", "settings `file`")
	f.StringVar(&format, "config-format", "", "language of the file: auto, yaml, conf")
	f.StringVar(&user, "user", "", "`name` or public key of a user of the settings")
	f.StringVar(&account, "account", "", "`name` of the user's account, where several have one of that name")
	f.StringVar(&creds, "creds", "", "credentials `file` of a user with a token")
	f.StringVar(&q.Publish, "publish", "", "`subject` of a message")
	f.StringVar(&q.Subscribe, "subscribe", "", "`subject` of a subscription, with wildcards or without")
	f.StringVar(&q.Queue, "queue", "", "`name` of the subscription's queue")
	f.StringVar(&cluster, "cluster", "", "`name` of the cluster whose mappings count (default that of the settings)")
	f.BoolVarP(&asJSON, "json", "j", false, "print one JSON object")
	return cmd
}

func answer(c *config.Config, q Question, user, account, creds, cluster string) (*Answer, error) {
	w := World{Definitions: c.Definitions(), Cluster: cluster, SystemAccount: c.SystemAccount}
	if !c.InOperatorMode() {
		if creds != "" {
			return nil, errors.New("these settings have no operators, which know users by tokens: say --user NAME")
		}
		who, err := bySettings(c, user, account)
		if err != nil {
			return nil, err
		}
		return w.Judge(who, q)
	}
	if creds == "" {
		return nil, errors.New("these settings have operators, and users have tokens: say --creds FILE")
	}
	who, defs, err := byCredentials(c, creds)
	if err != nil {
		return nil, err
	}
	if account != "" && account != who.Account {
		return nil, fmt.Errorf("the user of %s is of account %s, not %s", creds, who.Account, account)
	}
	w.Definitions = defs
	return w.Judge(who, q)
}

// print says it in words.
func (a *Answer) print(out io.Writer) error {
	var b strings.Builder
	word, may := "allowed", "may"
	if !a.Allowed {
		word, may = "denied", "may not"
	}
	who := "who connects without a name"
	if a.User != "" {
		who = fmt.Sprintf("user %q", a.User)
	}
	fmt.Fprintf(&b, "%s: %s of account %q %s %s to %q", word, who, a.Account, may, a.Action, a.Subject)
	if a.Queue != "" {
		fmt.Fprintf(&b, " in queue %q", a.Queue)
	}
	b.WriteByte('\n')
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	if a.Mapping != "" {
		line("the account's mapping of %q comes first; permissions are those of what it makes of the subject", a.Mapping)
	}
	for _, o := range a.Outcomes {
		if a.Mapping == "" {
			line("%s", o.Rule)
			continue
		}
		verdict := "allowed"
		if !o.Allowed {
			verdict = "denied"
		}
		line("%q, %d%% of the messages: %s by %s", o.Subject, o.Weight, verdict, o.Rule)
	}
	if a.Rule != "" {
		line("%s", a.Rule)
	}
	for _, e := range a.Filtered {
		line("but messages that match subscribe.deny entry %q are kept from it", e)
	}
	for _, y := range a.Ways {
		switch {
		case y.Kind == "service" && a.Action == "publish":
			line("goes on to account %q as request %q, by an import of its service %q", y.To, y.ToSubject, y.Export)
		case y.Kind == "service":
			line("gets requests of account %q on %q there, by its import of service %q", y.From, y.FromSubject, y.Export)
		case a.Action == "publish":
			line("goes on to account %q as %q, by its import of stream %q", y.To, y.ToSubject, y.Export)
		default:
			line("gets messages of account %q on %q as %q, by an import of its stream %q", y.From, y.FromSubject, y.ToSubject, y.Export)
		}
	}
	for _, n := range a.Notes {
		line("%s", n)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func encode(sig []byte) string { return base64.RawURLEncoding.EncodeToString(sig) }
