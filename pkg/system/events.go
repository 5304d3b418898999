package system

import (
	"encoding/json"
	"net"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/link"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/subject"
	"github.com/banyanmq/banyan/pkg/wire"
)

// opened and ended are called on the connection's goroutine. They look whether
// anybody listens before anything is built.

func (s *Service) opened(i link.Info) {
	c := s.out()
	if c == nil {
		return
	}
	s.countChanged(c, i.Account)
	if !nameable(i.Account) {
		return
	}
	if to := "$SYS.ACCOUNT." + i.Account + ".CONNECT"; s.acc.HasInterest([]byte(to)) {
		c.Do(func() {
			s.publish(to, &connectEvent{head: newHead(typeConnect), Server: s.info(), Client: s.clientInfo(&i)})
		})
	}
	// Other regions' servers then know better what we want (monitoring-events 14.5).
	if to := "$SYS.ACCOUNT." + i.Account + ".LEAFNODE.CONNECT"; i.Kind == link.KindLeaf && s.acc.HasInterest([]byte(to)) {
		c.Do(func() { s.publish(to, &trackRequest{s.info(), i.Account}) })
	}
}

func (s *Service) ended(i link.Info) {
	c := s.out()
	if c == nil {
		return
	}
	if failedLogin(i.Reason) {
		s.refused(c, &i)
		return
	}
	s.countChanged(c, i.Account)
	if to := "$SYS.ACCOUNT." + i.Account + ".DISCONNECT"; nameable(i.Account) && s.acc.HasInterest([]byte(to)) {
		c.Do(func() { s.publish(to, s.disconnected(&i)) })
	}
}

func failedLogin(r wire.CloseReason) bool {
	return r == wire.ReasonAuthFailure || r == wire.ReasonProxyNotTrusted || r == wire.ReasonProxyRequired
}

// authErr is where an account is told of logins that failed in it.
const authErr = "$SYS.ACCOUNT.CLIENT.AUTH.ERR"

// refused tells of a login that failed: the system account, and the account whose
// service refused it, or could not be asked. Where there is only one account it is told
// too; tenants are told of nobody's logins.
func (s *Service) refused(c *Client, i *link.Info) {
	account := i.RefusedBy
	if account == "" && len(s.config().Accounts) == 0 && !s.config().InOperatorMode() {
		account = i.Account
	}
	a := s.o.Broker.Lookup([]byte(account))
	to := "$SYS.SERVER." + s.o.Server.ID + ".CLIENT.AUTH.ERR"
	ours, theirs := s.acc.HasInterest([]byte(to)), a != nil && a.HasInterest([]byte(authErr))
	if !ours && !theirs {
		return
	}
	info := *i
	c.Do(func() {
		e := s.disconnected(&info)
		if ours {
			s.publish(to, e)
		}
		if theirs {
			s.publishIn(a, authErr, e)
		}
	})
}

func (s *Service) disconnected(i *link.Info) *disconnectEvent {
	e := &disconnectEvent{
		head: newHead(typeDisconnect), Server: s.info(), Client: s.clientInfo(i),
		Sent: monitor.Volume{Msgs: i.InMsgs, Bytes: i.InBytes}, Received: monitor.Volume{Msgs: i.OutMsgs, Bytes: i.OutBytes},
		Reason: i.Reason.String(),
	}
	if i.Refusal != "" {
		e.Reason = i.Refusal
	}
	return e
}

// out is the client to publish with, nil before Start.
func (s *Service) out() *Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

func (s *Service) clientInfo(i *link.Info) ClientInfo {
	start := i.Started.UTC()
	c := ClientInfo{
		Start: &start, ID: i.ID, Account: i.Account, User: i.User, Name: i.Name, RTT: i.RTT, Kind: string(i.Kind),
	}
	if a, ok := i.Addr.(*net.TCPAddr); ok && a != nil {
		c.Host = a.IP.String()
	}
	if !i.Stopped.IsZero() {
		stop := i.Stopped.UTC()
		c.Stop = &stop
	}
	if i.Kind == link.KindClient && i.More != nil {
		d := s.o.Reports.ClientDetails(*i)
		c.Lang, c.Version, c.Type, c.ClientID = d.Lang, d.Version, d.Type, d.MQTTClient
	}
	if w, ok := i.More.(interface{ Who() *auth.Identity }); ok && w.Who() != nil {
		id := w.Who()
		c.JWT, c.Issuer, c.NameTag, c.Tags = id.JWT, id.IssuerKey, id.NameTag, id.Tags
	}
	return c
}

// countChanged makes sure that an account's counts are published: almost at once, and not
// more often than every connsDelay, so that there is one message for a burst of
// connections.
func (s *Service) countChanged(c *Client, account string) {
	if account == broker.GlobalAccount || !nameable(account) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed[account] = true
	if !s.armed && !s.closing {
		s.armed = true
		wait := max(connsDelay-time.Since(s.told), connsGather)
		s.conns = time.AfterFunc(wait, func() { c.push(s.publishConns, 0, true) })
	}
}

// connsSubjects are the two subjects of an account's counts; the second is the
// older one.
func connsSubjects(account string) [2]string {
	return [2]string{"$SYS.ACCOUNT." + account + ".SERVER.CONNS", "$SYS.SERVER.ACCOUNT." + account + ".CONNS"}
}

func (s *Service) publishConns() {
	s.mu.Lock()
	changed := s.changed
	s.changed = make(map[string]bool)
	s.armed = false
	s.told = time.Now()
	s.mu.Unlock()
	var names []string
	for name := range changed {
		s.track(name)
		if to := connsSubjects(name); s.wanted(to[0]) || s.wanted(to[1]) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	z := s.o.Reports.AccountStatz(monitor.AccountStatzOptions{Accounts: names, Unused: true})
	for _, a := range z.Accounts {
		h := newHead(typeConns)
		for _, to := range connsSubjects(a.Account) {
			if s.wanted(to) {
				s.publish(to, &connsEvent{head: h, Server: s.info(), AccountStat: a})
			}
		}
	}
}

// heartbeat publishes the counts of all accounts with connections.
func (s *Service) heartbeat() {
	s.mu.Lock()
	for _, a := range s.o.Broker.Accounts() {
		if a.Name != broker.GlobalAccount && nameable(a.Name) && a.Clients.Load()+a.Leafs.Load() > 0 {
			s.changed[a.Name] = true
		}
	}
	s.mu.Unlock()
	s.publishConns()
}

// accountConns is the event as an answer, if the account has connections here.
func (s *Service) accountConns(account string) []byte {
	a := s.o.Broker.Lookup([]byte(account))
	if a == nil || a.Clients.Load()+a.Leafs.Load() == 0 {
		return nil
	}
	b, err := json.Marshal(&connsEvent{head: newHead(typeConns), Server: s.info(), AccountStat: s.o.Reports.AccountStat(a)})
	if err != nil {
		s.o.Log.Errorf("Encoding the counts of account %q: %v", account, err)
		return nil
	}
	return b
}

// nameable tells whether an account can be named in a subject. Settings admit
// names that can't: their events are left out rather than break the lines of
// whoever listens.
func nameable(account string) bool {
	return subject.ValidPublish(account) && !strings.ContainsAny(account, " \t\r\n\x00")
}
