package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealth(exe string) *cobra.Command {
	m := monitoring{timeout: 3 * time.Second}
	cmd := &cobra.Command{
		Use:   "health [--url URL]",
		Short: "Exit 0 if a running daemon is healthy, for probes",
		Long: `Ask a running daemon's HTTP port whether it is healthy: the probe of container
engines, whose images have no shell and no curl.

A URL without a path means its /healthz, which is healthy when all listeners are open
and the daemon does not drain; with a path that one is asked as it stands.

The exit code is 0 when the daemon answers that it is healthy, and 1 when it answers
otherwise, or not, or not in time: engines know no other.

` + exitCodesHelp,
		Example: example(exe, `health
health --url http://127.0.0.1:8222/healthz?js-enabled-only=true`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			endpoint, query := "healthz", url.Values{}
			if u, err := url.Parse(m.address); err == nil && strings.Contains(m.address, "://") {
				if path := strings.Trim(u.Path, "/"); path != "" {
					endpoint, u.Path = path, ""
				}
				query = u.Query()
				u.RawQuery = ""
				m.address = u.String()
			}
			ctx, e, end, err := m.begin(cmd)
			if err != nil {
				return err
			}
			defer end()
			code, body, err := e.get(ctx, endpoint, query)
			if err != nil && ctx.Err() == nil {
				err = exit(ExitFailure, err)
			}
			if err != nil {
				return err
			}
			if code != http.StatusOK {
				return exitf(ExitFailure, "not healthy: %.200s", clean(healthText(code, body)))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), clean(healthText(code, body)))
			return err
		},
	}
	f := cmd.Flags()
	m.registerPort(f)
	f.StringVar(&m.address, "url", "", "the same as --http")
	f.DurationVarP(&m.timeout, "timeout", "t", 3*time.Second, "not healthy if there is no answer for this long")
	return cmd
}
