package leaf

import "github.com/banyanmq/banyan/pkg/broker"

// TraceEnd implements broker.TraceSink.
func (l *conn) TraceEnd(*broker.Msg) broker.TraceEnd {
	return broker.TraceEnd{Kind: broker.TraceLeaf, ID: l.id, Name: l.peer.name, Reports: l.peer.proto >= leafProto}
}

// mayTrace tells whether what the peer publishes may be traced to a subject: whether it
// might publish there.
func (l *conn) mayTrace(dest []byte) bool {
	r := l.rules.Load()
	return r.recv == nil || r.recv.incoming(dest)
}
