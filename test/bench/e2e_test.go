//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/banyanmq/banyan/test/procs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// toy is a server with just enough of the protocol for the loads, which can be told to do wrong.
type toy struct {
	addr string
	bad  func(n int) int // how often delivery n is made; nil: once

	mu   sync.Mutex
	subs map[*toySub]struct{} // guarded by mu
	n    int                  // deliveries so far; guarded by mu
	wg   sync.WaitGroup
}

type toySub struct {
	pattern []string
	sid     string
	w       *bufio.Writer // written under toy.mu
}

func startToy(t *testing.T, bad func(n int) int) *toy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &toy{addr: l.Addr().String(), bad: bad, subs: map[*toySub]struct{}{}}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { defer c.Close(); s.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); s.wg.Wait() })
	return s
}

func (s *toy) serve(c net.Conn) {
	r, w := bufio.NewReaderSize(c, 1<<16), bufio.NewWriterSize(c, 1<<16)
	own := map[string]*toySub{}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, sub := range own {
			delete(s.subs, sub)
		}
	}()
	s.say(w, "INFO {\"toy\":1}\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		f := strings.Fields(line)
		switch f[0] {
		case "PING":
			s.say(w, "PONG\r\n")
		case "SUB":
			sub := &toySub{strings.Split(f[1], "."), f[len(f)-1], w}
			s.mu.Lock()
			own[sub.sid] = sub
			s.subs[sub] = struct{}{}
			s.mu.Unlock()
		case "UNSUB":
			s.mu.Lock()
			delete(s.subs, own[f[1]])
			delete(own, f[1])
			s.mu.Unlock()
		case "PUB", "HPUB":
			n, _ := strconv.Atoi(f[len(f)-1])
			body := make([]byte, n+2)
			if _, err := io.ReadFull(r, body); err != nil {
				return
			}
			s.publish(f, body)
		}
		if r.Buffered() == 0 {
			s.mu.Lock()
			for sub := range s.subs {
				_ = sub.w.Flush()
			}
			_ = w.Flush()
			s.mu.Unlock()
		}
	}
}

func (s *toy) say(w *bufio.Writer, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = w.WriteString(text)
	_ = w.Flush()
}

func (s *toy) publish(f []string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	subject := strings.Split(f[1], ".")
	for sub := range s.subs {
		if !matches(sub.pattern, subject) {
			continue
		}
		times := 1
		if s.n++; s.bad != nil {
			times = s.bad(s.n)
		}
		for range times {
			fmt.Fprintf(sub.w, "%s %s %s %s\r\n%s", strings.Replace(f[0], "PUB", "MSG", 1), f[1], sub.sid, strings.Join(f[2:], " "), body)
		}
	}
}

func matches(pattern, subject []string) bool {
	for i, p := range pattern {
		if p == ">" {
			return i < len(subject)
		}
		if i >= len(subject) || p != "*" && p != subject[i] {
			return false
		}
	}
	return len(pattern) == len(subject)
}

// small loads of each kind that a session can be opened for.
var small = map[string]func(uint16, *site) (load, error){
	"publish":  delivery{pubs: 2, size: 16}.open,
	"1:1":      delivery{pubs: 1, subscribers: 1, size: 128, header: true}.open,
	"large":    delivery{pubs: 1, subscribers: 1, size: 256 << 10}.open,
	"subjects": delivery{pubs: 1, subscribers: 1, size: 128, subjects: 500}.open,
	"pairs":    delivery{pubs: 3, subscribers: 3, pairs: true, size: 64}.open,
	"4to1":     delivery{pubs: 4, subscribers: 1, size: 64}.open,
	"fanout":   delivery{pubs: 1, subscribers: 20, size: 64}.open,
	"hot":      delivery{pubs: 1, subscribers: 1, size: 64, subjects: 50, installed: 100, match: true}.open,
	"none":     delivery{pubs: 1, subscribers: 1, size: 64, subjects: 50, installed: 100}.open,
	"paced":    delivery{pubs: 2, subscribers: 2, pairs: true, size: 64, rate: 2000}.open,
	"beside":   delivery{pubs: 1, subscribers: 1, size: 64, rate: 1000, churn: 5000}.open,
	"closed":   requests{size: 64, requesters: 2, inflight: 8}.open,
	"open":     requests{size: 64, requesters: 1, rate: 1000}.open,
	"churn":    churn{}.open,
	"churn*":   churn{wildcard: true}.open,
}

const shortPhase = 60 * time.Millisecond

func TestLoadsOnAnHonestServer(t *testing.T) {
	at := &site{pids: []int{os.Getpid()}}
	s := startToy(t, nil)
	at.pub, at.subs = s.addr, []string{s.addr}
	for name, open := range small {
		t.Run(name, func(t *testing.T) { twoPhases(t, open, at) })
	}
}

func twoPhases(t *testing.T, open func(uint16, *site) (load, error), at *site) {
	t.Helper()
	l, err := open(9, at)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m, err := l.Run(shortPhase)
		if err != nil {
			t.Error(err)
			break
		}
		if m.Messages < 3 || m.CPU <= 0 || m.Rate <= 0 || m.Seconds < shortPhase.Seconds() {
			t.Errorf("implausible: %+v", m)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestLoadsCatchABadServer(t *testing.T) {
	const from = 200 // after the probes
	for name, bad := range map[string]func(n int) int{
		"lost":    func(n int) int { return map[bool]int{false: 1}[n%from == 0] },
		"doubled": func(n int) int { return map[bool]int{false: 1, true: 2}[n%from == 0] },
	} {
		s := startToy(t, bad)
		at := &site{pub: s.addr, subs: []string{s.addr}, pids: []int{os.Getpid()}}
		for _, load := range []string{"1:1", "fanout", "paced", "closed", "open"} {
			t.Run(name+" "+load, func(t *testing.T) {
				l, err := small[load](9, at)
				if err != nil {
					t.Fatal(err)
				}
				_, err = l.Run(300 * time.Millisecond)
				if cerr := l.Close(); err == nil {
					err = cerr
				}
				var w *wrongDelivery
				if !errors.As(err, &w) {
					t.Errorf("got %v, want a wrong delivery", err)
				}
			})
		}
	}
}

// The whole programme against the installed reference server on both sides: tables are written and the exit code is 0.
func TestProgrammeOnTheReferenceServer(t *testing.T) {
	ref, err := procs.Reference()
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	md, js := filepath.Join(dir, "b.md"), filepath.Join(dir, "b.json")
	code := run([]string{
		"--a", ref, "--b", ref, "--pairs", "1", "--retries", "0", "--duration", "50ms", "--json", js, "--markdown", md,
		"--scenarios", "^(1to1-128|queue-3x8|reqrep-64|tls-1to1-128|(route|leaf|gateway)-(1to1-128|fanout-10))$",
	})
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	table, err := os.ReadFile(md)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| 1:1, 128 B (`1to1-128`) |", "over a gateway link", "same binary", "At most 1 pairs"} {
		if !strings.Contains(string(table), want) {
			t.Errorf("the table lacks %q", want)
		}
	}
	if b, err := os.ReadFile(js); err != nil || !strings.Contains(string(b), `"ratio_p50"`) {
		t.Errorf("JSON: %d bytes, %v", len(b), err)
	}
}

func TestMergeKeepsWhatWasNotRunAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.json")
	old := report{Sides: []*side{{Name: "A", Version: "1"}}, Results: []result{{Name: "reqrep-1", Verdict: "old"}, {Name: "1to1-16", Verdict: "old"}}}
	if err := old.writeJSON(path); err != nil {
		t.Fatal(err)
	}
	now := report{Sides: []*side{{Name: "A", Version: "1"}}, Results: []result{{Name: "reqrep-1", Verdict: "new"}, {Name: "publish-16", Verdict: "new"}}}
	if err := now.merge(path); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range now.Results {
		got = append(got, r.Name+" "+r.Verdict)
	}
	if want := "publish-16 new, 1to1-16 old, reqrep-1 new"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	other := report{Sides: []*side{{Name: "A", Version: "2"}}}
	if err := other.merge(path); err == nil {
		t.Error("results of another version were merged")
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"--scenarios", "("}, {"--scenarios", "no-such-scenario"}, {"--start", "magic"}, {"--set", "no-such-set"}, {"--pairs", "0"}, {"extra"}, {"--a", "/no/such/server"},
	} {
		if code := run(args); code != exitUsage {
			t.Errorf("%q gave exit code %d, want %d", args, code, exitUsage)
		}
	}
}

func TestScenariosAreNamedOnceAndHaveALoad(t *testing.T) {
	seen := map[string]bool{}
	for _, sc := range scenarios() {
		if seen[sc.name] || sc.name == "" || sc.title == "" || sc.per == "" {
			t.Errorf("scenario %+v", sc.name)
		}
		if (sc.open == nil) == (sc.once == nil) {
			t.Errorf("scenario %s has no load, or two", sc.name)
		}
		seen[sc.name] = true
	}
	quick := options{set: usual, match: mustMatch(t, ""), quick: true}
	full := options{set: usual, match: mustMatch(t, "")}
	if a, b := len(quick.chosen()), len(full.chosen()); a == 0 || a >= b {
		t.Errorf("%d quick, %d usual", a, b)
	}
	sum := 0
	for _, set := range sets() {
		o := options{set: set, match: mustMatch(t, "")}
		if len(o.chosen()) == 0 {
			t.Errorf("the set %s is empty", set)
		}
		sum += len(o.chosen())
	}
	if sum != len(seen) {
		t.Errorf("%d scenarios, but %d in all sets", len(seen), sum)
	}
}

func mustMatch(t *testing.T, pattern string) *regexp.Regexp {
	t.Helper()
	re, err := regexp.Compile(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return re
}
