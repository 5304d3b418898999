package client

import (
	"net"
	"runtime"

	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/version"
	"github.com/banyanmq/banyan/pkg/wire"
)

// urlRoom bounds connect_urls, so that INFO stays below the 32 KiB that some
// clients' line buffers have (client-protocol 2).
const urlRoom = 28 << 10

// baseInfo is what every INFO says.
func (s *Service) baseInfo(set *terms, host string, port int) wire.ClientInfo {
	cl := &set.config.Client
	i := wire.ClientInfo{
		ServerID: s.o.Server.ID, ServerName: s.o.Server.Name,
		Version: version.Protocol, Proto: 1, GitCommit: version.Get().Commit, Go: runtime.Version(),
		Host: host, Port: port, Headers: !cl.NoHeaders, MaxPayload: int32(set.limits.MaxPayload),
		APILevel: version.APILevel, XKey: s.o.Server.XKey, Banyan: s.o.Server.Version,
	}
	if set.tls != nil {
		i.TLSRequired, i.TLSAvailable = !cl.AllowNonTLS, cl.AllowNonTLS
		if set.kind != config.Standard {
			i.TLSRequired, i.TLSAvailable = true, true
		}
		i.TLSVerify = set.block.Verify || set.block.VerifyAndMap
	}
	return i
}

// info is what all three forms of INFO say.
func (c *conn) info(set *terms) wire.ClientInfo {
	i := set.base
	i.ClientID, i.ClientIP = c.id, addrIP(c.remote)
	i.Cluster, _ = c.s.o.Server.Cluster()
	i.ConnectURLs = capURLs(c.urls().All())
	return i
}

// firstInfo is INFO at the start.
func (c *conn) firstInfo() []byte {
	i := c.info(c.set)
	i.AuthRequired = c.set.policy.Announced
	i.Nonce = c.nonce
	if c.web == nil && c.set.config.Client.ProxyProtocol && !c.proxied {
		i.ClientIP = ""
	}
	if c.secured {
		i.TLSRequired = true
	}
	return wire.AppendInfo(nil, &i)
}

// laterInfo is INFO once the client is known. c.mu is held.
func (c *conn) laterInfo() wire.ClientInfo {
	set := c.terms()
	i := c.info(set)
	i.AuthRequired = set.policy.Required
	i.MaxPayload = int32(c.payloadLimit(set, c.identity))
	return i
}

// sendInfo sends an asynchronous INFO if the client can take it now.
func (c *conn) sendInfo(lame bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready {
		return false
	}
	i := c.laterInfo()
	i.LameDuck = lame
	return c.t.WriteFlush(wire.AppendInfo(nil, &i))
}

// sendConnectInfo follows the first PONG after CONNECT. From here on the client
// may be sent INFO at any time. Read by c's own goroutine.
func (c *conn) sendConnectInfo() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = true
	i := c.laterInfo()
	i.ConnectInfo = true
	i.RemoteAccount = c.account.Name
	i.AccountIsSys = c.account == c.s.o.Broker.SystemAccount()
	c.t.Write(wire.AppendInfo(nil, &i))
}

func capURLs(urls []string) []string {
	n := 0
	for i, u := range urls {
		if n += len(u) + 3; n > urlRoom {
			return urls[:i]
		}
	}
	return urls
}

func addrIP(a net.Addr) string {
	if t, ok := a.(*net.TCPAddr); ok {
		return t.IP.String()
	}
	if a == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
