package client

import (
	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// publisher is what a client needs to publish. It is made at the first message
// and given up when the client has been idle.
type publisher struct {
	inlet    *broker.Inlet
	msg      broker.Msg
	verdicts *auth.Verdicts // nil: everything may be published
	match    []*broker.Sub  // scratch
	line     []byte         // scratch
}

func (c *conn) newPublisher() *publisher {
	p := &publisher{inlet: c.s.o.Broker.NewInlet(&c.port)}
	p.msg.Account = c.account
	if c.identity.Permissions.Restricted() {
		p.verdicts = auth.NewVerdicts(c.identity.Permissions)
	}
	c.pub = p
	return p
}

// publish handles PUB and HPUB.
func (c *conn) publish(op *wire.Op) {
	p := c.pub
	if p == nil {
		p = c.newPublisher()
	}
	if op.HdrLen > 0 && c.account.MayTrace(op.Payload[:op.HdrLen]) && c.publishTraced(p, op) {
		return
	}
	own := op.Subject
	if c.account.Maps() && !c.mapped(p, op) {
		return
	}
	if first := op.Subject[0]; first == '_' || first == '$' || len(op.Reply) > 0 || c.careful {
		if !c.admit(p, op) {
			return
		}
	}
	m := &p.msg
	m.Subject, m.Reply, m.HdrLen, m.Payload = op.Subject, op.Reply, op.HdrLen, op.Payload
	if !c.noResp || len(op.Reply) == 0 {
		p.inlet.Enqueue(m)
		return
	}
	if p.inlet.Publish(m) == 0 {
		op.Subject = own
		c.noResponders(p, op)
	}
}

const (
	raftPrefix = "$NRG."
	noQueue    = "_sys_"
)

// admit says whether a message may be published; if not the client has been
// told. It queues +OK, which comes before what the message leads to.
func (c *conn) admit(p *publisher, op *wire.Op) bool {
	if c.pedantic && !subject.ValidPublish(op.Subject) {
		c.fail(wire.TextInvalidPublishSubject) // and it is published all the same
	}
	if p.verdicts != nil && !p.verdicts.CanPublish(op.Subject) && !c.out.responses.Answer(op.Subject) ||
		hasPrefix(op.Subject, wire.GatewayReplyPrefix) ||
		hasPrefix(op.Subject, raftPrefix) && c.account != c.s.o.Broker.SystemAccount() {
		c.s.counters.denied.Add(1)
		c.fail(wire.TextPublishViolation(string(op.Subject)))
		c.log().RateLimitedWarnf("Publish Violation - User %q, Subject %q", c.identity.User, op.Subject)
		return false
	}
	if wire.IsReservedReply(op.Reply) {
		c.s.counters.denied.Add(1)
		c.fail(wire.TextReplyViolation(string(op.Reply)))
		c.log().RateLimitedWarnf("Publish Violation - User %q, Reply %q", c.identity.User, op.Reply)
		return false
	}
	if r := c.requests.Load(); r != nil {
		c.answered(r, op.Subject)
	}
	c.ok()
	return true
}

func hasPrefix(s []byte, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}

// noResponders tells the client at once that nobody got its request, on one of
// its own plain subscriptions to the reply subject (client-protocol 10).
func (c *conn) noResponders(p *publisher, op *wire.Op) {
	s := c.listener(p, op.Reply)
	if s == nil {
		return
	}
	p.line = wire.AppendNoResponders(p.line[:0], op.Reply, s.SID, op.Subject)
	if c.t.Write(p.line) {
		c.s.counters.noResponders.Add(1)
		c.t.Locked(func() {
			c.out.msgs++
			c.out.bytes += int64(len("NATS/1.0 503\r\nNats-Subject: \r\n\r\n") + len(op.Subject))
		})
	}
}

// fewSubs is up to how many subscriptions are looked through one by one; with
// more the account's index is asked.
const fewSubs = 16

// listener finds a plain subscription of this client that matches a subject.
func (c *conn) listener(p *publisher, subj []byte) *broker.Sub {
	c.mu.Lock()
	if list := c.subs.few; c.subs.many == nil && len(list) <= fewSubs {
		defer c.mu.Unlock()
		for _, s := range list {
			if s.Queue == nil && subject.Match(s.Subject, subj) {
				return s
			}
		}
		return nil
	}
	c.mu.Unlock()
	p.match = c.account.Matching(subj, p.match[:0])
	defer clear(p.match)
	for _, s := range p.match {
		if s.Port == &c.port && s.Queue == nil {
			return s
		}
	}
	return nil
}
