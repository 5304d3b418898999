package operator

//lint:file-ignore SA1019 tokens in use still carry the field To, and have to be read

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	acct "github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
)

// told is what an Operator has said last of sharing.
type told struct {
	mu   sync.Mutex
	defs []acct.Definition
}

func (t *told) share(defs []acct.Definition) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.defs = defs
	return nil
}

// imports lists what an account imports, as "kind exporter's local".
func (t *told) imports(key string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []string
	for _, d := range t.defs {
		if d.Name == key {
			for _, i := range d.Imports {
				list = append(list, i.Kind.String()+" "+i.Subject+" "+i.Prefix+" "+i.To)
			}
		}
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

func activation(t testing.TB, by operatortest.Key, importer, subject string, change func(*jwt.ActivationClaims)) string {
	c := jwt.NewActivationClaims(importer)
	c.ImportSubject, c.ImportType = jwt.Subject(subject), jwt.Stream
	if change != nil {
		change(c)
	}
	return operatortest.Sign(t, c, by)
}

func TestImportsOfClaims(t *testing.T) {
	tr := operatortest.New(t)
	a, b := tr.Account("ACME"), tr.Account("CNCF")
	a.Claims.Exports.Add(&jwt.Export{Subject: "acme.>", Type: jwt.Stream}, &jwt.Export{Subject: "hello", Type: jwt.Service})
	b.Claims.Imports.Add(
		&jwt.Import{Account: a.Pub, Subject: "acme.>", To: "cncf", Type: jwt.Stream},
		&jwt.Import{Account: a.Pub, Subject: "cncf.hello", To: "hello", Type: jwt.Service},
		&jwt.Import{Account: a.Pub, Subject: "hello", LocalSubject: "new.hello", Type: jwt.Service},
		&jwt.Import{Account: a.Pub, Subject: "acme.*", LocalSubject: "new.$1", Type: jwt.Stream},
		&jwt.Import{Account: a.Pub, Subject: "not.exported", Type: jwt.Stream},
	)
	var got told
	op := open(t, tr)
	op.SetShare(got.share)
	admits(t, op, show(t, b.User(nil))) // the exporter is loaded with it
	const want = "service hello  cncf.hello; service hello  new.hello; stream acme.*  new.$1; stream acme.> cncf "
	if i := got.imports(b.Pub); i != want {
		t.Errorf("imports %q", i)
	}
	a.Claims.Exports = a.Claims.Exports[:1]
	if _, _, err := op.Update(a.Token()); err != nil {
		t.Fatal(err)
	}
	if i := got.imports(b.Pub); strings.Contains(i, "service") == strings.Contains(i, "stream") {
		t.Errorf("after the update imports %q", i)
	}
	a.Claims.Exports.Add(&jwt.Export{Subject: "not.exported", Type: jwt.Stream})
	if _, _, err := op.Update(a.Token()); err != nil {
		t.Fatal(err)
	}
	if i := got.imports(b.Pub); !strings.Contains(i, "not.exported") {
		t.Errorf("imports %q: one that could not be before is not there", i)
	}
}

// TestActivation: a private export is for those who have a token for it.
func TestActivation(t *testing.T) {
	tr := operatortest.New(t)
	a, b, c := tr.Account("A"), tr.Account("B"), tr.Account("C")
	now := time.Now()
	soon := now.Add(2 * time.Second).Unix()
	signed := func(x *jwt.ActivationClaims) { x.IssuerAccount = a.Pub }
	for name, x := range map[string]struct {
		token string
		ok    bool
	}{
		"none":                        {"", false},
		"by the account":              {activation(t, a.Key, b.Pub, "p.>", nil), true},
		"by a signing key":            {activation(t, a.Signer, b.Pub, "p.>", signed), true},
		"by a signing key, not named": {activation(t, a.Signer, b.Pub, "p.>", nil), false},
		"narrower":                    {activation(t, a.Key, b.Pub, "p.x", nil), false},
		"wider":                       {activation(t, a.Key, b.Pub, ">", nil), true},
		"for another account":         {activation(t, a.Key, c.Pub, "p.>", nil), false},
		"by another account":          {activation(t, c.Key, b.Pub, "p.>", nil), false},
		"by another in its name":      {activation(t, c.Key, b.Pub, "p.>", signed), false},
		"by the importer":             {activation(t, b.Key, b.Pub, "p.>", signed), false},
		"for a service":               {activation(t, a.Key, b.Pub, "p.>", func(x *jwt.ActivationClaims) { x.ImportType = jwt.Service }), false},
		"expired":                     {activation(t, a.Key, b.Pub, "p.>", func(x *jwt.ActivationClaims) { x.Expires = now.Unix() - 1 }), false},
		"forged":                      {forge(t, activation(t, a.Key, c.Pub, "p.>", nil), func(m map[string]any) { m["sub"] = b.Pub }), false},
		"a user's token":              {a.User(nil).Token, false},
	} {
		a.Claims.Exports = jwt.Exports{{Subject: "p.>", Type: jwt.Stream, TokenReq: true}}
		i := &acct.Import{Kind: acct.Stream, From: a.Pub, Subject: "p.>", Token: x.token}
		op := open(t, operatortest.New(t))
		if got := op.activated(a.Claims, a.Claims.Exports[0], b.Pub, i); got != x.ok {
			t.Errorf("%s: %v", name, got)
		}
		a.Claims.Exports[0].Revoke(b.Pub)
		if op.activated(a.Claims, a.Claims.Exports[0], b.Pub, i) {
			t.Errorf("%s: though revoked", name)
		}
	}
	// One that expires takes the import with it.
	a.Claims.Exports = jwt.Exports{{Subject: "p.>", Type: jwt.Stream, TokenReq: true}}
	b.Claims.Imports.Add(&jwt.Import{Account: a.Pub, Subject: "p.>", Type: jwt.Stream,
		Token: activation(t, a.Key, b.Pub, "p.>", func(x *jwt.ActivationClaims) { x.Expires = soon })})
	var got told
	op := open(t, tr)
	op.SetShare(got.share)
	admits(t, op, show(t, b.User(nil)))
	if got.imports(b.Pub) == "" {
		t.Fatal("no import")
	}
	await(t, "end of the import", func() bool { return got.imports(b.Pub) == "" })
}
