package gateway

import "github.com/banyanmq/banyan/pkg/broker"

// TraceEnd implements broker.TraceSink: the connection to another region, or to the gwd
// of our region by way of which it is reached.
func (r *region) TraceEnd(*broker.Msg) broker.TraceEnd {
	e := broker.TraceEnd{Kind: broker.TraceGateway, Name: r.name}
	p := r.path.Load()
	switch {
	case p == nil:
	case p.out != nil:
		e = p.out.traceEnd()
	default:
		e.Kind, e.Reports = broker.TraceRoute, true
	}
	return e
}

func (c *conn) traceEnd() broker.TraceEnd {
	return broker.TraceEnd{Kind: broker.TraceGateway, ID: c.id, Name: c.remote.ServerName, Reports: c.remote.Proto >= protoLevel}
}

// inboundSink is that of a port that only brings messages.
type inboundSink struct {
	nowhere
	c *conn
}

// TraceEnd implements broker.TraceSink.
func (k inboundSink) TraceEnd(*broker.Msg) broker.TraceEnd { return k.c.traceEnd() }
