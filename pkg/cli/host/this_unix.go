//go:build unix

package host

import (
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func openFiles() (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("the limit of open files: %w", err)
	}
	if most := uint64(l.Max); most <= math.MaxInt64 {
		return most, nil
	}
	return math.MaxUint64, nil
}

func writable(dir string) error {
	i, err := os.Stat(dir)
	switch {
	case err != nil && os.IsNotExist(err):
		return errors.New("there is no such directory")
	case err != nil:
		return err
	case !i.IsDir():
		return errors.New("is no directory")
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("user %d may not write there", os.Getuid())
	}
	return nil
}
