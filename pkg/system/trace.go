package system

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// traceReport is what a server tells of one traced message (monitoring-events 15.2).
type traceReport struct {
	Server  ServerInfo   `json:"server"`
	Request traceRequest `json:"request"`
	Hops    int          `json:"hops,omitempty"`
	Events  []any        `json:"events"`
}

type traceRequest struct {
	Header map[string][]string `json:"header,omitempty"`
	Size   int                 `json:"msgsize"`
}

type traceHead struct {
	Type string    `json:"type"`
	Time time.Time `json:"ts"`
}

type traceIngress struct {
	traceHead
	Kind    int    `json:"kind"`
	CID     uint64 `json:"cid"`
	Name    string `json:"name,omitempty"`
	Account string `json:"acc"`
	Subject string `json:"subj"`
	Error   string `json:"error,omitempty"`
}

type traceMapping struct {
	traceHead
	To string `json:"to"`
}

type traceExport struct {
	traceHead
	Account string `json:"acc"`
	To      string `json:"to"`
}

type traceImport struct {
	traceHead
	Account string `json:"acc"`
	From    string `json:"from"`
	To      string `json:"to"`
}

type traceEgress struct {
	traceHead
	Kind    int    `json:"kind"`
	CID     uint64 `json:"cid"`
	Name    string `json:"name,omitempty"`
	Hop     string `json:"hop,omitempty"`
	Account string `json:"acc,omitempty"`
	Sub     string `json:"sub,omitempty"`
	Queue   string `json:"queue,omitempty"`
	Error   string `json:"error,omitempty"`
}

// tracer is the Service as the broker sees it.
type tracer Service

// Traced publishes the report in the account of the message.
func (k *tracer) Traced(t *broker.Trace) {
	s := (*Service)(k)
	if c := s.out(); c != nil {
		c.Do(func() { s.report(c, t) })
	}
}

func (s *Service) report(c *Client, t *broker.Trace) {
	r := traceReport{
		Server: s.info(), Hops: t.Hops, Request: traceRequest{Header: headerMap(t.Header), Size: t.Size},
		Events: []any{traceIngress{
			traceHead{"in", t.At.UTC()}, t.From.Kind, t.From.ID, t.From.Name, t.In.Name, t.Subject, t.Error,
		}},
	}
	for i := range t.Events {
		e := &t.Events[i]
		h := traceHead{e.Type, e.At.UTC()}
		switch e.Type {
		case "sm":
			r.Events = append(r.Events, traceMapping{h, e.To})
		case "se":
			r.Events = append(r.Events, traceExport{h, e.Account, e.To})
		case "si":
			r.Events = append(r.Events, traceImport{h, e.Account, e.From, e.To})
		default:
			r.Events = append(r.Events, traceEgress{h, e.End.Kind, e.End.ID, e.End.Name, e.Hop, e.Account, e.Sub, e.Queue, e.Error})
		}
	}
	b, err := json.Marshal(&r)
	if err != nil {
		s.o.Log.Errorf("Encoding a trace: %v", err)
		return
	}
	hdr, b := encode(t.Header, b)
	c.Publish(t.Account, t.Dest, "", hdr, b)
}

// headerMap is a block of headers as JSON shows it.
func headerMap(block []byte) map[string][]string {
	_, rest, _ := strings.Cut(string(block), wire.CRLF)
	m := make(map[string][]string)
	for line := range strings.SplitSeq(rest, wire.CRLF) {
		if k, v, ok := strings.Cut(line, ":"); ok {
			m[k] = append(m[k], strings.TrimSpace(v))
		}
	}
	return m
}
