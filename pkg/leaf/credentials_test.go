package leaf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/auth/operator/operatortest"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/wire"
)

// write writes a file for this test.
func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCredentialsFile(t *testing.T) {
	tr := operatortest.New(t)
	u := tr.System.User(nil)
	good := u.Creds(t)
	seed := []byte(u.Text(t))
	account := []byte(tr.System.Text(t))
	broken := bytes.Clone(seed)
	broken[10] = 'A' + (broken[10]-'A'+1)%8 // another letter, whatever it was
	name := filepath.Join(t.TempDir(), "u.creds")
	for what, x := range map[string]struct {
		content []byte
		bad     string
	}{
		"as nsc writes it":  {good, ""},
		"lines end in CRLF": {bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), ""},
		"only the token":    {good[:bytes.Index(good, []byte("*****"))], "Credentials file malformed"},
		"bare token":        {[]byte(u.Token), "Credentials file malformed"},
		"empty":             {nil, "Credentials file malformed"},
		"two tokens":        {append(good[:bytes.Index(good, []byte("*****"))], good...), "not an nkey seed"},
		"an account's seed": {bytes.ReplaceAll(good, seed, account), "not that of a user"},
		"broken seed":       {bytes.ReplaceAll(good, seed, broken), "not an nkey seed"},
	} {
		write(t, name, x.content)
		p, err := credentialsFile{name: name, also: Proof{User: "x"}}.Prove("nonce")
		if x.bad != "" {
			if err == nil || !strings.Contains(err.Error(), x.bad) || strings.Contains(err.Error(), string(seed)) || strings.Contains(err.Error(), u.Token) {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if err != nil || p.JWT != u.Token || p.User != "x" || auth.VerifySignature(u.Pub, "nonce", p.Sig) != nil {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
	if _, err := (credentialsFile{name: name + ".not"}).Prove("n"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	write(t, name, good)
	if _, err := (credentialsFile{name: name}).Prove(""); err == nil {
		t.Error("signed no nonce")
	}
	for _, k := range []config.Secret{config.Secret(seed), config.Secret(write(t, name, append(seed, '\n')))} {
		if p, err := (keySeed{text: k}).Prove("nonce"); err != nil || p.NKey != u.Pub || auth.VerifySignature(u.Pub, "nonce", p.Sig) != nil {
			t.Errorf("seed: %+v, %v", p, err)
		}
	}
	if _, err := (keySeed{text: "SUNOSEED"}).Prove("nonce"); err == nil || strings.Contains(err.Error(), "SUNOSEED") {
		t.Errorf("bad seed: %v", err)
	}
}

// operated makes a node one in operator mode.
func operated(t testing.TB, tr *operatortest.Tree) (*operator.Operator, func(n *node)) {
	t.Helper()
	op, err := operator.New(operator.Options{Settings: tr.Settings(), SystemAccount: tr.System.Pub, Resolver: operator.NewMemory()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(op.Close)
	return op, func(n *node) { n.o.Auth = op }
}

func asUser(t testing.TB, u operatortest.User) nats.Option {
	return nats.UserJWTAndSeed(u.Token, u.Text(t))
}

func withCreds(file string) func(r *config.LeafRemote) {
	return func(r *config.LeafRemote) { r.Credentials = file }
}

// TestCredentialsAreReadAnew: a leaf node comes into the account of its file, and
// into another one when the file was replaced and the old one revoked.
func TestCredentialsAreReadAnew(t *testing.T) {
	tr := operatortest.New(t)
	a, b := tr.Account("A"), tr.Account("B")
	op, mode := operated(t, tr)
	hub := startNode(t, "hub", listening, mode)
	first := a.User(nil)
	file := write(t, filepath.Join(t.TempDir(), "leaf.creds"), first.Creds(t))
	edge := startNode(t, "edge", dialing(hub.addr(), withCreds(file)), hurried)
	check := func(account *operatortest.Account) {
		t.Helper()
		hub.wants(account.Pub, wantedSubject(t, edge))
		at := connect(t, "nats://"+hub.c.Addr().String(), asUser(t, account.User(nil)))
		in := subscribe(t, edge.nats(), "in."+account.Pub, "")
		hub.wants(account.Pub, "in."+account.Pub)
		publish(t, at, "in."+account.Pub, "for "+account.Pub)
		if m := in.get(); string(m.Data) != "for "+account.Pub {
			t.Errorf("got %q", m.Data)
		}
	}
	check(a)
	write(t, file, b.User(&b.Signer, func(c *jwt.UserClaims) { c.AllowedConnectionTypes.Add("LEAFNODE") }).Creds(t))
	a.Claims.RevokeAt(first.Pub, time.Now().Add(time.Minute))
	if _, _, err := op.Update(a.Token()); err != nil {
		t.Fatal(err)
	}
	check(b)
	if n := hub.b.Account(a.Pub).Leafs.Load(); n != 0 {
		t.Errorf("%d links are left in the old account", n)
	}
}

// wantedSubject makes interest at a node and returns its subject.
func wantedSubject(t testing.TB, n *node) string {
	subj := fmt.Sprintf("probe.%d", nodes.Add(1))
	subscribe(t, n.nats(), subj, "")
	return subj
}

// TestLeafAttacks: what must not come in by the leaf listener.
func TestLeafAttacks(t *testing.T) {
	tr := operatortest.New(t)
	a := tr.Account("A")
	a.Claims.Limits.LeafNodeConn = 0
	b := tr.Account("B")
	_, mode := operated(t, tr)
	hub := startNode(t, "hub", listening, mode)
	dir := t.TempDir()
	stranger := operatortest.New(t).Account("C")
	keyOnly := operatortest.NewKey(t, nkeys.PrefixByteUser)
	for name, x := range map[string]struct {
		change func(r *config.LeafRemote)
		want   string
	}{
		"nothing":          {func(*config.LeafRemote) {}, wire.TextAuthViolation},
		"key alone":        {func(r *config.LeafRemote) { r.Seed = config.Secret(keyOnly.Text(t)) }, wire.TextAuthViolation},
		"another operator": {withCreds(write(t, filepath.Join(dir, "1"), stranger.User(nil).Creds(t))), wire.TextAuthViolation},
		"clients only": {withCreds(write(t, filepath.Join(dir, "2"), b.User(nil, func(c *jwt.UserClaims) { c.AllowedConnectionTypes.Add("STANDARD") }).Creds(t))),
			wire.TextAuthViolation},
		"no leaf nodes in the account": {withCreds(write(t, filepath.Join(dir, "3"), a.User(nil).Creds(t))), wire.TextMaxAccountConnections},
		"token with another's key": {withCreds(write(t, filepath.Join(dir, "4"), func() []byte {
			u := b.User(nil)
			return bytes.ReplaceAll(u.Creds(t), []byte(u.Text(t)), []byte(keyOnly.Text(t)))
		}())), wire.TextAuthViolation},
	} {
		edge := startNode(t, "edge", dialing(hub.addr(), x.change), hurried)
		eventually(t, name+": an error at the leaf node", func() bool {
			s := edge.s.Links()
			return len(s) == 1 && strings.Contains(s[0].LastErr, x.want)
		})
		edge.s.Close()
	}
	for _, acc := range []*operatortest.Account{a, b} {
		if n := hub.b.Account(acc.Pub).Leafs.Load(); n != 0 {
			t.Errorf("%d links", n)
		}
	}
}

// memoryConf is a reference server's settings for a tree.
func memoryConf(t testing.TB, tr *operatortest.Tree) string {
	set := tr.Settings()
	var b strings.Builder
	fmt.Fprintf(&b, "operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n", set.JWTs[0], tr.System.Pub)
	for _, p := range set.Preload {
		fmt.Fprintf(&b, "  %s: %s\n", p.Account, p.JWT)
	}
	return b.String() + "}\n"
}

// TestInteropCredentialsUp: our leaf node joins a reference server in operator mode.
func TestInteropCredentialsUp(t *testing.T) {
	tr := operatortest.New(t)
	a, b := tr.Account("A"), tr.Account("B")
	conf, addr := leafListener(t)
	_, ports := reference(t, memoryConf(t, tr)+conf)
	file := write(t, filepath.Join(t.TempDir(), "leaf.creds"), a.User(&a.Signer).Creds(t))
	edge := startNode(t, "edge", dialing(addr, withCreds(file)), hurried)
	their, others, our := connect(t, ports.Client(), asUser(t, a.User(nil))), connect(t, ports.Client(), asUser(t, b.User(nil))), edge.nats()
	in := subscribe(t, our, "x", "")
	publish(t, others, "x", "of another account")
	referenceWants(t, their, in, "x")
	up := subscribe(t, their, "y", "")
	edge.wants("$G", "y")
	publish(t, our, "y", "hello")
	if m := up.get(); string(m.Data) != "hello" {
		t.Errorf("got %q", m.Data)
	}
}

// TestInteropCredentialsDown: a reference server with a credentials file joins our
// hub, in the right account.
func TestInteropCredentialsDown(t *testing.T) {
	tr := operatortest.New(t)
	a, b := tr.Account("A"), tr.Account("B")
	_, mode := operated(t, tr)
	hub := startNode(t, "hub", listening, mode)
	file := write(t, filepath.Join(t.TempDir(), "leaf.creds"), a.User(&a.Signer).Creds(t))
	_, ports := reference(t, hub.remoteConf("credentials: \""+file+"\""))
	their := connect(t, ports.Client())
	in := subscribe(t, their, "x", "")
	hub.wants(a.Pub, "x")
	if hub.b.Account(b.Pub).HasInterest([]byte("x")) {
		t.Error("interest in another account")
	}
	mine := connect(t, "nats://"+hub.c.Addr().String(), asUser(t, a.User(nil)))
	publish(t, mine, "x", "hello")
	if m := in.get(); string(m.Data) != "hello" {
		t.Errorf("got %q", m.Data)
	}
}
