package operatorview

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/account"
	"github.com/banyanmq/banyan/pkg/auth/operator"
)

func TestAccount(t *testing.T) {
	c := jwt.NewAccountClaims("AKEY")
	c.Name, c.Issuer, c.IssuedAt, c.Tags = "orders", "OKEY", 1700000000, jwt.TagList{"gold"}
	c.Revocations = jwt.RevocationList{"UKEY": 1700000001}
	c.Limits.Conn = -7 // nonsense, to be found
	c.Exports = jwt.Exports{{Subject: "bad subject", Type: jwt.Stream}}
	f := Account(func(key string) (operator.Shown, bool) {
		if key != "AKEY" {
			return operator.Shown{}, false
		}
		return operator.Shown{Claims: c, Token: "token", Definition: account.Definition{Name: "AKEY"}, Expired: true}, true
	})
	if f("other") != nil {
		t.Error("an account that is not there")
	}
	m := f("AKEY")
	if m.Token != "token" || m.Issuer != "OKEY" || m.NameTag != "orders" || m.Tags[0] != "gold" || !m.Expired || m.Name != "AKEY" {
		t.Errorf("%+v", m)
	}
	if !m.Updated.Equal(time.Unix(1700000000, 0)) || !m.Revoked["UKEY"].Equal(time.Unix(1700000001, 0)) {
		t.Errorf("times: %v, %v", m.Updated, m.Revoked)
	}
	if len(m.Validation) == 0 || m.Validation[0].Description == "" {
		t.Errorf("findings: %+v", m.Validation)
	}
	b, err := json.Marshal(m.Decoded)
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Name string
		NATS struct{ Limits map[string]any }
	}
	if err := json.Unmarshal(b, &shown); err != nil || shown.Name != "orders" || shown.NATS.Limits["conn"] != -7.0 {
		t.Errorf("decoded: %s, %v", b, err)
	}
}
