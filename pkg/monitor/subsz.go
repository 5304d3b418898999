package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/subject"
)

// SubszOptions say what /subsz lists.
type SubszOptions struct {
	Offset  int    `json:"offset"`
	Limit   int    `json:"limit"`
	Subs    bool   `json:"subscriptions"`
	Account string `json:"account"`
	Test    string `json:"test"` // a literal subject: only what would match it
}

// SubscriptionStats describe the interest of one or all accounts. Counts of a
// kind that our index does not keep are 0.
type SubscriptionStats struct {
	NumSubs      int     `json:"num_subscriptions"`
	NumCache     int     `json:"num_cache"`
	NumInserts   uint64  `json:"num_inserts"`
	NumRemoves   uint64  `json:"num_removes"`
	NumMatches   uint64  `json:"num_matches"`
	CacheHitRate float64 `json:"cache_hit_rate"`
	MaxFanout    int     `json:"max_fanout"`
	AvgFanout    float64 `json:"avg_fanout"`
}

// Subsz is the answer of /subsz. Total is set when the list was asked for.
type Subsz struct {
	ID  string    `json:"server_id"`
	Now time.Time `json:"now"`
	SubscriptionStats
	Total  int         `json:"total"`
	Offset int         `json:"offset"`
	Limit  int         `json:"limit"`
	Subs   []SubDetail `json:"subscriptions_list,omitempty"`
}

// Subsz answers /subsz.
func (r *Reports) Subsz(o SubszOptions) (*Subsz, error) {
	if o.Test != "" && (!subject.ValidPublish(o.Test) || subject.HasWildcard(o.Test)) {
		return nil, fmt.Errorf("invalid test subject, must be valid publish subject: %s", o.Test)
	}
	o.Offset = max(o.Offset, 0)
	if o.Limit <= 0 {
		o.Limit = defaultLimit
	}
	z := &Subsz{ID: r.o.Server.ID, Now: time.Now().UTC(), Offset: o.Offset, Limit: o.Limit}
	accounts := r.accounts(o.Account)
	for _, a := range accounts {
		z.NumSubs += a.Subscriptions()
	}
	if !o.Subs {
		return z, nil
	}
	var page []*broker.Sub
	for _, a := range accounts {
		a.EachSub(func(s *broker.Sub) bool {
			if o.Test != "" && !subject.Match(s.Subject, o.Test) {
				return true
			}
			if z.Total >= o.Offset && len(page) < o.Limit {
				page = append(page, s)
			}
			z.Total++
			return true
		})
	}
	z.Subs = r.subDetails(page)
	return z, nil
}

// accounts are all, or the one of this name, in order of their names.
func (r *Reports) accounts(name string) []*broker.Account {
	if name != "" {
		if a := r.o.Broker.Lookup([]byte(name)); a != nil {
			return []*broker.Account{a}
		}
		return nil
	}
	all := r.o.Broker.Accounts()
	slices.SortFunc(all, func(a, b *broker.Account) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// subDetails shows subscriptions of the index. How often each was delivered to is
// guarded by its connection, which is asked once.
func (r *Reports) subDetails(subs []*broker.Sub) []SubDetail {
	type key struct {
		cid uint64
		sid string
	}
	asked := make(map[uint64]bool)
	counts := make(map[key]SubDetail)
	out := make([]SubDetail, 0, len(subs))
	for _, s := range subs {
		id := s.Port.ID
		if s.Port.Class == broker.Client && !asked[id] {
			asked[id] = true
			if c := r.connection(id); c != nil {
				i := c.Info(true)
				for _, d := range r.subsOf(&i) {
					counts[key{id, d.SID}] = d
				}
			}
		}
		d := SubDetail{Account: s.Account.Name, Subject: string(s.Subject), Queue: string(s.Queue), SID: string(s.SID), CID: id}
		if known, ok := counts[key{id, d.SID}]; ok {
			d.Msgs, d.Max = known.Msgs, known.Max
		}
		out = append(out, d)
	}
	return out
}

// AccountzOptions say what /accountz shows.
type AccountzOptions struct {
	Account string `json:"account"`
}

// Accountz is the answer of /accountz: all names, or details of one account.
type Accountz struct {
	ID            string         `json:"server_id"`
	Now           time.Time      `json:"now"`
	SystemAccount string         `json:"system_account,omitempty"`
	Accounts      []string       `json:"accounts,omitempty"`
	Detail        *AccountDetail `json:"account_detail,omitempty"`
}

// AccountDetail is one account.
type AccountDetail struct {
	Name      string     `json:"account_name"`
	Updated   *time.Time `json:"update_time,omitempty"`
	IsSystem  bool       `json:"is_system,omitempty"`
	Expired   bool       `json:"expired"`
	Complete  bool       `json:"complete"`
	JetStream bool       `json:"jetstream_enabled"`
	LeafConns int64      `json:"leafnode_connections"`
	Clients   int64      `json:"client_connections"`
	Subs      int        `json:"subscriptions"`

	Mappings   map[string][]AccountMapping `json:"mappings,omitempty"`
	Exports    []AccountExport             `json:"exports,omitempty"`
	Imports    []AccountImport             `json:"imports,omitempty"`
	JWT        string                      `json:"jwt,omitempty"`
	Issuer     string                      `json:"issuer_key,omitempty"`
	NameTag    string                      `json:"name_tag,omitempty"`
	Tags       []string                    `json:"tags,omitempty"`
	Decoded    any                         `json:"decoded_jwt,omitempty"`
	Validation []TokenFinding              `json:"validation_result_jwt,omitempty"`
	Revoked    map[string]time.Time        `json:"revoked_user,omitempty"`
	Sublist    *SubscriptionStats          `json:"sublist_stats,omitempty"`
}

// Accountz answers /accountz.
func (r *Reports) Accountz(o AccountzOptions) (*Accountz, error) {
	z := &Accountz{ID: r.o.Server.ID, Now: time.Now().UTC()}
	if !r.Settings().NoSystemAccount {
		z.SystemAccount = r.o.Broker.SystemAccount().Name
	}
	if o.Account == "" {
		for _, a := range r.accounts("") {
			z.Accounts = append(z.Accounts, a.Name)
		}
		return z, nil
	}
	d, err := r.AccountDetail(o.Account)
	z.Detail = d
	return z, err
}

// AccountDetail shows one account.
func (r *Reports) AccountDetail(name string) (*AccountDetail, error) {
	a := r.o.Broker.Lookup([]byte(name))
	if a == nil {
		return nil, fmt.Errorf("Account %s does not exist", name) //nolint:revive,staticcheck // the text that tools know
	}
	n := a.Subscriptions()
	d := &AccountDetail{
		Name: name, IsSystem: name == r.o.Broker.SystemAccount().Name && !r.Settings().NoSystemAccount, Complete: true,
		LeafConns: a.Leafs.Load(), Clients: a.Clients.Load(), Subs: n, Sublist: &SubscriptionStats{NumSubs: n},
	}
	m := r.more(name)
	m.show(d)
	if d.Updated == nil {
		at := r.o.Server.Started.UTC()
		d.Updated = &at
	}
	return d, nil
}

// AccountStatzOptions say which accounts /accstatz shows: those named, else all
// that have connections, or all there are.
type AccountStatzOptions struct {
	Accounts []string `json:"accounts"`
	Unused   bool     `json:"include_unused"`
}

// AccountStatz is the answer of /accstatz.
type AccountStatz struct {
	ID       string        `json:"server_id"`
	Now      time.Time     `json:"now"`
	Accounts []AccountStat `json:"account_statz"`
}

// AccountStat is the figures of one account on this server. Routes without an
// account of their own carry several accounts and are in none of them.
type AccountStat struct {
	Account       string        `json:"acc"`
	Name          string        `json:"name"`
	Conns         int64         `json:"conns"`
	LeafNodes     int64         `json:"leafnodes"`
	TotalConns    int64         `json:"total_conns"`
	NumSubs       int           `json:"num_subscriptions"`
	Sent          AccountVolume `json:"sent"`
	Received      AccountVolume `json:"received"`
	SlowConsumers int64         `json:"slow_consumers"`
}

// AccountVolume is messages in one direction, with the parts that went over
// links between servers.
type AccountVolume struct {
	Volume
	Gateways Volume `json:"gateways"`
	Routes   Volume `json:"routes"`
	Leafs    Volume `json:"leafs"`
}

// AccountStatz answers /accstatz.
func (r *Reports) AccountStatz(o AccountStatzOptions) *AccountStatz {
	z := &AccountStatz{ID: r.o.Server.ID, Now: time.Now().UTC(), Accounts: []AccountStat{}}
	_, flows := r.totals()
	for _, a := range r.accounts("") {
		if len(o.Accounts) > 0 && !slices.Contains(o.Accounts, a.Name) {
			continue
		}
		s := accountStat(a, flows[a.Name])
		if o.Unused || s.TotalConns > 0 {
			z.Accounts = append(z.Accounts, s)
		}
	}
	return z
}

// AccountStat is the entry of one account.
func (r *Reports) AccountStat(a *broker.Account) AccountStat {
	_, flows := r.totals()
	return accountStat(a, flows[a.Name])
}

func accountStat(a *broker.Account, f *figures) AccountStat {
	s := AccountStat{
		Account: a.Name, Name: a.Name, Conns: a.Clients.Load(), LeafNodes: a.Leafs.Load(), NumSubs: a.Subscriptions(),
	}
	s.TotalConns = s.Conns + s.LeafNodes
	if f == nil {
		return s
	}
	all := f.sum()
	s.Sent = AccountVolume{all.out, f.flow[gateways].out, f.flow[routes].out, f.flow[leafs].out}
	s.Received = AccountVolume{all.in, f.flow[gateways].in, f.flow[routes].in, f.flow[leafs].in}
	for _, n := range f.slow {
		s.SlowConsumers += n
	}
	return s
}

// UserInfo is what a user is told of itself.
type UserInfo struct {
	User        string        `json:"user"`
	Account     string        `json:"account"`
	AccountName string        `json:"account_name,omitempty"`
	UserName    string        `json:"user_name,omitempty"`
	Permissions *Permissions  `json:"permissions,omitempty"`
	Expires     time.Duration `json:"expires,omitempty"` // from now
}

// UserInfo shows the user of an open client; nil if there is no such client.
func (r *Reports) UserInfo(cid uint64) *UserInfo {
	if r.o.Clients == nil {
		return nil
	}
	c := r.o.Clients.Get(cid)
	if c == nil {
		return nil
	}
	i := c.Info(false)
	u := &UserInfo{User: i.User, Account: i.Account, AccountName: i.Account, UserName: i.User}
	if i.Kind != link.KindClient {
		return u
	}
	d := r.client(i)
	u.Permissions = d.Permissions
	if d.AccountTag != "" {
		u.AccountName = d.AccountTag
	}
	if d.NameTag != "" {
		u.UserName = d.NameTag
	}
	if !d.Expires.IsZero() {
		u.Expires = max(time.Until(d.Expires), 1)
	}
	return u
}
