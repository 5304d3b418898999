package settingsdoc

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/banyanmq/banyan/pkg/config"
)

func TestPageIsCurrent(t *testing.T) {
	want, err := Page()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../docs/SETTINGS.md")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	g, w := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range w {
		if i >= len(g) || g[i] != w[i] {
			t.Fatalf("docs/SETTINGS.md is stale from line %d on; run: go run ./test/settingsdoc/cmd -w\nwant: %s", i+1, w[i])
		}
	}
	t.Fatal("docs/SETTINGS.md is longer than it should be; run: go run ./test/settingsdoc/cmd -w")
}

// The page promises names by rule instead of listing them; the rule must hold for each.
func TestNamesFollowTheRule(t *testing.T) {
	seen := 0
	for _, d := range []config.Daemon{config.Hubd, config.Gwd, config.Leafd} {
		for _, o := range config.Options(d) {
			if o.Env == "" {
				continue
			}
			seen++
			env := strings.ToUpper(string(d) + "_" + strings.ReplaceAll(o.Key, ".", "_"))
			flag := "--" + strings.NewReplacer(".", "-", "_", "-").Replace(o.Key)
			if o.Env != env || o.Flag != flag {
				t.Errorf("%s %s: %s and %s, by the rule %s and %s", d, o.Key, o.Env, o.Flag, env, flag)
			}
		}
	}
	if seen == 0 {
		t.Fatal("no setting can be set from the environment")
	}
}
