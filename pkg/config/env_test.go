package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Of a secret the environment may name the file, which settings then depend on.
func TestSecretFromFile(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "password")
	if err := os.WriteFile(secret, []byte("s3cret/:@\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "nats.conf")
	text := "cluster { port: 6222, authorization { user: route }, routes: [nats://a:6222] }"
	load := func(env ...string) (*Config, error) {
		c, _, err := Load(LoadOptions{Daemon: Hubd, File: file, content: []byte(text), Env: env})
		return c, err
	}
	c, err := load("HUBD_CLUSTER_PASSWORD_FILE=" + secret)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Cluster.Auth.Password); got != "s3cret/:@" {
		t.Errorf("the password is %q", got)
	}
	if got, _ := c.Cluster.Routes[0].User.Password(); got != "s3cret/:@" {
		t.Errorf("routes are dialed with %q", got)
	}
	if !slices.Contains(c.Files, secret) {
		t.Errorf("not among the files to watch: %v", c.Files)
	}
	if w := c.Exposed(); len(w) != 1 || w[0].Pos.File != secret {
		t.Errorf("everybody can read it, and that is said thus: %v", w)
	}
	for _, e := range []struct{ env, want string }{
		{"HUBD_CLUSTER_PASSWORD_FILE=" + secret + ".none", "HUBD_CLUSTER_PASSWORD_FILE: open " + secret + ".none: no such file"},
		{"HUBD_CLUSTER_PASSWORD_FILE=" + secret + " HUBD_CLUSTER_PASSWORD=x", "HUBD_CLUSTER_PASSWORD_FILE: HUBD_CLUSTER_PASSWORD is set too"},
	} {
		if _, err := load(strings.Fields(e.env)...); err == nil || !strings.Contains(err.Error(), e.want) {
			t.Errorf("%s: %v, want %q", e.env, err, e.want)
		}
	}
	// Only secrets: log.file is a setting of its own.
	if c, err := load("HUBD_CLUSTER_PASSWORD_FILE="+secret, "HUBD_LOG_FILE=x.log"); err != nil || c.Log.File != "x.log" {
		t.Errorf("log.file: %v, %v", c, err)
	}
}
