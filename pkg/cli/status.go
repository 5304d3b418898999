package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

const (
	defaultHTTP = "http://127.0.0.1:8222"
	// maxReply bounds what is read of one endpoint.
	maxReply = 64 << 20
)

// statusEndpoints in the order of their sections.
var statusEndpoints = [...]string{"healthz", "varz", "connz", "routez", "gatewayz", "leafz"}

func newStatus(exe string, d Daemon) *cobra.Command {
	var (
		m      monitoring
		asJSON bool
		limit  int
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what a running daemon says about itself",
		Long: `Ask a running daemon over its HTTP port and print its health, its counters and
its connections: clients, routes, gateways, leaf nodes.

The exit code is 0 when the daemon is healthy, 1 when it says that it is not,
and 5 when it does not answer. An endpoint that the daemon does not have is
left out.

` + exitCodesHelp,
		Example: example(exe, `status
status --http 10.0.0.5:8222 --json | jq .varz.connections`),
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, e, end, err := m.begin(cmd)
			if err != nil {
				return err
			}
			defer end()
			s, err := askStatus(ctx, e, limit)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSONLine(cmd.OutOrStdout(), s.raw)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), s.table())
			}
			if err == nil && !s.healthy {
				err = exitf(ExitFailure, "%s is not healthy: %s", d.Name, clean(s.health))
			}
			return err
		},
	}
	f := cmd.Flags()
	m.register(f)
	addSwitch(f, &asJSON, "json", "j", "print what the endpoints say as one JSON object")
	f.IntVar(&limit, "limit", 20, "show at most this many client connections")
	return cmd
}

// httpBase completes what --http was given: host:port, a port, or a URL.
func httpBase(address string) (*url.URL, error) {
	if address = firstOf(address, "BANYAN_HTTP"); address == "" {
		address = defaultHTTP
	}
	given := address
	if _, err := strconv.Atoi(address); err == nil {
		address = "127.0.0.1:" + address
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usagef("--http %q is neither host:port nor an http URL, e.g. %s", given, defaultHTTP)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	u.RawQuery = ""
	return u, nil
}

// status is what a daemon answered.
type status struct {
	raw     map[string]json.RawMessage
	healthy bool
	health  string

	varz     varz
	connz    connz
	routez   routez
	gatewayz gatewayz
	leafz    leafz
}

func askStatus(ctx context.Context, e *endpoints, limit int) (*status, error) {
	s := &status{raw: map[string]json.RawMessage{}}
	into := map[string]any{"varz": &s.varz, "connz": &s.connz, "routez": &s.routez, "gatewayz": &s.gatewayz, "leafz": &s.leafz}
	for _, name := range statusEndpoints {
		query := url.Values{}
		if name == "connz" {
			query = url.Values{"auth": {"true"}, "limit": {strconv.Itoa(max(limit, 1))}}
		}
		code, body, err := e.get(ctx, name, query)
		if err != nil {
			return nil, err
		}
		if name == "healthz" && code != http.StatusNotFound {
			s.healthy = code == http.StatusOK
			s.health = healthText(code, body)
		}
		if name != "healthz" && code != http.StatusOK || !json.Valid(body) {
			continue
		}
		s.raw[name] = body
		if p := into[name]; p != nil {
			if err := json.Unmarshal(body, p); err != nil {
				return nil, fmt.Errorf("%s/%s answers in a way that is not understood: %w", e.base.Redacted(), name, err)
			}
		}
	}
	if len(s.raw) == 0 {
		return nil, exitf(ExitFailure, "%s serves none of a daemon's endpoints: is it the HTTP port?", e.base.Redacted())
	}
	return s, nil
}

func askError(ctx context.Context, base *url.URL, err error) error {
	var ne net.Error
	switch {
	case ctx.Err() != nil:
		return exit(ExitInterrupted, nil)
	case errors.As(err, &ne) && ne.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return exitf(ExitTimeout, "asking %s: %w", base.Redacted(), err)
	}
	text := err.Error()
	var ue *url.Error
	if errors.As(err, &ue) {
		text = ue.Err.Error() // the URL is named already
	}
	if len(text) > 200 { // a port of another kind says things that are no HTTP
		text = text[:200] + "..."
	}
	return exitf(ExitConnection, "asking %s: %s; is that the HTTP port, and open (-m, monitor.listen)?", base.Redacted(), clean(text))
}

func get(ctx context.Context, client *http.Client, u *url.URL) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	return resp.StatusCode, body, err
}

func healthText(code int, body []byte) string {
	var h struct {
		Status string `json:"status"`
		Error  string `json:"error"`
	}
	if json.Unmarshal(body, &h) != nil || h.Status == "" {
		return http.StatusText(code)
	}
	if h.Error != "" && h.Status == "error" {
		return h.Error
	}
	if h.Error != "" {
		return h.Status + ": " + h.Error
	}
	return h.Status
}
