package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// port is an HTTP port of the test's, with the answers given.
func port(t *testing.T, answers map[string]string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, _ := answers["token"]; token != "" {
			if _, got, _ := r.BasicAuth(); got != token {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
		}
		body, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

var canned = map[string]string{
	"/connz": `{"server_id":"N","total":3,"connections":[
 {"cid":5,"kind":"Client","name":"a\tb\u001b[0m","ip":"127.0.0.1","port":5,"account":"APP","in_msgs":9007199254740993,"out_msgs":2,"pending_bytes":2048,"subscriptions":1,"uptime":"5s"},
 {"cid":7,"kind":"Client","name":"c","ip":"127.0.0.1","port":6,"account":"APP","in_msgs":20,"out_msgs":1,"subscriptions":4},
 {"cid":9,"kind":"Leafnode","name":"l","ip":"::1","port":7,"account":"SYS","in_msgs":3,"out_msgs":30}]}`,
	"/accstatz": `{"account_statz":[{"acc":"A","conns":1,"received":{"msgs":5,"bytes":1048576},"sent":{"msgs":6,"bytes":0}},{"acc":"B","conns":3,"received":{"msgs":4},"sent":{}}]}`,
	"/routez":   `{"routes":[{"rid":1,"remote_name":"h2","ip":"10.0.0.2","port":6222,"did_solicit":true,"rtt":"1ms"},{"rid":2,"remote_name":"h2","account":"APP","ip":"10.0.0.2","port":6222}]}`,
	"/leafz":    `{"leafs":[{"id":3,"name":"edge","account":"APP","is_spoke":false,"ip":"10.1.1.1","port":9}]}`,
	"/gatewayz": `{"outbound_gateways":{"ams":{"connection":{"cid":4,"ip":"10.2.2.2","port":7222},"accounts":[{"name":"A"},{"name":"B"}]}},"inbound_gateways":{"ams":[{"connection":{"cid":6}}],"sgp":[{"connection":{"cid":8}}]}}`,
	"/varz":     `{"server_id":"N","server_name":"hub-1","remotes":2,"leafnodes":1,"connections":3,"in_msgs":100,"out_msgs":50,"in_bytes":1000,"out_bytes":0,"mem":1048576,"uptime":"5s"}`,
	"/healthz":  `{"status":"ok"}`,
}

func TestLists(t *testing.T) {
	t.Setenv("BANYAN_HTTP", port(t, canned))
	for _, c := range []struct{ args, want string }{
		{"conns", "CID  KIND      NAME        ADDRESS    PORT  ACCOUNT  SUBS  PENDING  MSGS-FROM         MSGS-TO  UPTIME\n" +
			`5    Client    a\tb\x1b[0m  127.0.0.1  5     APP      1     2.0 KiB  9007199254740993  2        5s` + "\n" +
			"7    Client    c           127.0.0.1  6     APP      4     -        20                1        -\n" +
			"9    Leafnode  l           ::1        7     SYS      -     -        3                 30       -\n"},
		{"conns --sort msgs-to --limit 1", "CID  KIND      NAME  ADDRESS  PORT  ACCOUNT  MSGS-FROM  MSGS-TO\n9    Leafnode  l     ::1      7     SYS      3          30\n... and 2 more\n"},
		{"accounts --sort conns", "ACCOUNT  CONNS  MSGS-FROM  MSGS-TO  BYTES-FROM  BYTES-TO\nB        3      4          -        -           -\nA        1      5          6        1.0 MiB     0 B\n"},
		{"accounts --account A", "ACCOUNT  CONNS  MSGS-FROM  MSGS-TO  BYTES-FROM  BYTES-TO\nA        1      5          6        1.0 MiB     0 B\n"},
		{"routes --account APP", "RID  SERVER  ADDRESS   PORT  ACCOUNT\n2    h2      10.0.0.2  6222  APP\n"},
		{"leafs", "LID  NAME  ADDRESS   PORT  ACCOUNT  SPOKE\n3    edge  10.1.1.1  9     APP      false\n"},
		{"leafs --account NONE", "none\n"},
		{"gateways", "GATEWAY  DIRECTION  GID  ADDRESS   PORT  ACCOUNTS\nams      out        4    10.2.2.2  7222  2\nams      in         6    -         -     0\nsgp      in         8    -         -     0\n"},
	} {
		got := strings.ReplaceAll(c.want, `a\tb\x1b`, "a b\\x1b")
		code, out, errOut := run(t, "", strings.Fields(c.args)...)
		lines := strings.Split(out, "\n")
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		out = strings.Join(lines, "\n")
		if code != 0 || squeeze(out) != squeeze(got) {
			t.Errorf("%s: exit %d %s\n%s\nwant\n%s", c.args, code, errOut, out, got)
		}
	}
	code, out, _ := run(t, "", "conns", "--json", "--limit", "1")
	var v struct {
		Total int
		Conns []map[string]json.Number `json:"-"`
		List  []json.RawMessage        `json:"connections"`
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || len(v.List) != 1 || v.Total != 3 || !strings.Contains(out, "9007199254740993") {
		t.Errorf("%d %v %s", code, err, out)
	}
	for args, want := range map[string]int{"conns --sort bogus": ExitUsage, "conns --state x": ExitUsage, "leafs x": ExitUsage, "leafs --http 127.0.0.1:1": ExitConnection} {
		if code, _, errOut := run(t, "", strings.Fields(args)...); code != want {
			t.Errorf("%s: exit %d, want %d: %s", args, code, want, errOut)
		}
	}
}

// squeeze makes one space of many.
func squeeze(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.Join(strings.Fields(l), " ")
	}
	return strings.Join(lines, "\n")
}

func TestListWithAToken(t *testing.T) {
	answers := map[string]string{"token": "s3cret", "/leafz": `{"leafs":[]}`}
	address := port(t, answers)
	code, _, errOut := run(t, "", "leafs", "--http", address)
	if code != ExitRefused || !strings.Contains(errOut, "wants a token") {
		t.Errorf("%d %s", code, errOut)
	}
	file := write(t, "token", "s3cret\n")
	if code, out, errOut := run(t, "", "leafs", "--http", address, "--http-token-file", file); code != 0 || out != "none\n" {
		t.Errorf("%d %s%s", code, out, errOut)
	}
	t.Setenv("BANYAN_HTTP_TOKEN", "s3cret")
	if code, _, errOut = run(t, "", "leafs", "--http", address); code != 0 {
		t.Errorf("%d %s", code, errOut)
	}
}

func TestTop(t *testing.T) {
	var round atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/varz":
			n := round.Add(1)
			fmt.Fprintf(w, `{"server_id":"N","server_name":"hub-1","in_msgs":%d,"out_msgs":0,"mem":1048576,"uptime":"5s","connections":2}`, n*1000)
		case "/connz":
			n := round.Load()
			fmt.Fprintf(w, `{"connections":[{"cid":1,"name":"idle","ip":"127.0.0.1","port":5},{"cid":2,"name":"busy","ip":"127.0.0.1","port":6,"in_msgs":%d}]}`, n*1000)
		}
	}))
	defer srv.Close()
	code, out, errOut := run(t, "", "top", "--http", srv.URL, "-n", "2", "-d", "100ms", "--limit", "1")
	if code != 0 || strings.Count(out, "hub-1") != 2 || strings.Contains(out, "\x1b") || !strings.Contains(out, "busy") || strings.Contains(out, "idle") {
		t.Errorf("%d %s\n%s", code, errOut, out)
	}
	code, out, _ = run(t, "", "top", "--http", srv.URL, "--once", "-d", "200ms", "--json")
	var f topFigures
	if err := json.Unmarshal([]byte(out), &f); err != nil || code != 0 || f.InMsgs < 10 || f.InMsgs > 5000 || len(f.Conns) != 2 || f.Conns[0].CID != 2 {
		t.Errorf("%d %v %s", code, err, out)
	}
	for _, args := range []string{"--sort x", "-d 1ms", "-n -1"} {
		if code, _, _ := run(t, "", append([]string{"top", "--http", srv.URL}, strings.Fields(args)...)...); code != ExitUsage {
			t.Errorf("top %s: exit %d", args, code)
		}
	}
	c := start(t, "", "top", "--http", srv.URL, "-d", "100ms")
	c.out.wait(t, regexp.MustCompile("busy"))
	c.stop()
	if code := c.end(); code != ExitInterrupted {
		t.Errorf("interrupted: exit %d", code)
	}
}

func TestWait(t *testing.T) {
	t.Setenv("BANYAN_HTTP", port(t, canned))
	for args, want := range map[string]int{
		"": 0, "--ready": 0, "--routes 2 --leafs 1 --gateways 1 --clients 3": 0, "--routes 3 --timeout 200ms": ExitTimeout, "x": ExitUsage,
		"--http 127.0.0.1:1 --timeout 300ms": ExitTimeout,
	} {
		code, out, errOut := run(t, "", append([]string{"wait"}, strings.Fields(args)...)...)
		if code != want || out != "" || want == ExitTimeout && !strings.Contains(errOut, "not after") {
			t.Errorf("wait %s: exit %d %s%s", args, code, out, errOut)
		}
	}
	if _, _, errOut := run(t, "", "wait", "--routes", "3", "--timeout", "200ms"); !strings.Contains(errOut, "2 of 3 routes") {
		t.Errorf("what is missing: %s", errOut)
	}
	// A daemon that comes up while it is waited for.
	var up atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() && r.URL.Path == "/healthz" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, canned[r.URL.Path])
	}))
	defer srv.Close()
	c := start(t, "", "wait", "--ready", "--http", srv.URL)
	time.AfterFunc(150*time.Millisecond, func() { up.Store(true) })
	if code := c.end(); code != 0 {
		t.Errorf("exit %d: %s", code, c.err.String())
	}
}

func TestControls(t *testing.T) {
	got := make(chan os.Signal, 4)
	signal.Notify(got, syscall.SIGHUP, syscall.SIGUSR2)
	defer signal.Stop(got)
	pid := strconv.Itoa(os.Getpid())
	file := write(t, "pid", pid)
	settings := write(t, "x.conf", "pid_file: \""+file+"\"\n")
	for _, c := range []struct {
		args []string
		want os.Signal
	}{
		{[]string{"reload", pid}, syscall.SIGHUP}, {[]string{"reload", file}, syscall.SIGHUP}, {[]string{"drain", "-c", settings}, syscall.SIGUSR2},
	} {
		if code, _, errOut := run(t, "", c.args...); code != 0 {
			t.Errorf("%v: exit %d %s", c.args, code, errOut)
			continue
		}
		select {
		case s := <-got:
			if s != c.want {
				t.Errorf("%v: %v came", c.args, s)
			}
		case <-within(t).Done():
			t.Errorf("%v: no signal", c.args)
		}
	}
	victim := exec.Command("sleep", "60")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	go victim.Wait()
	if code, _, errOut := run(t, "", "stop", strconv.Itoa(victim.Process.Pid), "--wait", "10s"); code != 0 {
		t.Errorf("stop: exit %d %s", code, errOut)
	}
	for args, want := range map[string]int{
		"stop 0": ExitFailure, "stop x": ExitFailure, "reload 1 2": ExitUsage, "reload 1 -c x": ExitUsage, "reload 1 --server nats://h": ExitUsage,
		"drain -c " + write(t, "y.conf", "port: 1\n"): ExitFailure, "reload --server nats://127.0.0.1:1": ExitConnection,
	} {
		if code, _, errOut := run(t, "", strings.Fields(args)...); code != want {
			t.Errorf("%s: exit %d, want %d: %s", args, code, want, errOut)
		}
	}
}

// Every command that is shown has a page, an example and help that says when it is wrong.
func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	if code, _, errOut := run(t, "", "docs", "man", dir); code != 0 {
		t.Fatalf("exit %d %s", code, errOut)
	}
	for _, name := range []string{"hubd", "hubd-run", "hubd-convert", "hubd-conns", "hubd-top", "hubd-wait", "hubd-reload", "hubd-keys-tls", "hubd-pub"} {
		b, err := os.ReadFile(filepath.Join(dir, name+".8"))
		if err != nil {
			t.Error(err)
			continue
		}
		page := string(b)
		for _, want := range []string{".TH " + strings.ToUpper(strings.ReplaceAll(name, "-", `\-`)) + " 8 ", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH OPTIONS\n", ".SH EXAMPLES\n", ".SH SEE ALSO\n"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s: no %q", name, want)
			}
		}
	}
	if code, _, _ := run(t, "", "docs", "man"); code != ExitUsage {
		t.Errorf("without a directory: %d", code)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := run(t, "", "completion", shell); code != 0 || !strings.Contains(out, "hubd") {
			t.Errorf("%s: exit %d, %d bytes", shell, code, len(out))
		}
		if code, out, _ := run(t, "", "completion", shell, "--help"); code != 0 || !strings.Contains(out, "To load completions") {
			t.Errorf("%s: no instructions: %s", shell, out)
		}
	}
	if code, out, _ := run(t, "", "__complete", "con"); code != 0 || !strings.Contains(out, "conns\t") || !strings.Contains(out, "convert\t") {
		t.Errorf("exit %d %s", code, out)
	}
	if code, out, _ := run(t, "", "__complete", "conns", "--so"); code != 0 || !strings.Contains(out, "--sort\t") {
		t.Errorf("exit %d %s", code, out)
	}
}
