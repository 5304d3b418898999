package system

import (
	"encoding/json"
	"net"
	"strings"
	"time"

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
	to := "$SYS.ACCOUNT." + i.Account + ".CONNECT"
	if nameable(i.Account) && s.acc.HasInterest([]byte(to)) {
		c.Do(func() {
			s.publish(to, &connectEvent{head: newHead(typeConnect), Server: s.info(), Client: s.clientInfo(&i)})
		})
	}
}

func (s *Service) ended(i link.Info) {
	c := s.out()
	if c == nil {
		return
	}
	to, ok := "$SYS.ACCOUNT."+i.Account+".DISCONNECT", nameable(i.Account)
	if failedLogin(i.Reason) {
		ok = true
		to = "$SYS.SERVER." + s.o.Server.ID + ".CLIENT.AUTH.ERR"
		s.tellService(c, i)
	} else {
		s.countChanged(c, i.Account)
	}
	if ok && s.acc.HasInterest([]byte(to)) {
		c.Do(func() { s.publish(to, s.disconnected(&i)) })
	}
}

func failedLogin(r wire.CloseReason) bool {
	return r == wire.ReasonAuthFailure || r == wire.ReasonProxyNotTrusted || r == wire.ReasonProxyRequired
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

// serviceAuthErr is where those listen whose service was to decide about a login.
const serviceAuthErr = "$SYS.ACCOUNT.CLIENT.AUTH.ERR"

// tellService tells the account of the service that refused a login, or could not
// be asked about it. Other accounts are told of nobody's logins.
func (s *Service) tellService(c *Client, i link.Info) {
	if i.RefusedBy == "" {
		return
	}
	a := s.o.Broker.Lookup([]byte(i.RefusedBy))
	if a == nil || !a.HasInterest([]byte(serviceAuthErr)) {
		return
	}
	c.Do(func() {
		b, err := json.Marshal(s.disconnected(&i))
		if err != nil {
			s.o.Log.Errorf("Encoding a message for %s: %v", serviceAuthErr, err)
			return
		}
		c.Publish(a, serviceAuthErr, "", nil, b)
	})
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
		c.Lang, c.Version, c.Type = d.Lang, d.Version, d.Type
		c.JWT, c.Issuer, c.NameTag, c.Tags = d.JWT, d.Issuer, d.NameTag, d.Tags
	}
	return c
}

// countChanged makes sure that an account's counts are published within
// connsDelay: one message for a burst of connections.
func (s *Service) countChanged(c *Client, account string) {
	if account == broker.GlobalAccount || !nameable(account) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed[account] = true
	if !s.armed && !s.closing {
		s.armed = true
		s.conns = time.AfterFunc(connsDelay, func() { c.push(s.publishConns, 0, true) })
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
