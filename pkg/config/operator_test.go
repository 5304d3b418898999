package config

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
)

func key(t *testing.T, kind nkeys.PrefixByte) string {
	t.Helper()
	kp, err := nkeys.CreatePair(kind)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// unsigned is a token with these claims; settings do not look at signatures.
func unsigned(claims string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(`{"typ":"JWT","alg":"ed25519-nkey"}`)) + "." + e([]byte(claims)) + "." + e([]byte("sig"))
}

// TestOperatorFiles: the three files that nsc generates, and what YAML says for
// the same.
func TestOperatorFiles(t *testing.T) {
	sys, acc := key(t, nkeys.PrefixByteAccount), key(t, nkeys.PrefixByteAccount)
	op := unsigned(`{"nats":{"system_account":"` + sys + `"}}`)
	a, b := unsigned(`{"sub":"`+sys+`"}`), unsigned(`{"sub":"`+acc+`"}`)
	dir := t.TempDir()
	file := filepath.Join(dir, "op.jwt")
	if err := os.WriteFile(file, []byte("-----BEGIN NATS OPERATOR JWT-----\n"+op+"\n------END NATS OPERATOR JWT------\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func(name, content string) *Config {
		t.Helper()
		c, _, err := Load(LoadOptions{Daemon: Hubd, File: name, content: []byte(content)})
		if err != nil {
			t.Fatalf("%s: %v", content, err)
		}
		if !c.InOperatorMode() || !c.AuthRequired() || c.SystemAccount != sys || c.Operator.JWTs[0] != op {
			t.Fatalf("%s: %+v, system account %s", content, c.Operator, c.SystemAccount)
		}
		return c
	}
	for _, name := range []string{op, file} {
		c := load("mem.conf", "operator: "+name+"\nsystem_account: "+sys+"\nresolver: MEMORY\nresolver_preload: {\n  // Account \"SYS\"\n  "+sys+": "+a+"\n  // Account \"A\"\n  "+acc+": "+b+"\n}\n")
		if o := c.Operator; o.Resolver.Kind != ResolverMemory || len(o.Preload) != 2 || o.Preload[1] != (AccountJWT{acc, b}) {
			t.Errorf("%+v", o)
		}
	}
	c := load("full.conf", "# operator\noperator: "+op+"\nsystem_account: "+sys+"\nresolver {\n  type: full\n  dir: './jwt'\n  allow_delete: false\n  interval: \"2m\"\n  timeout: \"1.9s\"\n}\nresolver_preload: {\n  "+sys+": "+a+",\n}\n")
	if r := c.Operator.Resolver; r.Kind != ResolverFull || r.Dir != "./jwt" || r.Interval.String() != "2m0s" || r.Timeout != DefaultResolverTimeout || r.Limit != 0 {
		t.Errorf("%+v", r)
	}
	c = load("cache.conf", "operator: ["+op+"]\nresolver { type: cache, dir: \"jwt\", ttl: \"1h\", timeout: \"1.9s\" }\n")
	if r := c.Operator.Resolver; r.Kind != ResolverCache || r.TTL.String() != "1h0m0s" || r.Limit != DefaultResolverCache {
		t.Errorf("%+v", r)
	}
	c = load("url.conf", "operator: "+op+"\nresolver: URL(http://localhost:9090/jwt/v1/accounts/)\n")
	if r := c.Operator.Resolver; r.Kind != ResolverURL || r.URL != "http://localhost:9090/jwt/v1/accounts/" {
		t.Errorf("%+v", r)
	}
	c = load(filepath.Join(dir, "a.yaml"), "auth:\n  operator: op.jwt\n  resolver: {type: full, dir: jwt}\n  resolver_preload: [{account: "+sys+", jwt: "+a+"}]\n")
	if r := c.Operator.Resolver; r.Dir != filepath.Join(dir, "jwt") || r.Interval != DefaultResolverInterval || len(c.Operator.Preload) != 1 {
		t.Errorf("%+v", c.Operator)
	}
	op = unsigned(`{"nats":{"system_account":"` + sys + `","account_server_url":"http://localhost:9090/jwt/v1"}}`)
	c = load("server.conf", "operator: "+op+"\n")
	if r := c.Operator.Resolver; r.Kind != ResolverURL || r.URL != "http://localhost:9090/jwt/v1/accounts/" {
		t.Errorf("%+v", r)
	}
}

func TestOperatorRefusals(t *testing.T) {
	sys := key(t, nkeys.PrefixByteAccount)
	op := unsigned(`{"nats":{"system_account":"` + sys + `"}}`)
	trusted := key(t, nkeys.PrefixByteOperator)
	head := "operator: " + op + "\nresolver: MEM\n"
	for content, want := range map[string]string{
		"operator: " + op:          "operators require an account resolver to be configured",
		head + "accounts { A {} }": "operators do not allow Accounts to be configured directly",
		head + "authorization { users: [{user: a, pass: b}] }":                  "operators do not allow users to be configured directly",
		head + "trusted_keys: " + trusted:                                       "conflicting options for 'TrustedKeys' and 'TrustedOperators'",
		head + "system_account: AAA":                                            "system_account in config and operator JWT must be identical",
		head + "resolver_pinned_accounts: [foo]":                                `pinned account key "foo" is not a valid public account nkey`,
		head + "no_auth_user: x":                                                "no_auth_user not compatible with Trusted Operator",
		head + "leafnodes { port: -1, authorization { user: a, password: b } }": "operator mode does not allow specifying users in leafnode config",
		head + "leafnodes { remotes: [{url: \"nats://127.0.0.1:1\"}] }":         "operator mode requires account nkeys in remotes.",
		"trusted_keys: " + trusted + "\nresolver { type: full, dir: x }":        "using nats based account resolver - the system account needs to be specified in configuration or the operator jwt",
		"trusted_keys: XYZ":                                                     `trust key "XYZ" is required to be a valid public operator nkey`,
		"default_sentinel: " + op:                                               "default sentinel requires operators and accounts",
		"resolver: foo":                                                         badResolver,
		"resolver { type: full }":                                               "dir has no value and needs to point to a directory",
		"resolver { type: full, dir: x, ttl: \"1h\" }":                          "FULL does not accept ttl",
		"resolver { type: full, dir: x, hard_delete: true }":                    "hard_delete has no effect without delete",
		"resolver { type: cache, dir: x, interval: \"1m\" }":                    "CACHE does not accept sync",
		"resolver { type: cache, dir: x, allow_delete: true }":                  "CACHE does not accept allow_delete",
		"resolver { type: cache, dir: x, hard_delete: true }":                   "CACHE does not accept hard_delete",
		"resolver { type: cache, dir: operator_test.go }":                       "dir needs to point to an accessible directory",
		"operator: " + op + "\nresolver: URL(http://127.0.0.1:1/)\nresolver_preload { " + sys + ": " + op + " }": "resolver preloads only available for writeable resolver types MEM/DIR/CACHE_DIR",
	} {
		_, _, err := Load(LoadOptions{Daemon: Hubd, File: "a.conf", content: []byte(content)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %s", content, err, want)
		}
		if err != nil && strings.Contains(err.Error(), op) {
			t.Errorf("%.60s: the error repeats a token", content)
		}
	}
}

// TestSeedsAreNotRepeated: a seed in the place of a public key does not get into a
// message.
func TestSeedsAreNotRepeated(t *testing.T) {
	kp, err := nkeys.CreateOperator()
	if err != nil {
		t.Fatal(err)
	}
	b, err := kp.Seed()
	if err != nil {
		t.Fatal(err)
	}
	seed := string(b)
	head := "operator: " + unsigned(`{}`) + "\nresolver: MEM\n"
	for _, content := range []string{
		"operator: " + seed, "trusted_keys: [" + seed + "]", "resolver_preload { " + seed + ": eyJ }",
		head + "resolver_pinned_accounts: [" + seed + "]", "authorization { users: [{nkey: " + seed + "}] }",
		"accounts { A { nkey: " + seed + " } }", "default_sentinel: " + seed, "leafnodes { authorization { nkey: " + seed + " } }",
	} {
		_, _, err := Load(LoadOptions{Daemon: Hubd, File: "a.conf", content: []byte(content)})
		if err == nil || strings.Contains(err.Error(), seed) {
			t.Errorf("%.30s: %v", content, err)
		}
	}
}
