package websocket

import (
	"fmt"
	"net/netip"
	"strings"
)

// Proxies are the networks of proxies whose word is taken on where a connection
// comes from.
type Proxies []netip.Prefix

// ParseProxies reads the networks of the settings: each an address, or a network as
// 10.0.0.0/8. IPv4 addresses that are written as IPv6 ones are the same as these.
func ParseProxies(list []string) (Proxies, error) {
	var p Proxies
	for _, s := range list {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			a = a.Unmap()
			p = append(p, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		n, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network: write 192.0.2.7 or 192.0.2.0/24", s)
		}
		if n.Addr().Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(n.Addr().Unmap(), n.Bits()-96)
		}
		if n != n.Masked() {
			return nil, fmt.Errorf("%q is an address within a network: the network is %s", s, n.Masked())
		}
		p = append(p, n)
	}
	return p, nil
}

// Trusts tells whether an address is that of a proxy.
func (p Proxies) Trusts(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, n := range p {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// maxForwarded bounds how many proxies are gone back behind.
const maxForwarded = 32

// Source is where a request came from that peer, a proxy that is trusted, has handed
// on: what the proxies say in X-Forwarded-For. Each appends who it had the request
// from, so that the list is read from its end, as far back as proxies that are trusted
// wrote it; what stands before that may be invented. The port is 0 if nobody named it.
func (q *Request) Source(peer netip.Addr, p Proxies) netip.AddrPort {
	at := netip.AddrPortFrom(peer, 0)
	list := strings.Join(q.fields.all("x-forwarded-for"), ",")
	for range maxForwarded {
		if list == "" || !p.Trusts(at.Addr()) {
			break
		}
		i := strings.LastIndexByte(list, ',')
		next, ok := parseForwarded(strings.Trim(list[i+1:], " \t"))
		if !ok {
			break
		}
		at = next
		list = list[:max(i, 0)]
	}
	return at
}

// parseForwarded reads one address of the list. Some proxies write the port too, some
// the brackets of an IPv6 address without one.
func parseForwarded(s string) (netip.AddrPort, bool) {
	if in, ok := strings.CutPrefix(s, "["); ok {
		if in, ok = strings.CutSuffix(in, "]"); ok {
			s = in
		}
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.AddrPortFrom(a.Unmap(), 0), true
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil || a.Addr().Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), true
}
