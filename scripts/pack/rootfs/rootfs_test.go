package rootfs

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func goroot(t *testing.T) string {
	t.Helper()
	if os.Getenv("GOROOT") != "" {
		return os.Getenv("GOROOT")
	}
	return runtime.GOROOT()
}

func imageOf(t *testing.T, daemon string) Tree {
	t.Helper()
	all, err := Image(daemon, goroot(t), []byte("the program"), map[string][]byte{"LICENSE": []byte("free")})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What the image of nats-server has is where it has it, and the rest as documented.
func TestFilesOfImages(t *testing.T) {
	for daemon, want := range map[string][]string{
		"hubd": {
			"-rwxr-xr-x 0 usr/local/bin/hubd", "Lrwxrwxrwx 0 usr/local/bin/nats-server -> hubd", "Lrwxrwxrwx 0 nats-server -> usr/local/bin/hubd",
			"-rw-r--r-- 0 etc/nats/nats-server.conf", "Lrwxrwxrwx 0 nats-server.conf -> etc/nats/nats-server.conf", "-rw-r--r-- 0 etc/hubd/hubd.yaml",
		},
		"leafd": {
			"-rwxr-xr-x 0 usr/local/bin/leafd", "Lrwxrwxrwx 0 usr/local/bin/nats-server -> leafd", "Lrwxrwxrwx 0 nats-server -> usr/local/bin/leafd",
			"-rw-r--r-- 0 etc/nats/nats-server.conf", "Lrwxrwxrwx 0 nats-server.conf -> etc/nats/nats-server.conf", "-rw-r--r-- 0 etc/leafd/leafd.yaml",
		},
		"gwd": {"-rwxr-xr-x 0 usr/local/bin/gwd", "-rw-r--r-- 0 etc/gwd/gwd.yaml"},
	} {
		want = append(want,
			"drwxr-x--- 65532 data", "dtrwxrwxrwx 65532 tmp", "-rw-r--r-- 0 etc/passwd", "-rw-r--r-- 0 etc/group", "-rw-r--r-- 0 etc/nsswitch.conf",
			"-rw-r--r-- 0 etc/ssl/certs/ca-certificates.crt", "-rw-r--r-- 0 usr/share/zoneinfo/Europe/Amsterdam", "-rw-r--r-- 0 usr/share/licenses/"+daemon+"/LICENSE",
			"drwxr-xr-x 0 etc", "drwxr-xr-x 0 usr/local/bin")
		have := map[string]bool{}
		for _, e := range imageOf(t, daemon) {
			line := e.Mode.String() + " " + map[int]string{0: "0", User: "65532"}[e.UID] + " " + e.Path
			if e.Link != "" {
				line += " -> " + e.Link
			}
			have[line] = true
			if e.Mode&0o022 != 0 && e.Mode&fs.ModeSymlink == 0 && e.Path != "tmp" {
				t.Errorf("%s: %s can be written by others", daemon, e.Path)
			}
			if strings.Contains(e.Path, "bin/sh") || e.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
				t.Errorf("%s: %s %v in an image without a shell", daemon, e.Path, e.Mode)
			}
		}
		for _, w := range want {
			if !have[w] {
				t.Errorf("%s: no %s", daemon, w)
			}
		}
	}
	if _, err := Image("nats", goroot(t), nil, nil); err == nil {
		t.Error("an image of a daemon that there is not")
	}
}

func TestTheSameFilesGiveTheSameBytes(t *testing.T) {
	var first, second bytes.Buffer
	if err := imageOf(t, "hubd").Tar(&first); err != nil {
		t.Fatal(err)
	}
	if err := imageOf(t, "hubd").Tar(&second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two layers of the same files differ")
	}
	var names []string
	for r := tar.NewReader(&first); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(time.Unix(0, 0)) || h.Uname != "" || h.Gname != "" || h.Uid != h.Gid {
			t.Errorf("%s has something of this machine: %+v", h.Name, h)
		}
		// A directory comes before what is in it: unpacking needs no second pass.
		if d := filepath.Dir(strings.TrimSuffix(h.Name, "/")); d != "." && !slices.Contains(names, d+"/") {
			t.Errorf("%s comes before its directory", h.Name)
		}
		names = append(names, h.Name)
	}
}

func TestCompleteRefuses(t *testing.T) {
	for _, paths := range [][]string{{"a", "a"}, {"/a"}, {"a/../b"}, {""}, {"a/"}} {
		var tree Tree
		for _, p := range paths {
			tree = append(tree, file(p, 0o644, nil))
		}
		if _, err := tree.Complete(); err == nil {
			t.Errorf("%q was taken", paths)
		}
	}
}

// The Dockerfile copies a directory: it is what the layers are.
func TestWriteToIsWhatIsInTheLayers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	want := imageOf(t, "hubd")
	if err := want.WriteTo(dir); err != nil {
		t.Fatal(err)
	}
	var have []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		have = append(have, info.Mode().String()+" "+rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var wanted []string
	for _, e := range want {
		wanted = append(wanted, e.Mode.String()+" "+e.Path)
	}
	slices.Sort(have)
	slices.Sort(wanted)
	if !slices.Equal(have, wanted) {
		t.Errorf("%d files, want %d", len(have), len(wanted))
	}
	if err := want.WriteTo(dir); err == nil {
		t.Error("a directory with files in it was written to")
	}
}

func TestAuthorities(t *testing.T) {
	all, err := Authorities()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for rest := all; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !c.IsCA {
			t.Errorf("%s is no authority", c.Subject)
		}
	}
	if n < 80 || !x509.NewCertPool().AppendCertsFromPEM(all) {
		t.Errorf("%d authorities", n)
	}
}

func TestTimeZones(t *testing.T) {
	n := 0
	for _, e := range imageOf(t, "gwd") {
		name, ok := strings.CutPrefix(e.Path, "usr/share/zoneinfo/")
		if !ok || !e.Mode.IsRegular() {
			continue
		}
		n++
		if _, err := time.LoadLocationFromTZData(name, e.Data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n < 400 {
		t.Errorf("%d time zones", n)
	}
}
