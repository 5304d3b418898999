package console

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
)

// Group is some settings that belong together.
type Group struct {
	Title string `json:"title"`
	Rows  []Row  `json:"rows"`
}

// Row is one setting.
type Row struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Settings are those in force that are no secrets. What is shown is listed here, one
// by one: a setting that nobody thought of is not shown.
func Settings(c *config.Config) []Group {
	groups := []Group{
		{"Server", rows("name", c.ServerName, "settings file", c.File, "digest", c.Digest, "tags", list(c.Tags), "system account", system(c))},
		clients(c),
		{"Who may connect", who(c)},
		cluster(c), gateway(c), leafs(c),
		{"Monitoring", rows(
			"listen", listen(c.HTTP.Listen), "HTTPS", yes(c.HTTP.TLS), "base path", c.HTTP.BasePath, "token", yes(c.HTTP.Token != ""), "console", string(c.HTTP.Console),
			"metrics", metrics(&c.HTTP.Metrics),
		)},
		{"Log", rows("file", c.Log.File, "format", string(c.Log.Format), "debug", yes(c.Log.Debug), "trace", yes(c.Log.Trace))},
		{"Lifecycle", rows("drain", duration(c.LameDuck.Duration), "drain grace", duration(c.LameDuck.Grace), "pid file", c.PidFile, "profiling port", number(c.ProfPort))},
	}
	out := groups[:0]
	for _, g := range groups {
		if len(g.Rows) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// rows makes rows of names and values in turn, without those that say nothing.
func rows(pairs ...string) (out []Row) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, Row{pairs[i], pairs[i+1]})
		}
	}
	return out
}

func system(c *config.Config) string {
	if c.NoSystemAccount {
		return "none"
	}
	return c.SystemAccount
}

func clients(c *config.Config) Group {
	if !c.Client.Enabled() {
		return Group{}
	}
	l := &c.Limits
	return Group{"Clients", rows(
		"listen", listen(c.Client.Listen), "advertise", c.Client.Advertise, "TLS", tls(c.Client.TLS),
		"max connections", number(l.MaxConnections), "max payload", size(l.MaxPayload), "max pending", size(l.MaxPending),
		"max control line", size(int64(l.MaxControlLine)), "max subscriptions", number(l.MaxSubscriptions),
		"ping", fmt.Sprintf("every %s, %d times", duration(l.PingInterval), l.PingMax), "write deadline", duration(l.WriteDeadline),
		"write policy", string(l.WriteTimeout),
	)}
}

// who counts users; names of accounts are on a page of their own.
func who(c *config.Config) []Row {
	if c.Operator != nil {
		return rows("by", "tokens of an operator", "operators", number(len(c.Operator.JWTs)+len(c.Operator.TrustedKeys)), "resolver", string(c.Operator.Resolver.Kind))
	}
	users := len(c.Auth.Users)
	for i := range c.Accounts {
		users += len(c.Accounts[i].Users)
	}
	how := "everybody"
	switch {
	case c.Auth.Token != "":
		how = "a token"
	case c.Auth.User != "":
		how = "one user and password"
	case users > 0:
		how = "users of the settings"
	}
	return rows("by", how, "users", number(users), "accounts", number(len(c.Accounts)), "without credentials", c.Auth.NoAuthUser, "timeout", duration(c.Auth.Timeout))
}

func cluster(c *config.Config) Group {
	k := c.Cluster
	if k == nil {
		return Group{}
	}
	return Group{"Cluster", rows(
		"name", k.Name, "listen", listen(k.Listen), "advertise", k.Advertise, "TLS", tls(k.TLS), "authorization", yes(k.Auth.User != ""),
		"routes", hosts(k.Routes), "pool size", number(k.PoolSize), "write deadline", duration(k.WriteDeadline),
	)}
}

func gateway(c *config.Config) Group {
	g := c.Gateway
	if g == nil {
		return Group{}
	}
	var remotes []string
	for i := range g.Remotes {
		remotes = append(remotes, g.Remotes[i].Name+" ("+hosts(g.Remotes[i].URLs)+")")
	}
	return Group{"Gateway", rows(
		"name", g.Name, "listen", listen(g.Listen), "advertise", g.Advertise, "TLS", tls(g.TLS), "authorization", yes(g.Auth.User != ""),
		"regions", list(remotes), "reject unknown", yes(g.RejectUnknown), "mode", string(c.Border.Mode),
	)}
}

func leafs(c *config.Config) Group {
	l := c.LeafNodes
	if l == nil {
		return Group{}
	}
	var remotes []string
	for i := range l.Remotes {
		one := hosts(l.Remotes[i].URLs)
		if a := l.Remotes[i].Account; a != "" {
			one += " for " + a
		}
		remotes = append(remotes, one)
	}
	return Group{"Leaf nodes", rows(
		"listen", listen(l.Listen), "advertise", l.Advertise, "TLS", tls(l.TLS), "hubs", list(remotes), "write deadline", duration(l.WriteDeadline),
	)}
}

func metrics(m *config.Metrics) string {
	if !m.Enabled {
		return "off"
	}
	return fmt.Sprintf("%s, up to %d accounts and links by name", m.Path, m.MaxSeries)
}

func listen(l config.Listen) string {
	switch {
	case !l.Enabled():
		return ""
	case l.Port < 0:
		return l.Host + ", a port chosen at the start"
	}
	return l.Addr()
}

func tls(t *config.TLS) string {
	switch {
	case t == nil:
		return "off"
	case t.Verify || t.VerifyAndMap || t.CheckKnownURLs || t.Mutual:
		return "on, with certificates of both sides"
	}
	return "on"
}

// hosts are URLs without users and passwords.
func hosts(urls []*url.URL) string {
	var out []string
	for _, u := range urls {
		out = append(out, u.Host)
	}
	return list(out)
}

func list(all []string) string { return strings.Join(all, ", ") }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// duration leaves out units that are zero: 2m, not 2m0s.
func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func size(n int64) string {
	switch {
	case n <= 0:
		return ""
	case n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + " MiB"
	case n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + " KiB"
	}
	return strconv.FormatInt(n, 10) + " B"
}
