package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// conditions are what wait waits for; -1 is not asked for.
type conditions struct {
	ready                            bool
	routes, leafs, gateways, clients int
}

func newWait(exe string) *cobra.Command {
	var (
		m       monitoring
		want    = conditions{routes: -1, leafs: -1, gateways: -1, clients: -1}
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "wait [--ready] [--routes N] [--leafs N] [--gateways N] [--clients N]",
		Short: "Wait until a daemon is ready, or has so many links",
		Long: `Ask a daemon over its HTTP port until it is ready and has at least as many links as
given, for scripts that start it. A daemon that does not answer yet is waited for
too. Without a flag it is --ready.

The exit code is 0 when all is there and 3 when it is not in time; stderr then says
what is missing.

` + exitCodesHelp,
		Example: example(exe, `wait --ready --timeout 30s
wait --routes 2 --leafs 1 --http 10.0.0.5:8222`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if want.routes < 0 && want.leafs < 0 && want.gateways < 0 && want.clients < 0 {
				want.ready = true
			}
			m.timeout = min(timeout, 2*time.Second)
			ctx, e, end, err := m.begin(cmd)
			if err != nil {
				return err
			}
			defer end()
			return waitFor(ctx, e, want, timeout)
		},
	}
	f := cmd.Flags()
	m.registerPort(f)
	f.DurationVarP(&timeout, "timeout", "t", 10*time.Second, "give up after this time")
	addSwitch(f, &want.ready, "ready", "", "all listeners are open, and the daemon does not drain")
	f.IntVar(&want.routes, "routes", -1, "`servers` of the cluster that there are routes to")
	f.IntVar(&want.leafs, "leafs", -1, "leaf `links`, up or down")
	f.IntVar(&want.gateways, "gateways", -1, "`regions` that there is a connection to")
	f.IntVar(&want.clients, "clients", -1, "`clients` that are connected")
	for _, name := range []string{"routes", "leafs", "gateways", "clients"} {
		f.Lookup(name).DefValue = "0"
	}
	return cmd
}

func waitFor(ctx context.Context, e *endpoints, want conditions, timeout time.Duration) error {
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	known := "no answer" // the last that was known to be missing
	for {
		missing, err := want.missing(limit, e)
		switch {
		case ctx.Err() != nil:
			return exit(ExitInterrupted, nil)
		case err == nil && missing == "":
			return nil
		case err != nil && ExitCode(err) != ExitConnection && ExitCode(err) != ExitTimeout && limit.Err() == nil:
			return err
		case err != nil && limit.Err() == nil:
			missing = err.Error()
		}
		if missing != "" {
			known = missing
		}
		if !pause(limit, 100*time.Millisecond) {
			if ctx.Err() != nil {
				return exit(ExitInterrupted, nil)
			}
			return exitf(ExitTimeout, "not after %v: %s", timeout, known)
		}
	}
}

// missing says what is not there yet, "" when all is.
func (c *conditions) missing(ctx context.Context, e *endpoints) (string, error) {
	var list []string
	if c.ready {
		code, body, err := e.get(ctx, "healthz", url.Values{"js-server-only": {"true"}})
		if err != nil {
			return "", err
		}
		if code != http.StatusOK {
			list = append(list, "not ready: "+clean(healthText(code, body)))
		}
	}
	var v struct {
		Remotes int `json:"remotes"`
		Leafs   int `json:"leafnodes"`
		Clients int `json:"connections"`
	}
	if err := e.object(ctx, "varz", nil, &v); err != nil {
		return "", err
	}
	gateways := 0
	if c.gateways >= 0 {
		var g gatewayz
		if err := e.object(ctx, "gatewayz", nil, &g); err != nil {
			return "", err
		}
		gateways = len(g.Outbound)
	}
	for _, x := range []struct {
		what       string
		want, have int
	}{{"routes", c.routes, v.Remotes}, {"leaf links", c.leafs, v.Leafs}, {"gateways", c.gateways, gateways}, {"clients", c.clients, v.Clients}} {
		if x.have < x.want {
			list = append(list, fmt.Sprintf("%d of %d %s", x.have, x.want, x.what))
		}
	}
	return strings.Join(list, ", "), nil
}
