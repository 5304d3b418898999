// Package archive writes archives whose bytes depend on names, contents and a time given
// alone: sorted, owned by root, executable or not, nothing else.
package archive

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// item is a file or directory below the directory that is packed.
type item struct {
	name string // with the directory's own name in front
	path string
	dir  bool
	mode fs.FileMode
	size int64
}

// Write packs a directory under its own name. The archive is a .zip or a .tar.gz by
// the name of file. Files that are neither regular nor directories are errors.
func Write(file, dir string, at time.Time) (err error) {
	items, err := list(dir)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	var write func(io.Writer, []item, time.Time) error
	switch {
	case strings.HasSuffix(file, ".zip"):
		write = writeZip
	case strings.HasSuffix(file, ".tar.gz"):
		write = writeTar
	default:
		return fmt.Errorf("archive: %s is neither .zip nor .tar.gz", file)
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if err := write(out, items, at.UTC()); err != nil {
		out.Close()
		return fmt.Errorf("archive: %s: %w", file, err)
	}
	return out.Close()
}

// list walks a directory; filepath.WalkDir goes in lexical order.
func list(dir string) (items []item, err error) {
	base := filepath.Base(dir)
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		it := item{name: path.Join(base, filepath.ToSlash(rel)), path: p, dir: e.IsDir(), mode: 0o644, size: info.Size()}
		switch {
		case it.dir:
			it.mode, it.size = 0o755, 0
		case !e.Type().IsRegular():
			return fmt.Errorf("%s is no regular file", p)
		case info.Mode()&0o100 != 0:
			it.mode = 0o755
		}
		items = append(items, it)
		return nil
	})
	return items, err
}

func writeTar(w io.Writer, items []item, at time.Time) error {
	// The header of gzip has no name and no time unless they are set.
	zw, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(zw)
	for _, it := range items {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: it.name, Mode: int64(it.mode), Size: it.size, ModTime: at, Uname: "root", Gname: "root", Format: tar.FormatUSTAR}
		if it.dir {
			h.Typeflag, h.Name = tar.TypeDir, it.name+"/"
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if err := it.copyTo(tw); err != nil {
			return err
		}
	}
	if err := tw.Close(); err != nil {
		return err
	}
	return zw.Close()
}

func writeZip(w io.Writer, items []item, at time.Time) error {
	zw := zip.NewWriter(w)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: zip.Deflate, Modified: at}
		h.SetMode(it.mode)
		if it.dir {
			h.Name, h.Method = it.name+"/", zip.Store
			h.SetMode(it.mode | fs.ModeDir)
		}
		out, err := zw.CreateHeader(h)
		if err != nil {
			return err
		}
		if err := it.copyTo(out); err != nil {
			return err
		}
	}
	return zw.Close()
}

func (it *item) copyTo(w io.Writer) error {
	if it.dir {
		return nil
	}
	in, err := os.Open(it.path)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(w, in)
	return err
}
