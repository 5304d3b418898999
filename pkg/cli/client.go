package cli

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/banyanmq/banyan/pkg/subject"
)

const (
	defaultServer = "nats://127.0.0.1:4222"
	// flushTimeout bounds the last round trip of a command that has no timeout of its own.
	flushTimeout = 5 * time.Second
)

// connection holds the flags of every command that is a client.
type connection struct {
	server      string
	user        string
	password    string
	token       string
	creds       string
	nkey        string
	tlsCA       string
	tlsCert     string
	tlsKey      string
	tlsFirst    bool
	tlsInsecure bool
	inbox       string
	name        string
	connect     time.Duration
	wait        time.Duration
	verbose     bool
	quiet       bool
}

func (c *connection) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&c.server, "server", "s", "", "server `URL`, several separated by commas (default $NATS_URL, else "+defaultServer+")")
	f.StringVar(&c.user, "user", "", "user `name` (default $NATS_USER)")
	f.StringVar(&c.password, "password", "", "password (default $NATS_PASSWORD, which other users of the machine can't see)")
	f.StringVar(&c.token, "token", "", "token (default $NATS_TOKEN)")
	f.StringVar(&c.creds, "creds", "", "credentials `file` (default $NATS_CREDS)")
	f.StringVar(&c.nkey, "nkey", "", "nkey seed `file` (default $NATS_NKEY)")
	f.StringVar(&c.tlsCA, "tls-ca", "", "trust the authority in this PEM `file` (default $NATS_CA)")
	f.StringVar(&c.tlsCert, "tls-cert", "", "client certificate `file` (default $NATS_CERT)")
	f.StringVar(&c.tlsKey, "tls-key", "", "client key `file` (default $NATS_KEY)")
	addSwitch(f, &c.tlsFirst, "tls-first", "", "TLS handshake before the server's INFO")
	addSwitch(f, &c.tlsInsecure, "tls-insecure", "", "do not verify the server's certificate")
	f.StringVar(&c.inbox, "inbox-prefix", "", "prefix of reply subjects (default _INBOX)")
	f.StringVar(&c.name, "connection-name", "", "name of the connection in the server's lists")
	f.DurationVar(&c.connect, "connect-timeout", 2*time.Second, "give up connecting to one address after this time")
	f.DurationVar(&c.wait, "connect-wait", 0, "go on trying to connect for this time, for scripts that start the server too")
	addSwitch(f, &c.verbose, "verbose", "v", "say on stderr what happens, also when it is not a terminal")
	addSwitch(f, &c.quiet, "quiet", "q", "say on stderr only what goes wrong")
}

// firstOf returns the flag's value, else the environment's.
func firstOf(flag, env string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(env)
}

// options of the connection; when ctx has ended nobody cares for it any more.
func (c *connection) options(ctx context.Context, cmd *cobra.Command) ([]nats.Option, error) {
	name := c.name
	if name == "" {
		name = strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	}
	opts := []nats.Option{
		nats.Name(name),
		nats.Timeout(c.connect),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil && ctx.Err() == nil {
				c.warnf(cmd, "connection lost: %v; trying to reconnect", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			if ctx.Err() == nil {
				c.warnf(cmd, "reconnected to %s", nc.ConnectedUrlRedacted())
			}
		}),
	}
	user, password := firstOf(c.user, "NATS_USER"), firstOf(c.password, "NATS_PASSWORD")
	if user != "" {
		opts = append(opts, nats.UserInfo(user, password))
	} else if c.password != "" {
		return nil, usagef("--password needs --user")
	}
	if t := firstOf(c.token, "NATS_TOKEN"); t != "" {
		opts = append(opts, nats.Token(t))
	}
	if f := firstOf(c.creds, "NATS_CREDS"); f != "" {
		opts = append(opts, nats.UserCredentials(f))
	}
	if f := firstOf(c.nkey, "NATS_NKEY"); f != "" {
		o, err := nats.NkeyOptionFromSeed(f)
		if err != nil {
			return nil, usagef("nkey seed file %s: %w", f, err)
		}
		opts = append(opts, o)
	}
	if c.inbox != "" {
		opts = append(opts, nats.CustomInboxPrefix(c.inbox))
	}
	return c.tlsOptions(opts)
}

func (c *connection) tlsOptions(opts []nats.Option) ([]nats.Option, error) {
	if c.tlsInsecure {
		opts = append(opts, nats.Secure(insecureTLS()))
	}
	if f := firstOf(c.tlsCA, "NATS_CA"); f != "" {
		opts = append(opts, nats.RootCAs(f))
	}
	cert, key := firstOf(c.tlsCert, "NATS_CERT"), firstOf(c.tlsKey, "NATS_KEY")
	if (cert == "") != (key == "") {
		return nil, usagef("--tls-cert and --tls-key belong together: one of them is missing")
	}
	if cert != "" {
		opts = append(opts, nats.ClientCert(cert, key))
	}
	if c.tlsFirst {
		opts = append(opts, nats.TLSHandshakeFirst())
	}
	return opts, nil
}

// dial connects. With --connect-wait it tries again until that time is over.
func (c *connection) dial(ctx context.Context, cmd *cobra.Command, more ...nats.Option) (*nats.Conn, error) {
	opts, err := c.options(ctx, cmd)
	if err != nil {
		return nil, err
	}
	server := firstOf(c.server, "NATS_URL")
	if server == "" {
		server = defaultServer
	}
	deadline := time.Now().Add(c.wait)
	for {
		nc, err := nats.Connect(server, append(opts, more...)...)
		if err == nil {
			c.notef(cmd, "connected to %s", nc.ConnectedUrlRedacted())
			return nc, nil
		}
		code := ExitConnection
		if ExitCode(clientError(err, "")) == ExitRefused {
			code = ExitRefused
		}
		if code == ExitRefused || !time.Now().Before(deadline) {
			hint := ""
			if errors.Is(err, nats.ErrNoServers) {
				hint = "; does a server listen there?"
			}
			return nil, exitf(code, "connecting to %s: %w%s", redact(server), err, hint)
		}
		if !pause(ctx, 100*time.Millisecond) {
			return nil, exit(ExitInterrupted, nil)
		}
	}
}

// redact hides user information in a list of URLs.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, p := range parts {
		scheme, rest, ok := strings.Cut(p, "://")
		if !ok {
			scheme, rest = "", p
		} else {
			scheme += "://"
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			parts[i] = scheme + "[REDACTED]@" + rest[at+1:]
		}
	}
	return strings.Join(parts, ",")
}

// notef tells a person what happens; a pipe hears it with --verbose only.
func (c *connection) notef(cmd *cobra.Command, format string, args ...any) {
	if c.quiet || !c.verbose && !isTerminal(cmd.ErrOrStderr()) {
		return
	}
	fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...)
}

// warnf tells what goes wrong, always.
func (c *connection) warnf(cmd *cobra.Command, format string, args ...any) {
	fmt.Fprintf(cmd.ErrOrStderr(), exeOf(cmd)+": "+format+"\n", args...)
}

// interruptible returns a context that ends with SIGINT or SIGTERM.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// pause waits and reports false when the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// settle makes one round trip, so that whatever the server had to say about
// what was sent before is known.
func settle(nc *nats.Conn, timeout time.Duration, doing string) error {
	if timeout <= 0 {
		timeout = flushTimeout
	}
	if err := nc.FlushTimeout(timeout); err != nil {
		return clientError(err, doing)
	}
	if err := nc.LastError(); err != nil && errors.Is(err, nats.ErrPermissionViolation) {
		return clientError(err, doing)
	}
	return nil
}

// publishable and subscribable refuse what no server can make sense of, before
// anything is done. Servers let some of it pass, and the message reaches nobody.
func publishable(s string) error {
	if !subject.ValidPublish(s) || strings.ContainsAny(s, " \t\r\n") {
		return usagef("%q is no subject to publish on: want words joined by dots, e.g. news.sfo, and no wildcards", s)
	}
	return nil
}

func subscribable(s, queue string) error {
	switch {
	case !subject.ValidSubscribe(s) || strings.ContainsAny(s, " \t\r\n"):
		return usagef("%q is no subject to subscribe to: want words joined by dots, * for any word, > at the end for the rest", s)
	case strings.ContainsAny(queue, " \t\r\n"):
		return usagef("--queue %q: a name without spaces is wanted", queue)
	}
	return nil
}

// parseHeaders turns "Name: value" words into headers; names keep their case.
func parseHeaders(words []string) (nats.Header, error) {
	if len(words) == 0 {
		return nil, nil
	}
	h := nats.Header{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, ":")
		k = strings.TrimSpace(k)
		if !ok || k == "" || strings.ContainsAny(w, "\r\n") {
			return nil, usagef("header %q is not of the form \"Name: value\"", w)
		}
		h[k] = append(h[k], textproto.TrimString(v))
	}
	return h, nil
}
