package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"pgregory.net/rapid"
)

func TestNormalizeArgs(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"-js", "--js"},
		{"-sd=/x -js=false", "--sd=/x --js=false"},
		{"-sd /x -DV", "--sd /x --DV"},
		{"-sl=ldm=/var/run/x.pid", "--sl=ldm=/var/run/x.pid"},
		{"-p -1 -m -1 -port -1", "-p -1 -m -1 --port -1"},
		{"--p=1 --c f", "-p=1 -c f"},
		{"-l -js -D", "-l -js -D"},
		{"-VV -V -T=false", "--VV -V -T=false"},
		{"-nope x", "-nope x"},
		{"run -js pub -js", "run --js pub -js"},
		{"check -config a.conf", "check --config a.conf"},
		{"pub -js", "pub -js"},
		{"-- -js", "-- -js"},
		{"--cluster-pool-size -1 -js", "--cluster-pool-size -1 --js"},
		{"--clients-no-headers -js", "--clients-no-headers --js"},
		{"-c f -cluster_name -js -routes a", "-c f --cluster_name -js --routes a"},
		{"--user a --pass b -tls -tlscert=c", "--user a --pass b --tls --tlscert=c"},
	} {
		if got := strings.Join(NormalizeArgs(strings.Fields(c.in)), " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

// TestReferenceFlags: every flag, in each of its forms, reaches the settings.
func TestReferenceFlags(t *testing.T) {
	samples := map[string]string{"config": "", "addr": "127.0.0.1", "net": "127.0.0.1", "port": "-1", "http_port": "-1", "https_port": "-1", "ms": "-1", "profile": "-1", "log_size_limit": "5", "max_traced_msg_len": "5",
		"connect_retries": "5", "remote_syslog": "udp://h:514", "routes": "nats://a:1", "cluster": "nats://127.0.0.1:-1", "cluster_listen": "nats://127.0.0.1:-1", "client_advertise": "h:1"}
	for _, f := range referenceFlags() {
		for i, name := range f.names {
			value := samples[name]
			if value == "" {
				value = "x"
			}
			forms := [][]string{{"-" + name, value}, {"--" + name, value}, {"-" + name + "=" + value}, {"--" + name + "=" + value}}
			if f.boolean {
				forms = [][]string{{"-" + name}, {"--" + name}, {"-" + name + "=true"}, {"--" + name + "=true"}}
			}
			if i == 0 && f.short != "" {
				forms = append(forms, []string{"-" + f.short + "=" + map[bool]string{true: "true", false: value}[f.boolean]})
			}
			for _, form := range forms {
				fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
				RegisterFlags(fs, Hubd)
				if err := fs.Parse(NormalizeArgs(form)); err != nil {
					t.Errorf("%v: %v", form, err)
					continue
				}
				set := 0
				fs.Visit(func(f *pflag.Flag) {
					if slices.Contains([]string{value, "true"}, f.Value.String()) {
						set++
					}
				})
				if set != 1 || fs.NArg() != 0 {
					t.Errorf("%v: %d flags set, %v left", form, set, fs.Args())
				}
			}
		}
	}
}

func TestRedactArgs(t *testing.T) {
	in := "hubd --user a --pass=b -auth c --routes nats://u:p@h:1,nats://h:2 -cluster=nats://u:p@h:1 -p 1 --auth-password x --cluster-password=y --monitor-auth-token z -s nats://u:p@h -s --pass w"
	want := "hubd --user [REDACTED] --pass=[REDACTED] -auth [REDACTED] --routes nats://[REDACTED]@h:1,nats://h:2 -cluster=nats://[REDACTED]@h:1 -p 1 --auth-password [REDACTED] --cluster-password=[REDACTED] --monitor-auth-token [REDACTED] -s nats://[REDACTED]@h -s --pass [REDACTED]"
	if got := strings.Join(RedactArgs(strings.Fields(in)), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestEditDistance: a metric, and zero only for equal words.
func TestEditDistance(t *testing.T) {
	word := rapid.StringMatching(`[a-d]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		d := editDistance(a, b)
		if d != editDistance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) {
			t.Fatalf("distance of %q and %q is %d", a, b, d)
		}
	})
	if d := editDistance("lsiten", "listen"); d != 1 {
		t.Errorf("a swap counts %d", d)
	}
}
