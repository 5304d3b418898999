package host

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

func clock() (Clock, error) {
	var t unix.Timex // no mode: it is only read
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return Clock{}, fmt.Errorf("the clock's state: %w", err)
	}
	return Clock{
		Synced: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0,
		Error:  time.Duration(t.Maxerror) * time.Microsecond,
	}, nil
}

func disk(dir string) (Disk, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Disk{}, err
	}
	block := uint64(s.Bsize)
	return Disk{Kind: kind(int64(s.Type)), Size: s.Blocks * block, Free: s.Bavail * block, Files: s.Files, Left: s.Ffree}, nil
}

func kind(magic int64) string {
	switch magic & 0xffffffff {
	case 0xef53:
		return "ext4"
	case 0x58465342:
		return "xfs"
	case 0x9123683e:
		return "btrfs"
	case 0x2fc12fc1:
		return "zfs"
	case 0xf2f52010:
		return "f2fs"
	case 0x01021994:
		return "tmpfs"
	case 0x858458f6:
		return "ramfs"
	case 0x794c7630:
		return "overlay"
	case 0x6969:
		return "nfs"
	case 0xff534d42, 0xfe534d42:
		return "cifs"
	case 0x65735546:
		return "fuse"
	}
	return fmt.Sprintf("file system %#x", magic)
}
