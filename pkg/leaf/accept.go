package leaf

import (
	"errors"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/version"
	"github.com/banyanmq/banyan/pkg/wire"
)

// accept serves one connection of the listener.
func (s *Service) accept(nc net.Conn) { s.receive(nc, nil) }

// receive serves one connection, which u has the upgrade of if it came by WebSocket.
func (s *Service) receive(nc net.Conn, u *link.Upgraded) {
	release, busy := s.gate.enter(time.Now())
	defer release()
	if busy > 0 {
		s.shed(nc, u, busy)
		return
	}
	l, err := s.newLink(nc, u, nil)
	if err != nil {
		u.Close()
		nc.Close()
		return
	}
	defer s.forget(l)
	var info wire.LeafInfo
	e := l.openAccepted(&info)
	release()
	if e != nil {
		l.atone(e)
		e = l.fail(e)
		l.log.Errorf("Leafnode connection refused: %s - %s", e.reason, e)
	} else {
		e = l.serve(func() { l.c.Write(wire.AppendInfo(nil, &info)) })
	}
	l.close(e)
}

// shed sends a newcomer away before anything costly.
func (s *Service) shed(nc net.Conn, u *link.Upgraded, retry time.Duration) {
	line := wire.AppendErr(nil, wire.TextServerBusy(int(retry.Milliseconds())))
	if u != nil {
		u.Conn.WriteFlush(line)
		u.Conn.Finish(nil, time.Second)
	} else {
		nc.SetDeadline(time.Now().Add(time.Second))
		nc.Write(line)
		nc.Close()
	}
	s.opts.Log.RateLimitedWarnf("Too many leaf nodes connect at a time: some are told to come back later")
}

// openAccepted is the accepting side's part of the opening. info becomes the INFO that
// ends it.
func (l *conn) openAccepted(info *wire.LeafInfo) *ending {
	s := l.svc
	end := time.Now().Add(s.set().HandshakeTimeout)
	first, e := l.tlsFirst(end)
	if e != nil {
		return e
	}
	l.toldURLs = s.toldURLs.Load()
	*info = s.listenInfo()
	info.ClientID, info.Nonce = l.id, l.nonce
	info.Compression = string(compressionMode(s.set().Compression))
	l.fitInfo(info)
	sent := time.Now()
	l.c.WriteFlush(wire.AppendInfo(nil, info))
	if s.set().tls != nil && !first && l.web == nil {
		if e := l.serverTLS(end); e != nil {
			return e
		}
	}
	authBy := earlier(sent.Add(s.set().Auth.Timeout), end)
	verb, arg, e := l.firstLine(authBy)
	if e != nil {
		return e
	}
	if verb == "INFO" {
		authBy = earlier(time.Now().Add(s.set().Auth.Timeout), end)
		if e := l.acceptCompression(arg, info, time.Since(sent)); e != nil {
			return e
		}
		if verb, arg, e = l.firstLine(authBy); e != nil {
			return e
		}
	}
	if verb != "CONNECT" {
		return ended(wire.ReasonProtocolViolation, wire.TextAuthViolation)
	}
	var connect wire.LeafConnect
	if wire.DecodeJSON(arg, &connect) != nil {
		return silent(wire.ReasonParseError, "malformed CONNECT")
	}
	if e := l.admit(&connect); e != nil {
		return e
	}
	info.Nonce, info.Compression = "", ""
	info.ConnectInfo, info.MaxPayload = true, int32(s.payloadLimit(l.acct.Account, l.ident))
	info.RemoteAccount = l.acct.Name
	info.AccountIsSys = l.acct.Account == s.opts.Broker.SystemAccount()
	if p := l.ident.Permissions; p != nil && p.Source != nil {
		info.Import, info.Export = wirePermission(p.Source.Subscribe), wirePermission(p.Source.Publish)
	}
	if least := s.set().MinVersion; least != "" && !atLeast(connect.Version, least) {
		// Reference leaf nodes look for the text only after this INFO.
		l.c.WriteFlush(wire.AppendInfo(nil, info))
		return ended(wire.ReasonMinimumVersion, wire.TextMinVersion(least))
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// tlsFirst does the handshake in front of INFO where the settings want it, or where
// the peer begins with it within the fallback delay.
func (l *conn) tlsFirst(end time.Time) (done bool, e *ending) {
	s := l.svc
	if s.set().tls == nil || l.web != nil {
		return false, nil
	}
	switch h := s.set().TLS.HandshakeFirst; h.Mode {
	case config.HandshakeOn:
	case config.HandshakeAuto:
		wait := time.Now().Add(orElse(h.Fallback, defaultFallback))
		if _, err := l.c.Peek(1, earlier(wait, end)); err != nil {
			if transport.IsTimeout(err) && l.c.Cause() == nil {
				return false, nil
			}
			return false, endOf(err)
		}
	default:
		return false, nil
	}
	return true, l.serverTLS(end)
}

func (l *conn) serverTLS(end time.Time) *ending {
	limit := min(tlsTimeout(l.svc.set().TLS), time.Until(end))
	if err := l.c.StartTLS(l.svc.set().tls, true, limit); err != nil {
		return tlsEnding(err, false)
	}
	return nil
}

// firstLine reads INFO or CONNECT. Whatever else a peer begins with is refused at its
// first byte, which tells a TLS hello or a stray client without waiting for a line.
func (l *conn) firstLine(by time.Time) (string, []byte, *ending) {
	b, err := l.c.Peek(1, by)
	if err != nil {
		if transport.IsTimeout(err) && l.c.Cause() == nil {
			return "", nil, ended(wire.ReasonAuthTimeout, wire.TextAuthTimeout)
		}
		return "", nil, endOf(err)
	}
	switch b[0] {
	case 'C', 'c', 'I', 'i':
	default:
		return "", nil, ended(wire.ReasonProtocolViolation, wire.TextAuthViolation)
	}
	verb, arg, e := l.line(by)
	if e == errTimeout {
		e = ended(wire.ReasonAuthTimeout, wire.TextAuthTimeout)
	}
	return verb, arg, e
}

// acceptCompression handles the INFO with which a peer takes part in the negotiation.
func (l *conn) acceptCompression(arg []byte, info *wire.LeafInfo, rtt time.Duration) *ending {
	own := compressionMode(l.svc.set().Compression)
	var theirs wire.LeafInfo
	if !offers(own) || l.web.compresses() {
		return ended(wire.ReasonProtocolViolation, wire.TextAuthViolation)
	}
	if wire.DecodeJSON(arg, &theirs) != nil {
		return silent(wire.ReasonParseError, "malformed INFO")
	}
	if theirs.RemoteAccount != "" {
		return ended(wire.ReasonProtocolViolation, wire.TextAuthViolation)
	}
	chosen, err := wire.SelectCompression(own, wire.CompressionMode(theirs.Compression))
	if err != nil {
		return violation(err)
	}
	if !chosen.Compresses() {
		l.setCompression(chosen)
		return nil
	}
	l.auto = chosen == wire.CompressionS2Auto
	if l.rtt > 0 {
		rtt = l.rtt // the kernel's: without what our scheduling adds
	}
	if e := l.compress(effective(chosen, rtt, l.svc.set().Compression), finishLimit); e != nil {
		return e
	}
	l.c.WriteFlush(wire.AppendInfo(nil, info))
	return nil
}

// admit checks CONNECT and binds the link to its account.
func (l *conn) admit(c *wire.LeafConnect) *ending {
	s := l.svc
	switch {
	case c.Lang != "":
		return ended(wire.ReasonIncorrectPort, wire.TextLeafPort)
	case c.Gateway != "":
		return ended(wire.ReasonWrongGateway, wire.TextGatewayOnLeafPort(c.Gateway))
	case strings.ContainsAny(c.Cluster, " \t\r\n"):
		return ended(wire.ReasonProtocolViolation, wire.TextClusterNameSpaces)
	case reservedName(c.Cluster):
		return ended(wire.ReasonProtocolViolation, wire.TextClusterNameReserved)
	}
	creds := &auth.Credentials{
		Kind: l.web.kind(), User: c.User, Pass: c.Pass, Token: c.Token,
		NKey: c.NKey, Sig: c.Sig, JWT: c.JWT, ProxySig: c.ProxySig, Nonce: l.nonce,
		TLS: l.c.TLSState(), Remote: l.from,
		MapCertificate: l.mapsCertificates(),
		ID:             l.id, Name: c.Name, Version: c.Version,
	}
	l.judged = s.generation()
	ident, err := s.opts.Auth.Authenticate(creds)
	if errors.Is(err, auth.ErrUnavailable) {
		return silent(wire.ReasonMissingAccount, "%v", err)
	}
	if err != nil {
		return refused(err)
	}
	if name := s.ownCluster(); name != "" && c.Cluster == name {
		return ended(wire.ReasonClusterNamesIdentical, wire.TextSameClusterName)
	}
	l.hub = !c.Hub
	l.ident, l.creds = ident, creds
	l.peer = peer{
		id: c.ServerID, name: orText(c.Name, c.ServerID), version: c.Version, cluster: c.Cluster,
		account: c.RemoteAccount, headers: c.Headers, isolated: c.Isolate || s.set().Isolate, ours: c.Leaf != nil, proto: c.Proto,
		moves: c.Leaf != nil && slices.Contains(c.Leaf.Caps, capMove),
	}
	if l.level == "" {
		l.setCompression(acceptedMode(s.set().Compression, c.CompressMode))
	}
	l.acct = s.account(orText(ident.Account, config.DefaultAccount))
	l.denyPub = c.DenyPub
	l.rules.Store(hubRules(ident.Permissions, c.DenyPub))
	l.answers = auth.NewResponses(ident.Permissions)
	l.parser = wire.PeerParser{
		Dialect: wire.DialectLeaf, MaxControlLine: s.set().maxLine(), MaxPayload: int(s.maxPayload()),
	}
	l.parser.MaxPayload = int(max(1, s.payloadLimit(l.acct.Account, ident))) // 0 is no limit to a parser
	l.maxSubs.Store(subsLimit(l.acct.Account, ident))
	l.web.known(l.parser.MaxPayload)
	return nil
}

// reservedName tells whether a cluster's name means something else on routes.
func reservedName(cluster string) bool {
	return cluster == wire.BorderOrigin || cluster == broker.RescueOrigin
}

// acceptedMode is what is shown for a peer that sent CONNECT in clear.
func acceptedMode(own config.Compression, theirs string) wire.CompressionMode {
	if theirs == "" || own.Mode == config.CompressionNotSupported ||
		wire.CompressionMode(theirs) == wire.CompressionNotSupported {
		return wire.CompressionNotSupported
	}
	return wire.CompressionOff
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// atLeast compares versions of the form MAJOR.MINOR.PATCH; what can't be read is too old.
func atLeast(have, least string) bool {
	h, ok := parseVersion(have)
	if !ok {
		return false
	}
	w, ok := parseVersion(least)
	if !ok {
		return true
	}
	for i := range h {
		if h[i] != w[i] {
			return h[i] > w[i]
		}
	}
	return true
}

func parseVersion(s string) (v [3]int, ok bool) {
	s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "-")
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return v, false
	}
	for i, p := range parts {
		if p == "" || len(p) > 6 {
			return v, false
		}
		for _, c := range p {
			if c < '0' || c > '9' {
				return v, false
			}
			v[i] = 10*v[i] + int(c-'0')
		}
	}
	return v, true
}

// hints is what our hub tells our leaf nodes.
func hints(retry, spread time.Duration) *wire.HubHints {
	return &wire.HubHints{
		Banyan: version.Version, RetryAfterMS: retry.Milliseconds(), SpreadMS: spread.Milliseconds(),
		TimeMS: time.Now().UnixMilli(),
	}
}
