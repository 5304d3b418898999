//go:build linux

package e2e

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
)

// TestCheckAccessSaysWhatTheServerDoes asks the command and a server with the same
// settings.
func TestCheckAccessSaysWhatTheServerDoes(t *testing.T) {
	e := estate.New(t, bins)
	const settings = `
listen: 127.0.0.1:-1
accounts {
  A {
    users: [ { user: u, password: p, permissions: {
      publish: { allow: ["a.*", "m.to", "_INBOX.>"], deny: "a.no" }
      subscribe: { allow: ["s.*", "q group", "r", "r only"], deny: ["s.no", "s.q group"] } } } ]
    mappings: { "m.from": "m.to", "a.mapped": "elsewhere" }
  }
}
`
	file := write(t, filepath.Join(e.Dir("settings"), "hubd.conf"), settings)
	hub := start(t, e, "hubd", "hub", settings+"ports_file_dir: \"{{dir}}\"\n")
	ports, err := hub.Ports(e.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct{ publish, subscribe, queue string }{
		{publish: "a.yes"}, {publish: "a.no"}, {publish: "a.b.c"}, {publish: "m.from"}, {publish: "m.to"}, {publish: "a.mapped"}, {publish: "x"}, {publish: "$NRG.x"}, {publish: "_GR_.x.y.z"},
		{subscribe: "s.a"}, {subscribe: "s.*"}, {subscribe: "s.>"}, {subscribe: "s.no"}, {subscribe: "s.q"}, {subscribe: "s.q", queue: "group"}, {subscribe: "s.q", queue: "other"},
		{subscribe: "q"}, {subscribe: "q", queue: "group"}, {subscribe: "q", queue: "other"}, {subscribe: "r"}, {subscribe: "r", queue: "only"}, {subscribe: "r", queue: "other"},
		{subscribe: "s.a", queue: "_sys_"}, {subscribe: ">"},
	} {
		args := []string{"check", "access", "-c", file, "--user", "u"}
		nc, err := nats.Connect(ports.Client(), nats.UserInfo("u", "p"), nats.Timeout(estate.Patience/2), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		if q.publish != "" {
			args = append(args, "--publish", q.publish)
			err = nc.Publish(q.publish, nil)
		} else {
			args = append(args, "--subscribe", q.subscribe)
			if q.queue == "" {
				_, err = nc.SubscribeSync(q.subscribe)
			} else {
				args = append(args, "--queue", q.queue)
				_, err = nc.QueueSubscribeSync(q.subscribe, q.queue)
			}
		}
		if err == nil {
			err = nc.FlushTimeout(estate.Patience / 2)
		}
		if err != nil && !errors.Is(err, nats.ErrPermissionViolation) {
			t.Fatalf("%+v: %v", q, err)
		}
		// The error came before the answer to the flush; the client may take a moment.
		want := 0
		for end := time.Now().Add(50 * time.Millisecond); time.Now().Before(end) && want == 0; time.Sleep(time.Millisecond) {
			if errors.Is(nc.LastError(), nats.ErrPermissionViolation) {
				want = 6
			}
		}
		nc.Close()
		if r := command(t, "", e.Build("hubd"), args...); r.code != want {
			t.Errorf("%+v: the server's verdict is exit %d, the command's %d: %s%s", q, want, r.code, r.out, r.err)
		}
	}
}
