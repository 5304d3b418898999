package system

import (
	"encoding/json"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// latencyEvent is a measurement (monitoring-events 12).
type latencyEvent struct {
	head
	latencyBody
}

type latencyBody struct {
	Status      int                 `json:"status"`
	Description string              `json:"description,omitempty"`
	Requestor   *broker.Requester   `json:"requestor,omitempty"`
	Responder   *broker.Requester   `json:"responder,omitempty"`
	Header      map[string][]string `json:"header,omitempty"`
	Start       time.Time           `json:"start"`
	Service     time.Duration       `json:"service"`
	System      time.Duration       `json:"system"`
	Total       time.Duration       `json:"total"`
}

// halfMessage is what the responder's server tells the requester's.
type halfMessage struct {
	Account string      `json:"account"`
	ID      string      `json:"req_id"`
	Half    latencyBody `json:"m2"`
}

const (
	typeLatency = "io.nats.server.metric.v1.service_latency"
	hashLen     = 8
)

var latencyTexts = map[int]string{
	broker.StatusBadRequest: "Bad Request", broker.StatusRequestTimeout: "Request Timeout",
	broker.StatusUnavailable: "Service Unavailable", broker.StatusServiceTimeout: "Service Timeout",
}

func halfSubject(server string) string { return "$SYS.LATENCY.M2." + server }

// measure begins to publish what the broker measures of services.
func (s *Service) measure() {
	s.o.Broker.SetMeter((*meter)(s), wire.NameHash(s.o.Server.Name, hashLen))
}

// meter is the Service as the broker sees it.
type meter Service

// Measured publishes in the account of the service.
func (k *meter) Measured(m *broker.Measurement) {
	s := (*Service)(k)
	c := s.out()
	if c == nil || !m.Account.HasInterest([]byte(m.Subject)) {
		return
	}
	e := latencyEvent{latencyBody: latencyBody{
		Status: m.Status, Description: latencyTexts[m.Status], Requestor: m.Requestor, Responder: m.Responder, Header: m.Header,
		Start: m.Start, Service: m.Service, System: m.System, Total: m.Total,
	}}
	c.Do(func() {
		e.head = newHead(typeLatency)
		s.publishIn(m.Account, m.Subject, &e)
	})
}

// Half tells the requester's server.
func (k *meter) Half(h *broker.Half) {
	s := (*Service)(k)
	c := s.out()
	if c == nil {
		return
	}
	c.Do(func() {
		s.publish(halfSubject(h.Server), &halfMessage{h.Account, h.Reply, latencyBody{
			Status: broker.StatusOK, Responder: h.Responder, Start: h.Start, Service: h.Service, Total: h.Total,
		}})
	})
}

// heardHalf takes what a responder's server has measured.
func (s *Service) heardHalf(r *Request) {
	var m halfMessage
	if err := json.Unmarshal(r.Payload, &m); err != nil {
		s.o.Log.RateLimitedWarnf("Received a latency that can't be read: %v", err)
		return
	}
	s.o.Broker.Join(&broker.Half{
		Account: m.Account, Reply: m.ID, Responder: m.Half.Responder, Start: m.Half.Start, Service: m.Half.Service, Total: m.Half.Total,
	})
}
