package client

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/wire"
)

func TestOfficialClientRequests(t *testing.T) {
	h := startHub(t)
	svc, app := h.nats(t), h.nats(t)
	if _, err := svc.QueueSubscribe("svc", "workers", func(m *nats.Msg) {
		r := nats.NewMsg(m.Reply)
		r.Header.Set("Echo", m.Header.Get("Ask"))
		r.Data = m.Data
		m.RespondMsg(r)
	}); err != nil {
		t.Fatal(err)
	}
	if err := svc.Flush(); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		m := nats.NewMsg("svc")
		m.Header.Set("Ask", fmt.Sprint(i))
		m.Data = []byte(fmt.Sprint("body ", i))
		r, err := app.RequestMsg(m, patience)
		if err != nil || r.Header.Get("Echo") != fmt.Sprint(i) || string(r.Data) != fmt.Sprint("body ", i) {
			t.Fatal(i, r, err)
		}
	}
	if _, err := app.Request("nobody", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Fatal(err)
	}
	old := h.nats(t, nats.UseOldRequestStyle())
	if r, err := old.Request("svc", []byte("old"), patience); err != nil || string(r.Data) != "old" {
		t.Fatal(err)
	}
	if _, err := old.Request("nobody", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Fatal(err)
	}
}

func TestOfficialClientDrains(t *testing.T) {
	h := startHub(t)
	a, b := h.nats(t), h.nats(t)
	var n atomic.Int64
	closed := make(chan struct{})
	a.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if _, err := a.Subscribe("x", func(*nats.Msg) { n.Add(1) }); err != nil {
		t.Fatal(err)
	}
	a.Flush()
	for range 1000 {
		b.Publish("x", []byte("x"))
	}
	b.Flush()
	if err := a.Drain(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("not closed")
	}
	if n.Load() != 1000 {
		t.Errorf("%d of 1000 messages", n.Load())
	}
}

func TestOfficialClientSeesErrors(t *testing.T) {
	h := startHub(t, testUsers)
	errs := make(chan error, 10)
	nc := h.nats(t, nats.UserInfo("lim", "pw"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		errs <- err
	}))
	nc.Publish("other", nil)
	nc.SubscribeSync("no.way")
	nc.QueueSubscribeSync("q", "v7")
	nc.Flush()
	for _, want := range []string{
		`publish to "other"`, `permissions violation for subscription to "no.way"`,
		`permissions violation for subscription to "q" using queue "v7"`,
	} {
		select {
		case err := <-errs:
			if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(strings.ToLower(err.Error()), want) {
				t.Errorf("got %q, want %q", err, want)
			}
		case <-time.After(patience):
			t.Fatal("no error")
		}
	}
	for user, pass := range map[string]string{"lim": "no", "nobody": "pw", "": ""} {
		if _, err := nats.Connect("nats://"+h.addr, nats.UserInfo(user, pass)); !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", user, err)
		}
	}
}

func TestOfficialClientReconnects(t *testing.T) {
	h := startHub(t)
	again := make(chan struct{}, 1)
	nc := h.nats(t, nats.ReconnectWait(time.Millisecond), nats.ReconnectHandler(func(*nats.Conn) { again <- struct{}{} }))
	sub, err := nc.SubscribeSync("x")
	if err != nil {
		t.Fatal(err)
	}
	sub.AutoUnsubscribe(2)
	nc.Flush()
	id, err := nc.GetClientID()
	if err != nil || !h.Kick(id) {
		t.Fatal(err)
	}
	select {
	case <-again:
	case <-time.After(patience):
		t.Fatal("no reconnect")
	}
	for range 3 {
		nc.Publish("x", []byte("x"))
	}
	nc.Flush()
	for i := range 2 {
		if _, err := sub.NextMsg(patience); err != nil {
			t.Fatal(i, err)
		}
	}
	if r := h.reasonOf(t, id); r != wire.ReasonKicked {
		t.Errorf("closed for %q", r)
	}
	eventually(t, "subscription is over", func() bool { return h.broker.Account("$G").Subscriptions() == 0 })
}

func TestOfficialClientLearnsServers(t *testing.T) {
	h := startHub(t)
	found := make(chan struct{}, 1)
	nc := h.nats(t, nats.DiscoveredServersHandler(func(*nats.Conn) { found <- struct{}{} }))
	h.urls.Add([]string{"127.0.0.1:1"})
	select {
	case <-found:
	case <-time.After(patience):
		t.Fatal("not told")
	}
	if d := nc.DiscoveredServers(); len(d) != 1 || d[0] != "nats://127.0.0.1:1" {
		t.Errorf("discovered %v", d)
	}
}
