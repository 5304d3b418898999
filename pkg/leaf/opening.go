package leaf

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/transport"
	"github.com/banyanmq/banyan/pkg/version"
	"github.com/banyanmq/banyan/pkg/wire"
)

// line reads one line of the opening. What a timeout means, the caller knows.
func (l *conn) line(deadline time.Time) (verb string, arg []byte, e *ending) {
	b, err := l.c.ReadLine(l.svc.set().maxLine(), deadline)
	switch {
	case errors.Is(err, transport.ErrLineTooLong):
		return "", nil, violation(wire.ErrControlLine)
	case err != nil && transport.IsTimeout(err) && l.c.Cause() == nil:
		return "", nil, errTimeout
	case err != nil && certificateTrouble(err):
		// With TLS 1.3 a client learns only now that its certificate was refused.
		return "", nil, tlsEnding(err, l.remote != nil)
	case err != nil:
		return "", nil, endOf(err)
	}
	verb, arg = splitLine(b)
	return verb, arg, nil
}

// errTimeout is told apart by identity.
var errTimeout = &ending{reason: wire.ReasonReadError, detail: "timeout"}

// splitLine cuts a line behind its verb, which is returned in upper case. JSON may stand
// right behind it.
func splitLine(b []byte) (verb string, arg []byte) {
	end := bytes.IndexAny(b, " \t{")
	if end < 0 {
		end = len(b)
	}
	return strings.ToUpper(string(b[:min(end, 16)])), bytes.Trim(b[end:], " \t")
}

// baseInfo is what each INFO of ours holds, whoever dialed.
func (s *Service) baseInfo() wire.LeafInfo {
	srv := s.opts.Server
	info := wire.LeafInfo{
		ServerID: srv.ID, ServerName: srv.Name, Version: version.Protocol, Proto: leafProto,
		GitCommit: version.Commit, Go: runtime.Version(), Headers: true,
		MaxPayload: int32(s.maxPayload()), APILevel: version.APILevel, Banyan: srv.Version,
		Cluster: s.ownCluster(),
	}
	return info
}

// listenInfo is what a leaf node that dialed us is told.
func (s *Service) listenInfo() wire.LeafInfo {
	info := s.baseInfo()
	info.Host, info.Port = s.host, s.port
	info.IP = s.set().address
	info.AuthRequired = true
	info.InfoOnConnect = true
	if t := s.set().TLS; t != nil {
		info.TLSRequired = true
		info.TLSVerify = t.Verify || t.VerifyAndMap
	}
	info.LeafURLs = s.leafURLs()
	if u := s.opts.WebSocketURLs; u != nil {
		if info.WSConnectURLs = u.All(); info.WSConnectURLs == nil {
			info.WSConnectURLs = u.Own()
		}
	}
	return info
}

// compressionMode is the listener's mode as INFO spells it.
func compressionMode(c config.Compression) wire.CompressionMode {
	return wire.CompressionMode(c.Mode)
}

// offers tells whether a mode takes part in the negotiation.
func offers(m wire.CompressionMode) bool {
	return m == wire.CompressionAccept || m.Compresses()
}

// effective resolves the automatic mode.
func effective(m wire.CompressionMode, rtt time.Duration, c config.Compression) wire.CompressionMode {
	if m != wire.CompressionS2Auto {
		return m
	}
	limits := c.RTTThresholds
	if len(limits) == 0 {
		limits = wire.DefaultRTTThresholds()
	}
	return wire.CompressionForRTT(rtt, limits)
}

func levelOf(m wire.CompressionMode) transport.Level {
	switch m {
	case wire.CompressionS2Best:
		return transport.Best
	case wire.CompressionS2Better:
		return transport.Better
	case wire.CompressionS2Uncompressed:
		return transport.Uncompressed
	}
	return transport.Fast
}

// compress switches both directions to S2, between two turns of the opening.
func (l *conn) compress(m wire.CompressionMode, limit time.Duration) *ending {
	l.c.StartS2Read()
	if err := l.c.StartS2Write(levelOf(m), limit); err != nil {
		return endOf(err)
	}
	l.setCompression(m)
	return nil
}

func (l *conn) setCompression(m wire.CompressionMode) {
	l.level = m
	l.compression.Store(&m)
}

// adaptCompression chooses the level anew from a measured round trip.
func (l *conn) adaptCompression(rtt time.Duration, ok bool) {
	c := l.svc.set().Compression
	if l.remote != nil {
		c = l.remote.cfg().Compression
	}
	if !ok || !l.auto || !l.level.Compresses() {
		return
	}
	m := effective(wire.CompressionS2Auto, rtt, c)
	if m == l.level {
		return
	}
	// Only between flushes; if there is a backlog now, the next PONG will do.
	if l.c.StartS2Write(levelOf(m), 0) == nil {
		l.setCompression(m)
	}
}
