//go:build linux

package main

import (
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/banyanmq/banyan/test/procs"
)

// measure is what one phase of load showed of one side.
type measure struct {
	Messages  int64              `json:"messages"` // verified
	Seconds   float64            `json:"seconds"`
	CPU       float64            `json:"cpu_us"`          // of all servers, per message
	Rate      float64            `json:"per_second"`      // messages
	Reads     float64            `json:"reads,omitempty"` // system calls per message
	Writes    float64            `json:"writes,omitempty"`
	Switches  float64            `json:"voluntary_switches,omitempty"` // context switches per message
	RSS       int64              `json:"rss_bytes,omitempty"`          // of all servers at the end
	Latency   *latency           `json:"latency,omitempty"`
	Extra     map[string]float64 `json:"extra,omitempty"` // what only this scenario has, by name with its unit
	Generator float64            `json:"generator_cpu_us"`
	Foreign   float64            `json:"foreign_cores"` // what other programs took meanwhile
}

// note adds what only this scenario has.
func (m *measure) note(name string, v float64) {
	if m.Extra == nil {
		m.Extra = map[string]float64{}
	}
	m.Extra[name] = v
}

// phase measures what the servers use while load runs; load returns how many messages were verified.
func (s *session) phase(load func() (int64, error)) (measure, error) {
	s.mu.Lock()
	s.hist = histogram{}
	s.mu.Unlock()
	before, own, err := usage(s.site.pids)
	if err != nil {
		return measure{}, err
	}
	busy, began := machineBusy(), time.Now()
	n, err := load()
	if err != nil {
		return measure{}, err
	}
	took := time.Since(began)
	busy = machineBusy() - busy
	after, ownAfter, err := usage(s.site.pids)
	if err != nil {
		return measure{}, err
	}
	d := after.Sub(before)
	per := max(float64(n), 1)
	m := measure{
		Messages: n, Seconds: took.Seconds(), Rate: float64(n) / took.Seconds(),
		CPU: micros(d.CPU) / per, Reads: float64(d.Reads) / per, Writes: float64(d.Writes) / per,
		Switches: float64(d.Voluntary) / per, RSS: after.RSS, Generator: micros(ownAfter-own) / per,
		Foreign: max((busy-d.CPU-(ownAfter-own)).Seconds()/took.Seconds(), 0),
	}
	s.mu.Lock()
	m.Latency = s.hist.summary()
	s.mu.Unlock()
	return m, nil
}

// usage adds up what some processes have used, and reads the generator's own CPU time.
func usage(pids []int) (sum procs.Usage, own time.Duration, err error) {
	for _, pid := range pids {
		u, err := procs.ReadUsage(pid)
		if err != nil {
			return sum, 0, err
		}
		sum = sum.Add(u)
	}
	own, err = procs.CPUTime(0)
	return sum, own, err
}

// machineBusy is the time that all cores have worked since the machine started, in steps of 10 ms a core; 0 if unknown.
func machineBusy() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	return parseBusy(string(b))
}

// parseBusy adds up the first line of /proc/stat, "cpu user nice system idle iowait irq softirq steal ...", without idle and
// iowait.
func parseBusy(stat string) time.Duration {
	line, _, _ := strings.Cut(stat, "\n")
	f := strings.Fields(line)
	if len(f) < 8 || f[0] != "cpu" {
		return 0
	}
	var ticks int64
	for i, v := range f[1:min(len(f), 9)] {
		if i == 3 || i == 4 {
			continue
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
