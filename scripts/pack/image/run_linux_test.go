package image

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/banyanmq/banyan/scripts/pack/packtest"
)

// unpacked makes the image of a daemon for this machine, and unpacks its layers with what
// an engine adds: mount points, and who "nats" is.
func unpacked(t *testing.T, daemon string) (root string, c *v1.ConfigFile) {
	t.Helper()
	licence, err := os.ReadFile(filepath.Join(moduleRoot, "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{
		Daemon: daemon, Version: "0.0.0-test", Revision: "0", Created: commitTime, Repository: "test/" + daemon,
		Builds:  []Build{{v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, binary(t, daemon)}},
		Licence: licence, Sources: packtest.Sources(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	root = t.TempDir()
	r, err := os.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	layers, err := s.Images[0].Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		in, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		if err := untar(in, r); err != nil {
			t.Fatal(err)
		}
		in.Close()
	}
	for _, dir := range []string{"proc", "config"} {
		if err := r.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"etc/hosts":     "127.0.0.1 localhost nats\n",
		"config/x.conf": "server_name: from-x\nport: 4222\nhttp: 8222\n",
	} {
		if err := r.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err = s.Images[0].ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return root, c
}

// of is a container of an image, started with arguments (none: those of the image).
func of(root string, c *v1.ConfigFile, args ...string) container {
	if len(args) == 0 {
		args = c.Config.Cmd
	}
	return container{Root: root, UID: 65532, Env: slices.Clone(c.Config.Env), Argv: append(slices.Clone(c.Config.Entrypoint), args...)}
}

// What people start images of nats-server with (deployment 5).
func TestCommandsOfHubd(t *testing.T) {
	needContainers(t)
	root, c := unpacked(t, "hubd")

	t.Run("no arguments", func(t *testing.T) {
		r := of(root, c).start(t)
		r.healthy("hubd")
		for key, want := range map[string]string{"Uid": "65532 65532 65532 65532", "Gid": "65532 65532 65532 65532", "CapEff": "0000000000000000", "NSpid": ""} {
			if got := r.status(key); want != "" && got != want {
				t.Errorf("%s is %s, want %s", key, got, want)
			}
		}
		if ids := strings.Fields(r.status("NSpid")); len(ids) == 0 || ids[len(ids)-1] != "1" {
			t.Errorf("the daemon is process %q of its container", ids)
		}
		if code, out := r.exec("hubd", "pub", "a.subject", "a message"); code != 0 {
			t.Errorf("pub: exit %d: %s", code, out)
		}
		if code, out := r.exec("hubd", "status", "--json"); code != 0 || strings.Contains(out, `"cluster_port":6222`) {
			t.Errorf("there is a cluster: exit %d: %s", code, out)
		}
		if code := r.stop(); code != 0 {
			t.Errorf("SIGTERM: exit %d\n%s", code, r.out)
		}
	})

	t.Run("read-only, another user", func(t *testing.T) {
		k := of(root, c)
		k.ReadOnly, k.UID = true, 12345
		r := k.start(t)
		r.healthy("hubd")
		if got := r.status("Uid"); got != "12345 12345 12345 12345" {
			t.Errorf("user %s", got)
		}
		if code := r.stop(); code != 0 {
			t.Errorf("exit %d\n%s", code, r.out)
		}
	})

	t.Run("-m 8222", func(t *testing.T) {
		r := of(root, c, "-m", "8222").start(t)
		r.healthy("nats-server")
	})

	t.Run("cluster flags", func(t *testing.T) {
		r := of(root, c, strings.Fields("--cluster_name NATS --cluster nats://0.0.0.0:6222 --http_port 8222 --routes nats://ruser:T0pS3cr3t@nats:6222")...).start(t)
		r.healthy("hubd")
		_, out := r.exec("hubd", "status", "--json")
		var s struct {
			Varz struct {
				Cluster struct {
					Name string
					Port int `json:"cluster_port"`
					URLs []string
				}
			}
		}
		if err := json.Unmarshal([]byte(out), &s); err != nil || s.Varz.Cluster.Name != "NATS" || s.Varz.Cluster.Port != 6222 || !slices.Equal(s.Varz.Cluster.URLs, []string{"nats:6222"}) {
			t.Errorf("%+v, %v", s, err)
		}
	})

	t.Run("-c /config/x.conf", func(t *testing.T) {
		r := of(root, c, "-c", "/config/x.conf").start(t)
		r.healthy("hubd")
		if _, out := r.exec("hubd", "status"); !strings.Contains(out, "from-x") {
			t.Errorf("other settings:\n%s", out)
		}
	})

	// Streams are not there yet, which a start has to say rather than to ignore.
	for _, args := range []string{"-js", "-js -sd /data -m 8222"} {
		t.Run(args, func(t *testing.T) {
			r := of(root, c, strings.Fields(args)...).start(t)
			if code := r.exit(); code != 1 || !strings.Contains(r.out.String(), "--js: not supported yet") {
				t.Errorf("exit %d\n%s", code, r.out)
			}
		})
	}

	// docker run --entrypoint nats-server, and images with a shell: nats-server as an argument.
	t.Run("nats-server", func(t *testing.T) {
		k := of(root, c, "-c", "/config/x.conf")
		k.Argv[0] = "nats-server"
		r := k.start(t)
		r.healthy("hubd")
		for _, argv := range [][]string{{"nats-server", "--signal", "reload"}, {"hubd", "signal", "reload"}, {"/nats-server", "--signal", "reload=1"}} {
			if code, out := r.exec(argv...); code != 0 {
				t.Errorf("%q: exit %d: %s", argv, code, out)
			}
		}
		r.says("Reloaded server configuration")
		if code, out := r.exec("nats-server", "--signal", "quit"); code != 0 {
			t.Errorf("exit %d: %s", code, out)
		}
		if code := r.exit(); code != 0 {
			t.Errorf("exit %d\n%s", code, r.out)
		}
	})
	t.Run("nats-server as an argument", func(t *testing.T) {
		r := of(root, c, "nats-server", "-m", "8222").start(t)
		r.healthy("hubd")
		if code, out := r.exec("nats-server", "--signal", "ldm"); code != 0 {
			t.Errorf("exit %d: %s", code, out)
		}
		if code := r.exit(); code != 0 {
			t.Errorf("exit %d\n%s", code, r.out)
		}
	})

	t.Run("--version, --help", func(t *testing.T) {
		for args, want := range map[string]string{"--version": "hubd: v2.", "--help": "--cluster_name"} {
			r := of(root, c, args).start(t)
			if code := r.exit(); code != 0 || !strings.Contains(r.out.String(), want) {
				t.Errorf("%s: exit %d\n%s", args, code, r.out)
			}
		}
	})

	// A file that is mounted over either place of the settings is the one that is read.
	t.Run("own settings", func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(root, "etc/nats/nats-server.conf"), []byte("server_name: mounted\nhttp: 8222\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		r := of(root, c).start(t)
		r.healthy("hubd")
		if _, out := r.exec("hubd", "status"); !strings.Contains(out, "mounted") {
			t.Errorf("other settings:\n%s", out)
		}
	})
}

func TestImageOfLeafd(t *testing.T) {
	needContainers(t)
	root, c := unpacked(t, "leafd")
	k := of(root, c)
	k.ReadOnly = true
	r := k.start(t)
	r.healthy("leafd")
	if code, out := r.exec("leafd", "pub", "a.subject", "a message"); code != 0 {
		t.Errorf("pub: exit %d: %s", code, out)
	}
	if code, out := r.exec("nats-server", "--signal", "quit"); code != 0 {
		t.Errorf("exit %d: %s", code, out)
	}
	if code := r.exit(); code != 0 {
		t.Errorf("exit %d\n%s", code, r.out)
	}
}

// Without settings a gwd says what it needs; with a region it is healthy.
func TestImageOfGwd(t *testing.T) {
	needContainers(t)
	root, c := unpacked(t, "gwd")
	r := of(root, c).start(t)
	if code := r.exit(); code != 1 || !strings.Contains(r.out.String(), "gateway has no name") {
		t.Errorf("exit %d\n%s", code, r.out)
	}
	k := of(root, c)
	k.ReadOnly = true
	k.Env = append(k.Env, "GWD_CLUSTER_NAME=sfo", "GWD_SERVER_NAME=gw-sfo-0")
	r = k.start(t)
	r.healthy("gwd")
	if code := r.stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, r.out)
	}
}
