//go:build linux

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/test/procs"
)

// TestOperatorCluster: a cluster in operator mode of one of our hubs and a reference
// server, each with a directory of all accounts. What is pushed is at both, one that
// comes later gets what it missed, and a revocation ends connections to both.
func TestOperatorCluster(t *testing.T) {
	const patience = 30 * time.Second
	ref, err := procs.Reference()
	if errors.Is(err, procs.ErrNoReference) {
		t.Skip("TestOperatorCluster: no reference server: install nats-server or set NATS_SERVER")
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	hub, err := bins.Build(ctx, "hubd")
	if err != nil {
		t.Fatal(err)
	}
	tr := operatortest.New(t)
	set := tr.Settings()
	free, err := procs.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	start := func(exe string, own int, conf string) string {
		t.Helper()
		p, err := procs.Start(procs.Spec{Exe: exe, Dir: t.TempDir(), Config: fmt.Sprintf(`listen: 127.0.0.1:-1
ports_file_dir: "{{dir}}"
operator: %s
resolver { type: full, dir: "{{dir}}/jwt", allow_delete: true, interval: "1s", timeout: "1.9s" }
resolver_preload { %s: %s }
cluster { name: c, listen: "127.0.0.1:%d", routes: ["nats://127.0.0.1:%d", "nats://127.0.0.1:%d"] }
%s`, set.JWTs[0], tr.System.Pub, set.Preload[0].JWT, own, free[0], free[1], conf)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			p.Kill()
			if t.Failed() {
				t.Logf("%s:\n%s", exe, p.Log.Tail(2500))
			}
		})
		ports, err := p.Ports(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return ports.Client()
	}
	ours := start(hub, free[0], "")
	said := make(chan error, 16)
	login := func(url string, u operatortest.User) (*nats.Conn, error) {
		nc, err := nats.Connect(url, nats.UserJWTAndSeed(u.Token, u.Text(t)), nats.NoReconnect(), nats.Timeout(5*time.Second),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { said <- err }))
		if err == nil {
			t.Cleanup(nc.Close)
		}
		return nc, err
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what + ": not in time")
			}
		}
	}
	// push publishes a token and returns how many servers have taken it.
	push := func(nc *nats.Conn, token string) int {
		t.Helper()
		in, err := nc.SubscribeSync(nats.NewInbox())
		if err != nil {
			t.Fatal(err)
		}
		defer in.Unsubscribe()
		nc.PublishRequest("$SYS.REQ.CLAIMS.UPDATE", in.Subject, []byte(token))
		n := 0
		for {
			m, err := in.NextMsg(time.Second)
			if err != nil {
				return n
			}
			var s struct {
				Server struct{ Name string }
				Data   *struct{ Code int }
			}
			if json.Unmarshal(m.Data, &s) != nil || s.Server.Name == "" || s.Data == nil || s.Data.Code != 200 {
				t.Errorf("answer %s", m.Data)
			}
			n++
		}
	}
	admin, err := login(ours, tr.System.User(nil))
	if err != nil {
		t.Fatal(err)
	}
	early := tr.Account("EARLY")
	if n := push(admin, early.Token()); n != 1 {
		t.Fatalf("%d servers took the first account", n)
	}
	theirs := start(ref, free[1], "")
	for _, url := range []string{ours, theirs} {
		await("the early account at "+url, func() bool {
			_, err := login(url, early.User(nil))
			return err == nil
		})
	}
	late := tr.Account("LATE")
	await("both servers", func() bool { return push(admin, late.Token()) == 2 })
	u := late.User(&late.Signer)
	a, err := login(ours, u)
	if err != nil {
		t.Fatal(err)
	}
	b, err := login(theirs, u)
	if err != nil {
		t.Fatal(err)
	}
	in, err := b.SubscribeSync("x")
	if err != nil {
		t.Fatal(err)
	}
	b.Flush()
	await("a message between the two", func() bool {
		a.Publish("x", []byte("hello"))
		_, err := in.NextMsg(100 * time.Millisecond)
		return err == nil
	})
	late.Claims.RevokeAt(u.Pub, time.Now().Add(time.Hour))
	if n := push(admin, late.Token()); n != 2 {
		t.Errorf("%d servers took the revocation", n)
	}
	await("the end of both connections", func() bool { return a.IsClosed() && b.IsClosed() })
	for range 2 {
		select {
		case err := <-said:
			if !errors.Is(err, nats.ErrAuthRevoked) {
				t.Errorf("a server said %v", err)
			}
		case <-ctx.Done():
			t.Fatal("a connection ended without a word")
		}
	}
}
