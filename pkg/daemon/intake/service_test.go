package intake_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
)

// service decides about logins, as people write them with nats.go and jwt.
type service struct {
	t      testing.TB
	issuer operatortest.Key
	curve  *operatortest.Key // nil: nothing is encrypted

	mu     sync.Mutex
	decide func(*request) []byte // nil: nobody is told anything
	seen   []*request
}

// request is what came in.
type request struct {
	*jwt.AuthorizationRequestClaims
	s      *service
	header nats.Header
	raw    []byte
}

func newService(t testing.TB, encrypted bool) *service {
	s := &service{t: t, issuer: operatortest.NewKey(t, nkeys.PrefixByteAccount)}
	if encrypted {
		kp, err := nkeys.CreateCurveKeys()
		if err != nil {
			t.Fatal(err)
		}
		pub, _ := kp.PublicKey()
		s.curve = &operatortest.Key{KeyPair: kp, Pub: pub}
	}
	return s
}

// settings is the line of an authorization block for it.
func (s *service) settings() string {
	x := ""
	if s.curve != nil {
		x = "xkey: " + s.curve.Pub + ", "
	}
	return "auth_callout { issuer: " + s.issuer.Pub + ", account: AUTH, " + x + "auth_users: [ svc ] }\n"
}

// set changes what it decides.
func (s *service) set(f func(*request) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.decide = f
}

func (s *service) requests() []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// serve answers on a connection until the test ends.
func (s *service) serve(nc *nats.Conn) *nats.Subscription {
	s.t.Helper()
	sub, err := nc.QueueSubscribe("$SYS.REQ.USER.AUTH", "auth", s.handle)
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return sub
}

func (s *service) handle(m *nats.Msg) {
	token := m.Data
	if s.curve != nil {
		var err error
		if token, err = s.curve.Open(m.Data, m.Header.Get("Nats-Server-Xkey")); err != nil {
			s.t.Errorf("opening a request: %v", err)
			return
		}
	}
	c, err := jwt.DecodeAuthorizationRequestClaims(string(token))
	if err != nil {
		s.t.Errorf("a request: %v", err)
		return
	}
	r := &request{c, s, m.Header, m.Data}
	s.mu.Lock()
	s.seen = append(s.seen, r)
	decide := s.decide
	s.mu.Unlock()
	if decide == nil {
		return
	}
	if b := decide(r); b != nil {
		m.Respond(b)
	}
}

// allow is the answer that lets the peer in as a user of an account; change, if not
// nil, spoils it.
func (r *request) allow(account string, change func(u *jwt.UserClaims, a *jwt.AuthorizationResponseClaims)) []byte {
	return r.signed(account, r.s.issuer, r.s.issuer, change)
}

func (r *request) signed(account string, outer, inner operatortest.Key, change func(u *jwt.UserClaims, a *jwt.AuthorizationResponseClaims)) []byte {
	u := jwt.NewUserClaims(r.UserNkey)
	u.Name = r.ConnectOptions.Username
	u.Audience = account
	a := jwt.NewAuthorizationResponseClaims(r.UserNkey)
	a.Audience = r.Server.ID
	if change != nil {
		change(u, a)
	}
	if a.Jwt == "" && a.Error == "" {
		a.Jwt = operatortest.Sign(r.s.t, u, inner)
	}
	return r.seal([]byte(operatortest.Sign(r.s.t, a, outer)))
}

// deny is the answer with an error.
func (r *request) deny(text string) []byte {
	return r.allow("", func(_ *jwt.UserClaims, a *jwt.AuthorizationResponseClaims) { a.Error = text })
}

func (r *request) seal(b []byte) []byte {
	if r.s.curve == nil {
		return b
	}
	sealed, err := r.s.curve.Seal(b, r.header.Get("Nats-Server-Xkey"))
	if err != nil {
		r.s.t.Error(err)
	}
	return sealed
}

// unsigned takes the signature off a token.
func unsigned(token string) string {
	return token[:strings.LastIndexByte(token, '.')+1] + strings.Repeat("A", 86)
}

// late answers after a time.
func late(d time.Duration, f func(*request) []byte) func(*request) []byte {
	return func(r *request) []byte {
		time.Sleep(d)
		return f(r)
	}
}

// clear is the same request to a service that does not encrypt.
func (r *request) clear() *request {
	s := &service{t: r.s.t, issuer: r.s.issuer}
	return &request{r.AuthorizationRequestClaims, s, r.header, r.raw}
}
