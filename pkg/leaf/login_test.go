package leaf

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	acct "github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// peerLink is a leaf node made of a socket.
type peerLink struct {
	t testing.TB
	net.Conn
	r     *bufio.Reader
	first wire.LeafInfo
}

func (n *node) peer(t testing.TB) *peerLink {
	t.Helper()
	nc, err := net.Dial("tcp", n.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	p := &peerLink{t: t, Conn: nc, r: bufio.NewReader(nc)}
	p.first = p.info()
	return p
}

func (p *peerLink) info() (i wire.LeafInfo) {
	p.t.Helper()
	l, err := p.r.ReadString('\n')
	js, ok := strings.CutPrefix(l, "INFO ")
	if err != nil || !ok || json.Unmarshal([]byte(js), &i) != nil {
		p.t.Fatalf("%q, %v instead of INFO", l, err)
	}
	return i
}

func (p *peerLink) send(format string, args ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p, format, args...); err != nil {
		p.t.Fatal(err)
	}
}

// rest is what comes up to the end of the connection.
func (p *peerLink) rest() string {
	p.t.Helper()
	b, err := io.ReadAll(p.r)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(b)
}

// until reads up to a line.
func (p *peerLink) until(line string) (all string) {
	p.t.Helper()
	for {
		l, err := p.r.ReadString('\n')
		if err != nil {
			p.t.Fatalf("%v after %q", err, all)
		}
		if l == line {
			return all
		}
		all += l
	}
}

const refusal = "-ERR '" + wire.TextAuthViolation + "'\r\n"

// fixedUser is an Authenticator with one answer.
type fixedUser struct{ auth.Identity }

func (f *fixedUser) Policy(config.ConnectionType) auth.Policy { return auth.Policy{Required: true} }

func (f *fixedUser) Authenticate(*auth.Credentials) (*auth.Identity, error) { return &f.Identity, nil }

// The least of the limits of server, account and user holds for a link, and is told.
func TestLimitsOfLinks(t *testing.T) {
	for _, x := range []struct {
		name    string
		account acct.Limits
		user    auth.Identity
		payload int32
		subs    int
	}{
		{"none", acct.Limits{}, auth.Identity{}, 1 << 20, 3},
		{"of the account", acct.Limits{MaxPayload: 100, MaxSubscriptions: 2}, auth.Identity{}, 100, 2},
		{"of the user", acct.Limits{MaxPayload: 100, MaxSubscriptions: 2}, auth.Identity{MaxPayload: 50, MaxSubs: 1}, 50, 1},
		{"zero", acct.Limits{MaxPayload: 100, MaxSubscriptions: 2}, auth.Identity{NoPayload: true, NoSubs: true}, 0, 0},
	} {
		x.user.Account = "A"
		n := startNode(t, "HUB", listening, func(n *node) { n.o.Auth = &fixedUser{x.user} })
		if err := n.b.Share([]acct.Definition{{Name: "A", Limits: x.account}}); err != nil {
			t.Fatal(err)
		}
		p := n.peer(t)
		p.send("CONNECT {%s}\r\n", leafFields)
		if i := p.info(); i.MaxPayload != x.payload || i.RemoteAccount != "A" {
			t.Errorf("%s: told %d in %s", x.name, i.MaxPayload, i.RemoteAccount)
		}
		p.send("LS+ a\r\nLS+ b\r\nLS+ c\r\nPING\r\n")
		if refused := strings.Count(p.until("PONG\r\n"), wire.TextMaxSubscriptions); refused != 3-x.subs {
			t.Errorf("%s: %d of 3 subscriptions were refused", x.name, refused)
		}
		if x.payload < 1<<20 {
			p.send("LMSG a %d\r\n%s\r\n", x.payload+2, strings.Repeat("x", int(x.payload)+2))
			if got := p.rest(); !strings.Contains(got, wire.TextMaxPayload) {
				t.Errorf("%s: a message that is too large: %q", x.name, got)
			}
		}
	}
}

// A leaf node that fails to log in waits, and holds no place among those that log in.
func TestFailedLoginsOfLeafNodes(t *testing.T) {
	n := startNode(t, "HUB", listening, func(n *node) {
		n.cfg.LeafNodes.Auth = config.LeafAuth{User: "edge", Password: "p"}
		n.o.Penalties = auth.NewPenalties(100*time.Millisecond, 400*time.Millisecond)
		n.o.MaxHandshakes = 1
	})
	for i, least := range []time.Duration{75, 75, 75, 150} {
		p := n.peer(t)
		begin := time.Now()
		p.send("CONNECT {%s,\"user\":\"edge\",\"pass\":\"x\"}\r\n", leafFields)
		if got := p.rest(); got != refusal || time.Since(begin) < least*time.Millisecond {
			t.Errorf("failure %d: %q after %s", i+1, got, time.Since(begin))
		}
	}
	p := n.peer(t)
	p.send("CONNECT {%s,\"user\":\"edge\",\"pass\":\"x\"}\r\n", leafFields)
	begin := time.Now()
	for {
		nc, err := net.Dial("tcp", n.addr())
		if err != nil {
			t.Fatal(err)
		}
		l, err := bufio.NewReader(nc).ReadString('\n')
		nc.Close()
		if err == nil && strings.HasPrefix(l, "INFO ") {
			break // while the other one waits
		}
		if time.Since(begin) > patience {
			t.Fatal("nobody else may log in")
		}
	}
	if got := p.rest(); got != refusal {
		t.Errorf("%q", got)
	}
}

func TestProxiesOfLeafNodes(t *testing.T) {
	kp, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	pub, _ := kp.PublicKey()
	var users *auth.Proxies
	n := startNode(t, "HUB", listening, func(n *node) {
		n.cfg.LeafNodes.Auth = config.LeafAuth{User: "edge", Password: "p", ProxyRequired: true}
		if users, err = auth.TrustProxies(auth.FromConfig(n.cfg), []string{pub}); err != nil {
			t.Fatal(err)
		}
		n.o.Auth = users
	})
	try := func(kp nkeys.KeyPair) *peerLink {
		p := n.peer(t)
		extra := ""
		if kp != nil {
			sig, err := kp.Sign([]byte(p.first.Nonce))
			if err != nil {
				t.Fatal(err)
			}
			extra = `,"proxy_sig":"` + base64.RawURLEncoding.EncodeToString(sig) + `"`
		}
		p.send("CONNECT {%s,\"user\":\"edge\",\"pass\":\"p\"%s}\r\n", leafFields, extra)
		return p
	}
	other, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []nkeys.KeyPair{nil, other} {
		if got := try(k).rest(); got != refusal {
			t.Errorf("%q", got)
		}
	}
	p := try(kp)
	if i := p.info(); !i.ConnectInfo {
		t.Fatalf("%+v", i)
	}
	p.send("PING\r\n")
	p.until("PONG\r\n")
	if l := n.reg.Open(); len(l) != 1 || l[0].Info(false).More.(Details).Proxy != pub {
		t.Errorf("%d links", len(l))
	}
	if err := users.Trust(nil); err != nil {
		t.Fatal(err)
	}
	if got := p.rest(); !strings.HasSuffix(got, refusal) {
		t.Errorf("%q", got)
	}
}
