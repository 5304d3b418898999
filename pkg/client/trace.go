package client

import (
	"bytes"
	"strconv"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// publishTraced handles HPUB of a message that may ask for a trace. It reports false if it
// asks for none, or for one that can't be: then it is published like any other.
func (c *conn) publishTraced(p *publisher, op *wire.Op) bool {
	m := &p.msg
	m.Subject, m.Reply, m.HdrLen, m.Payload = op.Subject, op.Reply, op.HdrLen, op.Payload
	t, drop, bad := c.account.NewTrace(m, c.traceEnd())
	if bad != "" {
		c.log().RateLimitedWarnf("Message on %q can't be traced to %q: that is no subject to publish on", op.Subject, bad)
	}
	if t == nil {
		if drop {
			c.ok()
		}
		return drop
	}
	if p.verdicts != nil && !t.Silent() && !p.verdicts.CanPublish([]byte(t.Dest)) {
		c.fail(wire.TextPublishViolation(t.Dest))
		c.log().RateLimitedWarnf("Publish Violation - User %q, trace destination %q", c.identity.User, t.Dest)
		return true
	}
	defer c.s.o.Broker.Report(t)
	own := op.Subject
	if c.account.Maps() {
		if !c.mapped(p, op) {
			return true
		}
		if string(op.Subject) != string(own) {
			t.Mapped(op.Subject)
		}
	}
	if first := op.Subject[0]; first == '_' || first == '$' || len(op.Reply) > 0 || c.careful {
		if !c.admit(p, op) {
			t.Error = "Permissions Violation for Publish to \"" + string(op.Subject) + "\""
			return true
		}
	}
	m.Subject = op.Subject
	n := p.inlet.PublishTraced(m, t)
	if n == 0 && c.noResp && len(op.Reply) > 0 {
		t.Error = "no responders available"
		op.Subject = own
		c.noResponders(p, op)
	}
	return true
}

// oversized reports a message that asks for a trace and is too large, if its header is
// there (client-protocol 23). b begins with its line.
func (c *conn) oversized(b []byte) {
	line, rest, _ := bytes.Cut(b, []byte(wire.CRLF))
	f := bytes.Fields(line)
	if len(f) < 4 || !bytes.EqualFold(f[0], []byte("HPUB")) {
		return
	}
	hdr, err := strconv.Atoi(string(f[len(f)-2]))
	if err != nil || hdr <= 0 || hdr > len(rest) || !c.account.MayTrace(rest[:hdr]) {
		return
	}
	m := broker.Msg{Account: c.account, Subject: f[1], HdrLen: hdr, Payload: rest[:hdr]}
	t, _, _ := c.account.NewTrace(&m, c.traceEnd())
	if t == nil {
		return
	}
	if p := c.identity.Permissions; p.Restricted() && !p.CanPublish([]byte(t.Dest)) {
		return
	}
	t.Size, _ = strconv.Atoi(string(f[len(f)-1]))
	t.Error = "maximum payload exceeded"
	c.s.o.Broker.Report(t)
}

// TraceEnd implements broker.TraceSink.
func (c *conn) TraceEnd(*broker.Msg) broker.TraceEnd { return c.traceEnd() }

func (c *conn) traceEnd() broker.TraceEnd {
	e := broker.TraceEnd{Kind: broker.TraceClient, ID: c.id}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.options != nil {
		e.Name = c.options.Name
	}
	return e
}

// Refuses implements broker.Explainer.
func (c *conn) Refuses(m *broker.Msg, s *broker.Sub) (why string) {
	if m.From == s.Port && c.noEcho {
		return broker.NoEcho
	}
	subj := m.Subject
	if m.Original != nil {
		subj = m.Original
	}
	c.t.Locked(func() {
		o, st := &c.out, &s.State
		switch {
		case o.closed:
			why = broker.ClientClosed
		case st.Gone:
			why = broker.SubClosed
		case st.Max > 0 && st.Delivered >= int64(st.Max):
			why = broker.AutoUnsubscribe
		case st.Filter && !o.permissions.Delivers(subj, s.Queue):
			why = broker.SubscribeDenied
		}
	})
	return why
}
