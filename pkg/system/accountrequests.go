package system

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/banyanmq/banyan/pkg/broker"
	"github.com/banyanmq/banyan/pkg/monitor"
	"github.com/banyanmq/banyan/pkg/wire"
)

// shared are the requests that clients of any account may send. They are answered for
// the account of the client, whatever the body says.
var shared = []string{"$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.ACCOUNT.PING.STATZ", "$SYS.REQ.SERVER.PING.CONNZ"}

// sharedThreshold is how long servers may take between answers to those.
const sharedThreshold = 10 * time.Second

// share lets every account send the shared requests.
func (s *Service) share() (stop func()) {
	var stops []func()
	for _, subject := range shared {
		stops = append(stops, s.o.Broker.Everybody(s.acc, subject, sharedThreshold))
	}
	return func() {
		for _, f := range stops {
			f()
		}
	}
}

// asker is the account that a request came from, if it did not come from the system
// account. The header is put there by the server where the request entered.
func asker(r *Request) (account string, foreign bool) {
	v, ok := wire.HeaderValue(r.Header, broker.InfoHeader)
	if !ok {
		return "", false
	}
	var who broker.Requester
	if json.Unmarshal(v, &who) != nil {
		return "", true // nobody's
	}
	return who.Account, true
}

// accountTable lists what can be asked of an account.
func (s *Service) accountTable() map[string]func(name string) answer {
	rep := s.o.Reports
	return map[string]func(string) answer{
		"CONNZ": func(name string) answer {
			return asked(func(o monitor.ConnzOptions) (any, error) {
				if name != "" {
					o.Account = name
				}
				return rep.Connz(o)
			})
		},
		"SUBSZ": func(name string) answer {
			return asked(func(o monitor.SubszOptions) (any, error) {
				o.Account = name
				return rep.Subsz(o)
			})
		},
		"LEAFZ": func(name string) answer {
			return asked(func(o monitor.LeafzOptions) (any, error) {
				o.Account = name
				return rep.Leafz(o), nil
			})
		},
		"STATZ": func(name string) answer {
			return asked(func(o monitor.AccountStatzOptions) (any, error) {
				if name != "" {
					o.Accounts, o.Unused = []string{name}, true
				}
				return rep.AccountStatz(o), nil
			})
		},
		"INFO": func(name string) answer {
			return func([]byte) (any, error) { return rep.AccountDetail(name) }
		},
		"JSZ": func(name string) answer {
			return asked(func(o monitor.JszOptions) (any, error) {
				o.Account = name
				return s.jsz(o)
			})
		},
		"CONNS": func(string) answer { return nil }, // without an envelope
	}
}

// serveAccount answers $SYS.REQ.ACCOUNT.<account>.<what>; PING stands for all accounts
// that who asks may see.
func (s *Service) serveAccount(r *Request) {
	t := strings.Split(r.Subject, ".")
	name, z := t[3], t[4]
	acc, foreign := asker(r)
	all := name == "PING"
	switch {
	case r.Reply == "" || all && z != "STATZ" && z != "CONNZ" || foreign && !all:
		return
	case all:
		name = acc // "" for the system account
	}
	if z == "CONNS" {
		if b := s.accountConns(name); b != nil {
			s.send(r, b, true)
		}
		return
	}
	if s.check(r) {
		s.respond(r, func() (any, error) { return s.accounts[z](name)(r.Payload) })
	}
}

// serveUsers tells each user of an account who it is. The interest stays here: a
// user's own server answers, and no other.
func (s *Service) serveUsers(c *Client, a *broker.Account) {
	s.mu.Lock()
	if s.known == nil {
		s.known = make(map[*broker.Account]bool)
	}
	again := s.known[a]
	s.known[a] = true
	s.mu.Unlock()
	if again {
		return
	}
	o := SubOptions{Local: true, Accept: func(m *broker.Msg) bool {
		return m.From != nil && m.From.Class == broker.Client && len(m.Reply) > 0
	}}
	c.Subscribe(a, "$SYS.REQ.USER.INFO", o, func(r *Request) {
		u := s.o.Reports.UserInfo(r.From)
		if u == nil {
			return // gone, or one of our own services
		}
		s.respond(r, func() (any, error) { return u, nil })
	})
}
