package route

import (
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/wire"
)

// lineRoom covers verb, marker, sizes, blanks and line ends.
const lineRoom = 48

// Deliver is not used: routes are aggregate ports.
func (c *conn) Deliver(m *broker.Msg, s *broker.Sub) bool {
	return c.DeliverOnce(m, s.Queue == nil, nil)
}

// DeliverOnce queues one line for the peer.
//
// To a gwd, a line that its own services want is marked with the border's
// origin, so that it can be told from a border message, which another gwd may get:
// only that one crosses.
func (c *conn) DeliverOnce(m *broker.Msg, _ bool, groups [][]byte) bool {
	origin := m.Cluster
	if c.peer.role == wire.RoleGateway && c.s.border != nil {
		origin = borderOrigin
	}
	return c.send(m, origin, "", groups, nil) == sent
}

// outcome of queuing a line.
type outcome uint8

const (
	sent outcome = iota
	full         // the peer reads too slowly: the message is lost, the link lives
	gone         // the connection has ended, or the account is assigned to another
)

// send queues a line: GMSG if target is not empty, LMSG if origin is not, else
// RMSG or HMSG. If as is given, the line is queued only while the account is assigned
// to this connection, which changes under the lock of the queue.
func (c *conn) send(m *broker.Msg, origin, target string, groups [][]byte, as *assignment) outcome {
	hdr, payload := m.HdrLen, m.Payload
	if hdr > 0 && !c.remote.Headers {
		payload, hdr = payload[hdr:], 0
	}
	name := ""
	if c.account == "" || target != "" {
		name = m.Account.Name
	}
	reply := m.Reply
	if m.Original != nil {
		reply = wire.AppendDeliverReply(nil, reply, m.Original)
	}
	n := len(origin) + len(target) + len(name) + len(m.Subject) + len(reply) + len(payload) + lineRoom
	for _, g := range groups {
		n += len(g) + 1
	}
	b := c.tc.TryReserve(n, c.s.o.maxPending)
	if b == nil {
		return c.shed()
	}
	if as != nil && as.conn.Load() != c {
		c.tc.Cancel()
		return gone
	}
	if target != "" {
		b = wire.AppendTargetedMsg(b, []byte(target), []byte(name), m.Subject, reply, groups, hdr, len(payload))
	} else {
		b = wire.AppendRouteMsg(b, []byte(origin), []byte(name), m.Subject, reply, groups, hdr, len(payload))
	}
	b = append(append(b, payload...), wire.CRLF...)
	c.out.Msgs.Add(1)
	c.out.Bytes.Add(int64(len(payload)))
	c.tc.Commit(b)
	return sent
}

// shed counts a message that found no room. Interest and INFO still find it: a peer
// that comes to itself is not behind in what it knows.
func (c *conn) shed() outcome {
	if c.tc.Cause() != nil {
		return gone
	}
	if c.lost.Add(1) == 1 {
		c.log.Warnf("Slow Consumer Detected: %d bytes wait, messages to this server are dropped", c.s.o.maxPending)
	}
	return full
}

// Flush writes what is queued.
func (c *conn) Flush() { c.tc.Flush() }
