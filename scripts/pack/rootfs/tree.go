package rootfs

import (
	"archive/tar"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// User is the numeric user and group that the daemons run as, and that owns what they
// write. It is numeric in the image's configuration too, so that Kubernetes can verify
// runAsNonRoot.
const User = 65532

// Entry is a file, a directory or a symbolic link of an image.
type Entry struct {
	Path string      // as in the image without the leading slash: "usr/local/bin/hubd"
	Mode fs.FileMode // type and permissions, fs.ModeSticky included
	UID  int         // group as well
	Link string      // target, of a symbolic link
	Data []byte      // content, of a file
}

// Tree is what stands in a layer. After Complete it is sorted by path, and every
// directory that leads to an entry is in it.
type Tree []Entry

func file(path string, mode fs.FileMode, data []byte) Entry {
	return Entry{Path: path, Mode: mode, Data: data}
}

func directory(path string, mode fs.FileMode, uid int) Entry {
	return Entry{Path: path, Mode: fs.ModeDir | mode, UID: uid}
}

func link(path, target string) Entry {
	return Entry{Path: path, Mode: fs.ModeSymlink | 0o777, Link: target}
}

// Complete adds the directories that are missing, owned by root with mode 0755, and
// sorts. A path that is there twice is an error.
func (t Tree) Complete() (Tree, error) {
	have := map[string]bool{}
	for _, e := range t {
		if have[e.Path] || e.Path == "" || path.Clean(e.Path) != e.Path || path.IsAbs(e.Path) {
			return nil, fmt.Errorf("rootfs: %q is there twice, or is no clean relative path", e.Path)
		}
		have[e.Path] = true
	}
	out := slices.Clone(t)
	for _, e := range t {
		for d := path.Dir(e.Path); d != "."; d = path.Dir(d) {
			if !have[d] {
				have[d] = true
				out = append(out, directory(d, 0o755, 0))
			}
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	return out, nil
}

// epoch is the time of every file: a layer is to depend on its content alone.
var epoch = time.Unix(0, 0).UTC()

// Tar writes a complete tree.
func (t Tree) Tar(w io.Writer) error {
	tw := tar.NewWriter(w)
	for _, e := range t {
		h := &tar.Header{
			Typeflag: tar.TypeReg, Name: e.Path, Size: int64(len(e.Data)), Uid: e.UID, Gid: e.UID,
			Mode: int64(e.Mode.Perm()), ModTime: epoch, Format: tar.FormatUSTAR,
		}
		if e.Mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		switch {
		case e.Mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		case e.Mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.Link
		}
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("rootfs: %s: %w", e.Path, err)
		}
		if _, err := tw.Write(e.Data); err != nil {
			return fmt.Errorf("rootfs: %s: %w", e.Path, err)
		}
	}
	return tw.Close()
}

// WriteTo makes the tree in a directory, which must be empty or not exist. Owners are
// set only if the process may.
func (t Tree) WriteTo(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if have, err := os.ReadDir(dir); err != nil || len(have) > 0 {
		return fmt.Errorf("rootfs: %s is not an empty directory (%w)", dir, err)
	}
	for _, e := range t {
		name := filepath.Join(dir, filepath.FromSlash(e.Path))
		var err error
		switch {
		case e.Mode.IsDir():
			err = os.Mkdir(name, 0o755)
		case e.Mode&fs.ModeSymlink != 0:
			err = os.Symlink(e.Link, name)
		default:
			err = os.WriteFile(name, e.Data, 0o644)
		}
		if err == nil && os.Geteuid() == 0 {
			err = os.Lchown(name, e.UID, e.UID)
		}
		if err == nil && e.Mode&fs.ModeSymlink == 0 {
			err = os.Chmod(name, e.Mode&(fs.ModePerm|fs.ModeSticky))
		}
		if err != nil {
			return fmt.Errorf("rootfs: %w", err)
		}
	}
	return nil
}
