//go:build linux

package rolling

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/banyanmq/banyan/test/e2e/estate"
	"github.com/banyanmq/banyan/test/procs"
)

// Outcome is one upgrade.
type Outcome struct {
	Way     Way
	Servers int
	Took    time.Duration
	Results []*Result
	Summary Summary
}

// Summary is what the script says with --json.
type Summary struct {
	OK     bool   `json:"ok"`
	Exit   int    `json:"exit"`
	Reason string `json:"reason"`
	Nodes  []struct {
		Name  string `json:"name"`
		Role  string `json:"role"`
		State string `json:"state"`
		From  string `json:"from"`
		To    string `json:"to"`
	} `json:"nodes"`
}

// Upgrade restarts the servers one by one, each with that version then, while applications of both kinds run.
func (w *World) Upgrade(way Way, to string) *Outcome {
	w.t.Helper()
	v, err := w.regions[0].Hubs[0].Varz()
	if err != nil || v.Banyan == "" || v.Banyan == to {
		w.t.Fatalf("the version before is %q (%v), and that after %q", v.Banyan, err, to)
	}
	from := v.Banyan
	fleets := []*fleet{w.newFleet(Defaults), w.newFleet(Advised)}
	time.Sleep(time.Second) // of undisturbed work
	o := &Outcome{Way: way}
	o.Summary, o.Took = w.roll(way, to)
	for _, n := range o.Summary.Nodes {
		if n.State != "done" || n.From != from || n.To != to {
			w.t.Errorf("the script says of %s: %s, version %q -> %q, want done, %q -> %q", n.Name, n.State, n.From, n.To, from, to)
		}
	}
	o.Servers = len(o.Summary.Nodes)
	w.AwaitMesh(w.regions...)
	w.awaitEdges()
	time.Sleep(2 * time.Second) // clients find back
	for _, f := range fleets {
		r := f.end()
		w.t.Logf("%s: %v", way, r)
		o.Results = append(o.Results, r)
	}
	return o
}

// roll runs the script. What it asks of a server is done here, where servers are looked after.
func (w *World) roll(way Way, version string) (s Summary, took time.Duration) {
	w.t.Helper()
	root, err := procs.ModuleRoot()
	if err != nil {
		w.t.Fatal(err)
	}
	dir := w.Dir("roll-" + string(way) + "-" + version)
	hubd := w.BuildVersion("hubd", version)
	binaries := map[string]string{"hub": hubd, "gwd": w.BuildVersion("gwd", version), "leaf": w.BuildVersion("leafd", version)}
	ctl := filepath.Join(dir, "ctl")
	if err := os.WriteFile(ctl, []byte(`#!/bin/sh
# ctl NODE VERB: leaves an order and waits for what comes of it.
cd "$(dirname "$0")" || exit 1
rm -f "$1.answer"
echo "$2" >"$1.new" && mv "$1.new" "$1.order"
until [ -f "$1.answer" ]; do sleep 0.05; done
read -r answer <"$1.answer"
[ "$answer" = ok ] || { echo "$answer" >&2; exit 1; }
`), 0o700); err != nil {
		w.t.Fatal(err)
	}
	nodes := make(map[string]*estate.Node)
	var inventory strings.Builder
	last := ""
	w.servers(func(region, role string, n *estate.Node) {
		if w.cfg.Nodes != nil && !w.cfg.Nodes(n.Name) {
			return
		}
		if region != last {
			fmt.Fprintf(&inventory, "[%s]\n", region)
			last = region
		}
		nodes[n.Name] = n
		n.Use(binaries[role])
		fmt.Fprintf(&inventory, "%s %s %s sh %s check -c %s ;; %s %s leave ;; %s %s start\n", n.Name, role, n.Addr("monitoring"),
			binaries[role], filepath.Join(n.Process().Dir(), "server.yaml"), ctl, n.Name, ctl, n.Name)
	})
	list := filepath.Join(dir, "inventory")
	if err := os.WriteFile(list, []byte(inventory.String()), 0o600); err != nil {
		w.t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { w.obey(dir, nodes, way, stop) })
	cmd := exec.CommandContext(w.t.Context(), "sh", filepath.Join(root, "scripts", "rolling-upgrade.sh"), "--json", "--bin", hubd, "--pause", "1", list)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	began := time.Now()
	err = cmd.Run()
	took = time.Since(began)
	close(stop)
	wg.Wait()
	w.t.Logf("%s", said.String())
	if err != nil {
		w.t.Fatalf("the script: %v", err)
	}
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		w.t.Fatalf("the script's summary %q: %v", out.String(), err)
	}
	return s, took
}

// obey does what ctl asks for.
func (w *World) obey(dir string, nodes map[string]*estate.Node, way Way, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(20 * time.Millisecond):
		}
		orders, _ := filepath.Glob(filepath.Join(dir, "*.order"))
		for _, file := range orders {
			order, err := os.ReadFile(file)
			if err != nil {
				continue
			}
			os.Remove(file)
			name := strings.TrimSuffix(filepath.Base(file), ".order")
			answer := "ok"
			if err := w.carryOut(nodes[name], strings.TrimSpace(string(order)), way); err != nil {
				answer = strings.ReplaceAll(err.Error(), "\n", " ")
			}
			answered := filepath.Join(dir, name+".answer")
			_ = os.WriteFile(answered+".new", []byte(answer+"\n"), 0o600)
			_ = os.Rename(answered+".new", answered)
		}
	}
}

func (w *World) carryOut(n *estate.Node, order string, way Way) error {
	if n == nil {
		return fmt.Errorf("no such node")
	}
	if order == "start" {
		return n.Restart()
	}
	signal, want := map[Way]syscall.Signal{Drain: syscall.SIGUSR2, Term: syscall.SIGTERM, Kill: syscall.SIGKILL}[way], 0
	if way == Kill {
		want = -int(syscall.SIGKILL)
	}
	if err := n.Process().Signal(signal); err != nil {
		return err
	}
	code, err := n.Process().Wait(w.Context())
	if err == nil && code != want {
		err = fmt.Errorf("%s ended with %d, want %d", n.Name, code, want)
	}
	return err
}

// Check holds a gentle upgrade to its promise.
func Check(t testing.TB, o *Outcome) {
	t.Helper()
	for _, r := range o.Results {
		if r.Cut > 0 {
			t.Errorf("%s: %d of %d connections were ended without a warning: %s", r.Kind, r.Cut, r.Ended, r.FirstCut)
		}
		if r.Moved == 0 {
			t.Errorf("%s: nobody went to another server", r.Kind)
		}
		if r.Requests == 0 || r.GroupSent == 0 {
			t.Errorf("%s: %d requests and %d messages: there was no load", r.Kind, r.Requests, r.GroupSent)
		}
		if r.GroupTwice > 0 || r.PlainTwice > 0 {
			t.Errorf("%s: %d messages came to a group twice, %d to a subscriber", r.Kind, r.GroupTwice, r.PlainTwice)
		}
		if r.Kind != Advised {
			continue
		}
		if n := r.Failed(); n > 0 {
			t.Errorf("%d of %d requests of applications that follow the advice failed; %s", n, r.Requests, r.FirstFailure)
		}
		// What is on its way from a hub to a member at an edge which has just left is lost: a handful, in the upgrade of edges.
		if r.GroupLost*10_000 > r.GroupSent || r.PlainLost*10_000 > r.PlainExpected {
			t.Errorf("%d of %d messages to a group were lost, %d of %d to subscribers with groups of their own: %s",
				r.GroupLost, r.GroupSent, r.PlainLost, r.PlainExpected, r.FirstLoss)
		}
	}
}
