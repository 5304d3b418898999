package cli

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// The few fields of each endpoint that the table shows.
type (
	varz struct {
		Name        string  `json:"server_name"`
		ID          string  `json:"server_id"`
		Version     string  `json:"version"`
		Banyan      any     `json:"x_banyan"`
		Host        string  `json:"host"`
		Port        int     `json:"port"`
		Uptime      string  `json:"uptime"`
		Mem         int64   `json:"mem"`
		CPU         float64 `json:"cpu"`
		Connections int     `json:"connections"`
		Total       uint64  `json:"total_connections"`
		Routes      int     `json:"routes"`
		Leafs       int     `json:"leafnodes"`
		Subs        int     `json:"subscriptions"`
		Slow        int64   `json:"slow_consumers"`
		InMsgs      int64   `json:"in_msgs"`
		OutMsgs     int64   `json:"out_msgs"`
		InBytes     int64   `json:"in_bytes"`
		OutBytes    int64   `json:"out_bytes"`
		Cluster     struct {
			Name string `json:"name"`
		} `json:"cluster"`
		Gateway struct {
			Name string `json:"name"`
		} `json:"gateway"`
	}
	peer struct {
		CID      uint64 `json:"cid"`
		Kind     string `json:"kind"`
		RID      uint64 `json:"rid"`
		IP       string `json:"ip"`
		Port     int    `json:"port"`
		Name     string `json:"name"`
		Remote   string `json:"remote_name"`
		RemoteID string `json:"remote_id"`
		Account  string `json:"account"`
		Lang     string `json:"lang"`
		Version  string `json:"version"`
		RTT      string `json:"rtt"`
		Uptime   string `json:"uptime"`
		Pending  int64  `json:"pending_bytes"`
		PendingR int64  `json:"pending_size"`
		InMsgs   int64  `json:"in_msgs"`
		OutMsgs  int64  `json:"out_msgs"`
		Subs     int    `json:"subscriptions"`
	}
	connz struct {
		Total int    `json:"total"`
		Conns []peer `json:"connections"`
	}
	routez struct {
		Routes []peer `json:"routes"`
	}
	gatewayLink struct {
		Connection peer `json:"connection"`
	}
	gatewayz struct {
		Outbound map[string]*gatewayLink  `json:"outbound_gateways"`
		Inbound  map[string][]gatewayLink `json:"inbound_gateways"`
	}
	leafz struct {
		Leafs []peer `json:"leafs"`
	}
)

// table is the whole of the readable status.
func (s *status) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		for i, c := range cells {
			if i > 0 {
				_, _ = w.Write([]byte{'\t'})
			}
			// A peer chooses its own name.
			_, _ = w.Write([]byte(strings.ReplaceAll(clean(fmt.Sprint(c)), "\t", " ")))
		}
		_, _ = w.Write([]byte{'\n'})
	}
	section := func(title string, n int) {
		_ = w.Flush()
		fmt.Fprintf(&b, "\n%s (%d)\n", title, n)
	}
	s.head(row)
	if clients, total := s.clients(); total > 0 {
		section("Clients", total)
		row("  ID", "NAME", "ADDRESS", "ACCOUNT", "LIBRARY", "RTT", "SUBS", "PENDING", "MSGS FROM", "MSGS TO", "UPTIME")
		for _, c := range clients {
			row("  "+strconv.FormatUint(c.CID, 10), dash(c.Name), c.address(), dash(c.Account), dash(strings.TrimSpace(c.Lang+" "+c.Version)),
				dash(c.RTT), c.Subs, size(c.Pending), c.InMsgs, c.OutMsgs, dash(c.Uptime))
		}
		if more := total - len(clients); more > 0 {
			row(fmt.Sprintf("  ... and %d more", more))
		}
	}
	links := func(title, first string, names []string, ps []peer) {
		if len(ps) == 0 {
			return
		}
		section(title, len(ps))
		row("  "+first, "ADDRESS", "ACCOUNT", "RTT", "SUBS", "PENDING", "MSGS FROM", "MSGS TO", "UPTIME")
		for i, p := range ps {
			row("  "+dash(names[i]), p.address(), dash(p.Account), dash(p.RTT), p.Subs, size(p.Pending+p.PendingR), p.InMsgs, p.OutMsgs, dash(p.Uptime))
		}
	}
	links("Routes", "SERVER", remoteNames(s.routez.Routes), s.routez.Routes)
	names, ps := s.gateways()
	links("Gateways", "GATEWAY", names, ps)
	links("Leaf nodes", "NAME", remoteNames(s.leafz.Leafs), s.leafz.Leafs)
	_ = w.Flush()
	return b.String()
}

// clients are the connections of /connz that are clients: it lists leaf links as
// well, which have a section of their own.
func (s *status) clients() (list []peer, total int) {
	list = slices.DeleteFunc(slices.Clone(s.connz.Conns), func(p peer) bool { return p.Kind == "Leafnode" })
	total = s.connz.Total - max(len(s.connz.Conns)-len(list), len(s.leafz.Leafs))
	return list, max(total, len(list))
}

func (s *status) head(row func(...any)) {
	v := &s.varz
	name := v.Name
	if v.Cluster.Name != "" {
		name += " (cluster " + v.Cluster.Name + ")"
	} else if v.Gateway.Name != "" {
		name += " (gateway " + v.Gateway.Name + ")"
	}
	row("Server", name)
	row("Id", dash(v.ID))
	ver := v.Version
	if own, ok := v.Banyan.(string); ok && own != "" {
		ver += " (banyan " + own + ")"
	}
	row("Version", ver)
	row("Health", dash(s.health))
	row("Uptime", dash(v.Uptime))
	if v.Port > 0 {
		row("Clients at", net.JoinHostPort(v.Host, strconv.Itoa(v.Port)))
	}
	row("Connections", fmt.Sprintf("%d (%d since the start)", v.Connections, v.Total))
	row("Links", fmt.Sprintf("%d routes, %d gateways out, %d in, %d leaf nodes",
		len(s.routez.Routes), len(s.gatewayz.Outbound), s.inbound(), max(v.Leafs, len(s.leafz.Leafs))))
	row("Subscriptions", v.Subs)
	row("Messages", fmt.Sprintf("%d in (%s), %d out (%s)", v.InMsgs, size(v.InBytes), v.OutMsgs, size(v.OutBytes)))
	row("Slow consumers", v.Slow)
	row("Process", fmt.Sprintf("%s memory, %.1f %% CPU", size(v.Mem), v.CPU))
}

func (s *status) inbound() (n int) {
	for _, l := range s.gatewayz.Inbound {
		n += len(l)
	}
	return n
}

func (s *status) gateways() (names []string, ps []peer) {
	for _, name := range slices.Sorted(maps.Keys(s.gatewayz.Outbound)) {
		if l := s.gatewayz.Outbound[name]; l != nil {
			names, ps = append(names, name+" (out)"), append(ps, l.Connection)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.gatewayz.Inbound)) {
		for _, l := range s.gatewayz.Inbound[name] {
			names, ps = append(names, name+" (in)"), append(ps, l.Connection)
		}
	}
	return names, ps
}

func remoteNames(ps []peer) []string {
	names := make([]string, len(ps))
	for i, p := range ps {
		switch {
		case p.Remote != "":
			names[i] = p.Remote
		case p.Name != "":
			names[i] = p.Name
		default:
			names[i] = p.RemoteID
		}
	}
	return names
}

func (p peer) address() string {
	if p.IP == "" {
		return "-"
	}
	return net.JoinHostPort(p.IP, strconv.Itoa(p.Port))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// size writes bytes in the unit that fits.
func size(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if f /= 1024; f < 1024 {
			break
		}
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + unit
}
