//go:build linux

package packages

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// members reads an ar archive.
func members(t *testing.T, b []byte) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	b, ok := bytes.CutPrefix(b, []byte("!<arch>\n"))
	if !ok {
		t.Fatal("no ar archive")
	}
	for len(b) > 0 {
		n, err := strconv.Atoi(strings.TrimSpace(string(b[48:58])))
		if err != nil || string(b[58:60]) != "`\n" {
			t.Fatalf("header %q", b[:60])
		}
		out[strings.TrimSpace(string(b[:16]))] = b[60 : 60+n]
		b = b[60+n+n%2:]
	}
	return out
}

// files reads a compressed tar archive.
func files(t *testing.T, b []byte) (map[string]*tar.Header, map[string]string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	heads, bodies := map[string]*tar.Header{}, map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return heads, bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		heads[h.Name], bodies[h.Name] = h, string(body)
	}
}

func TestContents(t *testing.T) {
	for _, d := range daemons() {
		b, err := os.ReadFile(deb(d, older))
		if err != nil {
			t.Fatal(err)
		}
		m := members(t, b)
		heads, bodies := files(t, m["data.tar.gz"])
		for name, mode := range map[string]int64{
			"./usr/bin/" + d: 0o755,
			"./usr/lib/systemd/system/" + d + ".service":           0o644,
			"./usr/lib/sysusers.d/" + d + ".conf":                  0o644,
			"./etc/" + d + "/" + d + ".yaml":                       0o640,
			"./etc/default/" + d:                                   0o640,
			"./etc/logrotate.d/" + d:                               0o644,
			"./usr/share/man/man8/" + d + ".8.gz":                  0o644,
			"./usr/share/man/man8/" + d + "-check-host.8.gz":       0o644,
			"./usr/share/bash-completion/completions/" + d:         0o644,
			"./usr/share/zsh/vendor-completions/_" + d:             0o644,
			"./usr/share/fish/vendor_completions.d/" + d + ".fish": 0o644,
			"./usr/share/doc/" + d + "/copyright":                  0o644,
			"./usr/share/doc/" + d + "/changelog.Debian.gz":        0o644,
			"./usr/share/doc/" + d + "/licences-of-parts.gz":       0o644,
			"./usr/share/doc/" + d + "/SETTINGS.md.gz":             0o644,
		} {
			h := heads[name]
			if h == nil || h.Mode != mode || h.Uid != 0 || h.Gid != 0 || h.Size == 0 || h.ModTime.Unix() != 1700000000 {
				t.Errorf("%s: %s is %+v", d, name, h)
			}
		}
		for name, h := range heads {
			if h.Typeflag == tar.TypeDir {
				continue
			}
			if parent := filepath.Dir(name) + "/"; heads["./"+strings.TrimPrefix(parent, "./")] == nil {
				t.Errorf("%s: %s stands in no directory", d, name)
			}
			if strings.Contains(name, "nats-server") {
				t.Errorf("%s: %s would cover a file of another package", d, name)
			}
		}
		_, control := files(t, m["control.tar.gz"])
		if want := "/etc/" + d + "/" + d + ".yaml\n/etc/default/" + d + "\n/etc/logrotate.d/" + d + "\n"; !slices.Equal(sortedLines(control["./conffiles"]), sortedLines(want)) {
			t.Errorf("%s: conffiles %q", d, control["./conffiles"])
		}
		if !strings.Contains(control["./control"], "\nVersion: 0.1.0-1\n") || !strings.Contains(control["./control"], "\nArchitecture: "+arch()+"\n") {
			t.Errorf("%s: %s", d, control["./control"])
		}
		for name, text := range control {
			if strings.Contains(text, "@NAME@") || strings.Contains(text, "@START@") {
				t.Errorf("%s: %s is not filled in", d, name)
			}
		}
		if len(bodies["./usr/bin/"+d]) < 1<<20 {
			t.Errorf("%s: the program has %d bytes", d, len(bodies["./usr/bin/"+d]))
		}
	}
}

func sortedLines(s string) []string { return slices.Sorted(strings.Lines(s)) }

// The same input makes the same bytes.
func TestReproducible(t *testing.T) {
	out := t.TempDir()
	if err := pack(older, out); err != nil {
		t.Fatal(err)
	}
	for _, d := range daemons() {
		a, err := os.ReadFile(deb(d, older))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(out, filepath.Base(deb(d, older))))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two packages of the same differ", d)
		}
	}
}

// dpkg reads what we write.
func TestDpkgReads(t *testing.T) {
	tool(t, "dpkg-deb", "dpkg")
	for _, d := range daemons() {
		if s := run(t, "dpkg-deb", "--field", deb(d, newer), "Package", "Version"); s != "Package: "+d+"\nVersion: 0.2.0~rc1-1\n" {
			t.Errorf("%q", s)
		}
		if s := run(t, "dpkg-deb", "--contents", deb(d, newer)); !strings.Contains(s, "-rwxr-xr-x root/root") {
			t.Errorf("%s", s)
		}
	}
	if _, err := tryRun("dpkg", "--compare-versions", "0.2.0~rc1-1", "lt", "0.2.0-1"); err != nil {
		t.Errorf("a candidate does not sort before its release: %v", err)
	}
}

// Lintian's errors are errors. It takes minutes, so it has to be asked for.
func TestLintian(t *testing.T) {
	if os.Getenv("LINTIAN") == "" {
		t.Skip("LINTIAN is not set")
	}
	lintian := tool(t, "lintian", "lintian")
	for _, d := range daemons() {
		out, err := tryRun(lintian, "--fail-on", "error", "--allow-root", deb(d, older))
		if err != nil {
			t.Errorf("lintian %s: %v\n%s", d, err, out)
		} else if out != "" {
			t.Logf("%s: %s", d, out)
		}
	}
}
