package system

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/subject"
)

// debugSubscribers is the service, for accounts that import it, which counts who
// subscribes to a subject, on all servers.
const debugSubscribers = "$SYS.DEBUG.SUBSCRIBERS"

// countTime is how long other servers may take to count.
const countTime = 500 * time.Millisecond

// count is a question to other servers that is under way.
type count struct {
	asked   *Request
	sum     int
	missing int
	timer   *time.Timer
}

// countRequest is what servers ask each other.
type countRequest struct {
	Server  ServerInfo `json:"server"`
	Account string     `json:"acc"`
	Subject string     `json:"sub"`
	Queue   string     `json:"qn,omitempty"`
}

// debugSubscribers answers "subject" or "subject queue" with a number.
func (s *Service) debugSubscribers(r *Request) {
	name, _ := asker(r)
	a := s.o.Broker.Lookup([]byte(name))
	words := strings.Fields(string(r.Payload))
	if r.Reply == "" || a == nil || len(words) < 1 || len(words) > 2 || !subject.ValidSubscribe(words[0]) {
		return
	}
	q := countRequest{Server: s.info(), Account: name, Subject: words[0]}
	if len(words) == 2 {
		q.Queue = words[1]
	}
	x := &count{asked: r, sum: subscribers(a, q.Subject, q.Queue), missing: len(s.servers)}
	if x.missing == 0 {
		s.sendCount(r, x.sum)
		return
	}
	c := s.out()
	b, err := json.Marshal(&q)
	if c == nil || err != nil {
		return
	}
	s.countID++
	id := strconv.FormatUint(s.countID, 36)
	s.counts[id] = x
	x.timer = time.AfterFunc(countTime, func() { c.push(func() { s.countDone(id) }, 0, true) })
	c.Publish(s.acc, "$SYS.REQ.ACCOUNT.NSUBS", s.countInbox+id, nil, b)
}

// counted takes the number of another server.
func (s *Service) counted(r *Request) {
	id := lastToken(r.Subject)
	x := s.counts[id]
	n, err := strconv.Atoi(strings.TrimSpace(string(r.Payload)))
	if x == nil || err != nil || n < 0 {
		return
	}
	x.sum += n
	if x.missing--; x.missing <= 0 {
		s.countDone(id)
	}
}

func (s *Service) countDone(id string) {
	if x := s.counts[id]; x != nil {
		delete(s.counts, id)
		x.timer.Stop()
		s.sendCount(x.asked, x.sum)
	}
}

func (s *Service) sendCount(r *Request, n int) { s.send(r, strconv.AppendInt(nil, int64(n), 10), true) }

// serveCount counts for another server.
func (s *Service) serveCount(r *Request) {
	var q countRequest
	if json.Unmarshal(r.Payload, &q) != nil || q.Server.ID == s.o.Server.ID {
		return
	}
	n := 0
	if a := s.o.Broker.Lookup([]byte(q.Account)); a != nil {
		n = subscribers(a, q.Subject, q.Queue)
	}
	s.sendCount(r, n)
}

// subscribers counts the clients' subscriptions that are within a subject.
func subscribers(a *broker.Account, within, queue string) (n int) {
	a.EachSub(func(s *broker.Sub) bool {
		if s.Port.Class == broker.Client && len(s.SID) > 0 && string(s.Queue) == queue && subject.Subset(string(s.Subject), within) {
			n++
		}
		return true
	})
	return n
}
