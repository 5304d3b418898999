package system

import (
	"encoding/json"
	"strings"
	"time"
)

// server is another server that was heard of.
type server struct {
	seq  uint64
	seen time.Time
}

// tick publishes STATSZ if somebody listens, ever more slowly up to statszMax.
func (s *Service) tick() {
	if s.wanted(s.statszSubject()) {
		s.broadcast()
	}
	s.statsz.pace = min(2*s.statsz.pace, statszMax)
	s.statsz.timer.Reset(s.statsz.pace)
}

func (s *Service) statszSubject() string { return "$SYS.SERVER." + s.o.Server.ID + ".STATSZ" }

func (s *Service) broadcast() {
	s.statsz.last = time.Now()
	s.publish(s.statszSubject(), s.statszMsg())
}

func (s *Service) statszMsg() *statszMsg {
	st := s.o.Reports.Statsz()
	st.ActiveServers = len(s.servers) + 1
	return &statszMsg{Server: s.info(), Stats: st}
}

// broadcastSoon publishes STATSZ now, or as soon as the last one is old enough.
func (s *Service) broadcastSoon() {
	if wait := statszGap - time.Since(s.statsz.last); wait > 0 {
		s.statsz.timer.Reset(min(wait, s.statsz.pace))
		return
	}
	s.broadcast()
}

// heard notes a sign of life of another server, or its end.
func (s *Service) heard(r *Request) {
	var m struct {
		Server ServerInfo `json:"server"`
		ServerInfo
	}
	if err := json.Unmarshal(r.Payload, &m); err != nil {
		s.o.Log.RateLimitedWarnf("Received a server update on %q that can't be read: %v", r.Subject, err)
		return
	}
	// $SYS.SERVER.<id>.<what>
	t := strings.Split(r.Subject, ".")
	id := t[2]
	if id == s.o.Server.ID {
		return
	}
	if t[3] == "SHUTDOWN" {
		s.forget(id)
		return
	}
	if t[3] == "LAMEDUCK" {
		return // it still serves, and says so
	}
	known := s.servers[id]
	if known == nil {
		known = new(server)
		s.servers[id] = known
		s.statsz.pace = statszFirst
		s.broadcastSoon()
		s.heartbeat() // it has not heard our counts
	} else if m.Server.Seq <= known.seq {
		s.o.Log.RateLimitedWarnf("Received out of order remote server update from: %q", id)
		return
	}
	known.seq, known.seen = m.Server.Seq, time.Now()
}

// prune forgets servers that have been silent for long.
func (s *Service) prune() {
	for id, x := range s.servers {
		if time.Since(x.seen) > forgetAfter {
			s.forget(id)
		}
	}
	for id := range s.elsewhere {
		if s.servers[id] == nil {
			s.forget(id)
		}
	}
}

// forget takes a server out, and its connections off the accounts.
func (s *Service) forget(id string) {
	delete(s.servers, id)
	counts := s.elsewhere[id]
	delete(s.elsewhere, id)
	for account := range counts {
		s.sumUp(account)
	}
}

// Servers is the number of servers that are heard of, with this one. It is for tests
// and must not be called on the client's goroutine.
func (s *Service) Servers() int {
	c := s.out()
	n := make(chan int, 1)
	if c == nil || !c.Do(func() { n <- len(s.servers) + 1 }) {
		return 0
	}
	return <-n
}
