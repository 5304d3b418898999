//go:build !linux

package host

func clock() (Clock, error)     { return Clock{}, ErrUnseen }
func disk(string) (Disk, error) { return Disk{}, ErrUnseen }
