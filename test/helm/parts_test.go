package helm

import (
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

// TestMonitorNames: over TLS each kind of daemon is expected to show its own name, which cert-manager writes into its
// certificate, and leafd is asked in clear.
func TestMonitorNames(t *testing.T) {
	r, err := render("banyan", readValues(t, "testdata/values/monitor-tls.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, e := range r.find("ServiceMonitor", "banyan").typed.(*serviceMonitor).Spec.Endpoints {
		keep := e.Relabelings[0]
		if keep.Action != "keep" || e.Port != "monitor" {
			t.Errorf("%s: %v", e.Port, e.Relabelings)
		}
		if e.Scheme == "https" {
			seen[keep.Regex] = e.TLSConfig.ServerName
		} else {
			seen[keep.Regex] = "clear"
		}
	}
	if len(seen) != 3 || seen["leafd"] != "clear" {
		t.Errorf("scraped as %v", seen)
	}
	for component, name := range map[string]string{"hubd": "banyan-nats", "gwd": "banyan-gateway"} {
		spec := r.find("Certificate", name).typed.(*certificate).Spec
		if !slices.Contains(slices.Concat(spec.DNSNames, spec.IPAddresses), seen[component]) {
			t.Errorf("%s is asked for %q, its certificate has %v and %v", component, seen[component], spec.DNSNames, spec.IPAddresses)
		}
		if slices.ContainsFunc(spec.DNSNames, func(n string) bool { return strings.Contains(n, ":") }) {
			t.Errorf("%s: an address among %v", name, spec.DNSNames)
		}
	}
}

// TestLeafdAlone: without hubs nothing is left but leafd and what watches it.
func TestLeafdAlone(t *testing.T) {
	r, err := render("banyan", readValues(t, "testdata/values/leafd-alone.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range r.objects {
		got = append(got, o.kind+" "+o.name)
	}
	slices.Sort(got)
	want := []string{"ConfigMap banyan-leafd-config", "DaemonSet banyan-leafd", "NetworkPolicy banyan-leafd", "PodMonitor banyan", "PrometheusRule banyan", "Secret banyan-leafd-clients"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// TestDependency: a chart that has this one as a dependency takes the sidecar from it.
func TestDependency(t *testing.T) {
	banyan, err := loadChart()
	if err != nil {
		t.Fatal(err)
	}
	sub := *banyan
	parent := &chart.Chart{
		Metadata:  &chart.Metadata{APIVersion: "v2", Name: "shop", Version: "1.0.0"},
		Templates: []*chart.File{{Name: "templates/shop.yaml", Data: []byte(`{{ include "banyan.leafd.sidecar" .Subcharts.banyan }}{{ include "banyan.leafd.sidecar.volumes" .Subcharts.banyan }}`)}},
	}
	parent.AddDependency(&sub)
	values := parseValues(t, "banyan: {hubd: {enabled: false}, leafd: {enabled: true, kind: Sidecar, upstreams: [{urls: [nats://h:7422]}]}}")
	all, err := chartutil.ToRenderValues(parent, values, chartutil.ReleaseOptions{Name: "shop", Namespace: "default", IsInstall: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.Render(parent, all)
	if err != nil {
		t.Fatal(err)
	}
	text := files["shop/templates/shop.yaml"]
	for _, want := range []string{"restartPolicy: Always", "image: banyanmq/leafd:", "name: shop-banyan-leafd-config"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if other := strings.TrimSpace(files["shop/charts/banyan/templates/hubd/stateful-set.yaml"]); other != "" {
		t.Errorf("hubs are made:\n%s", other)
	}
}
