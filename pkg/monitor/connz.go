package monitor

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/subject"
)

// defaultLimit is how many entries a page has unless asked otherwise.
const defaultLimit = 1024

// ConnState chooses connections by whether they are open.
type ConnState int

// The states, as numbers in requests.
const (
	ConnOpen ConnState = iota
	ConnClosed
	ConnAll
)

// ConnzOptions say what /connz lists. The zero value is the default.
type ConnzOptions struct {
	Sort          string    `json:"sort"`
	Auth          bool      `json:"auth"`
	Subs          bool      `json:"subscriptions"`
	SubsDetail    bool      `json:"subscriptions_detail"`
	Offset        int       `json:"offset"`
	Limit         int       `json:"limit"`
	CID           uint64    `json:"cid"`
	MQTTClient    string    `json:"mqtt_client"`
	State         ConnState `json:"state"`
	User          string    `json:"user"`
	Account       string    `json:"acc"`
	FilterSubject string    `json:"filter_subject"`
}

// Connz is the answer of /connz.
type Connz struct {
	ID       string     `json:"server_id"`
	Now      time.Time  `json:"now"`
	NumConns int        `json:"num_connections"`
	Total    int        `json:"total"`
	Offset   int        `json:"offset"`
	Limit    int        `json:"limit"`
	Conns    []ConnInfo `json:"connections"`
}

// ConnInfo is one connection.
type ConnInfo struct {
	CID      uint64     `json:"cid"`
	Kind     string     `json:"kind,omitempty"`
	Type     string     `json:"type,omitempty"`
	IP       string     `json:"ip"`
	Port     int        `json:"port"`
	Start    time.Time  `json:"start"`
	Activity time.Time  `json:"last_activity"`
	Stop     *time.Time `json:"stop,omitempty"`
	Reason   string     `json:"reason,omitempty"`
	RTT      string     `json:"rtt,omitempty"`
	Uptime   string     `json:"uptime"`
	Idle     string     `json:"idle"`
	Pending  int64      `json:"pending_bytes"`
	InMsgs   int64      `json:"in_msgs"`
	OutMsgs  int64      `json:"out_msgs"`
	InBytes  int64      `json:"in_bytes"`
	OutBytes int64      `json:"out_bytes"`
	Stalls   int64      `json:"stalls,omitempty"`
	NumSubs  int        `json:"subscriptions"`
	Name     string     `json:"name,omitempty"`
	Lang     string     `json:"lang,omitempty"`
	Version  string     `json:"version,omitempty"`

	TLSVersion string      `json:"tls_version,omitempty"`
	TLSCipher  string      `json:"tls_cipher_suite,omitempty"`
	TLSFirst   bool        `json:"tls_first,omitempty"`
	PeerCerts  []PeerCert  `json:"tls_peer_certs,omitempty"`
	User       string      `json:"authorized_user,omitempty"`
	Account    string      `json:"account,omitempty"`
	Subs       []string    `json:"subscriptions_list,omitempty"`
	SubsDetail []SubDetail `json:"subscriptions_list_detail,omitempty"`
	JWT        string      `json:"jwt,omitempty"`
	Issuer     string      `json:"issuer_key,omitempty"`
	NameTag    string      `json:"name_tag,omitempty"`
	Tags       []string    `json:"tags,omitempty"`
	MQTTClient string      `json:"mqtt_client,omitempty"`
	Proxy      *ProxyInfo  `json:"proxy,omitempty"`
}

// ProxyInfo is the trusted proxy that a connection came through.
type ProxyInfo struct {
	Key string `json:"key"`
}

func proxyInfo(key string) *ProxyInfo {
	if key == "" {
		return nil
	}
	return &ProxyInfo{key}
}

var (
	errSortStop   = errors.New("sort by stop only valid on closed connections")
	errSortReason = errors.New("sort by reason only valid on closed connections")
	errFilter     = errors.New("filter by subject only valid with account filtering")
)

// order says how entries are sorted; all ties go by id.
type order func(a, b *link.Info, now time.Time) int

func ascending[V cmp.Ordered](f func(*link.Info) V) order {
	return func(a, b *link.Info, _ time.Time) int { return cmp.Compare(f(a), f(b)) }
}

func descending[V cmp.Ordered](f func(*link.Info) V) order {
	return func(a, b *link.Info, _ time.Time) int { return cmp.Compare(f(b), f(a)) }
}

// orders by the names that are asked for. Only cid and start are nil: they are
// the order of ids.
var orders = map[string]order{
	"": nil, "cid": nil, "start": nil,
	"subs":       descending(func(i *link.Info) int { return i.Subs }),
	"pending":    descending(func(i *link.Info) int64 { return i.Pending }),
	"msgs_to":    descending(func(i *link.Info) int64 { return i.OutMsgs }),
	"msgs_from":  descending(func(i *link.Info) int64 { return i.InMsgs }),
	"bytes_to":   descending(func(i *link.Info) int64 { return i.OutBytes }),
	"bytes_from": descending(func(i *link.Info) int64 { return i.InBytes }),
	"last":       descending(func(i *link.Info) int64 { return activity(i).UnixNano() }),
	"rtt":        descending(func(i *link.Info) time.Duration { return i.RTT }),
	"stop":       descending(func(i *link.Info) int64 { return i.Stopped.UnixNano() }),
	"reason":     ascending(func(i *link.Info) string { return i.Reason.String() }),
	"idle": func(a, b *link.Info, now time.Time) int {
		return cmp.Compare(end(b, now).Sub(activity(b)), end(a, now).Sub(activity(a)))
	},
	"uptime": func(a, b *link.Info, now time.Time) int {
		return cmp.Compare(end(a, now).Sub(a.Started), end(b, now).Sub(b.Started))
	},
}

// activity is when a connection was last heard of.
func activity(i *link.Info) time.Time {
	if i.Active.Before(i.Started) {
		return i.Started
	}
	return i.Active
}

// end is when a connection was closed, or now.
func end(i *link.Info, now time.Time) time.Time {
	if i.Stopped.IsZero() {
		return now
	}
	return i.Stopped
}

func (o *ConnzOptions) check() (order, error) {
	by, ok := orders[o.Sort]
	switch {
	case !ok:
		return nil, fmt.Errorf("invalid sorting option: %s", o.Sort)
	case o.Sort == "stop" && o.State != ConnClosed:
		return nil, errSortStop
	case o.Sort == "reason" && o.State != ConnClosed:
		return nil, errSortReason
	case o.FilterSubject != "" && o.Account == "":
		return nil, errFilter
	}
	o.Offset = max(o.Offset, 0)
	if o.CID != 0 {
		o.Limit = 1
	}
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	return by, nil
}

// Connz answers /connz: clients and leaf links.
func (r *Reports) Connz(o ConnzOptions) (*Connz, error) {
	by, err := o.check()
	if err != nil {
		return nil, err
	}
	z := &Connz{Offset: o.Offset, Limit: o.Limit}
	if o.Account != "" && r.o.Broker.Lookup([]byte(o.Account)) == nil {
		return z, nil // without id and list, as tools expect
	}
	z.ID, z.Now = r.o.Server.ID, time.Now().UTC()
	page, total := r.connPage(&o, by, z.Now)
	z.Total = total
	z.Conns = make([]ConnInfo, 0, len(page))
	for i := range page {
		z.Conns = append(z.Conns, r.connInfo(&page[i], &o, z.Now))
	}
	z.NumConns = len(z.Conns)
	return z, nil
}

// connPage is the entries of a page, and how many there are in all.
func (r *Reports) connPage(o *ConnzOptions, by order, now time.Time) ([]link.Info, int) {
	lists := o.Subs || o.SubsDetail
	if by == nil && o.State == ConnOpen && !o.filters() {
		// The usual question needs details of its page alone.
		conns := r.connections()
		slices.SortFunc(conns, func(a, b link.Conn) int { return cmp.Compare(a.ID(), b.ID()) })
		total := len(conns)
		conns = cut(conns, o.Offset, o.Limit)
		page := make([]link.Info, len(conns))
		for i, c := range conns {
			page[i] = c.Info(lists)
		}
		return page, total
	}
	var all []link.Info
	add := func(i link.Info) {
		if o.keeps(r, &i) {
			all = append(all, i)
		}
	}
	if o.State != ConnClosed {
		for _, c := range r.connections() {
			if o.CID == 0 || c.ID() == o.CID {
				add(c.Info(o.FilterSubject != ""))
			}
		}
	}
	if o.State != ConnOpen {
		for _, reg := range []*link.Registry{r.o.Clients, r.o.Leafs} {
			if reg != nil {
				for _, i := range reg.Closed() {
					add(i)
				}
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		if by != nil {
			if c := by(a, b, now); c != 0 {
				return c < 0
			}
		}
		return a.ID < b.ID
	})
	total := len(all)
	page := cut(all, o.Offset, o.Limit)
	if lists {
		for i := range page {
			if c := r.connection(page[i].ID); c != nil {
				page[i] = c.Info(true)
			}
		}
	}
	return page, total
}

func (o *ConnzOptions) filters() bool {
	return o.CID != 0 || o.User != "" || o.Account != "" || o.MQTTClient != ""
}

// keeps tells whether an entry passes the filters.
func (o *ConnzOptions) keeps(r *Reports, i *link.Info) bool {
	switch {
	case o.CID != 0 && i.ID != o.CID,
		o.User != "" && i.User != o.User,
		o.Account != "" && i.Account != o.Account,
		o.MQTTClient != "" && (i.Kind != link.KindClient || r.client(*i).MQTTClient != o.MQTTClient):
		return false
	case o.FilterSubject == "":
		return true
	}
	return slices.ContainsFunc(r.subsOf(i), func(s SubDetail) bool { return subject.Subset(s.Subject, o.FilterSubject) })
}

// connections are the open clients and leaf links.
func (r *Reports) connections() (all []link.Conn) {
	if r.o.Clients != nil {
		all = r.o.Clients.Open()
	}
	if r.o.Leafs != nil {
		all = append(all, r.o.Leafs.Open()...)
	}
	return all
}

// connection finds an open client or leaf link.
func (r *Reports) connection(id uint64) link.Conn {
	for _, reg := range []*link.Registry{r.o.Clients, r.o.Leafs} {
		if reg != nil {
			if c := reg.Get(id); c != nil {
				return c
			}
		}
	}
	return nil
}

// cut is one page of a list.
func cut[E any](all []E, offset, limit int) []E {
	from := min(offset, len(all))
	return all[from : from+min(limit, len(all)-from)]
}

// subsOf is the list of subscriptions, of a snapshot that was taken with it.
func (r *Reports) subsOf(i *link.Info) []SubDetail {
	if i.More == nil {
		return nil
	}
	switch i.Kind {
	case link.KindClient:
		return r.client(*i).Subs
	case link.KindRoute:
		return r.route(*i).Subs
	case link.KindLeaf:
		names := r.leaf(*i).Subs
		subs := make([]SubDetail, len(names))
		for n, s := range names {
			subs[n] = SubDetail{Account: i.Account, Subject: s, CID: i.ID}
		}
		return subs
	}
	return nil
}

// connInfo shows one entry.
func (r *Reports) connInfo(i *link.Info, o *ConnzOptions, now time.Time) ConnInfo {
	c := baseConnInfo(i, now)
	if i.Kind == link.KindClient && i.More != nil {
		d := r.client(*i)
		c.Type, c.Lang, c.Version, c.TLSFirst, c.MQTTClient = d.Type, d.Lang, d.Version, d.TLSFirst, d.MQTTClient
		c.Proxy = proxyInfo(d.Proxy)
		if o.Auth {
			c.PeerCerts = d.PeerCerts
			c.JWT, c.Issuer, c.NameTag, c.Tags = d.JWT, d.Issuer, d.NameTag, d.Tags
		}
	}
	if o.Auth {
		c.User = i.User
		if i.Account != broker.GlobalAccount {
			c.Account = i.Account
		}
	}
	switch {
	case o.SubsDetail:
		c.SubsDetail = r.subsOf(i)
	case o.Subs:
		c.Subs = subjects(r.subsOf(i))
	}
	return c
}

// baseConnInfo is what is shown of any kind of connection.
func baseConnInfo(i *link.Info, now time.Time) ConnInfo {
	c := ConnInfo{
		CID: i.ID, Kind: string(i.Kind), Start: i.Started.UTC(), Activity: activity(i).UTC(),
		Uptime: Uptime(end(i, now).Sub(i.Started)), Idle: Uptime(end(i, now).Sub(activity(i))),
		Pending: i.Pending, InMsgs: i.InMsgs, OutMsgs: i.OutMsgs, InBytes: i.InBytes, OutBytes: i.OutBytes,
		NumSubs: i.Subs, Name: i.Name, TLSVersion: i.TLSVersion, TLSCipher: i.TLSCipher,
	}
	c.IP, c.Port = address(i.Addr)
	if i.RTT > 0 {
		c.RTT = i.RTT.String()
	}
	if !i.Stopped.IsZero() {
		at := i.Stopped.UTC()
		c.Stop, c.Reason = &at, i.Reason.String()
	}
	return c
}

// address is the host and the port of a peer.
func address(a net.Addr) (ip string, port int) {
	switch t := a.(type) {
	case nil:
		return "", 0
	case *net.TCPAddr:
		if t == nil {
			return "", 0
		}
		return t.IP.String(), t.Port
	}
	host, p, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String(), 0
	}
	_, _ = fmt.Sscanf(p, "%d", &port)
	return strings.Trim(host, "[]"), port
}

func subjects(subs []SubDetail) []string {
	list := make([]string, len(subs))
	for i := range subs {
		list[i] = subs[i].Subject
	}
	return list
}
