package client

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/tlsmaterial"
	"github.com/banyanmq/banyan/pkg/wire"
)

// Details is what link.Info.More holds of a client.
type Details struct {
	Type          config.ConnectionType
	Lang, Version string
	TLSFirst      bool
	PeerCerts     []PeerCert
	Permissions   *auth.Permissions
	// Identity is who the client is; it is not changed.
	Identity *auth.Identity
	// Subs is filled when asked for.
	Subs []Subscription
}

// PeerCert is a certificate that a client showed.
type PeerCert struct {
	Subject    string
	SPKISHA256 string
	CertSHA256 string
}

// Subscription is one subscription of a client.
type Subscription struct {
	Account, Subject, Queue, SID string
	Msgs, Max                    int64
}

// tlsFacts are what is shown of a connection's TLS.
type tlsFacts struct {
	version, cipher uint16
	certs           []*x509.Certificate
}

// ID implements link.Conn.
func (c *conn) ID() uint64 { return c.id }

// Info implements link.Conn.
func (c *conn) Info(subs bool) link.Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.infoLocked(subs)
}

func (c *conn) infoLocked(subs bool) link.Info {
	d := Details{Type: c.kind(), TLSFirst: c.tlsFirst, Permissions: c.identity.Permissions, Identity: c.identity}
	i := link.Info{
		ID: c.id, Kind: link.KindClient, Addr: c.remote, Account: c.account.Name, User: c.identity.User,
		Started: c.t.Started(), Active: time.Unix(0, c.last.Load()), RTT: c.estimate, Pending: c.t.Pending(),
		InMsgs: c.port.In.Msgs.Load(), InBytes: c.port.In.Bytes.Load(), Subs: c.subs.len(),
	}
	if c.pinger != nil && c.pinger.RTT() > 0 {
		i.RTT = c.pinger.RTT()
	}
	if r := c.refusal; r != nil && r.Account != "" {
		i.RefusedBy, i.Refusal = r.Account, r.Text
	}
	if o := c.options; o != nil {
		i.Name, d.Lang, d.Version = o.Name, o.Lang, o.Version
	}
	var list []*broker.Sub
	if subs {
		list = c.subs.all()
		d.Subs = make([]Subscription, 0, len(list))
	}
	c.t.Locked(func() {
		i.OutMsgs, i.OutBytes = c.out.msgs, c.out.bytes
		for _, s := range list {
			d.Subs = append(d.Subs, Subscription{
				Account: s.Account.Name, Subject: string(s.Subject), Queue: string(s.Queue), SID: s.SID,
				Msgs: s.State.Delivered, Max: int64(s.State.Max),
			})
		}
	})
	if st := c.tls; st != nil {
		i.TLSVersion, i.TLSCipher = tlsmaterial.VersionName(st.version), tls.CipherSuiteName(st.cipher)
		for _, x := range st.certs {
			spki, cert := sha256.Sum256(x.RawSubjectPublicKeyInfo), sha256.Sum256(x.Raw)
			d.PeerCerts = append(d.PeerCerts, PeerCert{
				Subject: x.Subject.String(), SPKISHA256: hex.EncodeToString(spki[:]), CertSHA256: hex.EncodeToString(cert[:]),
			})
		}
	}
	i.More = d
	return i
}

// traceIn logs an operation of the client.
func (c *conn) traceIn(op *wire.Op) {
	if c.untraced(c.account) {
		return
	}
	l := c.log()
	switch op.Kind {
	case wire.KindConnect:
		l.Tracef("<<- [CONNECT %s]", wire.RedactConnect(op.Arg))
	case wire.KindPub:
		if op.HdrLen > 0 {
			l.Tracef("<<- [HPUB %s %s %d %d]", op.Subject, op.Reply, op.HdrLen, len(op.Payload))
		} else {
			l.Tracef("<<- [PUB %s %s %d]", op.Subject, op.Reply, len(op.Payload))
		}
		c.tracePayload(op.HdrLen, op.Payload)
	case wire.KindSub:
		l.Tracef("<<- [SUB %s %s %s]", op.Subject, op.Queue, op.SID)
	case wire.KindUnsub:
		if op.Max > 0 {
			l.Tracef("<<- [UNSUB %s %d]", op.SID, op.Max)
		} else {
			l.Tracef("<<- [UNSUB %s]", op.SID)
		}
	default:
		l.Tracef("<<- [%s]", op.Kind)
	}
}

// untraced: what is said in the system account is traced on demand only.
func (c *conn) untraced(a *broker.Account) bool {
	set := c.s.set.Load().config
	return !set.Log.TraceVerbose && a != nil && a.Name == set.SystemAccount
}

func (c *conn) tracePayload(hdr int, payload []byte) {
	log := &c.s.set.Load().config.Log
	if log.TraceHeaders {
		payload = payload[:hdr]
	}
	dots := ""
	if n := log.MaxTracedMsgLen; n > 0 && len(payload) > n {
		payload, dots = payload[:n], "..."
	}
	c.log().Tracef("<<- MSG_PAYLOAD: [%q%s]", payload, dots)
}

func (c *conn) traceOut(subj []byte, s *broker.Sub, reply []byte, hdr int, payload []byte) {
	if c.untraced(s.Account) {
		return
	}
	line := wire.AppendClientMsg(nil, subj, s.SID, reply, hdr, len(payload))
	c.log().Tracef("->> [%s]", line[:len(line)-len(wire.CRLF)])
}
