package operator

import (
	"testing"

	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
)

// TestShow: what is loaded is shown, with its token; what is not loaded is not
// looked for.
func TestShow(t *testing.T) {
	tr := operatortest.New(t)
	a := tr.Account("A")
	op := open(t, tr)
	if _, ok := op.Show(a.Pub); ok {
		t.Error("an account that nobody asked for is loaded")
	}
	if _, err := op.Authenticate(show(t, a.User(&a.Signer))); err != nil {
		t.Fatal(err)
	}
	s, ok := op.Show(a.Pub)
	if !ok || s.Token == "" || s.Claims.Subject != a.Pub || s.Definition.Name != a.Pub || s.Expired || s.Updated().IsZero() {
		t.Errorf("%+v, %v", s, ok)
	}
	if s, ok := op.Show("ANOTHER"); ok || s.Claims != nil {
		t.Errorf("an account that nobody knows: %+v", s)
	}
}
