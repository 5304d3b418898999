package leaf

import (
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/version"
	"github.com/banyanmq/banyan/pkg/wire"
)

// openDialed is the dialing side's part of the opening. No step of it is without a
// time limit: a path that dies in any of them is noticed (leafnodes 22).
func (l *conn) openDialed(u *url.URL) *ending {
	r, start := l.remote, time.Now()
	end := start.Add(l.svc.set().HandshakeTimeout)
	firstBy := earlier(start.Add(orElse(r.cfg().FirstInfoTimeout, defaultFirstInfo)), end)
	secure := false
	if e := l.throughProxy(u, end); e != nil {
		return e
	}
	if l.isWebSocket() {
		if e := l.upgradeDialed(u, firstBy, end); e != nil {
			return e
		}
		secure = true // or as clear as its URL says
	} else if r.tlsFirst() {
		if e := l.clientTLS(u, end); e != nil {
			return e
		}
		secure = true
	}
	info, e := l.firstInfo(firstBy, secure)
	if e != nil {
		return e
	}
	if !secure {
		if _, e = l.upgrade(u, info, end); e != nil {
			return e
		}
	}
	own, e := l.offerCompression(info, end)
	if e != nil {
		return e
	}
	connect, e := r.connectLine(u, info, own)
	if e != nil {
		return e
	}
	l.c.WriteFlush(wire.AppendConnect(nil, connect))
	l.describe(info, connect)
	if !info.InfoOnConnect {
		return nil // an old hub: no second INFO will come
	}
	return l.connectInfo(end)
}

// firstInfo waits for the hub's INFO.
func (l *conn) firstInfo(by time.Time, secure bool) (*wire.LeafInfo, *ending) {
	verb, arg, e := l.line(by)
	if e == errTimeout {
		r := l.remote
		e = silent(wire.ReasonReadError, "no INFO within %s", orElse(r.cfg().FirstInfoTimeout, defaultFirstInfo))
		if !secure {
			e.detail += ": the hub may want TLS first (handshake_first)"
			r.suspectTLSFirst()
		}
		return nil, e
	}
	if e != nil {
		return nil, e
	}
	if verb == "-ERR" {
		return nil, peerSaid(string(arg), false)
	}
	var info wire.LeafInfo
	if verb != "INFO" {
		return nil, wrongPort("it does not begin with INFO")
	}
	if wire.DecodeJSON(arg, &info) != nil {
		return nil, silent(wire.ReasonParseError, "malformed INFO")
	}
	if info.WrongPort() {
		return nil, wrongPort("its INFO is not that of a leaf node listener")
	}
	if strings.ContainsAny(info.Cluster, " \t\r\n") {
		return nil, ended(wire.ReasonProtocolViolation, wire.TextClusterNameSpaces)
	}
	return &info, nil
}

func wrongPort(why string) *ending {
	e := silent(wire.ReasonIncorrectPort, "%s: %s", wire.TextWrongPort, why)
	e.cause = causeRefused
	return e
}

// upgrade starts TLS if either side wants it. Who has a tls block never goes on without.
func (l *conn) upgrade(u *url.URL, info *wire.LeafInfo, end time.Time) (bool, *ending) {
	r := l.remote
	switch {
	case info.TLSRequired:
		return true, l.clientTLS(u, end)
	case r.cfg().TLS != nil || r.tlsSeen:
		e := silent(wire.ReasonTLSHandshake,
			"TLS is required for this remote, but the hub does not offer it: set up TLS there or remove the tls block here")
		e.cause = causeRefused
		return false, e
	}
	return false, nil
}

func (l *conn) clientTLS(u *url.URL, end time.Time) *ending {
	r := l.remote
	name, saved := r.addrs.serverName(u)
	cfg, err := r.tlsConfig(name)
	if err != nil {
		return &ending{reason: wire.ReasonTLSHandshake, detail: err.Error(), cause: causeRefused}
	}
	err = l.c.StartTLS(cfg, false, min(tlsTimeout(r.cfg().TLS), time.Until(end)))
	if err == nil {
		r.tlsSeen = true
		return nil
	}
	e := tlsEnding(err, true)
	var header tls.RecordHeaderError
	if errors.As(err, &header) && strings.HasPrefix(string(header.RecordHeader[:]), "-ERR") {
		// A busy hub says so in clear, in front of TLS.
		e.cause = causeBusy
	}
	if saved && strings.Contains(err.Error(), "certificate is valid for") {
		r.addrs.name = ""
	}
	return e
}

// offerCompression takes part in the negotiation if both sides can. It returns the mode of our
// writer.
func (l *conn) offerCompression(info *wire.LeafInfo, end time.Time) (wire.CompressionMode, *ending) {
	r := l.remote
	own := compressionMode(r.cfg().Compression)
	if own == "" {
		own = wire.CompressionS2Auto
	}
	if l.web.compresses() {
		info.Compression = "" // twice would be once too often
	}
	if own == wire.CompressionOff || own == wire.CompressionNotSupported || info.Compression == "" {
		if info.Compression == "" {
			own = wire.CompressionNotSupported
		}
		l.setCompression(own)
		return own, nil
	}
	chosen, err := wire.SelectCompression(own, wire.CompressionMode(info.Compression))
	if err != nil {
		return "", violation(err)
	}
	if !chosen.Compresses() {
		l.setCompression(chosen)
		return chosen, nil
	}
	mine := l.svc.baseInfo()
	mine.ClientID, mine.Compression = info.ClientID, string(own)
	l.c.WriteFlush(wire.AppendInfo(nil, &mine))
	l.auto = chosen == wire.CompressionS2Auto
	mode := effective(chosen, l.rtt, r.cfg().Compression)
	if e := l.compress(mode, time.Until(end)); e != nil {
		return "", e
	}
	by := earlier(time.Now().Add(orElse(r.cfg().FirstInfoTimeout, defaultFirstInfo)+4*l.rtt), end)
	verb, arg, e := l.line(by)
	switch {
	case e == errTimeout:
		return "", silent(wire.ReasonReadError, "no INFO after the choice of compression")
	case e != nil:
		return "", e
	case verb == "-ERR":
		return "", peerSaid(string(arg), false)
	case verb != "INFO" || wire.DecodeJSON(arg, info) != nil:
		return "", silent(wire.ReasonParseError, "malformed INFO")
	}
	return mode, nil
}

// connectLine is what the hub is told of us.
func (r *remote) connectLine(u *url.URL, info *wire.LeafInfo, mode wire.CompressionMode) (*wire.LeafConnect, *ending) {
	s := r.svc
	proof, err := r.credentials(u).Prove(info.Nonce)
	if err != nil {
		return nil, &ending{reason: wire.ReasonAuthFailure, detail: err.Error(), cause: causeRefused}
	}
	return &wire.LeafConnect{
		Version: version.Protocol, ServerID: s.opts.Server.ID, Name: s.opts.Server.Name, Cluster: s.ownCluster(),
		NKey: proof.NKey, JWT: proof.JWT, Sig: proof.Sig, User: proof.User, Pass: proof.Pass, Token: proof.Token,
		Hub: r.cfg().Hub, Headers: info.Headers, DenyPub: r.cfg().DenyImports, Isolate: r.cfg().RequestIsolation,
		CompressMode: string(mode), RemoteAccount: r.account(), Proto: leafProto,
		Leaf: &wire.LeafHints{Banyan: version.Version, Caps: []string{capMove}},
	}, nil
}

// credentials are those of the application, or of the settings: a file or a seed
// and with it the URL's own user information, the first that any URL has, or the
// remote's.
func (r *remote) credentials(u *url.URL) Credentials {
	if f := r.svc.opts.Credentials; f != nil {
		if c := f(r.cfg()); c != nil {
			return c
		}
	}
	p := Proof{User: r.cfg().User, Pass: string(r.cfg().Password)}
	if ui := r.addrs.user(u); ui != nil {
		if pass, ok := ui.Password(); ok {
			p = Proof{User: ui.Username(), Pass: pass}
		} else {
			p = Proof{User: ui.Username(), Token: ui.Username()}
		}
	}
	switch {
	case r.cfg().Credentials != "":
		return credentialsFile{r.cfg().Credentials, p}
	case r.cfg().Seed != "":
		return keySeed{r.cfg().Seed, p}
	}
	return fixed(p)
}

// describe notes what is known of the hub before it has answered CONNECT.
func (l *conn) describe(info *wire.LeafInfo, c *wire.LeafConnect) {
	r := l.remote
	l.hub = r.cfg().Hub
	l.acct = l.svc.account(r.account())
	l.nonce = info.Nonce
	l.peer = peer{
		id: info.ServerID, name: orText(info.ServerName, info.ServerID), version: info.Version, cluster: info.Cluster,
		headers: c.Headers, maxPayload: int(info.MaxPayload), isolated: r.cfg().Isolate, ours: info.Banyan != "", proto: info.Proto,
	}
	l.rules.Store(spokeRules(info, r.cfg().DenyImports, r.cfg().DenyExports))
	l.answers = auth.NewResponses(nil)
	l.parser = wire.PeerParser{
		Dialect: wire.DialectLeaf, MaxControlLine: l.svc.set().maxLine(), MaxPayload: int(l.svc.maxPayload()),
	}
}

// connectInfo waits for the INFO that ends the opening.
func (l *conn) connectInfo(end time.Time) *ending {
	by := earlier(time.Now().Add(connectInfoTimeout+4*l.rtt), end)
	for {
		verb, arg, e := l.line(by)
		switch {
		case e == errTimeout:
			return ended(wire.ReasonStale, wire.TextStaleLeaf)
		case e != nil:
			return e
		}
		switch verb {
		case "-ERR":
			return peerSaid(string(arg), false)
		case "PING":
			l.c.WriteFlush([]byte("PONG\r\n"))
		case "PONG", "+OK":
		case "INFO":
			var info wire.LeafInfo
			if wire.DecodeJSON(arg, &info) != nil {
				return silent(wire.ReasonParseError, "malformed INFO")
			}
			if !info.ConnectInfo {
				continue
			}
			l.peer.account = info.RemoteAccount
			l.rules.Store(spokeRules(&info, l.remote.cfg().DenyImports, l.remote.cfg().DenyExports))
			l.remote.told(&info)
			return nil
		default:
			return silent(wire.ReasonProtocolViolation, "%.16q in place of the INFO that answers CONNECT", verb)
		}
	}
}

// laterInfo handles an INFO of a link that is up. Only the side that dialed believes it.
func (l *conn) laterInfo(arg []byte) *ending {
	if l.remote == nil {
		return nil
	}
	var info wire.LeafInfo
	if wire.DecodeJSON(arg, &info) != nil {
		return silent(wire.ReasonParseError, "malformed INFO")
	}
	l.remote.told(&info)
	if h := info.Hub; h != nil && h.MoveMS > 0 {
		l.askedToMove()
	}
	if info.Import != nil || info.Export != nil {
		l.setRules(spokeRules(&info, l.remote.cfg().DenyImports, l.remote.cfg().DenyExports))
	}
	return nil
}

// tls is the block that the remote is dialed with.
func (r *remote) tls(set *state) *config.TLS {
	t := config.TLS{}
	if own := r.cfg().TLS; own != nil {
		t = *own
	}
	if set.TLS != nil && len(t.PinnedCerts) == 0 {
		t.PinnedCerts = set.TLS.PinnedCerts
	}
	return &t
}

// tlsConfig is made for each connection, of the material that is current.
func (r *remote) tlsConfig(name string) (*tls.Config, error) {
	cfg, err := r.tls(r.svc.set()).Client(name)
	if err != nil {
		return nil, err
	}
	cfg.ClientSessionCache = r.sessions
	cfg.DynamicRecordSizingDisabled = true
	return cfg, nil
}

var _ transport.Handler = (*conn)(nil)
