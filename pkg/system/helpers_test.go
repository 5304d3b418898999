package system_test

import (
	"encoding/json"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/client"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/monitor/clientview"
	"github.com/banyanmq/banyan/pkg/system"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 10 * time.Second
	serverID = "NTEST"
)

// hub is a daemon with clients and the system account. User sys is in that, ann in
// account APP, and who shows nothing is ann.
type hub struct {
	*system.Service
	clients  *client.Service
	broker   *broker.Broker
	options  system.Options
	draining chan struct{}
}

func startHub(t testing.TB, change ...func(*config.Config)) *hub {
	t.Helper()
	cfg := &config.Config{
		Client: config.Client{Listen: config.Listen{Host: "127.0.0.1", Port: -1}}, SystemAccount: "$SYS", Tags: []string{"region:eu", "ssd"},
		Accounts: []config.Account{
			{Name: "$SYS", Users: []config.User{{Name: "sys", Password: "pw", Account: "$SYS"}}},
			{Name: "APP", Users: []config.User{{
				Name: "ann", Password: "pw", Account: "APP",
				Permissions: &config.Permissions{
					Subscribe:      config.SubjectPermission{Allow: []string{"_INBOX.>", "x.>  q"}},
					AllowResponses: &config.ResponsePermission{Max: 2, Expires: time.Minute},
					Publish:        config.SubjectPermission{Allow: []string{"$SYS.REQ.>", "x.>"}},
				},
			}}},
			{Name: "OTHER", Users: []config.User{{Name: "bob", Password: "pw", Account: "OTHER"}}},
		},
		Auth: config.Authorization{NoAuthUser: "ann"},
	}
	for _, f := range change {
		f(cfg)
	}
	h := &hub{broker: broker.New(serverID, "", cfg.SystemAccount), draining: make(chan struct{})}
	for i := range cfg.Accounts {
		h.broker.Account(cfg.Accounts[i].Name)
	}
	srv := &link.Server{ID: serverID, Name: "alpha", XKey: "XTEST", Version: "0.0.1", Product: "hubd", Started: time.Now()}
	srv.SetCluster("sfo", false)
	clients, leafs, urls := link.NewRegistry(100), link.NewRegistry(100), new(link.URLs)
	reports := monitor.NewReports(monitor.Options{
		Server: srv, Config: cfg, Broker: h.broker, ClientURLs: urls, Clients: clients, Leafs: leafs, Draining: h.draining,
		Hooks: monitor.Hooks{Client: clientview.Details, ClientAddr: func() *net.TCPAddr { return h.clients.Addr() }},
	})
	h.clients = client.New(client.Options{
		Server: srv, Broker: h.broker, Registry: clients, URLs: urls, Auth: auth.FromConfig(cfg), Settings: cfg,
	})
	h.options = system.Options{
		Server: srv, Config: cfg, Broker: h.broker, Reports: reports, Clients: clients, Leafs: leafs, Draining: h.draining,
		LameDuck: h.clients.LameDuck,
	}
	h.Service = system.New(h.options)
	for _, s := range []interface{ Start() error }{h.clients, h.Service} {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(h.clients.Close)
	t.Cleanup(h.Close)
	return h
}

func (h *hub) nats(t testing.TB, user string, opts ...nats.Option) *nats.Conn {
	t.Helper()
	if user != "" {
		opts = append(opts, nats.UserInfo(user, "pw"))
	}
	nc, err := nats.Connect("nats://"+h.clients.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// listen subscribes and waits until the server knows.
func listen(t testing.TB, nc *nats.Conn, subject string) *nats.Subscription {
	t.Helper()
	s, err := nc.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

func next(t testing.TB, s *nats.Subscription) (*nats.Msg, map[string]any) {
	t.Helper()
	m, err := s.NextMsg(patience)
	if err != nil {
		t.Fatalf("%s: %v", s.Subject, err)
	}
	return m, decode(t, m.Data)
}

func decode(t testing.TB, b []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return v
}

func request(t testing.TB, nc *nats.Conn, subject, body string) map[string]any {
	t.Helper()
	m, err := nc.Request(subject, []byte(body), patience)
	if err != nil {
		t.Fatalf("%s %s: %v", subject, body, err)
	}
	return decode(t, m.Data)
}

// at walks into objects by a path of names.
func at(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

// refusals listens for refused logins in an account.
func refusals(t testing.TB, b *broker.Broker, a *broker.Account, subject string) <-chan []byte {
	t.Helper()
	c := system.NewClient(b, 0)
	t.Cleanup(c.Close)
	got := make(chan []byte, 10)
	c.Subscribe(a, subject, system.SubOptions{}, func(r *system.Request) { got <- r.Payload })
	return got
}
