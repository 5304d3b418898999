package host

import (
	"errors"
	"os"
)

func openFiles() (uint64, error) { return 0, ErrUnseen }

func writable(dir string) error {
	if i, err := os.Stat(dir); err != nil || !i.IsDir() {
		return errors.New("there is no such directory")
	}
	return nil
}
