package image

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/banyanmq/banyan/scripts/pack/notices"
	"github.com/banyanmq/banyan/scripts/pack/rootfs"
	"github.com/banyanmq/banyan/scripts/pack/sbom"
)

// Options of New.
type Options struct {
	Daemon   string
	Version  string
	Revision string // of the source
	Created  time.Time
	// Repository is the name under which engines load the image, without a tag.
	Repository string
	Builds     []Build
	Licence    []byte // Banyan's own
	Sources    notices.Source
}

// Build is the daemon's binary for a platform.
type Build struct {
	Platform v1.Platform
	Binary   string
}

// Set is a daemon's images.
type Set struct {
	Options
	Images []Image
	// Index has the images and, with the platform unknown/unknown as other builders
	// write it, the bills that refer to them.
	Index v1.ImageIndex
}

// Image is that of one platform.
type Image struct {
	v1.Image
	Platform v1.Platform
	Bill     []byte
	Size     int64 // compressed, of all layers and the configuration
}

// New makes the images of a daemon. An image that is larger than its limit is an error.
func New(o Options) (*Set, error) {
	s := &Set{Options: o}
	base, err := rootfs.Base(o.Sources.GoRoot)
	if err != nil {
		return nil, err
	}
	settings, err := rootfs.Settings(o.Daemon)
	if err != nil {
		return nil, err
	}
	var shared []v1.Layer
	for _, t := range []rootfs.Tree{base, settings} {
		l, err := layerOf(t)
		if err != nil {
			return nil, err
		}
		shared = append(shared, l)
	}
	data, err := dataOf(base, o.Sources.GoRoot)
	if err != nil {
		return nil, err
	}
	var adds []mutate.IndexAddendum
	var bills []mutate.IndexAddendum
	for _, b := range o.Builds {
		i, err := s.image(b, shared, data)
		if err != nil {
			return nil, fmt.Errorf("image: %s for %s: %w", o.Daemon, b.Platform, err)
		}
		s.Images = append(s.Images, *i)
		adds = append(adds, mutate.IndexAddendum{Add: i.Image, Descriptor: v1.Descriptor{Platform: &i.Platform}})
		bill, err := billOf(i)
		if err != nil {
			return nil, fmt.Errorf("image: bill of %s for %s: %w", o.Daemon, b.Platform, err)
		}
		bills = append(bills, mutate.IndexAddendum{Add: bill, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}, ArtifactType: sbom.MediaType,
		}})
	}
	a, err := aboutOf(o.Daemon)
	if err != nil {
		return nil, err
	}
	idx := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), append(adds, bills...)...)
	s.Index = mutate.Annotations(idx, labels(o.Daemon, a.description, o.Version, o.Revision, o.Created)).(v1.ImageIndex)
	return s, nil
}

// image makes that of one platform.
func (s *Set) image(b Build, shared []v1.Layer, data []sbom.Data) (*Image, error) {
	binary, err := os.ReadFile(b.Binary)
	if err != nil {
		return nil, err
	}
	modules, err := notices.Of(b.Binary, s.Sources)
	if err != nil {
		return nil, err
	}
	bill, err := sbom.New(b.Binary, sbom.Options{
		Name: s.Daemon, Version: s.Version, Revision: s.Revision, Created: s.Created, Modules: modules, Data: data,
	})
	if err != nil {
		return nil, err
	}
	program, err := rootfs.Program(s.Daemon, binary, map[string][]byte{
		"LICENSE": s.Licence, "THIRD-PARTY-LICENSES.txt": notices.Text(s.Daemon, modules),
	})
	if err != nil {
		return nil, err
	}
	last, err := layerOf(program)
	if err != nil {
		return nil, err
	}

	cfg, err := Config(s.Daemon, s.Version, s.Revision, s.Created)
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS: b.Platform.OS, Architecture: b.Platform.Architecture, Variant: b.Platform.Variant,
		Created: v1.Time{Time: s.Created.UTC()}, Config: cfg, RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	for i, l := range append(shared[:len(shared):len(shared)], last) {
		img, err = mutate.Append(img, mutate.Addendum{Layer: l, MediaType: types.OCILayer, History: v1.History{
			Created: v1.Time{Time: s.Created.UTC()}, CreatedBy: "banyan make images", Comment: [...]string{"base", "settings", "program"}[i],
		}})
		if err != nil {
			return nil, err
		}
	}
	img = mutate.Annotations(img, cfg.Labels).(v1.Image)

	size, err := sizeOf(img)
	if err != nil {
		return nil, err
	}
	a, err := aboutOf(s.Daemon)
	if err != nil {
		return nil, err
	}
	if size > a.limit {
		return nil, fmt.Errorf("%d bytes compressed, the limit is %d", size, a.limit)
	}
	return &Image{Image: img, Platform: b.Platform, Bill: bill, Size: size}, nil
}

// billOf wraps the bill of materials of an image into an artifact that refers to it.
func billOf(i *Image) (v1.Image, error) {
	subject, err := partial.Descriptor(i.Image)
	if err != nil {
		return nil, err
	}
	// The media type of the configuration says what kind of artifact this is.
	a := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), sbom.MediaType)
	a, err = mutate.Append(a, mutate.Addendum{Layer: static.NewLayer(i.Bill, sbom.MediaType), MediaType: sbom.MediaType})
	if err != nil {
		return nil, err
	}
	return mutate.Subject(a, v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}).(v1.Image), nil
}

func sizeOf(img v1.Image) (int64, error) {
	m, err := img.Manifest()
	if err != nil {
		return 0, err
	}
	n := m.Config.Size
	for _, l := range m.Layers {
		n += l.Size
	}
	return n, nil
}

// layer is a tree as a compressed tar, in memory.
type layer struct {
	tar, gz      []byte
	diff, digest v1.Hash
}

func layerOf(t rootfs.Tree) (v1.Layer, error) {
	var plain, packed bytes.Buffer
	if err := t.Tar(&plain); err != nil {
		return nil, err
	}
	// The header of gzip has no name and no time unless they are set.
	zw, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := zw.Write(plain.Bytes()); err != nil {
		return nil, err
	}
	if err := zw.Close(); err != nil {
		return nil, err
	}
	l := &layer{tar: plain.Bytes(), gz: packed.Bytes()}
	if l.diff, _, err = v1.SHA256(bytes.NewReader(l.tar)); err != nil {
		return nil, err
	}
	l.digest, _, err = v1.SHA256(bytes.NewReader(l.gz))
	return l, err
}

func (l *layer) Digest() (v1.Hash, error)           { return l.digest, nil }
func (l *layer) DiffID() (v1.Hash, error)           { return l.diff, nil }
func (l *layer) Compressed() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(l.gz)), nil }
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.tar)), nil
}
func (l *layer) Size() (int64, error)                { return int64(len(l.gz)), nil }
func (l *layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
