package rootfs

import (
	"archive/zip"
	"bytes"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Daemons that there are images of.
var Daemons = []string{"hubd", "gwd", "leafd"}

//go:embed settings
var settings embed.FS

const passwd = `root:x:0:0:root:/:/sbin/nologin
banyan:x:65532:65532:banyan:/data:/sbin/nologin
`

const group = `root:x:0:
banyan:x:65532:
`

// Base is what all images have. Time zones are read from the Go release at goroot.
func Base(goroot string) (Tree, error) {
	authorities, err := Authorities()
	if err != nil {
		return nil, err
	}
	t := Tree{
		file("etc/group", 0o644, []byte(group)),
		file("etc/passwd", 0o644, []byte(passwd)),
		// The order that a resolver takes without this file differs from one to the next.
		file("etc/nsswitch.conf", 0o644, []byte("hosts: files dns\n")),
		file("etc/ssl/certs/ca-certificates.crt", 0o644, authorities),
		directory("data", 0o750, User),
		directory("tmp", 0o777|fs.ModeSticky, User),
	}
	zones, err := zones(filepath.Join(goroot, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, err
	}
	return append(t, zones...).Complete()
}

// Settings are those of a start without arguments, and for hubd and leafd both places
// where the images of nats-server have theirs. One is a link to the other: a file that is
// mounted over either is the one that is read.
func Settings(daemon string) (Tree, error) {
	t := Tree{}
	own, err := settings.ReadFile("settings/" + daemon + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("rootfs: no settings of %q: it is none of %s", daemon, strings.Join(Daemons, ", "))
	}
	t = append(t, file("etc/"+daemon+"/"+daemon+".yaml", 0o644, own))
	if DropIn(daemon) {
		conf, err := settings.ReadFile("settings/" + daemon + ".conf")
		if err != nil {
			return nil, fmt.Errorf("rootfs: %w", err)
		}
		t = append(t, file("etc/nats/nats-server.conf", 0o644, conf), link("nats-server.conf", "etc/nats/nats-server.conf"))
	}
	return t.Complete()
}

// DropIn says whether the image stands in for one of nats-server.
func DropIn(daemon string) bool { return daemon == "hubd" || daemon == "leafd" }

// Program is the binary with its licences; the names of nats-server are links to it.
func Program(daemon string, binary []byte, licences map[string][]byte) (Tree, error) {
	t := Tree{file("usr/local/bin/"+daemon, 0o755, binary)}
	if DropIn(daemon) {
		t = append(t, link("usr/local/bin/nats-server", daemon), link("nats-server", "usr/local/bin/"+daemon))
	}
	for name, text := range licences {
		t = append(t, file(path.Join("usr/share/licenses", daemon, name), 0o644, text))
	}
	return t.Complete()
}

// Authorities are those that Mozilla trusts for servers, as PEM. Those that it trusts
// with a restriction (a date, for example) are left out: a file cannot say it.
func Authorities() ([]byte, error) {
	var out bytes.Buffer
	n := 0
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		c, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			return nil, fmt.Errorf("rootfs: an authority of the bundle: %w", err)
		}
		fmt.Fprintf(&out, "# %s\n", c.Subject)
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
		n++
	}
	if n == 0 {
		return nil, fmt.Errorf("rootfs: the bundle has no authorities")
	}
	return out.Bytes(), nil
}

// zones unpacks Go's file of time zones to where every program looks for them.
func zones(zipped string) (Tree, error) {
	r, err := zip.OpenReader(zipped)
	if err != nil {
		return nil, fmt.Errorf("rootfs: time zones of the Go release: %w", err)
	}
	defer r.Close()
	var t Tree
	for _, f := range r.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		in, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("rootfs: time zone %s: %w", f.Name, err)
		}
		data, err := io.ReadAll(in)
		in.Close()
		if err != nil {
			return nil, fmt.Errorf("rootfs: time zone %s: %w", f.Name, err)
		}
		t = append(t, file("usr/share/zoneinfo/"+f.Name, 0o644, data))
	}
	return t, nil
}

// Image is everything in the image of a daemon, the layers as one.
func Image(daemon, goroot string, binary []byte, licences map[string][]byte) (Tree, error) {
	base, err := Base(goroot)
	if err != nil {
		return nil, err
	}
	settings, err := Settings(daemon)
	if err != nil {
		return nil, err
	}
	program, err := Program(daemon, binary, licences)
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	var all Tree
	for _, t := range []Tree{base, settings, program} {
		for _, e := range t {
			if e.Mode.IsDir() && have[e.Path] {
				continue
			}
			have[e.Path] = true
			all = append(all, e)
		}
	}
	return all.Complete()
}
