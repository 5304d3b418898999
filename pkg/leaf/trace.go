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

// Denies implements broker.Denier.
func (l *conn) Denies(m *broker.Msg, plain bool, groups [][]byte) bool {
	f := l.rules.Load().send
	if f == nil {
		return false
	}
	var room [8][]byte
	plain, groups = f.prune(room[:0], m.Subject, plain, groups)
	return !plain && len(groups) == 0
}
