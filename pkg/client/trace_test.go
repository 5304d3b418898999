package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/logging"
)

// traced runs a few operations as a user of APP and as one of the system account and
// returns what the log says.
func traced(t *testing.T, l config.Log) string {
	t.Helper()
	cfg := &config.Config{
		Client: config.Client{Listen: config.Listen{Host: "127.0.0.1", Port: -1}}, SystemAccount: "SYS", Log: l,
		Accounts: []config.Account{
			{Name: "APP", Users: []config.User{{Name: "app", Password: "s3cret", Account: "APP"}}},
			{Name: "SYS", Users: []config.User{{Name: "sys", Password: "s3cret", Account: "SYS"}}},
		},
	}
	file := filepath.Join(t.TempDir(), "log")
	log, err := logging.New(logging.Options{File: file, Trace: true})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s := New(Options{
		Server: &link.Server{ID: "N", Name: "N"}, Broker: broker.New("N", "", "SYS"), Registry: link.NewRegistry(10), URLs: new(link.URLs),
		Auth: auth.FromConfig(cfg), Settings: cfg, Log: log.Logger(), FirstPing: time.Hour,
	})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, user := range []string{"app", "sys"} {
		nc, err := nats.Connect("nats://"+s.Addr().String(), nats.UserInfo(user, "s3cret"))
		if err != nil {
			t.Fatal(err)
		}
		sub, err := nc.SubscribeSync(user + ".in")
		if err != nil {
			t.Fatal(err)
		}
		m := nats.NewMsg(user + ".in")
		m.Header.Set("A", "b")
		m.Data = []byte("0123456789")
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		if _, err := sub.NextMsg(patience); err != nil {
			t.Fatal(err)
		}
		nc.Close()
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What the settings of tracing promise (config-cli 13).
func TestTracing(t *testing.T) {
	plain := traced(t, config.Log{Trace: true})
	for _, want := range []string{"<<- [CONNECT {", "<<- [HPUB app.in  18 28]", `<<- MSG_PAYLOAD: ["NATS/1.0\r\nA: b\r\n\r\n0123456789"]`, "->> [HMSG app.in 1 18 28]", "<<- [SUB app.in  1]"} {
		if !strings.Contains(plain, want) {
			t.Errorf("no %s in\n%s", want, plain)
		}
	}
	if strings.Contains(plain, "s3cret") || strings.Contains(plain, "sys.in") {
		t.Errorf("a password, or the system account, is traced:\n%s", plain)
	}
	if verbose := traced(t, config.Log{Trace: true, TraceVerbose: true}); !strings.Contains(verbose, "->> [HMSG sys.in") || !strings.Contains(verbose, "<<- [HPUB sys.in") {
		t.Errorf("the system account is not traced:\n%s", verbose)
	}
	if headers := traced(t, config.Log{Trace: true, TraceHeaders: true}); strings.Contains(headers, "0123456789") || !strings.Contains(headers, `A: b`) {
		t.Errorf("not the headers alone:\n%s", headers)
	}
	if cut := traced(t, config.Log{Trace: true, MaxTracedMsgLen: 8}); !strings.Contains(cut, `["NATS/1.0"...]`) {
		t.Errorf("not cut:\n%s", cut)
	}
}
