package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
)

// file is one file of a package.
type file struct {
	path string // absolute, where it will be
	mode int64
	body []byte
	link string // target of a symbolic link; body is nil
	conf bool   // a conffile: the administrator's changes win
}

// deb is a package that is being made.
type deb struct {
	fields  []field
	scripts []file // of the maintainer, by name alone
	files   []file
	time    time.Time
	level   int // of compression
}

// field is a line of the control file.
type field struct{ name, value string }

// write writes the package.
func (d *deb) write(w io.Writer) error {
	slices.SortFunc(d.files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	data, err := d.data()
	if err != nil {
		return err
	}
	control, err := d.control()
	if err != nil {
		return err
	}
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		body []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", control}, {"data.tar.gz", data}} {
		fmt.Fprintf(&out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, d.time.Unix(), 0, 0, "100644", len(m.body))
		out.Write(m.body)
		if len(m.body)%2 == 1 {
			out.WriteByte('\n')
		}
	}
	_, err = w.Write(out.Bytes())
	return err
}

func (d *deb) data() ([]byte, error) {
	return d.packed(func(t *tar.Writer) error {
		known := map[string]bool{}
		for _, f := range d.files {
			if err := d.parents(t, known, path.Dir(f.path)); err != nil {
				return err
			}
			if err := d.add(t, "."+f.path, f); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *deb) control() ([]byte, error) {
	var control, sums, confs bytes.Buffer
	size := 0
	for _, f := range d.files {
		size += (len(f.body) + 1023) / 1024
		if f.link != "" {
			continue
		}
		if f.conf {
			fmt.Fprintln(&confs, f.path)
		} else {
			fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.body), f.path[1:])
		}
	}
	for _, x := range d.fields {
		if x.name == "Description" {
			fmt.Fprintf(&control, "Installed-Size: %d\n", size)
		}
		fmt.Fprintf(&control, "%s: %s\n", x.name, x.value)
	}
	list := append([]file{
		{path: "control", mode: 0o644, body: control.Bytes()},
		{path: "md5sums", mode: 0o644, body: sums.Bytes()},
	}, d.scripts...)
	if confs.Len() > 0 {
		list = append(list, file{path: "conffiles", mode: 0o644, body: confs.Bytes()})
	}
	slices.SortFunc(list, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return d.packed(func(t *tar.Writer) error {
		if err := d.directory(t, "./"); err != nil {
			return err
		}
		for _, f := range list {
			if err := d.add(t, "./"+f.path, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// parents adds the directories above a file, each once.
func (d *deb) parents(t *tar.Writer, known map[string]bool, dir string) error {
	if known[dir] {
		return nil
	}
	known[dir] = true
	if dir == "/" {
		return d.directory(t, "./")
	}
	if err := d.parents(t, known, path.Dir(dir)); err != nil {
		return err
	}
	return d.directory(t, "."+dir+"/")
}

func (d *deb) directory(t *tar.Writer, name string) error {
	return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: d.time, Uname: "root", Gname: "root", Format: tar.FormatGNU})
}

func (d *deb) add(t *tar.Writer, name string, f file) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: f.mode, Size: int64(len(f.body)), ModTime: d.time, Uname: "root", Gname: "root", Format: tar.FormatGNU}
	if f.link != "" {
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, f.link, 0o777
	}
	if err := t.WriteHeader(h); err != nil {
		return fmt.Errorf("packing %s: %w", f.path, err)
	}
	_, err := t.Write(f.body)
	return err
}

// packed is a compressed tar archive. All versions of dpkg read gzip.
func (d *deb) packed(fill func(*tar.Writer) error) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, d.level)
	if err != nil {
		return nil, err
	}
	t := tar.NewWriter(z)
	if err := fill(t); err != nil {
		return nil, err
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}

// gzipped is a file as Debian keeps manual pages and changelogs: without a name and time.
func gzipped(body []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = z.Write(body)
	_ = z.Close()
	return b.Bytes()
}
