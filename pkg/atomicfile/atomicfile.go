// Package atomicfile writes files whole: whoever reads one, or finds it after a crash,
// has the former content or all of the new. It imports the standard library only.
package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts a file in place: written beside it, synced, then renamed. Until it has
// mode nobody else may read it, so that a key is not exposed for a moment.
// Its directory must exist.
func Write(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
