package operator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config"
)

// Resolver gives the tokens of accounts.
type Resolver interface {
	// Fetch returns the token of an account, ErrUnknown if there is none. What it
	// returns is not trusted.
	Fetch(ctx context.Context, account string) (string, error)
}

// Store is a Resolver that keeps what it is given. What it is given was checked.
type Store interface {
	Resolver
	// Save keeps a token unless it has a newer one, which is ErrOlder. It reports
	// whether anything changed. With merge, one from before the deletion of the
	// account is not kept, and one as old as the present one neither; that is no
	// error.
	Save(c *jwt.AccountClaims, token string, merge bool) (bool, error)
	// Takes tells whether an account's token is kept when somebody pushes it.
	Takes(account string) bool
}

// Deleter is a Store from which accounts can be deleted.
type Deleter interface {
	Store
	MayDelete() bool
	Delete(account string, by Order) error
	// Bury is Delete by an order that another server has told of: an account whose
	// token is newer stays. It reports whether there was anything to delete.
	Bury(account string, by Order) (gone bool, err error)
}

// Errors of resolvers.
var (
	ErrUnknown = errors.New("no such account")
	ErrOlder   = errors.New("a newer JWT of the account is in force")
	errFull    = errors.New("jwt store is full")
)

// NewResolver makes the resolver that settings ask for. t is for the server of a
// URL, nil for what the system trusts.
func NewResolver(r config.Resolver, t *config.TLS) (Resolver, error) {
	switch r.Kind {
	case config.ResolverMemory:
		return NewMemory(), nil
	case config.ResolverURL:
		return NewURL(r, t)
	case config.ResolverFull, config.ResolverCache:
		return OpenDirectory(r)
	}
	return nil, fmt.Errorf("resolver of kind %q: want memory, url, full or cache", r.Kind)
}

// version orders the tokens of one account.
type tokenVersion struct {
	issued int64
	id     string
}

func versionOf(c *jwt.AccountClaims) tokenVersion { return tokenVersion{c.IssuedAt, c.ID} }

// Memory is a Store without files. It keeps preloads, and what is pushed later
// does not get into it: the settings are what counts.
type Memory struct {
	mu     sync.Mutex
	tokens map[string]string
}

// NewMemory makes an empty Memory.
func NewMemory() *Memory { return &Memory{tokens: make(map[string]string)} }

// Fetch implements Resolver.
func (m *Memory) Fetch(_ context.Context, account string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.tokens[account]; ok {
		return t, nil
	}
	return "", ErrUnknown
}

// Save implements Store.
func (m *Memory) Save(c *jwt.AccountClaims, token string, _ bool) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changed := m.tokens[c.Subject] != token
	m.tokens[c.Subject] = token
	return changed, nil
}

// Takes implements Store.
func (m *Memory) Takes(string) bool { return false }

// URL is a Resolver that asks an HTTP server.
type URL struct {
	base   string
	client *http.Client
}

// maxToken is the longest answer that is read.
const maxToken = jwt.MaxTokenSize

// NewURL makes a URL and asks the server whether it is there.
func NewURL(r config.Resolver, secure *config.TLS) (*URL, error) {
	t := &http.Transport{MaxIdleConns: 10, IdleConnTimeout: 30 * time.Second, Proxy: http.ProxyFromEnvironment}
	if secure != nil {
		if _, err := secure.Client(""); err != nil {
			return nil, fmt.Errorf("TLS of the URL resolver: %w", err)
		}
		t.DialTLSContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return dialTLS(ctx, secure, network, addr)
		}
	}
	u := &URL{base: strings.TrimSuffix(r.URL, "/") + "/", client: &http.Client{Transport: t, Timeout: r.Timeout}}
	if _, err := u.get(context.Background(), ""); err != nil {
		return nil, fmt.Errorf("could not fetch from the account resolver: %w", err)
	}
	return u, nil
}

// dialTLS takes the material that is current for each connection.
func dialTLS(ctx context.Context, secure *config.TLS, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	cfg, err := secure.Client(host)
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{Config: cfg}).DialContext(ctx, network, addr)
}

// Fetch implements Resolver.
func (u *URL) Fetch(ctx context.Context, account string) (string, error) {
	if !nkeys.IsValidPublicAccountKey(account) {
		return "", ErrUnknown // never a path of a stranger's making
	}
	return u.get(ctx, account)
}

func (u *URL) get(ctx context.Context, name string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.base+name, nil)
	if err != nil {
		return "", err
	}
	resp, err := u.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return "", ErrUnknown
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("%s%s answers %s", u.base, name, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	return strings.TrimSpace(string(b)), err
}

// Close ends idle connections.
func (u *URL) Close() { u.client.CloseIdleConnections() }
