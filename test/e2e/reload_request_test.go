//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/test/e2e/estate"
)

// answer is what a server says of a request in the system account.
type answer struct {
	Server struct{ ID, Name string }
	Data   json.RawMessage
	Error  *struct {
		Code        int
		Description string
	}
}

func ask(t *testing.T, nc *nats.Conn, subject, body string) (a answer) {
	t.Helper()
	m, err := nc.Request(subject, []byte(body), estate.Patience/2)
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		t.Fatalf("%s: %v in %s", subject, err, m.Data)
	}
	return a
}

// TestReloadByRequest sends what `nats server config reload` does: a good file is put into
// force, a bad one and one that wants a restart are refused with the reason, and what was
// in force stays; a file without changes disturbs nobody.
func TestReloadByRequest(t *testing.T) {
	text := func(more string, payload int, also string) string {
		return fmt.Sprintf(reloadBase, -1, more, payload, "64mb", 60) + also
	}
	r := startReloadable(t, text("", 1<<20, ""))
	down := func(who string) nats.Option {
		return nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				t.Errorf("%s was disconnected: %v", who, err)
			}
		})
	}
	sys, alice := r.connect("sys", down("sys")), r.connect("alice", down("alice"))
	sub, err := alice.SubscribeSync("data")
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Flush(); err != nil {
		t.Fatal(err)
	}
	id := alice.ConnectedServerId()
	subject := "$SYS.REQ.SERVER." + id + ".RELOAD"
	type state struct {
		Payload int64     `json:"max_payload"`
		Loaded  time.Time `json:"config_load_time"`
		Digest  string    `json:"config_digest"`
		Total   uint64    `json:"total_connections"`
	}
	varz := func() (v state) {
		t.Helper()
		if err := json.Unmarshal(ask(t, sys, "$SYS.REQ.SERVER."+id+".VARZ", "").Data, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	undisturbed := func(what string) {
		t.Helper()
		if err := sys.Flush(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := alice.Publish("data", []byte(what)); err != nil {
			t.Fatal(err)
		}
		if m, err := sub.NextMsg(estate.Patience); err != nil || string(m.Data) != what {
			t.Fatalf("%s: alice got %v, %v", what, m, err)
		}
	}
	start := varz()

	// No change.
	if a := ask(t, sys, subject, ""); a.Error != nil || a.Server.ID != id {
		t.Errorf("no change: %+v", a.Error)
	}
	undisturbed("no change")
	if v := varz(); v.Payload != start.Payload || v.Digest != start.Digest || v.Total != start.Total || !v.Loaded.After(start.Loaded) {
		t.Errorf("no change: %+v, before %+v", v, start)
	}

	// A good file.
	r.write(text(`{user: bob, password: bob}`, 1<<19, ""))
	if a := ask(t, sys, subject, ""); a.Error != nil {
		t.Fatalf("a good file: %+v", a.Error)
	}
	good := varz()
	if good.Payload != 1<<19 || good.Digest == start.Digest {
		t.Errorf("a good file: %+v", good)
	}
	r.connect("bob").Close()
	undisturbed("a good file")

	// Files that are refused, whole.
	for name, x := range map[string]struct{ text, why string }{
		"syntax":      {"listen: [", "server.conf"},
		"unknown":     {text("", 1<<18, "no_such_option: 1\n"), "no_such_option"},
		"restart":     {text("", 1<<18, "max_closed_clients: 7\n"), "config reload not supported for MaxClosedClients: old=10000, new=7"},
		"impossible":  {text("", 1<<30, ""), "max_payload"},
		"certificate": {strings.Replace(text("", 1<<18, ""), "server.pem", "missing.pem", 1), "missing.pem"},
	} {
		r.write(x.text)
		a := ask(t, sys, subject, "")
		if a.Error == nil || a.Error.Code != 500 || !strings.Contains(a.Error.Description, x.why) {
			t.Errorf("%s: refused with %+v, want %q", name, a.Error, x.why)
		}
		undisturbed(name)
		if v := varz(); v.Payload != good.Payload || v.Digest != good.Digest || !v.Loaded.Equal(good.Loaded) {
			t.Errorf("%s: the settings in force have changed: %+v", name, v)
		}
		r.connect("bob").Close()
	}
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	if a := ask(t, sys, subject, ""); a.Error == nil {
		t.Error("a file that is gone was taken")
	}
	undisturbed("no file")

	// And the next good one counts again.
	r.write(text("", 1<<18, ""))
	if a := ask(t, sys, subject, ""); a.Error != nil {
		t.Fatalf("a good file again: %+v", a.Error)
	}
	if v := varz(); v.Payload != 1<<18 {
		t.Errorf("a good file again: %+v", v)
	}
	undisturbed("a good file again")
	// Not for others than the system account, nor for another server.
	if _, err := alice.Request(subject, nil, estate.Patience/2); err == nil {
		t.Error("a client of another account may reload")
	}
}
