package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"pgregory.net/rapid"

	"github.com/banyanmq/banyan/pkg/auth"
	"github.com/banyanmq/banyan/pkg/cli"
	"github.com/banyanmq/banyan/pkg/config"
	"github.com/banyanmq/banyan/pkg/issuer"
)

const settings = `
cluster { name: sfo, listen: 127.0.0.1:-1 }
accounts {
  ORDERS {
    default_permissions: { publish: { deny: "audit.>" } }
    users: [
      { user: app, password: x, permissions: {
          publish: { allow: ["orders.>", "v2.>", "ask.price"], deny: ["orders.secret.*"] }
          subscribe: { allow: ["orders.*", "jobs workers", "in.>"], deny: ["orders.secret", "jobs other"] } } }
      { user: plain, password: x }
      { user: svc, password: x, permissions: { subscribe: "jobs", allow_responses: { max: 2, expires: "1m" } } }
      { user: edge, password: x, permissions: { publish: {} }, allowed_connection_types: [LEAFNODE] }
    ]
    exports: [ { stream: "orders.>" }, { service: "jobs", accounts: [SHOP] } ]
    imports: [ { service: { account: SHOP, subject: "price.*" }, to: "ask.$1" }, { stream: { account: SHOP, subject: "ev.>" }, prefix: "in" } ]
    mappings: {
      "orders.old": "v2.old"
      "split": [ { destination: "v2.split", weight: 70 }, { destination: "other", weight: 20 } ]
      "canary.*": [ { destination: "canary.$1", weight: 10 } ]
      "here": [ { destination: "v2.sfo", weight: 100, cluster: sfo }, { destination: "other", weight: 100 } ]
    }
  }
  SHOP {
    users: [ { user: shop, password: x } ]
    exports: [ { service: "price.*" }, { stream: "ev.>" } ]
    imports: [ { stream: { account: ORDERS, subject: "orders.>" }, to: "theirs.>" }, { service: { account: ORDERS, subject: "jobs" }, to: "work" } ]
  }
}
no_auth_user: plain
`

// ask runs the command.
func ask(t testing.TB, text string, args ...string) (out string, code int, err error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hubd.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, append([]string{"-c", file}, args...)...)
}

func run(t testing.TB, args ...string) (string, int, error) {
	t.Helper()
	root := &cobra.Command{Use: "hubd", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Command("hubd", config.Hubd))
	var b bytes.Buffer
	root.SetOut(&b)
	root.SetErr(&b)
	root.SetArgs(append([]string{"access"}, args...))
	err := root.Execute()
	return b.String(), cli.ExitCode(err), err
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says []string
	}{
		{"--user app --publish orders.new", 0, []string{`allowed: user "app" of account "ORDERS" may publish to "orders.new"`, `publish.allow entry "orders.>" in the permissions of user "app"`,
			`goes on to account "SHOP" as "theirs.new", by its import of stream "orders.>"`}},
		{"--user app --publish orders.secret.x", 6, []string{`denied: user "app" of account "ORDERS" may not publish to "orders.secret.x"`, `publish.deny entry "orders.secret.*"`}},
		{"--user app --publish elsewhere", 6, []string{`no entry of publish.allow in the permissions of user "app" matches: "orders.>", "v2.>", "ask.price"`}},
		{"--user app --publish orders.old", 0, []string{`mapping of "orders.old" comes first`, `"v2.old", 100% of the messages: allowed by publish.allow entry "v2.>"`}},
		{"--user app --publish split", 6, []string{`"v2.split", 70% of the messages: allowed`, `"other", 20% of the messages: denied by no entry`, `"split", 10% of the messages: denied`}},
		{"--user plain --publish canary.a", 0, []string{`"canary.a", 10% of the messages: allowed`, "90% of the messages are dropped"}},
		{"--user app --publish here", 0, []string{`"v2.sfo", 100% of the messages: allowed`}},
		{"--user app --publish here --cluster ams", 6, []string{`"other", 100% of the messages: denied`}},
		{"--user app --publish ask.price", 0, []string{`goes on to account "SHOP" as request "price.price", by an import of its service "price.*"`}},
		{"--user plain --publish audit.x", 6, []string{`publish.deny entry "audit.>" in default_permissions of account "ORDERS"`}},
		{"--user plain --publish x", 0, []string{`no entry of publish.deny in default_permissions of account "ORDERS" matches`}},
		{"--publish x", 0, []string{`user "plain"`, "who connects without a name is user \"plain\" (no_auth_user)"}},
		{"--user svc --publish x", 6, []string{"nothing but answers", "may be published to 2 times within 1m0s (allow_responses)"}},
		{"--user edge --publish x", 0, []string{`nothing in the permissions of user "edge" restricts publishing`, "may connect as [LEAFNODE] only"}},
		{"--user shop --publish x", 0, []string{`nothing restricts user "shop"`}},
		{"--user shop --publish $NRG.x", 6, []string{"in the system account only"}},
		{"--user shop --publish _GR_.x", 6, []string{"for gateways"}},

		{"--user app --subscribe orders.*", 0, []string{`subscribe.allow entry "orders.*"`, `messages that match subscribe.deny entry "orders.secret" are kept from it`}},
		{"--user app --subscribe orders.>", 6, []string{`subscribe.allow entry "orders.*" in the permissions of user "app" covers only a part of "orders.>"`}},
		{"--user app --subscribe orders.secret", 6, []string{`subscribe.deny entry "orders.secret"`}},
		{"--user app --subscribe jobs", 6, []string{`subscribe.allow entry "jobs workers" in the permissions of user "app" is for its queue only`}},
		{"--user app --subscribe jobs --queue workers", 0, []string{`may subscribe to "jobs" in queue "workers"`, `subscribe.allow entry "jobs workers"`, `gets requests of account "SHOP" on "work" there, by its import of service "jobs"`}},
		{"--user app --subscribe jobs --queue some", 6, []string{"is for another queue"}},
		{"--user app --subscribe jobs --queue other", 6, []string{`subscribe.deny entry "jobs other"`}},
		{"--user app --subscribe in.ev.a", 0, []string{`gets messages of account "SHOP" on "ev.>" as "in.ev.>", by an import of its stream "ev.>"`}},
		{"--user shop --subscribe x --queue _sys_", 6, []string{"reserved"}},
		{"--user plain --subscribe >", 0, []string{`nothing in default_permissions of account "ORDERS" restricts subscribing`}},
	} {
		out, code, err := ask(t, settings, strings.Fields(c.args)...)
		if code != c.code {
			t.Errorf("%s: exit %d (%v), want %d:\n%s", c.args, code, err, c.code, out)
		}
		for _, s := range c.says {
			if !strings.Contains(out, s) {
				t.Errorf("%s: no %q in:\n%s", c.args, s, out)
			}
		}
	}
}

func TestWrongQuestions(t *testing.T) {
	for args, want := range map[string]string{
		"--user nobody --publish x":                  `no such user: "nobody"; known are "app", "plain", "svc", "edge", "shop"`,
		"--user app --account SHOP --publish x":      `"app" in account "SHOP"`,
		"--user app":                                 "one of --publish SUBJECT and --subscribe SUBJECT is needed",
		"--user app --publish x --subscribe y":       "one of",
		"--user app --publish x --queue y":           "--queue is for --subscribe",
		"--user app --creds x --publish y":           "give one of them",
		"--creds x --publish y":                      "no operators",
		"--user app --publish a..b":                  "no subject that can be published to",
		"--user app --publish a.*":                   "no subject that can be published to",
		"--user app --subscribe a.>.b":               "no subject that can be subscribed to",
		"--user app --publish x extra":               "unknown command",
		"--user app --publish x --config-format foo": "foo",
	} {
		out, code, err := ask(t, settings, strings.Fields(args)...)
		if err == nil || code == 0 || code == 6 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: exit %d, want %q: %v\n%s", args, code, want, err, out)
		}
	}
	if _, _, err := ask(t, "authorization { user: a, password: b }", "--publish", "x"); !errors.Is(err, errNobody) {
		t.Error(err)
	}
	if out, code, _ := ask(t, "", "--publish", "x"); code != 0 || !strings.Contains(out, `who connects without a name of account "$G" may publish`) {
		t.Errorf("an open server: %s", out)
	}
}

func TestJSON(t *testing.T) {
	out, code, _ := ask(t, settings, "--user", "app", "--publish", "split", "--json")
	var a Answer
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != 6 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if a.Allowed || a.User != "app" || a.Account != "ORDERS" || a.Action != "publish" || a.Mapping != "split" || len(a.Outcomes) != 3 || !a.Outcomes[0].Allowed || a.Outcomes[1].Weight != 20 {
		t.Errorf("%+v", a)
	}
}

func TestCredentials(t *testing.T) {
	// As "keys operator", "keys account" and "keys user" make them.
	dir := t.TempDir()
	operatorFiles(t, dir)
	conf := filepath.Join(dir, "hubd.conf")
	if err := os.WriteFile(conf, []byte("include \"resolver.conf\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	creds := filepath.Join(dir, "creds", "APP", "orders.creds")
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"--publish orders.new":    {0, `publish.allow entry "orders.>" in the token of user "orders"`},
		"--publish other":         {6, "no entry of publish.allow"},
		"--subscribe orders.>":    {0, "restricts subscribing|nothing restricts|subscribe"},
		"--publish x --account A": {1, ""},
	} {
		out, code, err := run(t, append([]string{"-c", conf, "--creds", creds}, strings.Fields(args)...)...)
		if code != want.code || !regexp.MustCompile(want.says).MatchString(out) {
			t.Errorf("%s: exit %d (%v), want %d and %q:\n%s", args, code, err, want.code, want.says, out)
		}
	}
	if _, code, err := run(t, "-c", conf, "--user", "a", "--publish", "x"); code != 1 || !strings.Contains(err.Error(), "say --creds FILE") {
		t.Errorf("exit %d: %v", code, err)
	}
	// A token of somebody else's operator.
	other := t.TempDir()
	operatorFiles(t, other)
	if _, code, err := run(t, "-c", conf, "--creds", filepath.Join(other, "creds", "APP", "orders.creds"), "--publish", "orders.new"); code != 1 || !strings.Contains(err.Error(), "may not connect") {
		t.Errorf("exit %d: %v", code, err)
	}
}

func operatorFiles(t *testing.T, dir string) {
	t.Helper()
	store := issuer.Store{Dir: dir}
	if _, err := store.Operator("O"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Account("APP"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.User(issuer.User{Account: "APP", Name: "orders", AllowPub: []string{"orders.>"}}); err != nil {
		t.Fatal(err)
	}
}

// TestWordsFitTheVerdict: what is said of the lists is what pkg/auth decides by.
func TestWordsFitTheVerdict(t *testing.T) {
	token := rapid.SampledFrom([]string{"a", "b", "*"})
	pattern := rapid.Custom(func(t *rapid.T) string {
		s := strings.Join(rapid.SliceOfN(token, 1, 3).Draw(t, "tokens"), ".")
		if rapid.Bool().Draw(t, "tail") {
			s += ".>"
		}
		return s
	})
	qualified := rapid.Custom(func(t *rapid.T) string {
		s := pattern.Draw(t, "subject")
		if q := rapid.SampledFrom([]string{"", "q", "r.*"}).Draw(t, "queue"); q != "" {
			s += " " + q
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		p := &config.Permissions{
			Publish:   config.SubjectPermission{Allow: rapid.SliceOfN(pattern, 0, 3).Draw(t, "pub allow"), Deny: rapid.SliceOfN(pattern, 0, 2).Draw(t, "pub deny")},
			Subscribe: config.SubjectPermission{Allow: rapid.SliceOfN(qualified, 0, 3).Draw(t, "sub allow"), Deny: rapid.SliceOfN(qualified, 0, 2).Draw(t, "sub deny")},
		}
		if rapid.Bool().Draw(t, "responses") {
			p.AllowResponses = &config.ResponsePermission{}
		}
		who := &Who{User: "u", Account: "A", Permissions: p, Whose: "HERE"}
		perms := auth.NewPermissions(p)
		subj := strings.ReplaceAll(pattern.Draw(t, "publish"), "*", "b")
		subj = strings.TrimSuffix(subj, ".>")
		said := regexp.MustCompile(`^publish.allow entry|^no entry of publish.deny|^nothing HERE`).MatchString(publishRule(who, subj))
		if want := perms.CanPublish([]byte(subj)); want != said {
			t.Fatalf("publish %s: %v, but %q", subj, want, publishRule(who, subj))
		}
		sub, queue := pattern.Draw(t, "subscribe"), rapid.SampledFrom([]string{"", "q", "r.x", "z"}).Draw(t, "in")
		var q []byte
		if queue != "" {
			q = []byte(queue)
		}
		rule := subscribeRule(who, sub, queue)
		said = regexp.MustCompile(`^subscribe.allow entry "[^"]*" HERE$|^no entry of subscribe.deny|^nothing HERE`).MatchString(rule)
		if want := perms.CanSubscribe([]byte(sub), q); want != said {
			t.Fatalf("subscribe %s %s: %v, but %q", sub, queue, want, rule)
		}
	})
}
