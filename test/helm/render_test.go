package helm

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/yaml"
)

const (
	chartDir  = "../../configs/helm/banyan"
	workedDir = "../../configs/helm/values"
)

var loadChart = sync.OnceValues(func() (*chart.Chart, error) { return loader.Load(chartDir) })

// object is one manifest.
type object struct {
	source string // the template's file
	raw    []byte
	kind   string
	name   string
	typed  any // what it was decoded into
}

// rendered is what Helm makes of values.
type rendered struct {
	objects []object
	notes   string
}

// render does what `helm template` does, for the given release.
func render(release string, values map[string]any) (*rendered, error) {
	ch, err := loadChart()
	if err != nil {
		return nil, err
	}
	caps := chartutil.DefaultCapabilities.Copy()
	caps.KubeVersion = chartutil.KubeVersion{Version: "v1.33.0", Major: "1", Minor: "33"}
	opts := chartutil.ReleaseOptions{Name: release, Namespace: "default", Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(ch, values, opts, caps)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(ch, all)
	if err != nil {
		return nil, err
	}
	r := &rendered{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text := files[name]
		source := strings.TrimPrefix(name, "banyan/templates/")
		if source == "NOTES.txt" {
			r.notes = text
			continue
		}
		for _, doc := range regexp.MustCompile(`(?m)^---\s*$`).Split(text, -1) {
			if strings.TrimSpace(doc) == "" {
				continue
			}
			o := object{source: source, raw: []byte(strings.TrimSpace(doc) + "\n")}
			if err := o.decode(); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", source, err, doc)
			}
			r.objects = append(r.objects, o)
		}
	}
	return r, nil
}

// set is values with a name.
type set struct {
	name   string
	files  []string
	values map[string]any
	// external are the Secrets and ConfigMaps that the values name and somebody else makes.
	external []string
}

var externalLine = regexp.MustCompile(`(?m)^# external: (.*)$`)

// sets are all value sets of testdata and all worked ones.
func sets(t *testing.T) []set {
	t.Helper()
	var list []set
	for _, pattern := range []string{"testdata/values/*.yaml", workedDir + "/*/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files match %s: %v", pattern, err)
		}
		for _, f := range files {
			s := set{name: strings.TrimSuffix(filepath.Base(f), ".yaml"), files: []string{f}, values: readValues(t, f)}
			if dir := filepath.Base(filepath.Dir(f)); dir != "values" {
				s.name = dir + "-" + s.name
				s.external = workedSecrets[dir]
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if m := externalLine.FindSubmatch(text); m != nil {
				s.external = strings.Fields(string(m[1]))
			}
			list = append(list, s)
		}
	}
	return list
}

// workedSecrets are what the scripts beside the worked values make.
var workedSecrets = map[string][]string{
	"gateways": {"banyan-gateway", "banyan-gateway-tls", "banyan-cluster-tls", "banyan-accounts", "banyan-app"},
	"leafs":    {"banyan-resolver", "banyan-leafnodes-tls", "banyan-app-creds", "banyan-core-creds", "banyan-ca", "banyan-accounts", "banyan-app"},
}

// readValues merges files of values, as `helm -f a -f b` does.
func readValues(t *testing.T, files ...string) map[string]any {
	t.Helper()
	all := map[string]any{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = merged(all, parseValues(t, string(text)))
	}
	return all
}

func parseValues(t *testing.T, text string) map[string]any {
	t.Helper()
	m := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return m
}

// merged puts the second over the first.
func merged(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	for k, v := range b {
		if into, ok := out[k].(map[string]any); ok {
			if from, ok := v.(map[string]any); ok {
				out[k] = merged(into, from)
				continue
			}
		}
		out[k] = v
	}
	return out
}

var (
	madePassword = regexp.MustCompile(`(?m)^(  password: )[A-Za-z0-9+/=]{56}$`)
	dashboard    = regexp.MustCompile(`(?m)^  banyan\.json: .*(\n( {4,}.*)?)*`)
)

// text is all manifests, with what is made by chance, and the dashboard, left out.
func (r *rendered) text() []byte {
	var b bytes.Buffer
	for _, o := range r.objects {
		fmt.Fprintf(&b, "---\n# %s\n%s", o.source, o.raw)
	}
	fmt.Fprintf(&b, "---\n# NOTES.txt\n%s", regexp.MustCompile(`(?m)^`).ReplaceAllString(strings.TrimSpace(r.notes), "# "))
	b.WriteByte('\n')
	text := madePassword.ReplaceAll(b.Bytes(), []byte("${1}(made)"))
	return dashboard.ReplaceAll(text, []byte("  banyan.json: (the dashboard)\n"))
}

func (r *rendered) find(kind, name string) *object {
	for i := range r.objects {
		if o := &r.objects[i]; o.kind == kind && o.name == name {
			return o
		}
	}
	return nil
}
