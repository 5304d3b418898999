package operator

import (
	"fmt"
	"testing"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
)

// BenchmarkLogin is one login of a user whose account is loaded, from the first
// byte of the token to the identity.
func BenchmarkLogin(b *testing.B) {
	tr := operatortest.New(b)
	a := tr.Account("A")
	op := open(b, tr)
	c := show(b, a.User(&a.Signer))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := op.Authenticate(c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAccounts is the start with so many accounts and the first login to each.
func BenchmarkAccounts(b *testing.B) {
	for _, n := range []int{1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tr := operatortest.New(b)
			var users []*auth.Credentials
			for i := range n {
				users = append(users, show(b, tr.Account(fmt.Sprint("A", i)).User(nil)))
			}
			set := tr.Settings()
			b.ReportAllocs()
			for b.Loop() {
				op, err := New(Options{Settings: set, SystemAccount: tr.System.Pub, Resolver: NewMemory()})
				if err != nil {
					b.Fatal(err)
				}
				for _, c := range users {
					if _, err := op.Authenticate(c); err != nil {
						b.Fatal(err)
					}
				}
				op.Close()
			}
		})
	}
}
