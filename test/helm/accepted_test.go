package helm

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSettingsAreAccepted: the daemons' own check has nothing against what any set renders, with
// Secrets made up for it.
func TestSettingsAreAccepted(t *testing.T) {
	stuff := stuffFor(t)
	for _, s := range sets(t) {
		t.Run(s.name, func(t *testing.T) {
			r, err := render("banyan", s.values)
			if err != nil {
				t.Fatal(err)
			}
			m := newMachine(t, r, t.TempDir())
			n := 0
			for _, w := range r.workloads() {
				if len(w.spec.Containers[0].Args) == 0 || w.spec.Containers[0].Args[0] != "--config" {
					continue
				}
				p := m.place(w.name)[0]
				t.Cleanup(p.release)
				stuff.fill(t, m, p)
				p.mount()
				out, err := p.check()
				if err != nil {
					t.Errorf("%s: %v\n%s", p.name, err, out)
				}
				for line := range strings.Lines(out) {
					if !excused.MatchString(line) {
						t.Errorf("%s: %s", p.name, line)
					}
				}
				n++
			}
			if n == 0 {
				t.Error("nothing to check")
			}
		})
	}
}

// excused are remarks that the made-up material causes, or the values on purpose.
var excused = regexp.MustCompile(`is advertised, and the certificate|: configuration file \S+ is valid|^\s*$`)

// stuff is material for Secrets.
type stuff struct{ dir string }

func stuffFor(t *testing.T) stuff {
	t.Helper()
	dir := t.TempDir()
	for _, args := range []string{
		"keys tls --dir DIR/tls --name any --both --host 127.0.0.1",
		"keys operator --dir DIR/op --name Example",
		"keys account --dir DIR/op --name APP",
		"keys user --dir DIR/op --account APP --name edge",
	} {
		cmd := exec.Command(filepath.Join(binaries(t), "hubd"), strings.Fields(strings.ReplaceAll(args, "DIR", dir))...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("hubd %s: %v\n%s", args, err, out)
		}
	}
	return stuff{dir}
}

func (s stuff) read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var seed = regexp.MustCompile(`SU[A-Z2-7]{56}`)

// content of a key, by its name.
func (s stuff) content(t *testing.T, key string) string {
	switch path.Ext(key) {
	case ".crt", ".pem":
		if strings.HasPrefix(key, "ca.") {
			return s.read(t, "tls/ca.crt")
		}
		return s.read(t, "tls/any.crt")
	case ".key":
		return s.read(t, "tls/any.key")
	case ".creds":
		return s.read(t, "op/creds/APP/edge.creds")
	case ".nk":
		return seed.FindString(s.read(t, "op/creds/APP/edge.creds"))
	case ".conf":
		switch key {
		case "resolver.conf":
			return s.read(t, "op/resolver.conf")
		case "operator.conf": // where accounts come from, the values say
			text := s.read(t, "op/resolver.conf")
			return text[:strings.Index(text, "resolver:")]
		case "accounts.conf":
			return "accounts { SYS: {}, APP: { users: [{user: app, password: $POD_NAME}] } }\n"
		}
		return "# nothing\n"
	}
	return "made-up"
}

// fill makes the Secrets that a pod mounts or refers to and that the chart does not make.
func (s stuff) fill(t *testing.T, m *machine, p *pod) {
	t.Helper()
	put := func(secret, key string) {
		if m.rendered.find("Secret", secret) != nil {
			return
		}
		file := filepath.Join(m.secrets, secret, key)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(s.content(t, key)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := &checker{T: t, rendered: m.rendered}
	files := c.namedFiles(*p.w, p.container)
	for _, e := range p.container.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			put(e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key)
		}
		files = append(files, e.Value)
	}
	for _, v := range p.w.spec.Volumes {
		if v.Secret == nil {
			continue
		}
		if err := os.MkdirAll(filepath.Join(m.secrets, v.Secret.SecretName), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, mount := range p.container.VolumeMounts {
			for _, f := range files {
				if mount.Name == v.Name && path.Dir(f) == mount.MountPath {
					put(v.Secret.SecretName, path.Base(f))
				}
			}
		}
	}
}
