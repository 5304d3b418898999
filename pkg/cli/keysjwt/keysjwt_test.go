package keysjwt

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nats-io/jwt/v2"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/auth/operator"
	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/issuer"
)

func run(t *testing.T, args ...string) (out, errOut string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	d := cli.Daemon{Name: config.Hubd, Short: "x", Keys: Commands}
	code = cli.Execute(context.Background(), d, append([]string{"hubd", "keys"}, args...), strings.NewReader(""), &o, &e)
	return o.String(), e.String(), code
}

func good(t *testing.T, args ...string) string {
	t.Helper()
	out, e, code := run(t, args...)
	if code != cli.ExitOK {
		t.Fatalf("%q: %d, %s", args, code, e)
	}
	return out
}

// login authenticates with a credentials file.
func login(t *testing.T, op *operator.Operator, creds string, kind config.ConnectionType) (*auth.Identity, error) {
	t.Helper()
	b, err := os.ReadFile(creds)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.ParseDecoratedJWT(b)
	if err != nil {
		t.Fatal(err)
	}
	kp, err := jwt.ParseDecoratedUserNKey(b)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := kp.Sign([]byte("nonce"))
	if err != nil {
		t.Fatal(err)
	}
	return op.Authenticate(&auth.Credentials{
		Kind: kind, JWT: token, Sig: base64.RawURLEncoding.EncodeToString(sig), Nonce: "nonce", Remote: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)},
	})
}

// TestFromNothing: what the commands make serves as it is.
func TestFromNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first := good(t, "operator", "--dir", dir, "--name", "Example", "--json")
	var results []issuer.Result
	for _, l := range strings.Split(strings.TrimSpace(first), "\n") {
		var r issuer.Result
		if err := json.Unmarshal([]byte(l), &r); err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	if len(results) != 3 || results[0].Kind != "operator" || results[1].Name != "SYS" || results[2].Creds == "" {
		t.Fatalf("%+v", results)
	}
	good(t, "account", "--dir", dir, "--name", "ACME")
	out := good(t, "user", "--dir", dir, "--account", "ACME", "--name", "joe", "--allow-pub", "a.>", "--connection-type", "leafnode")
	again := good(t, "user", "--dir", dir, "--account", "ACME", "--name", "joe")
	if strings.Replace(out, "wrote", "kept", 1) != again {
		t.Errorf("made again:\n%s%s", out, again)
	}
	if o := good(t, "operator", "--dir", dir, "--name", "Other"); strings.Contains(o, "wrote") || !strings.Contains(o, "Example") {
		t.Errorf("made again: %s", o)
	}
	for _, x := range []string{first, out} {
		if strings.Contains(x, "eyJ") || regexp.MustCompile(`\bS[OAU][A-Z2-7]{56}\b`).MatchString(x) {
			t.Errorf("a secret is printed: %s", x)
		}
	}
	filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			t.Error(err)
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			t.Error(err)
			return nil
		}
		if ext := filepath.Ext(path); (ext == ".nk" || ext == ".creds") && fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", path, fi.Mode())
		}
		return nil
	})
	conf := filepath.Join(dir, "hub.conf")
	if err := os.WriteFile(conf, []byte("include resolver.conf\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, warnings, err := config.Load(config.LoadOptions{Daemon: config.Hubd, File: conf})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	op, err := operator.Open(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer op.Close()
	id, err := login(t, op, filepath.Join(dir, "creds", "SYS", "sys.creds"), config.Standard)
	if err != nil || id.Account != c.SystemAccount || id.Account != results[1].Key {
		t.Errorf("%+v, %v", id, err)
	}
	joe := filepath.Join(dir, "creds", "ACME", "joe.creds")
	if _, err := login(t, op, joe, config.Standard); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("joe as a client: %v", err)
	}
	id, err = login(t, op, joe, config.LeafNode)
	if err != nil || !id.Permissions.CanPublish([]byte("a.b")) || id.Permissions.CanPublish([]byte("b")) {
		t.Errorf("%+v, %v", id, err)
	}
	good(t, "user", "--dir", dir, "--account", "ACME", "--name", "joe", "--force")
	if _, err := login(t, op, joe, config.Standard); err != nil {
		t.Errorf("joe made anew: %v", err)
	}
}

func TestWrongUse(t *testing.T) {
	dir := t.TempDir()
	for _, x := range []struct {
		args string
		code int
		want string
	}{
		{"operator", cli.ExitUsage, "--dir and --name are needed"},
		{"account --dir " + dir, cli.ExitUsage, "--dir and --name are needed"},
		{"user --dir " + dir + " --name x", cli.ExitUsage, "--account"},
		{"user --dir " + dir + " --name x --account A --expires 1ms", cli.ExitUsage, "a second or more"},
		{"operator x --dir " + dir, cli.ExitUsage, ""},
		{"account --dir " + dir + " --name A", cli.ExitFailure, "there is no operator"},
		{"user --dir " + dir + " --name x --account A", cli.ExitFailure, "there is no account"},
		{"operator --dir " + dir + " --name ../x", cli.ExitFailure, "name"},
	} {
		out, e, code := run(t, strings.Fields(x.args)...)
		if code != x.code || !strings.Contains(e, x.want) || out != "" {
			t.Errorf("%s: %d %q %q", x.args, code, out, e)
		}
	}
	good(t, "operator", "--dir", dir, "--name", "O")
	good(t, "account", "--dir", dir, "--name", "A")
	for _, bad := range []string{"--allow-pub|a b", "--network|here", "--name|a/b", "--deny-sub|a..b"} {
		flag, value, _ := strings.Cut(bad, "|")
		if _, e, code := run(t, "user", "--dir", dir, "--account", "A", "--name", "u", flag, value); code != cli.ExitFailure || e == "" {
			t.Errorf("%s: %d %s", bad, code, e)
		}
	}
	seed := filepath.Join(dir, "accounts", "A.nk")
	if err := os.WriteFile(seed, []byte("not a seed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, e, code := run(t, "user", "--dir", dir, "--account", "A", "--name", "u"); code != cli.ExitFailure || strings.Contains(e, "not a seed") {
		t.Errorf("%d %s", code, e)
	}
}
