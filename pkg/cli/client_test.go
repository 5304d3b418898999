package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/banyanmq/banyan/pkg/certs"
	"github.com/banyanmq/banyan/pkg/config"
)

func TestPub(t *testing.T) {
	s := startServer(t, "max_payload: 1000\n")
	nc := s.connect(t)
	sub, err := nc.SubscribeSync("p.>")
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	next := func(t *testing.T) *nats.Msg {
		t.Helper()
		m, err := sub.NextMsgWithContext(within(t))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	pub := func(t *testing.T, stdin string, want int, args ...string) (string, string) {
		t.Helper()
		code, out, errOut := run(t, stdin, append([]string{"pub", "-s", s.url}, args...)...)
		if code != want {
			t.Errorf("exit %d, want %d; stderr %q", code, want, errOut)
		}
		return out, errOut
	}
	t.Run("argument", func(t *testing.T) {
		out, errOut := pub(t, "", 0, "p.a", "hello", "-H", "A: b: c", "-H", "a:x", "--reply", "r")
		m := next(t)
		if m.Subject != "p.a" || string(m.Data) != "hello" || m.Reply != "r" || m.Header["A"][0] != "b: c" || m.Header["a"][0] != "x" {
			t.Errorf("%+v", m)
		}
		if out != "" || errOut != "" {
			t.Errorf("not quiet: %q %q", out, errOut)
		}
	})
	t.Run("empty", func(t *testing.T) {
		pub(t, "not read", 0, "p.a", "")
		if m := next(t); len(m.Data) != 0 {
			t.Errorf("%q", m.Data)
		}
	})
	t.Run("lines", func(t *testing.T) {
		for _, args := range [][]string{{"p.l"}, {"p.l", "-"}} {
			pub(t, "one\n\nthree\r\nfour", 0, args...)
			for _, want := range []string{"one", "", "three", "four"} {
				if m := next(t); string(m.Data) != want {
					t.Errorf("%q, want %q", m.Data, want)
				}
			}
		}
	})
	t.Run("interrupted while stdin is silent", func(t *testing.T) {
		for _, args := range [][]string{{"pub", "p.i"}, {"pub", "p.i", "--whole"}, {"request", "p.i", "-"}} {
			in, silent := io.Pipe()
			defer silent.Close()
			var out, errOut bytes.Buffer
			ctx, cancel := context.WithCancel(within(t))
			ended := make(chan int, 1)
			go func() {
				ended <- Execute(ctx, Daemon{Name: config.Hubd}, append([]string{"hubd"}, append(args, "-s", s.url)...), in, &out, &errOut)
			}()
			if args[0] == "pub" && len(args) == 2 {
				if _, err := io.WriteString(silent, "first\n"); err != nil {
					t.Fatal(err)
				}
				if m := next(t); string(m.Data) != "first" {
					t.Errorf("%q", m.Data)
				}
			}
			cancel()
			select {
			case code := <-ended:
				if code != ExitInterrupted || errOut.Len() > 0 {
					t.Errorf("%q: exit %d, %q", args, code, &errOut)
				}
			case <-within(t).Done():
				t.Fatalf("%q does not end", args)
			}
		}
	})
	t.Run("whole", func(t *testing.T) {
		pub(t, "a\nb\n\x00", 0, "p.w", "--whole")
		if m := next(t); string(m.Data) != "a\nb\n\x00" {
			t.Errorf("%q", m.Data)
		}
	})
	t.Run("size, count, rate, json", func(t *testing.T) {
		begin := time.Now()
		out, _ := pub(t, "", 0, "p.s", "--size", "33", "--count", "5", "--rate", "50", "--json")
		if d := time.Since(begin); d < 80*time.Millisecond {
			t.Errorf("five messages at 50 a second took %s", d)
		}
		for range 5 {
			if m := next(t); len(m.Data) != 33 {
				t.Errorf("%d bytes", len(m.Data))
			}
		}
		var sum struct {
			Subject         string
			Messages, Bytes int
		}
		if err := json.Unmarshal([]byte(out), &sum); err != nil || sum.Messages != 5 || sum.Bytes != 165 || sum.Subject != "p.s" {
			t.Errorf("%q: %v", out, err)
		}
	})
	t.Run("verbose", func(t *testing.T) {
		if _, errOut := pub(t, "", 0, "p.a", "x", "-v"); !strings.Contains(errOut, "published 1 messages, 1 bytes") {
			t.Errorf("%q", errOut)
		}
		next(t)
	})
	t.Run("too large", func(t *testing.T) {
		if _, errOut := pub(t, "", ExitFailure, "p.a", "--size", "1001"); !strings.Contains(errOut, "message 1 of 1001 bytes") {
			t.Errorf("%q", errOut)
		}
	})
	t.Run("usage", func(t *testing.T) {
		for _, args := range [][]string{
			{}, {"a", "b", "c"}, {"a", "x", "-H", "no colon"}, {"a", "x", "-H", ": v"}, {"a", "x", "--count", "0"},
			{"a", "-", "--count", "2"}, {"a", "x", "--size", "3"}, {"a", "x", "--whole"}, {"a", "x", "--rate", "-1"},
			{"a b", "x"}, {"a..b", "x"}, {"a.*", "x"}, {"a.>", "x"}, {"", "x"}, {"a", "x", "--reply", "b."},
			{"a", "x", "--nope"}, {"a", "x", "--count", "many"}, {"a", "x", "--tls-cert", "f"}, {"a", "x", "--password", "f"},
		} {
			out, errOut := pub(t, "", ExitUsage, args...)
			if out != "" || !strings.HasPrefix(errOut, "hubd: ") {
				t.Errorf("%q: stdout %q, stderr %q", args, out, errOut)
			}
		}
	})
	t.Run("environment", func(t *testing.T) {
		t.Setenv("NATS_URL", s.url)
		if code, _, errOut := run(t, "", "pub", "p.env", "x"); code != 0 {
			t.Errorf("exit %d: %s", code, errOut)
		}
		if m := next(t); m.Subject != "p.env" {
			t.Errorf("%+v", m)
		}
	})
}

func TestSub(t *testing.T) {
	s := startServer(t, "")
	nc := s.connect(t)
	sub := func(t *testing.T, args ...string) *command {
		t.Helper()
		c := start(t, "", append([]string{"sub", "-v", "-s", s.url}, args...)...)
		c.says("subscribed to ")
		return c
	}
	send := func(t *testing.T, subject, data string) {
		t.Helper()
		m := &nats.Msg{Subject: subject, Data: []byte(data), Reply: "r", Header: nats.Header{"K": {"v"}}}
		if err := nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("text", func(t *testing.T) {
		c := sub(t, "a.*", "--count", "2")
		send(t, "a.b", "x\x1b[31m\ny\xff")
		send(t, "a.c", "tab\tand ü")
		if code := c.end(); code != 0 {
			t.Errorf("exit %d", code)
		}
		if got := c.out.String(); got != "a.b\tx\\x1b[31m\\ny\\xff\na.c\ttab\tand ü\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("headers", func(t *testing.T) {
		c := sub(t, "a", "--count", "1", "--show-headers")
		send(t, "a", "x")
		c.end()
		if got := c.out.String(); got != "a\tK: v\na\tx\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("raw", func(t *testing.T) {
		c := sub(t, "a", "--count", "2", "--raw", "--delimiter", `\0`)
		send(t, "a", "x\n\xff")
		send(t, "a", "y")
		c.end()
		if got := c.out.String(); got != "x\n\xff\x00y\x00" {
			t.Errorf("%q", got)
		}
	})
	t.Run("json", func(t *testing.T) {
		c := sub(t, "a", "b", "--json", "--count", "2")
		c.says("subscribed to b")
		send(t, "a", "x<y")
		c.out.wait(t, regexp.MustCompile("x<y"))
		send(t, "b", "\xff")
		c.end()
		dec := json.NewDecoder(strings.NewReader(c.out.String()))
		var m, n jsonMessage
		if err := dec.Decode(&m); err != nil || m.Subject != "a" || m.Reply != "r" || m.Headers["K"][0] != "v" || *m.Data != "x<y" || m.Size != 3 || m.Time.IsZero() {
			t.Errorf("%+v, %v", m, err)
		}
		if err := dec.Decode(&n); err != nil || n.Subject != "b" || n.Data != nil || n.Base64 != "/w==" {
			t.Errorf("%+v, %v", n, err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		c := sub(t, "a")
		send(t, "a", "x")
		c.out.wait(t, regexp.MustCompile("a\tx\n"))
		c.stop()
		if code := c.end(); code != 0 {
			t.Errorf("exit %d, want 0: an interrupt is the normal end", code)
		}
		c.says("received 1 messages, 1 bytes")
		c = sub(t, "a", "--count", "1")
		c.stop()
		if code := c.end(); code != ExitInterrupted {
			t.Errorf("exit %d, want %d", code, ExitInterrupted)
		}
	})
	t.Run("timeout", func(t *testing.T) {
		if code, out, errOut := run(t, "", "sub", "-s", s.url, "a", "--timeout", "50ms"); code != ExitTimeout || out != "" || errOut != "hubd: no message within 50ms\n" {
			t.Errorf("exit %d, %q %q", code, out, errOut)
		}
		c := sub(t, "a", "--count", "2", "--timeout", "300ms")
		send(t, "a", "x")
		if code := c.end(); code != ExitTimeout || c.out.String() != "a\tx\n" {
			t.Errorf("exit %d, %q", code, c.out)
		}
		c = sub(t, "a", "--timeout", "300ms")
		send(t, "a", "x")
		if code := c.end(); code != 0 || c.out.String() != "a\tx\n" {
			t.Errorf("exit %d, %q", code, c.out)
		}
	})
	// A member with --count takes no more than it prints: the rest goes to the others.
	t.Run("queue", func(t *testing.T) {
		first := sub(t, "q", "--queue", "w", "--count", "5")
		other := sub(t, "q", "--queue", "w", "--raw")
		for i := range 200 {
			send(t, "q", fmt.Sprint(i))
		}
		first.end()
		other.out.wait(t, regexp.MustCompile(`(\d+\n){195}`))
		other.stop()
		other.end()
		if a, b := strings.Count(first.out.String(), "\n"), strings.Count(other.out.String(), "\n"); a != 5 || b != 195 {
			t.Errorf("%d and %d messages, want 5 and 195", a, b)
		}
	})
	t.Run("many", func(t *testing.T) {
		const n = 50000
		c := sub(t, "m", "--count", fmt.Sprint(n), "--raw")
		for i := range n {
			if err := nc.Publish("m", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		if code := c.end(); code != 0 {
			t.Fatalf("exit %d: %s", code, c.err)
		}
		lines := strings.Fields(c.out.String())
		if len(lines) != n {
			t.Fatalf("%d lines", len(lines))
		}
		for i, l := range lines {
			if l != fmt.Sprint(i) {
				t.Fatalf("line %d is %q", i, l)
			}
		}
	})
	t.Run("usage", func(t *testing.T) {
		for _, args := range [][]string{{"sub"}, {"sub", "a b"}, {"sub", "a", "b..c"}, {"sub", "a.>.b"}, {"sub", "a", "--queue", "x y"},
			{"reply", "a b"}, {"request", "a.*"}, {"sub", "a", "--json", "--raw"}, {"sub", "a", "--count", "-1"}} {
			if code, _, errOut := run(t, "", args...); code != ExitUsage {
				t.Errorf("%q: exit %d, %s", args, code, errOut)
			}
		}
	})
}

func TestRequestAndReply(t *testing.T) {
	s := startServer(t, "")
	nc := s.connect(t)
	request := func(t *testing.T, stdin string, args ...string) (int, string, string) {
		t.Helper()
		return run(t, stdin, append([]string{"request", "-s", s.url}, args...)...)
	}
	reply := func(t *testing.T, args ...string) *command {
		t.Helper()
		c := start(t, "", append([]string{"reply", "-v", "-s", s.url}, args...)...)
		c.says("answering requests on ")
		return c
	}
	t.Run("no responders", func(t *testing.T) {
		for _, more := range [][]string{nil, {"--replies", "2"}, {"--replies", "0"}} {
			code, out, errOut := request(t, "", append([]string{"nobody", "x"}, more...)...)
			if code != ExitNoResponders || out != "" || !strings.Contains(errOut, "request to nobody: nats: no responders") {
				t.Errorf("%v: exit %d, %q %q", more, code, out, errOut)
			}
		}
	})
	t.Run("timeout", func(t *testing.T) {
		if _, err := nc.SubscribeSync("silent"); err != nil {
			t.Fatal(err)
		}
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
		for _, more := range [][]string{nil, {"--replies", "2"}, {"--replies", "0"}} {
			code, _, errOut := request(t, "", append([]string{"silent", "x", "--timeout", "50ms"}, more...)...)
			if code != ExitTimeout {
				t.Errorf("%v: exit %d, %q", more, code, errOut)
			}
		}
	})
	t.Run("payload", func(t *testing.T) {
		r := reply(t, "fixed", "yes", "-H", "A: b", "--count", "2", "--raw")
		code, out, errOut := request(t, "", "fixed", "q1", "--show-headers")
		if code != 0 || !regexp.MustCompile(`^_INBOX\.\S+\tA: b\n_INBOX\.\S+\tyes\n$`).MatchString(out) || errOut != "" {
			t.Errorf("exit %d, %q %q", code, out, errOut)
		}
		if code, out, _ := request(t, "", "fixed", "q2", "--raw"); code != 0 || out != "yes\n" {
			t.Errorf("exit %d, %q", code, out)
		}
		if code := r.end(); code != 0 || r.out.String() != "q1\nq2\n" {
			t.Errorf("reply: exit %d, %q", code, r.out)
		}
	})
	t.Run("echo, lines, json", func(t *testing.T) {
		r := reply(t, "echo", "--echo")
		code, out, _ := request(t, "one\ntwo\n", "echo", "-", "--json", "-H", "X: y")
		dec := json.NewDecoder(strings.NewReader(out))
		for _, want := range []string{"one", "two"} {
			var m jsonMessage
			if err := dec.Decode(&m); err != nil || *m.Data != want || m.Headers["X"][0] != "y" || m.RTT <= 0 {
				t.Errorf("%+v, %v", m, err)
			}
		}
		if code != 0 {
			t.Errorf("exit %d", code)
		}
		// Stdin is not read unless asked for.
		if code, out, _ := request(t, "ignored", "echo", "--raw"); code != 0 || out != "\n" {
			t.Errorf("exit %d, %q", code, out)
		}
		if code, out, errOut := request(t, "", "echo", "x", "--count", "100", "--raw", "-v"); code != 0 || out != strings.Repeat("x\n", 100) || !strings.Contains(errOut, "100 requests, round trip min") {
			t.Errorf("exit %d, %q %q", code, out, errOut)
		}
		r.stop()
		if code := r.end(); code != 0 {
			t.Errorf("reply: exit %d", code)
		}
	})
	t.Run("command", func(t *testing.T) {
		r := reply(t, "sh.*", "--command", `read x; test "$x" != bad && echo "$REQUEST_SUBJECT got $x"`)
		if code, out, _ := request(t, "", "sh.a", "$(touch pwned)", "--raw", "--delimiter", ""); code != 0 || out != "sh.a got $(touch pwned)\n" {
			t.Errorf("exit %d, %q", code, out)
		}
		code, _, errOut := request(t, "", "sh.a", "bad", "--raw")
		if code != ExitFailure || !strings.Contains(errOut, "the service failed: command failed: exit status 1") {
			t.Errorf("exit %d, %q", code, errOut)
		}
		r.stop()
		r.end()
	})
	t.Run("many replies", func(t *testing.T) {
		a := reply(t, "who", "a", "--queue", "")
		b := reply(t, "who", "b", "--queue", "")
		for _, args := range [][]string{{"--replies", "2"}, {"--replies", "0", "--timeout", "300ms"}} {
			code, out, errOut := request(t, "", append([]string{"who", "", "--raw"}, args...)...)
			got := strings.Fields(out)
			slices.Sort(got)
			if code != 0 || !slices.Equal(got, []string{"a", "b"}) {
				t.Errorf("%v: exit %d, %q %q", args, code, out, errOut)
			}
		}
		a.stop()
		b.stop()
		a.end()
		b.end()
	})
	// Responders share a queue group: one answer, and another answers when one is gone.
	t.Run("shared", func(t *testing.T) {
		a := reply(t, "svc", "a")
		b := reply(t, "svc", "b")
		if code, out, _ := request(t, "", "svc", "", "--replies", "0", "--timeout", "200ms", "--raw"); code != 0 || len(out) != 2 {
			t.Errorf("exit %d, %q", code, out)
		}
		a.stop()
		a.end()
		if code, out, _ := request(t, "", "svc", "", "--raw"); code != 0 || out != "b\n" {
			t.Errorf("exit %d, %q", code, out)
		}
		b.stop()
		b.end()
	})
	t.Run("reply times out", func(t *testing.T) {
		if code, _, errOut := run(t, "", "reply", "-s", s.url, "x", "y", "--timeout", "50ms"); code != ExitTimeout || !strings.Contains(errOut, "0 requests") {
			t.Errorf("exit %d, %q", code, errOut)
		}
	})
	t.Run("usage", func(t *testing.T) {
		for _, args := range [][]string{{"request"}, {"request", "a", "--timeout", "0"}, {"reply"}, {"reply", "a", "x", "--echo"}, {"reply", "a", "--echo", "--command", "x"}} {
			if code, _, errOut := run(t, "", args...); code != ExitUsage {
				t.Errorf("%q: exit %d, %s", args, code, errOut)
			}
		}
	})
}

func TestNoServer(t *testing.T) {
	// A port that was free a moment ago.
	const nobody = "nats://127.0.0.1:1"
	for _, args := range [][]string{{"pub", "a", "x"}, {"sub", "a"}, {"request", "a", "x"}, {"reply", "a", "x"}} {
		code, out, errOut := run(t, "", append(args, "-s", nobody)...)
		if code != ExitConnection || out != "" || !strings.HasPrefix(errOut, "hubd: connecting to nats://127.0.0.1:1: ") {
			t.Errorf("%q: exit %d, %q %q", args, code, out, errOut)
		}
	}
	c := start(t, "", "pub", "a", "x", "-s", "nats://u:geheim@127.0.0.1:1", "--connect-wait", "10m")
	c.stop()
	if code := c.end(); code != ExitInterrupted || strings.Contains(c.err.String(), "geheim") {
		t.Errorf("exit %d, %q", code, c.err)
	}
	if _, _, errOut := run(t, "", "pub", "a", "x", "-s", "nats://u:geheim@127.0.0.1:1"); strings.Contains(errOut, "geheim") {
		t.Errorf("the password is shown: %q", errOut)
	}
}

func TestCredentialsAndPermissions(t *testing.T) {
	s := startServer(t, `authorization { users: [{user: u, password: p, permissions: {publish: ["ok", "req"], subscribe: ["ok", "_INBOX.>"]}}] }`)
	good := []string{"-s", s.url, "--user", "u", "--password", "p"}
	for _, c := range []struct {
		want int
		args []string
	}{
		{ExitOK, append([]string{"pub", "ok", "x"}, good...)},
		{ExitRefused, append([]string{"pub", "no", "x"}, good...)},
		{ExitRefused, append([]string{"sub", "no", "--timeout", "5s"}, good...)},
		{ExitTimeout, append([]string{"sub", "ok", "--timeout", "50ms"}, good...)},
		{ExitRefused, append([]string{"reply", "no", "x"}, good...)},
		{ExitRefused, append([]string{"request", "no", "x", "--timeout", "1s"}, good...)},
		{ExitNoResponders, append([]string{"request", "req", "x"}, good...)},
		{ExitRefused, []string{"pub", "ok", "x", "-s", s.url}},
		{ExitRefused, []string{"pub", "ok", "x", "-s", s.url, "--user", "u", "--password", "wrong", "--connect-wait", "1m"}},
	} {
		code, _, errOut := run(t, "", c.args...)
		if code != c.want {
			t.Errorf("%q: exit %d, want %d: %s", c.args, code, c.want, errOut)
		}
		if strings.Contains(errOut, "wrong") {
			t.Errorf("a password is shown: %s", errOut)
		}
	}
	t.Setenv("NATS_USER", "u")
	t.Setenv("NATS_PASSWORD", "p")
	if code, _, errOut := run(t, "", "pub", "ok", "x", "-s", s.url); code != 0 {
		t.Errorf("by environment: exit %d, %s", code, errOut)
	}
}

func TestToken(t *testing.T) {
	s := startServer(t, `authorization { token: "s3cret" }`)
	if code, _, errOut := run(t, "", "pub", "a", "x", "-s", s.url, "--token", "s3cret"); code != 0 {
		t.Errorf("exit %d, %s", code, errOut)
	}
	if code, _, _ := run(t, "", "pub", "a", "x", "-s", s.url, "--token", "other"); code != ExitRefused {
		t.Errorf("exit %d", code)
	}
}

// Certificates made by our own command, mutual TLS, against a server that we did not write.
func TestMutualTLSWithOurCertificates(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"--name", "srv"}, {"--name", "cli", "--client"}} {
		if code, _, errOut := run(t, "", append([]string{"keys", "tls", "--dir", dir}, args...)...); code != 0 {
			t.Fatalf("exit %d, %s", code, errOut)
		}
	}
	f := func(name string) string { return filepath.Join(dir, name) }
	s := startServer(t, fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: true }", f("srv.crt"), f("srv.key"), f("ca.crt")))
	url := strings.Replace(s.url, "nats://", "tls://", 1)
	if code, _, errOut := run(t, "", "pub", "a", "x", "-s", url, "--tls-ca", f("ca.crt"), "--tls-cert", f("cli.crt"), "--tls-key", f("cli.key")); code != 0 {
		t.Errorf("exit %d, %s", code, errOut)
	}
	if code, _, errOut := run(t, "", "pub", "a", "x", "-s", url, "--tls-insecure", "--tls-cert", f("cli.crt"), "--tls-key", f("cli.key")); code != 0 {
		t.Errorf("insecure: exit %d, %s", code, errOut)
	}
	for name, args := range map[string][]string{
		"without a client certificate": {"--tls-ca", f("ca.crt")},
		"without the authority":        {"--tls-cert", f("cli.crt"), "--tls-key", f("cli.key")},
		"with the wrong kind":          {"--tls-ca", f("ca.crt"), "--tls-cert", f("srv.crt"), "--tls-key", f("srv.key")},
	} {
		if code, _, _ := run(t, "", append([]string{"pub", "a", "x", "-s", url}, args...)...); code != ExitConnection {
			t.Errorf("%s: exit %d, want %d", name, code, ExitConnection)
		}
	}
}

func TestKeysTLS(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tls")
	args := []string{"keys", "tls", "--dir", dir, "--name", "a,b", "--host", "h.example.net,10.0.0.1", "--both", "--days", "7"}
	code, out, errOut := run(t, "", args...)
	want := fmt.Sprintf("wrote %[1]s/ca.crt\nwrote %[1]s/ca.key\nwrote %[1]s/a.crt\nwrote %[1]s/a.key\nwrote %[1]s/b.crt\nwrote %[1]s/b.key\n", dir)
	if code != 0 || out != want || errOut != "" {
		t.Errorf("exit %d, %q %q", code, out, errOut)
	}
	if code, out, _ := run(t, "", args...); code != 0 || out != strings.ReplaceAll(want, "wrote", "kept") {
		t.Errorf("again: exit %d, %q", code, out)
	}
	code, out, _ = run(t, "", append(args, "--json")...)
	var r certs.Result
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&r); err != nil || code != 0 {
		t.Fatal(err)
	}
	if r.Changed() || r.Usage != "server and client" || !slices.Equal(r.DNS, []string{"a", "h.example.net"}) || !slices.Equal(r.IPs, []string{"10.0.0.1"}) || time.Until(r.NotAfter) > 8*24*time.Hour {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(r.Key); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{"--dir", dir}, {"--name", "x"}, {"--dir", dir, "--name", "x", "--client", "--both"}, {"--dir", dir, "--name", "x", "--days", "-1"}, {"--dir", dir, "--name", "x", "y"}} {
		if code, _, errOut := run(t, "", append([]string{"keys", "tls"}, args...)...); code != ExitUsage {
			t.Errorf("%q: exit %d, %s", args, code, errOut)
		}
	}
	if code, _, _ := run(t, "", "keys", "nope"); code != ExitUsage {
		t.Errorf("keys nope: exit %d", code)
	}
}
