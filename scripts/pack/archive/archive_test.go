package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var at = time.Unix(1_700_000_000, 0)

// staged makes a directory to pack, at another time and with other modes each time.
func staged(t *testing.T, mask os.FileMode, when time.Time) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hubd-1.2.3")
	for name, mode := range map[string]os.FileMode{"hubd": 0o755, "README.md": 0o644, "man/man8/hubd.8": 0o644} {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte("content of "+name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, mode&^mask); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var want = []string{"hubd-1.2.3/ 0755", "hubd-1.2.3/README.md 0644", "hubd-1.2.3/hubd 0755", "hubd-1.2.3/man/ 0755", "hubd-1.2.3/man/man8/ 0755", "hubd-1.2.3/man/man8/hubd.8 0644"}

func TestTheSameDirectoryGivesTheSameBytes(t *testing.T) {
	for _, kind := range []string{".tar.gz", ".zip"} {
		var made [2][]byte
		for i := range made {
			out := filepath.Join(t.TempDir(), "a"+kind)
			dir := staged(t, []os.FileMode{0, 0o077}[i], time.Unix(int64(1000*i+1), 0))
			if err := Write(out, dir, at); err != nil {
				t.Fatal(err)
			}
			var err error
			if made[i], err = os.ReadFile(out); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(made[0], made[1]) {
			t.Errorf("%s: two archives of the same files differ", kind)
		}
		if got := entries(t, kind, made[0]); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", kind, got, want)
		}
	}
}

// entries reads an archive back, contents included.
func entries(t *testing.T, kind string, b []byte) (names []string) {
	t.Helper()
	check := func(name string, mode os.FileMode, dir bool, when time.Time, r io.Reader) {
		text := name + " 0" + string('0'+rune(mode>>6&7)) + string('0'+rune(mode>>3&7)) + string('0'+rune(mode&7))
		names = append(names, text)
		if !when.Equal(at) {
			t.Errorf("%s of %v", name, when)
		}
		if dir {
			return
		}
		content, err := io.ReadAll(r)
		if rel := name[len("hubd-1.2.3/"):]; err != nil || string(content) != "content of "+rel {
			t.Errorf("%s holds %q, %v", name, content, err)
		}
	}
	if kind == ".zip" {
		r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.File {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			check(f.Name, f.Mode().Perm(), f.Mode().IsDir(), f.Modified, in)
		}
		return names
	}
	zr, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(zr); ; {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s belongs to %d:%d", h.Name, h.Uid, h.Gid)
		}
		check(h.Name, os.FileMode(h.Mode), h.Typeflag == tar.TypeDir, h.ModTime, r)
	}
}

func TestRefused(t *testing.T) {
	dir := staged(t, 0, at)
	if err := Write(filepath.Join(t.TempDir(), "a.rar"), dir, at); err == nil {
		t.Error("a .rar was written")
	}
	if err := os.Symlink("hubd", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(t.TempDir(), "a.zip"), dir, at); err == nil {
		t.Error("a link was packed")
	}
}
