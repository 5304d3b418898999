package operator

import (
	"testing"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/pkg/config"
)

// A preload that is gone takes its account with it, one that comes brings it, another
// token changes what is in force; an operator that is not trusted any more takes all.
func TestReload(t *testing.T) {
	tr := operatortest.New(t)
	a, b := tr.Account("A"), tr.Account("B")
	ua, ub := a.User(nil), b.User(nil)
	both := tr.Settings()
	op := open(t, tr)
	attach := func(u operatortest.User) *fake {
		t.Helper()
		s := &fake{}
		if _, err := admits(t, op, show(t, u)).Attach(s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	sa, sb := attach(ua), attach(ub)
	reload := func(s *config.OperatorMode) error {
		apply, err := op.Prepare(&config.Change{Old: &config.Config{Operator: both}, New: &config.Config{Operator: s}})
		if err == nil && apply != nil {
			apply()
		}
		return err
	}
	if err := reload(both); err != nil || sa.ended || sb.ended {
		t.Fatalf("the same again: %v, ended %v %v", err, sa.ended, sb.ended)
	}
	without := *both
	without.Preload = nil
	for _, p := range both.Preload {
		if p.Account != b.Pub {
			without.Preload = append(without.Preload, p)
		}
	}
	if err := reload(&without); err != nil || sa.ended || !sb.ended {
		t.Fatalf("without B: %v, ended %v %v", err, sa.ended, sb.ended)
	}
	refuses(t, op, show(t, ub), "")
	if err := reload(both); err != nil {
		t.Fatal(err)
	}
	admits(t, op, show(t, ub))

	other := operatortest.New(t).Settings()
	if err := reload(&config.OperatorMode{JWTs: other.JWTs, Resolver: both.Resolver, Preload: both.Preload}); err == nil {
		t.Error("preloads of an operator that is not trusted")
	}
	if sa.ended {
		t.Error("a refused change ended a connection")
	}
	admits(t, op, show(t, ua))
	if err := reload(&config.OperatorMode{JWTs: other.JWTs, Resolver: both.Resolver}); err != nil || !sa.ended {
		t.Errorf("another operator: %v, ended %v", err, sa.ended)
	}
}
