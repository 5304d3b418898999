package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// monitoring holds the flags of the commands that ask a daemon's HTTP port.
type monitoring struct {
	c         connection
	address   string
	tokenFile string
	timeout   time.Duration
}

func (m *monitoring) register(f *pflag.FlagSet) {
	m.registerPort(f)
	f.DurationVarP(&m.timeout, "timeout", "t", 5*time.Second, "wait this long for each answer")
}

// registerPort adds what says where the port is and how to speak to it.
func (m *monitoring) registerPort(f *pflag.FlagSet) {
	f.StringVar(&m.address, "http", "", "`URL` or host:port of the daemon's HTTP port (default $BANYAN_HTTP, else "+defaultHTTP+")")
	f.StringVar(&m.tokenFile, "http-token-file", "", "`file` with the token that the port wants (default: the token is $BANYAN_HTTP_TOKEN)")
	f.StringVar(&m.c.tlsCA, "tls-ca", "", "trust the authority in this PEM `file` (default $NATS_CA)")
	f.StringVar(&m.c.tlsCert, "tls-cert", "", "client certificate `file` (default $NATS_CERT)")
	f.StringVar(&m.c.tlsKey, "tls-key", "", "client key `file` (default $NATS_KEY)")
	addSwitch(f, &m.c.tlsInsecure, "tls-insecure", "", "do not verify the daemon's certificate")
}

// endpoints is an HTTP port to be asked.
type endpoints struct {
	base   *url.URL
	client *http.Client
}

// begin opens what a command asks, which is interrupted by a signal. end is to be
// called when it is done.
func (m *monitoring) begin(cmd *cobra.Command) (ctx context.Context, e *endpoints, end func(), err error) {
	e, err = m.open()
	if err != nil {
		return nil, nil, nil, err
	}
	ctx, stop := interruptible(cmd)
	return ctx, e, func() { stop(); e.close() }, nil
}

func (m *monitoring) open() (*endpoints, error) {
	base, err := httpBase(m.address)
	if err != nil {
		return nil, err
	}
	token := os.Getenv("BANYAN_HTTP_TOKEN")
	if m.tokenFile != "" {
		b, err := os.ReadFile(m.tokenFile)
		if err != nil {
			return nil, usagef("reading the token: %w", err)
		}
		token = strings.TrimSpace(string(b))
	}
	if token != "" && base.User == nil {
		base.User = url.UserPassword("token", token)
	}
	cfg, err := m.c.httpTLS()
	if err != nil {
		return nil, exit(ExitUsage, err)
	}
	return &endpoints{base, &http.Client{Timeout: m.timeout, Transport: &http.Transport{TLSClientConfig: cfg}}}, nil
}

func (e *endpoints) close() { e.client.CloseIdleConnections() }

// get asks an endpoint. An error has its exit code.
func (e *endpoints) get(ctx context.Context, name string, query url.Values) (int, []byte, error) {
	u := e.base.JoinPath(name)
	u.RawQuery = query.Encode()
	code, body, err := get(ctx, e.client, u)
	if err != nil {
		return 0, nil, askError(ctx, e.base, err)
	}
	if code == http.StatusUnauthorized {
		return code, nil, exitf(ExitRefused, "%s wants a token: set BANYAN_HTTP_TOKEN or --http-token-file", e.base.Redacted())
	}
	return code, body, nil
}

// object is get for an answer that must be a JSON object; what the daemon finds wrong
// with the question is a wrong flag.
func (e *endpoints) object(ctx context.Context, name string, query url.Values, into any) error {
	code, body, err := e.get(ctx, name, query)
	switch {
	case err != nil:
		return err
	case code == http.StatusNotFound:
		return exitf(ExitFailure, "%s has no endpoint %s: is it the HTTP port of a daemon?", e.base.Redacted(), name)
	case code == http.StatusBadRequest:
		return usagef("%s", clean(strings.TrimSpace(string(body))))
	case code != http.StatusOK:
		return exitf(ExitFailure, "%s answers %d: %.200s", e.base.Redacted(), code, clean(string(body)))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s answers in a way that is not understood: %w", e.base.Redacted(), err)
	}
	return nil
}
