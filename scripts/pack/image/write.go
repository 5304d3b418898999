package image

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Written is one line about what was made.
type Written struct {
	File     string // name of the archive
	Platform string // "index" for that with all
	Digest   v1.Hash
	Size     int64 // compressed; 0 for the index
}

// Write makes, in a directory that exists,
//
//	DAEMON-VERSION-oci.tar           the index with everything
//	DAEMON-VERSION-OS-ARCH.tar       each image alone
//	DAEMON-VERSION-OS-ARCH.cdx.json  its bill of materials
func (s *Set) Write(dir string) ([]Written, error) {
	digest, err := s.Index.Digest()
	if err != nil {
		return nil, err
	}
	stem := s.Daemon + "-" + s.Version
	name := stem + "-oci.tar"
	if err := s.archive(filepath.Join(dir, name), s.Index, v1.Descriptor{}, nil); err != nil {
		return nil, fmt.Errorf("image: %s: %w", name, err)
	}
	all := []Written{{File: name, Platform: "index", Digest: digest}}
	for _, i := range s.Images {
		name := stem + "-" + strings.ReplaceAll(i.Platform.String(), "/", "-")
		if err := s.archive(filepath.Join(dir, name+".tar"), i.Image, v1.Descriptor{Platform: &i.Platform}, i.Image); err != nil {
			return nil, fmt.Errorf("image: %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".cdx.json"), i.Bill, 0o644); err != nil {
			return nil, err
		}
		digest, err := i.Digest()
		if err != nil {
			return nil, err
		}
		all = append(all, Written{name + ".tar", i.Platform.String(), digest, i.Size})
	}
	return all, nil
}

// tag is the version as a tag may be written.
func (s *Set) tag() string { return strings.ReplaceAll(s.Version, "+", "_") }

// archive writes an OCI layout whose index.json has one entry, since that is what
// tools expect which are not told a name. With docker it also has the file by which
// engines without a containerd store find the image.
func (s *Set) archive(file string, what mutate.Appendable, d v1.Descriptor, docker v1.Image) error {
	tmp, err := os.MkdirTemp(filepath.Dir(file), ".layout-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	d.Annotations = map[string]string{
		"org.opencontainers.image.ref.name": s.tag(),
		"io.containerd.image.name":          "docker.io/" + s.Repository + ":" + s.tag(),
	}
	top := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: what, Descriptor: d})
	if _, err := layout.Write(tmp, top); err != nil {
		return err
	}
	if docker != nil {
		if err := s.dockerManifest(filepath.Join(tmp, "manifest.json"), docker); err != nil {
			return err
		}
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := tarOf(out, tmp); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

func (s *Set) dockerManifest(file string, img v1.Image) error {
	m, err := img.Manifest()
	if err != nil {
		return err
	}
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	entry := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{Config: blob(m.Config.Digest), RepoTags: []string{s.Repository + ":" + s.tag()}}
	for _, l := range m.Layers {
		entry.Layers = append(entry.Layers, blob(l.Digest))
	}
	b, err := json.Marshal([]any{entry})
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}

// tarOf packs a directory in lexical order, with nothing of the machine in it.
func tarOf(w io.Writer, dir string) error {
	tw := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(rel), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if e.IsDir() {
			h.Typeflag, h.Name, h.Mode = tar.TypeDir, h.Name+"/", 0o755
			return tw.WriteHeader(h)
		}
		in, err := os.Open(p)
		if err != nil {
			return err
		}
		defer in.Close()
		info, err := in.Stat()
		if err != nil {
			return err
		}
		h.Size = info.Size()
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		_, err = io.Copy(tw, in)
		return err
	})
	if err != nil {
		return err
	}
	return tw.Close()
}
