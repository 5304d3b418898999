// Package operatortest makes trees of operators, accounts and users for tests.
package operatortest

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/config"
)

// Key is a pair of keys.
type Key struct {
	nkeys.KeyPair
	Pub string
}

// NewKey makes a pair of a kind, such as nkeys.PrefixByteUser.
func NewKey(t testing.TB, kind nkeys.PrefixByte) Key {
	t.Helper()
	kp, err := nkeys.CreatePair(kind)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return Key{kp, pub}
}

// Sig is the signature of a nonce as CONNECT carries it.
func (k Key) Sig(t testing.TB, nonce string) string {
	t.Helper()
	sig, err := k.Sign([]byte(nonce))
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sig)
}

// Text is the seed.
func (k Key) Text(t testing.TB) string {
	t.Helper()
	s, err := k.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return string(s)
}

// Encoder is any claims.
type Encoder interface {
	Encode(nkeys.KeyPair) (string, error)
}

// Sign makes the token of claims.
func Sign(t testing.TB, c Encoder, k Key) string {
	t.Helper()
	token, err := c.Encode(k)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// Tree is an operator with a system account and others.
type Tree struct {
	T        testing.TB
	Operator Key
	Signer   Key // a signing key of the operator
	Claims   *jwt.OperatorClaims
	System   *Account
	All      []*Account
}

// New makes a tree without accounts but the system account.
func New(t testing.TB) *Tree {
	t.Helper()
	tree := &Tree{T: t, Operator: NewKey(t, nkeys.PrefixByteOperator), Signer: NewKey(t, nkeys.PrefixByteOperator)}
	tree.Claims = jwt.NewOperatorClaims(tree.Operator.Pub)
	tree.Claims.Name = "O"
	tree.Claims.SigningKeys.Add(tree.Signer.Pub)
	tree.System = tree.Account("SYS")
	tree.Claims.SystemAccount = tree.System.Pub
	return tree
}

// Account is an account whose Claims a test may change before the next Token.
type Account struct {
	Key
	tree   *Tree
	Signer Key // a signing key, without a scope
	Claims *jwt.AccountClaims
	kept   string
}

// Account adds an account.
func (tr *Tree) Account(name string) *Account {
	tr.T.Helper()
	a := &Account{Key: NewKey(tr.T, nkeys.PrefixByteAccount), tree: tr, Signer: NewKey(tr.T, nkeys.PrefixByteAccount)}
	a.Claims = jwt.NewAccountClaims(a.Pub)
	a.Claims.Name = name
	a.Claims.SigningKeys.Add(a.Signer.Pub)
	tr.All = append(tr.All, a)
	return a
}

// Token is the account's, signed by the operator's signing key.
func (a *Account) Token() string { return Sign(a.tree.T, a.Claims, a.tree.Signer) }

// Kept is Token, but the same one each time.
func (a *Account) Kept() string {
	if a.kept == "" {
		a.kept = a.Token()
	}
	return a.kept
}

// Scope adds a signing key with a template.
func (a *Account) Scope(role string, change func(*jwt.UserPermissionLimits)) Key {
	k := NewKey(a.tree.T, nkeys.PrefixByteAccount)
	s := jwt.NewUserScope()
	s.Key, s.Role = k.Pub, role
	change(&s.Template)
	a.Claims.SigningKeys.AddScopedSigner(s)
	return k
}

// User is a user with its token.
type User struct {
	Key
	Token string
}

// User makes a user that by signs: the account's own key if it is nil.
func (a *Account) User(by *Key, change ...func(*jwt.UserClaims)) User {
	t := a.tree.T
	t.Helper()
	u := User{Key: NewKey(t, nkeys.PrefixByteUser)}
	c := jwt.NewUserClaims(u.Pub)
	c.Name = "user"
	k := a.Key
	if by != nil {
		k = *by
		c.IssuerAccount = a.Pub
		if s, ok := a.Claims.SigningKeys.GetScope(k.Pub); ok && s != nil {
			c.SetScoped(true)
		}
	}
	for _, f := range change {
		f(c)
	}
	u.Token = Sign(t, c, k)
	return u
}

// Creds is a credentials file's content.
func (u User) Creds(t testing.TB) []byte {
	t.Helper()
	b, err := jwt.FormatUserConfig(u.Token, []byte(u.Text(t)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Settings are those of a server with the memory resolver and all accounts.
func (tr *Tree) Settings() *config.OperatorMode {
	tr.T.Helper()
	s := &config.OperatorMode{
		JWTs:     []string{Sign(tr.T, tr.Claims, tr.Operator)},
		Resolver: config.Resolver{Kind: config.ResolverMemory, Timeout: time.Second},
	}
	for _, a := range tr.All {
		s.Preload = append(s.Preload, config.AccountJWT{Account: a.Pub, JWT: a.Token()})
	}
	return s
}
