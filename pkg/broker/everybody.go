package broker

import (
	"sync"
	"time"

	"github.com/banyanmq/banyan/pkg/account"
)

// Everybody lets the clients of every account, now and later, send requests on a
// subject of the account from, as if theirs imported it as a service: from learns who
// asks by the header [InfoHeader]. Any number may answer. No other server is told of it.
// stop takes it back.
func (b *Broker) Everybody(from *Account, subject string, threshold time.Duration) (stop func()) {
	var mu sync.Mutex
	given := make(map[*Account]*Sub)
	forget := b.EachAccount(func(a *Account) {
		if a == from {
			return
		}
		i := &serviceImport{
			def:     account.Import{Kind: account.Service, From: from.Name, Subject: subject},
			account: a, from: from, same: true, terms: terms{response: account.Streamed, threshold: threshold},
		}
		// Interest of no class is announced to nobody.
		s := &Sub{Port: b.sharing.service, Subject: []byte(subject), extra: &extra{service: i}}
		mu.Lock()
		defer mu.Unlock()
		if given != nil && given[a] == nil {
			given[a] = s
			a.insert(s, 1)
		}
	})
	return func() {
		forget()
		mu.Lock()
		defer mu.Unlock()
		for a, s := range given {
			a.mu.Lock()
			a.unsubscribeLocked(s)
			a.mu.Unlock()
		}
		given = nil
	}
}
