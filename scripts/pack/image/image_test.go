package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/banyanmq/banyan/scripts/pack/packtest"
	"github.com/banyanmq/banyan/scripts/pack/sbom"
)

var commitTime = time.Unix(1_700_000_000, 0)

// made makes a daemon's images for two platforms into a new directory. The binary is
// some binary: what counts here is what is around it.
func made(t *testing.T, exe, daemon string) (*Set, string, []Written) {
	t.Helper()
	s, err := New(Options{
		Daemon: daemon, Version: "1.2.3+abc", Revision: "0123456789abcdef", Created: commitTime, Repository: "example/" + daemon,
		Builds: []Build{
			{v1.Platform{OS: "linux", Architecture: "amd64"}, exe},
			{v1.Platform{OS: "linux", Architecture: "arm64"}, exe},
		},
		Licence: []byte("free"), Sources: packtest.Sources(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	lines, err := s.Write(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, dir, lines
}

// unpack unpacks an archive into a new directory.
func unpack(t *testing.T, file string) string {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := untar(in, root); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return dir
}

// untar unpacks files, directories and symbolic links, with owners if the process may.
func untar(r io.Reader, root *os.Root) error {
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(h.Name, "/")
		mode := h.FileInfo().Mode()
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o755)
		case tar.TypeSymlink:
			err = root.Symlink(h.Linkname, name)
		default:
			var f *os.File
			if f, err = root.Create(name); err == nil {
				_, err = io.Copy(f, tr)
				if cerr := f.Close(); err == nil {
					err = cerr
				}
			}
		}
		if err == nil && os.Geteuid() == 0 {
			err = root.Lchown(name, h.Uid, h.Gid)
		}
		if err == nil && h.Typeflag != tar.TypeSymlink {
			err = root.Chmod(name, mode&(os.ModePerm|os.ModeSticky))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

func TestImages(t *testing.T) {
	exe := packtest.Binary(t)
	hub, dir, lines := made(t, exe, "hubd")
	t.Run("twice", func(t *testing.T) { testTwice(t, exe, dir, lines) })
	t.Run("layout", func(t *testing.T) { testLayout(t, hub, dir, lines) })
	t.Run("one platform", func(t *testing.T) { testOnePlatform(t, dir, lines) })
	t.Run("shared layers", func(t *testing.T) {
		leaf, _, _ := made(t, exe, "leafd")
		testSharedLayers(t, hub, leaf)
	})
	t.Run("gwd", func(t *testing.T) { made(t, exe, "gwd") })
	t.Run("refused", func(t *testing.T) { testRefused(t, exe) })
}

// The same binaries give the same images.
func testTwice(t *testing.T, exe, first string, lines []Written) {
	_, second, again := made(t, exe, "hubd")
	if !slices.Equal(lines, again) {
		t.Errorf("%v, then %v", lines, again)
	}
	names, err := os.ReadDir(first)
	if err != nil || len(names) != 5 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, n := range names {
		a, err := os.ReadFile(filepath.Join(first, n.Name()))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(second, n.Name()))
		if err != nil || !bytes.Equal(a, b) {
			t.Errorf("%s is not the same twice (%v)", n.Name(), err)
		}
	}
}

func testLayout(t *testing.T, s *Set, dir string, lines []Written) {
	p, err := layout.FromPath(unpack(t, filepath.Join(dir, lines[0].File)))
	if err != nil {
		t.Fatal(err)
	}
	top, err := p.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	m, err := top.IndexManifest()
	if err != nil || len(m.Manifests) != 1 || m.Manifests[0].Digest != lines[0].Digest {
		t.Fatalf("index.json is to have one entry: %+v, %v", m, err)
	}
	if tag := m.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; tag != "1.2.3_abc" {
		t.Errorf("tag %q", tag)
	}
	index, err := top.ImageIndex(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	all, err := index.IndexManifest()
	if err != nil || len(all.Manifests) != 4 {
		t.Fatalf("%+v, %v", all, err)
	}
	images, bills := all.Manifests[:2], all.Manifests[2:]
	for i, d := range images {
		img, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(img); err != nil {
			t.Errorf("%s: %v", d.Platform, err)
		}
		checkConfig(t, img, d)
		checkBill(t, index, bills[i], d, s.Images[i].Bill)
	}
	if images[0].Platform.String() != "linux/amd64" || images[1].Platform.String() != "linux/arm64" {
		t.Errorf("platforms %v, %v", images[0].Platform, images[1].Platform)
	}
	if all.Annotations["org.opencontainers.image.created"] != "2023-11-14T22:13:20Z" {
		t.Errorf("%v", all.Annotations)
	}
}

func checkConfig(t *testing.T, img v1.Image, d v1.Descriptor) {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.OS != "linux" || c.Architecture != d.Platform.Architecture || !c.Created.Equal(commitTime) || len(c.History) != len(c.RootFS.DiffIDs) {
		t.Errorf("%+v", c)
	}
	if c.Config.User != "65532:65532" || c.Config.WorkingDir != "/" || !slices.Equal(c.Config.Entrypoint, []string{"/usr/local/bin/hubd"}) ||
		!slices.Equal(c.Config.Cmd, []string{"--config", "nats-server.conf"}) || c.Config.Healthcheck != nil {
		t.Errorf("%+v", c.Config)
	}
	path := strings.Split(strings.TrimPrefix(c.Config.Env[0], "PATH="), ":")
	if !slices.Contains(path, "/") || !slices.Contains(path, "/usr/local/bin") {
		t.Errorf("PATH is %q", path)
	}
	for _, key := range []string{"title", "version", "revision", "source", "licenses", "created", "description", "documentation"} {
		if c.Config.Labels["org.opencontainers.image."+key] == "" {
			t.Errorf("no label %s", key)
		}
	}
	m, err := img.Manifest()
	if err != nil || !maps.Equal(m.Annotations, c.Config.Labels) {
		t.Errorf("annotations %v, labels %v (%v)", m.Annotations, c.Config.Labels, err)
	}
}

// checkBill follows the reference from an artifact to its image.
func checkBill(t *testing.T, index v1.ImageIndex, bill, image v1.Descriptor, want []byte) {
	t.Helper()
	a, err := index.Image(bill.Digest)
	if err != nil {
		t.Fatal(err)
	}
	m, err := a.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if m.Subject == nil || m.Subject.Digest != image.Digest || m.Subject.Size != image.Size || m.Subject.MediaType != image.MediaType {
		t.Errorf("the bill refers to %+v, not to %s", m.Subject, image.Digest)
	}
	if m.Config.MediaType != sbom.MediaType || bill.ArtifactType != sbom.MediaType || bill.Platform.OS != "unknown" {
		t.Errorf("%+v, %+v", m.Config, bill)
	}
	layers, err := a.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another bill than that beside the archive (%v)", err)
	}
}

// Engines without a containerd store find the image of one platform by manifest.json.
func testOnePlatform(t *testing.T, dir string, lines []Written) {
	for _, l := range lines[1:] {
		at := unpack(t, filepath.Join(dir, l.File))
		p, err := layout.FromPath(at)
		if err != nil {
			t.Fatal(err)
		}
		top, err := p.ImageIndex()
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(top); err != nil {
			t.Errorf("%s: %v", l.File, err)
		}
		img, err := top.Image(l.Digest)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(at, "manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		var docker []struct {
			Config           string
			RepoTags, Layers []string
		}
		if err := json.Unmarshal(b, &docker); err != nil || len(docker) != 1 || !slices.Equal(docker[0].RepoTags, []string{"example/hubd:1.2.3_abc"}) {
			t.Fatalf("%s, %v", b, err)
		}
		config, err := os.ReadFile(filepath.Join(at, docker[0].Config))
		if raw, rerr := img.RawConfigFile(); err != nil || rerr != nil || !bytes.Equal(config, raw) {
			t.Errorf("another configuration (%v, %v)", err, rerr)
		}
		layers, err := img.Layers()
		if err != nil || len(layers) != len(docker[0].Layers) {
			t.Fatalf("%d layers, %v", len(layers), err)
		}
		for i, name := range docker[0].Layers {
			if d, err := layers[i].Digest(); err != nil || filepath.Base(name) != d.Hex {
				t.Errorf("layer %d is %s, not %s (%v)", i, name, d, err)
			}
			if _, err := os.Stat(filepath.Join(at, name)); err != nil {
				t.Error(err)
			}
		}
	}
}

// What did not change between daemons and platforms is loaded once.
func testSharedLayers(t *testing.T, hub, leaf *Set) {
	digest := func(s *Set, image, layer int) string {
		layers, err := s.Images[image].Layers()
		if err != nil || len(layers) != 3 {
			t.Fatalf("%d layers, %v", len(layers), err)
		}
		d, err := layers[layer].Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	if digest(hub, 0, 0) != digest(leaf, 1, 0) {
		t.Error("the base differs")
	}
	if digest(hub, 0, 1) != digest(hub, 1, 1) {
		t.Error("the settings differ between platforms")
	}
	if digest(hub, 0, 1) == digest(leaf, 0, 1) {
		t.Error("hubd and leafd have the same settings")
	}
}

func testRefused(t *testing.T, exe string) {
	for name, o := range map[string]Options{
		"an unknown daemon": {Daemon: "nats", Builds: []Build{{v1.Platform{OS: "linux", Architecture: "amd64"}, exe}}, Sources: packtest.Sources(t)},
		"no binary":         {Daemon: "hubd", Builds: []Build{{v1.Platform{OS: "linux", Architecture: "amd64"}, os.DevNull}}, Sources: packtest.Sources(t)},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
