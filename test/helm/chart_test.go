package helm

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden: every set renders to what somebody has looked at.
func TestGolden(t *testing.T) {
	all := sets(t)
	if len(all) < 12 {
		t.Errorf("only %d sets", len(all))
	}
	seen := map[string]bool{}
	for _, s := range all {
		seen[s.name+".yaml"] = true
		t.Run(s.name, func(t *testing.T) {
			r, err := render("banyan", s.values)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata/golden", s.name+".yaml")
			if *update {
				if err := os.WriteFile(golden, r.text(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatalf("%v; go test -run TestGolden -update makes it", err)
			}
			if got := r.text(); !bytes.Equal(got, want) {
				t.Errorf("%s is not what is rendered; look at git diff after go test -run TestGolden -update:\n%s", golden, firstDifference(got, want))
			}
		})
	}
	files, err := filepath.Glob("testdata/golden/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !seen[filepath.Base(f)] {
			t.Errorf("%s belongs to no set", f)
		}
	}
}

func firstDifference(got, want []byte) string {
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			end := min(i+5, len(g))
			return "got:  " + strings.Join(g[i:end], "\n      ") + "\nwant: " + strings.Join(w[min(i, len(w)):min(i+5, len(w))], "\n      ")
		}
	}
	return "got less than wanted"
}

// TestLint: helm lint has nothing to say, with each set.
func TestLint(t *testing.T) {
	for _, s := range sets(t) {
		result := lint.AllWithKubeVersion(chartDir, s.values, "default", nil)
		for _, m := range result.Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %s", s.name, m)
			}
		}
	}
}

// TestCopies: a chart can only read files below itself, so that two are there twice.
func TestCopies(t *testing.T) {
	for chart, source := range map[string]string{"files/alerts.yaml": "../../configs/prometheus/alerts.yaml", "files/banyan.json": "../../configs/grafana/banyan.json"} {
		a, err := os.ReadFile(filepath.Join(chartDir, chart))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from %s: run make chart-files", chart, source)
		}
	}
	r, err := render("banyan", parseValues(t, "metrics: {dashboards: {enabled: true}, rules: {enabled: true}}"))
	if err != nil {
		t.Fatal(err)
	}
	board, err := os.ReadFile(filepath.Join(chartDir, "files/banyan.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.find("ConfigMap", "banyan-dashboards").typed.(*corev1.ConfigMap).Data["banyan.json"]; got != string(board) {
		t.Error("the dashboard was changed on its way")
	}
	var alerts prometheusRule
	text, err := os.ReadFile(filepath.Join(chartDir, "files/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &alerts.Spec); err != nil {
		t.Fatal(err)
	}
	rules := r.find("PrometheusRule", "banyan").typed.(*prometheusRule)
	if len(rules.Spec.Groups) != 1 || len(rules.Spec.Groups[0].Rules) != len(alerts.Spec.Groups[0].Rules) || len(rules.Spec.Groups[0].Rules) < 10 {
		t.Errorf("%d groups of alerts", len(rules.Spec.Groups))
	}
}

// TestRefused: what is wrong with values is said in words.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ name, values, want string }{
		// typing errors
		{"top", "hubs: {}", "additional properties 'hubs' not allowed"},
		{"block", "config: {clutser: {enabled: true}}", "at '/config': additional properties 'clutser' not allowed"},
		{"key", "config: {cluster: {replica: 5}}", "at '/config/cluster': additional properties 'replica' not allowed"},
		{"tls", "config: {nats: {tls: {secret: x}}}", "at '/config/nats/tls': additional properties 'secret' not allowed"},
		{"probe", "container: {readinessProbe: {period: 3}}", "at '/container/readinessProbe': additional properties 'period' not allowed"},
		{"remote", "config: {gateway: {remotes: [{name: ams, url: nats://a:7222}]}}", "at '/config/gateway/remotes/0'"},
		{"kind", "gwd: {kind: ReplicaSet}", "at '/gwd/kind': value must be one of 'Deployment', 'StatefulSet'"},
		{"port", "config: {nats: {port: 70000}}", "at '/config/nats/port': maximum: got 70,000, want 65,535"},
		{"type", "config: {cluster: {replicas: three}}", "at '/config/cluster/replicas': got string, want integer"},
		{"duration", "drain: {duration: 30}", "at '/drain/duration': got number, want string"},
		{"password in a URL", "config: {gateway: {remotes: [{name: ams, urls: ['nats://u:p@gw:7222']}]}}", "at '/config/gateway/remotes/0/urls/0': 'nats://u:p@gw:7222' does not match pattern"},
		{"patch", "statefulSet: {patch: [{op: set, path: /a}]}", "at '/statefulSet/patch/0/op': value must be one of 'add', 'replace', 'remove'"},
		// contradictions
		{"streams", "config: {jetstream: {enabled: true}}", "config.jetstream.enabled: hubd has no streams yet"},
		{"streams, merged", "config: {merge: {jetstream: {}}}", "config.merge.jetstream: hubd has no streams yet"},
		{"mqtt", "config: {mqtt: {enabled: true}}", "hubd does not speak MQTT yet"},
		{"exporter", "promExporter: {enabled: true, port: 7777}", "set metrics.podMonitor.enabled instead"},
		{"reloader", "reloader: {enabled: true, image: {tag: 0.23.0}}", "the daemons watch their files themselves"},
		{"native gateway", "config: {merge: {gateway: {name: sfo}}}", "gateways are gwd's affair here"},
		{"no certificate", "config: {nats: {tls: {enabled: true}}}", "config.nats.tls.enabled wants a certificate: set config.nats.tls.secretName"},
		{"no issuer", "config: {nats: {tls: {enabled: true, certManager: {enabled: true}}}}", "which Issuer or ClusterIssuer is to sign?"},
		{"no regions", "config: {gateway: {enabled: true}}", "config.gateway.remotes: which regions are there?"},
		{"no address", "config: {gateway: {enabled: true, remotes: [{name: ams, urls: ['nats://a:7222']}]}}", "under which host:port do other regions reach this one?"},
		{"only itself", "config: {cluster: {name: ams}, gateway: {enabled: true, advertise: 'a:7222', remotes: [{name: ams, urls: ['nats://a:7222']}]}}", "ams is this region itself"},
		{"names differ", "config: {cluster: {name: sfo}, gateway: {enabled: true, name: ams, advertise: 'a:7222', remotes: [{name: sgp, urls: ['nats://a:7222']}]}}", "config.gateway.name ams and config.cluster.name sfo have to be equal"},
		{"pod names", "config: {gateway: {enabled: true, advertise: '$(POD_NAME).x:7222', remotes: [{name: sgp, urls: ['nats://a:7222']}]}}", "set gwd.kind: StatefulSet"},
		{"gateway alone", "config: {cluster: {enabled: false}, gateway: {enabled: true}}", "gwd joins the hubs by routes"},
		{"host port without an address", "config: {gateway: {enabled: true, remotes: [{name: ams, urls: ['nats://a:7222']}]}}\ngwd: {container: {hostPort: {enabled: true}}}", "under which host:port do other regions reach this one?"},
		{"hubless gateway", "hubd: {enabled: false}\nconfig: {gateway: {enabled: true, advertise: 'a:7222', remotes: [{name: ams, urls: ['nats://a:7222']}]}}", "config.gateway.enabled wants hubd.enabled"},
		{"nothing", "hubd: {enabled: false}", "without hubs there is only leafd"},
		{"leafd without any hubs", "hubd: {enabled: false}\nconfig: {leafnodes: {enabled: true}}\nleafd: {enabled: true}", "leafd.upstreams: which hubs are to be dialed?"},
		{"leafd without authority", "config: {leafnodes: {enabled: true, tls: {enabled: true, secretName: t}}}\nleafd: {enabled: true}", "leafd wants tlsCA"},
		{"metrics without authority", "config: {nats: {tls: {enabled: true, secretName: t}}, monitor: {tls: {enabled: true}}}\nmetrics: {podMonitor: {enabled: true}}", "metrics with config.monitor.tls.enabled wants tlsCA"},
		{"leafd without hubs", "leafd: {enabled: true}", "leafd.upstreams: which hubs are to be dialed?"},
		{"short drain", "drain: {duration: 10s}", "drain.duration: 10s is too short, 30s is the least"},
		{"long grace", "drain: {duration: 30s, grace: 1m}", "drain.grace: 1m has to be below drain.duration"},
		{"both monitors", "metrics: {podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}", "would scrape everything twice"},
		{"closed port", "extraServices: {leafs: {type: LoadBalancer, ports: [leafnodes]}}", "leafnodes is not open: set config.leafnodes.enabled"},
		{"no ingress hosts", "config: {websocket: {enabled: true, ingress: {enabled: true}}}", "under which names?"},
		// secrets in ConfigMaps
		{"password", "config: {merge: {accounts: {APP: {users: [{user: app, password: s3cret}]}}}}", "a secret would stand in a ConfigMap in clear:\n  accounts.APP.users[0].password"},
		{"token", "config: {merge: {authorization: {token: s3cret}}}", "authorization.token"},
		{"number", "config: {merge: {accounts: {APP: {users: [{user: app, password: 12345678}]}}}}", "accounts.APP.users[0].password"},
		{"leafd's number", "leafd: {enabled: true, upstreams: [{urls: ['nats://h:7422']}], config: {auth: {token: 1234}}}", "leafd.yaml.auth.token"},
		{"token in a URL", "config: {leafnodes: {merge: {remotes: [{urls: ['nats://T0KEN@h:7422']}]}}}", "leafnodes.remotes[0].urls[0]"},
		{"url", "config: {leafnodes: {merge: {remotes: [{urls: ['nats://u:p@h:7422']}]}}}", "leafnodes.remotes[0].urls[0]"},
		{"gwd's", "config: {gateway: {enabled: true, advertise: 'a:7222', remotes: [{name: sgp, urls: ['nats://a:7222']}]}}\ngwd: {config: {gateway: {user: g, password: s3cret}}}", "gwd.yaml.gateway.password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := render("banyan", parseValues(t, c.values))
			if err == nil {
				t.Fatalf("not refused: %s", c.values)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s:\n%v\nwant %q", c.values, err, c.want)
			}
		})
	}
}

// TestSchemaCoversValues: what values.yaml has, the schema knows, and the other way round.
func TestSchemaCoversValues(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := yaml.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	values, err := chartutil.ReadValuesFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	// Names that stand for what the other chart's users may bring, or that values.yaml shows in a comment.
	only := []string{"config.jetstream.fileStore.enabled", "config.jetstream.fileStore.maxSize", "config.jetstream.memoryStore", "config.jetstream.merge", "config.jetstream.patch",
		"config.mqtt.port", "config.mqtt.tls", "config.mqtt.merge", "config.mqtt.patch"}
	leaves := []string{"resources", "issuerRef", "startupProbe", "readinessProbe", "livenessProbe"}
	var walk func(path string, schema map[string]any, value any)
	walk = func(path string, s map[string]any, value any) {
		if name, ok := s["$ref"].(string); ok {
			s = schema["definitions"].(map[string]any)[strings.TrimPrefix(name, "#/definitions/")].(map[string]any)
		}
		properties, _ := s["properties"].(map[string]any)
		m, _ := value.(map[string]any)
		last := path[strings.LastIndexByte(path, '.')+1:]
		if properties == nil || slices.Contains(leaves, last) || strings.HasPrefix(path, "service.ports.") {
			return
		}
		for k, v := range m {
			p, ok := properties[k].(map[string]any)
			if !ok {
				t.Errorf("values.yaml has %s.%s, which the schema does not know", path, k)
				continue
			}
			walk(strings.TrimPrefix(path+"."+k, "."), p, v)
		}
		for k := range properties {
			full := strings.TrimPrefix(path+"."+k, ".")
			if _, ok := m[k]; !ok && !slices.Contains(only, full) {
				t.Errorf("the schema knows %s, which values.yaml does not show", full)
			}
		}
	}
	walk("", schema, map[string]any(values))
}
