package route

import "github.com/banyanmq/banyan/pkg/broker"

// traceProto is the protocol level from which servers trace messages.
const traceProto = 3

// TraceEnd implements broker.TraceSink.
func (c *conn) TraceEnd(*broker.Msg) broker.TraceEnd {
	e := broker.TraceEnd{Kind: broker.TraceRoute, ID: c.id}
	if c.peer != nil {
		e.Name, e.Reports, e.Ours = c.peer.name, c.remote.Proto >= traceProto, c.peer.ours
	}
	return e
}

// TraceEnd implements broker.TraceSink: the gwd that the account's messages go to.
func (b *border) TraceEnd(m *broker.Msg) broker.TraceEnd {
	e := broker.TraceEnd{Kind: broker.TraceRoute}
	if m == nil {
		return e
	}
	as := b.assigned(m.Account)
	c := as.conn.Load()
	if c == nil {
		c = b.choose(m.Account, nil) // as DeliverOnce is about to
	}
	if c == nil {
		return e
	}
	return c.TraceEnd(m)
}
