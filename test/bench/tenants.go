//go:build linux

package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/test/bench/dialect"
)

// conf is many accounts in the settings file, of some users with passwords each.
type conf struct{ accounts, users int }

// settings are the lines for them; connection who logs in as a user of account who modulo accounts.
func (c conf) settings() (string, func(who int) dialect.Login, error) {
	var b strings.Builder
	b.WriteString("accounts {\n")
	for a := range c.accounts {
		fmt.Fprintf(&b, " A%05d { users: [", a)
		for u := range c.users {
			fmt.Fprintf(&b, " {user: u%05d_%d, password: p%05d},", a, u, a)
		}
		b.WriteString(" ] }\n")
	}
	b.WriteString("}\n")
	return b.String(), func(who int) dialect.Login {
		a, u := who%c.accounts, who/c.accounts%c.users
		return func(string) (string, error) {
			return fmt.Sprintf(`"user":"u%05d_%d","pass":"p%05d",`, a, u, a), nil
		}
	}, nil
}

// tokens is many accounts of an operator, whose tokens are in the settings file.
type tokens struct{ accounts int }

func (c tokens) settings() (string, func(who int) dialect.Login, error) {
	operator, err := nkeys.CreateOperator()
	if err != nil {
		return "", nil, err
	}
	operatorKey, err := operator.PublicKey()
	if err != nil {
		return "", nil, err
	}
	token, err := jwt.NewOperatorClaims(operatorKey).Encode(operator)
	if err != nil {
		return "", nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "operator: %s\nresolver: MEMORY\nresolver_preload {\n", token)
	keys := make([]nkeys.KeyPair, c.accounts)
	for a := range keys {
		if keys[a], err = nkeys.CreateAccount(); err != nil {
			return "", nil, err
		}
		key, err := keys[a].PublicKey()
		if err != nil {
			return "", nil, err
		}
		claims := jwt.NewAccountClaims(key)
		claims.Name = fmt.Sprintf("A%05d", a)
		if token, err = claims.Encode(operator); err != nil {
			return "", nil, err
		}
		fmt.Fprintf(&b, " %s: %s\n", key, token)
	}
	b.WriteString("}\n")
	return b.String(), func(who int) dialect.Login {
		return func(nonce string) (string, error) { return userOf(keys[who%c.accounts], nonce) }
	}, nil
}

// remembered makes settings once, for all servers that get them.
func remembered(make func() (string, func(int) dialect.Login, error)) func() (string, func(int) dialect.Login, error) {
	var once sync.Once
	var text string
	var login func(int) dialect.Login
	var err error
	return func() (string, func(int) dialect.Login, error) {
		once.Do(func() { text, login, err = make() })
		return text, login, err
	}
}

// userOf makes a user of an account and signs the server's nonce as that user.
func userOf(account nkeys.KeyPair, nonce string) (string, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	key, err := user.PublicKey()
	if err != nil {
		return "", err
	}
	token, err := jwt.NewUserClaims(key).Encode(account)
	if err != nil {
		return "", err
	}
	sig, err := user.Sign([]byte(nonce))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf(`"jwt":%q,"sig":%q,`, token, base64.RawURLEncoding.EncodeToString(sig)), nil
}

// arrival is a delivery to servers whose start is measured as well.
type arrival struct{ delivery }

// settled is how long a server is left alone after its start before its memory is read.
const settled = time.Second

func (a arrival) open(run uint16, at *site) (load, error) {
	e, err := at.dial(at.pub, 0)
	if err != nil {
		return nil, err
	}
	first := time.Since(at.started)
	e.close()
	started, _, err := usage(at.pids)
	if err != nil {
		return nil, err
	}
	time.Sleep(settled)
	still, _, err := usage(at.pids)
	if err != nil {
		return nil, err
	}
	l, err := a.delivery.open(run, at)
	if err != nil {
		return nil, err
	}
	l.(*deliverySession).extra = map[string]float64{
		"start to first PONG, ms": micros(first) / 1e3,
		"CPU of the start, ms":    micros(started.CPU) / 1e3,
		"resident MB after start": float64(still.RSS) / (1 << 20),
	}
	return l, nil
}

// accountScenarios are about many users of one server: accounts, and connections that do nothing.
func accountScenarios() []scenario {
	const held = "KB/connection"
	pairs := delivery{pubs: 100, subscribers: 100, pairs: true, size: 128}
	publish := delivery{pubs: 100, size: 128}
	tenth := func(name, title string, who func() (string, func(int) dialect.Login, error), d delivery) scenario {
		return scenario{name: name, title: title, per: perMessage, alone: true, most: 3, tenants: who, open: arrival{d}.open,
			limits: []limit{{figure: "CPU", most: 1, beside: true}, {figure: "start to first PONG, ms", most: 1, beside: true},
				{figure: "resident MB after start", most: 1, beside: true}}}
	}
	file, signed := conf{accounts: 10_000, users: 10}.settings, remembered(tokens{accounts: 10_000}.settings)
	return []scenario{
		tenth("accounts-10000-publish", "10,000 accounts of 10 users in the settings, 100 publish", file, publish),
		tenth("accounts-10000-pairs", "10,000 accounts of 10 users in the settings, 100 pairs", file, pairs),
		tenth("accounts-10000-tokens", "10,000 accounts of an operator, tokens in the settings, 100 pairs", signed, pairs),
		{name: "idle-1000", title: "1,000 idle connections with one subscription", per: "connect", figure: held, goal: 12.0 / 52, most: 3,
			limits: []limit{{figure: held, most: 12}, {figure: "CPU", most: 0.6, beside: true}}, once: idle{conns: 1000, quiet: 10 * time.Second}.once},
		{name: "idle-10000", title: "10,000 idle connections with one subscription", per: "connect", figure: held, goal: 12.0 / 45, most: 2,
			limits: []limit{{figure: held, most: 12}}, once: idle{conns: 10_000, quiet: 10 * time.Second}.once},
		{name: "idle-most", title: thousands(mostConnections) + " idle connections, as many as 20,000 open files allow", per: "connect",
			figure: "KB/connection above 1,000", most: 1, once: idle{conns: mostConnections, step: 1000, quiet: 10 * time.Second}.once},
		{name: "idle-tls-1000", title: "1,000 idle TLS connections", per: "connect", figure: held, goal: 35.0 / 71, most: 3, tls: true,
			limits: []limit{{figure: held, most: 35}, {figure: "CPU", most: 0.9, beside: true}}, once: idle{conns: 1000, quiet: 10 * time.Second}.once},
		{name: "idle-ws-1000", title: "1,000 idle WebSocket connections", per: "connect", figure: held, most: 3, ws: true,
			once: idle{conns: 1000, quiet: 10 * time.Second}.once},
		{name: "idle-ws-10000", title: "10,000 idle WebSocket connections", per: "connect", figure: held, most: 1, ws: true,
			once: idle{conns: 10_000, quiet: 10 * time.Second}.once},
	}
}

// mostConnections fit in 20,000 open files of the server and of the generator.
const mostConnections = 19_800
