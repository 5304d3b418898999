package host

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/banyanmq/banyan/pkg/config"
)

// waiting is how many clients may knock in one moment: a sixteenth of all when a fleet comes
// back, as a power of two, between the 1024 that any server should have and what the kernel takes.
func (l *look) waiting() int64 {
	n := int64(1024)
	for n < int64(l.clients())/16 {
		n *= 2
	}
	return min(n, 65535)
}

func (l *look) backlog() {
	l.atLeast("net.core.somaxconn", l.waiting(), "it is the backlog of every listener: who knocks when that is full is not answered and tries again later")
	name := "net.ipv4.tcp_max_syn_backlog"
	found, ok := l.number(name)
	if cookies, _ := l.number("net.ipv4.tcp_syncookies"); ok && cookies != 0 && found < l.waiting() {
		l.add(Finding{Name: name, State: OK, Found: fmt.Sprintf("%d, with SYN cookies when it is full", found), Wanted: fmt.Sprint(l.waiting())})
		return
	}
	l.atLeast(name, l.waiting(), "half-open connections beyond it are dropped while a fleet comes back")
}

// listeners by the setting of their address.
func (l *look) listeners() map[string]int {
	c, out := l.cfg, map[string]int{}
	note := func(setting string, a config.Listen) {
		if a.Port > 0 {
			out[setting] = a.Port
		}
	}
	note("clients.listen", c.Client.Listen)
	note("monitor.listen", c.HTTP.Listen)
	if c.Cluster != nil {
		note("cluster.listen", c.Cluster.Listen)
	}
	if c.Gateway != nil {
		note("gateway.listen", c.Gateway.Listen)
	}
	if c.LeafNodes != nil {
		note("leafs.listen", c.LeafNodes.Listen)
	}
	if c.WebSocket != nil {
		note("websocket.listen", c.WebSocket.Listen)
	}
	return out
}

// dials is about how many connections the daemon opens itself.
func (l *look) dials() int {
	n := 0
	if c := l.cfg.Cluster; c != nil {
		n += len(c.Routes) * max(c.PoolSize, 1)
	}
	if g := l.cfg.Gateway; g != nil {
		n += len(g.Remotes)
	}
	if f := l.cfg.LeafNodes; f != nil {
		n += len(f.Remotes)
	}
	return n
}

func (l *look) ports() {
	const name = "net.ipv4.ip_local_port_range"
	text, _ := l.sysctl(name)
	w := strings.Fields(text)
	if len(w) != 2 {
		l.add(Finding{Name: name, State: Unseen, Found: "not to be seen here"})
		return
	}
	low, _ := strconv.Atoi(w[0])
	high, _ := strconv.Atoi(w[1])
	size := high - low + 1
	f := Finding{Name: name, State: OK, Found: fmt.Sprintf("%d-%d", low, high), Wanted: fmt.Sprintf("twice the %d connections that the daemon opens", l.dials())}
	if size < 2*l.dials() {
		f.State, f.Why = Warn, "one address can open so many connections to one port of another, no more"
		f.Sysctl = name + " = 10240 65535"
	}
	l.add(f)
	l.reserved(low, high)
}

// reserved: a port that the kernel gives to connections may be taken when the daemon wants to listen.
func (l *look) reserved(low, high int) {
	const name = "net.ipv4.ip_local_reserved_ports"
	reserved, _ := l.sysctl(name)
	var taken []string
	add := []string{}
	for setting, port := range l.listeners() {
		if port >= low && port <= high && !covers(reserved, port) {
			taken = append(taken, fmt.Sprintf("%s %d", setting, port))
			add = append(add, strconv.Itoa(port))
		}
	}
	if len(taken) == 0 {
		return
	}
	slices.Sort(taken)
	slices.Sort(add)
	if reserved != "" {
		add = append([]string{reserved}, add...)
	}
	l.add(Finding{Name: name, State: Warn, Found: strings.Join(taken, ", ") + " in the range of ports for connections", Wanted: "reserved",
		Why:    "a connection may have the port when the daemon starts, which then fails",
		Sysctl: name + " = " + strings.Join(slices.Compact(add), ",")})
}

// covers says whether a list of ports and ranges holds one.
func covers(list string, port int) bool {
	for item := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(item), "-")
		low, err := strconv.Atoi(from)
		if err != nil {
			continue
		}
		high := low
		if isRange {
			high, _ = strconv.Atoi(to)
		}
		if port >= low && port <= high {
			return true
		}
	}
	return false
}

// longLink is what one connection between regions should be able to have under way: 1 Gbit/s
// over 130 ms.
const longLink = 16 << 20

// buffers matter where one connection carries much over a long way: between regions.
func (l *look) buffers() {
	if l.cfg.Daemon != config.Gwd {
		return
	}
	for _, name := range []string{"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"} {
		text, _ := l.sysctl(name)
		w := strings.Fields(text)
		if len(w) != 3 {
			l.add(Finding{Name: name, State: Unseen, Found: "not to be seen here"})
			continue
		}
		most, _ := strconv.ParseInt(w[2], 10, 64)
		f := Finding{Name: name, State: OK, Found: "at most " + bytes(uint64(most)), Wanted: bytes(longLink)}
		if most < longLink {
			f.State, f.Why = Warn, "a connection has no more than that under way, so it carries no more than that in the time there and back"
			f.Sysctl = fmt.Sprintf("%s = %s %s %d", name, w[0], w[1], longLink)
		}
		l.add(f)
	}
	const name = "net.ipv4.tcp_slow_start_after_idle"
	if n, ok := l.number(name); ok {
		f := Finding{Name: name, State: OK, Found: fmt.Sprint(n), Wanted: "0"}
		if n != 0 {
			f.State, f.Why, f.Sysctl = Warn, "after a pause a link between regions begins slowly again, several times the way there and back", name+" = 0"
		}
		l.add(f)
	}
}

// conntrack: a firewall that remembers connections has to have room for them.
func (l *look) conntrack() {
	const name = "net.netfilter.nf_conntrack_max"
	most, ok := l.number(name)
	if !ok || l.clients() == 0 {
		return
	}
	wanted := int64(l.clients()) + int64(l.clients())/4
	f := Finding{Name: name, State: OK, Found: fmt.Sprint(most), Wanted: fmt.Sprint(wanted)}
	if most < wanted {
		f.State, f.Why = Warn, "the firewall drops connections that it has no room to remember, those of all programs"
		f.Sysctl = fmt.Sprintf("%s = %d", name, 2*int64(l.clients()))
	}
	l.add(f)
}
