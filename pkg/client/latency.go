package client

import (
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/broker"
)

// requests are those from other servers that are measured and that this client has to
// answer: we measure its half (accounts-auth 8.5).
type requests struct {
	mu   sync.Mutex
	open map[string]time.Time // by reply subject: when it was delivered
}

// maxRequests bounds them.
const maxRequests = 4096

// requested notes a request that is delivered now.
func (c *conn) requested(reply []byte) {
	r := c.requests.Load()
	if r == nil {
		c.requests.CompareAndSwap(nil, &requests{open: make(map[string]time.Time)})
		r = c.requests.Load()
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.open) >= maxRequests {
		for k, at := range r.open {
			if now.Sub(at) > account.DefaultThreshold {
				delete(r.open, k)
			}
		}
		if len(r.open) >= maxRequests {
			return
		}
	}
	r.open[string(reply)] = now
}

// answered tells the requester's server how long the answer to a request took.
func (c *conn) answered(r *requests, subject []byte) {
	r.mu.Lock()
	at, ok := r.open[string(subject)]
	delete(r.open, string(subject))
	r.mu.Unlock()
	meter := c.s.o.Broker.Meter()
	if !ok || meter == nil {
		return
	}
	span := time.Since(at)
	who := c.Introduce()
	who.Account, who.RTT = c.account.Name, c.RTT()
	server, _ := broker.Tracked(subject)
	meter.Half(&broker.Half{
		Account: c.account.Name, Reply: string(subject), Server: server, Responder: &who,
		Start: at.Add(-who.RTT).UTC(), Service: max(span-who.RTT, 0), Total: span,
	})
}
