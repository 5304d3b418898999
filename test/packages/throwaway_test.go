//go:build linux

package packages

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inside says whether this is the copy of the test in a throw-away root.
func inside() bool { return os.Getenv("TEST_INSIDE") != "" }

// inThrowAway has the rest of a test run in a root to throw away. It returns nil when that
// was done, and within, what enter returns.
func inThrowAway(t *testing.T) (changes func() []string) {
	t.Helper()
	if inside() {
		return enter(t)
	}
	throwAway(t)
	return nil
}

// throwAway runs the same test again in a root of its own, with processes and a network
// of its own, and tells what came of it. All of it is gone when it returns.
func throwAway(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can make a root to throw away")
	}
	tool(t, "dpkg", "dpkg")
	tool(t, "runuser", "util-linux")
	t.Parallel() // each has a root, processes and ports of its own
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "TEST_INSIDE="+dir, "TEST_SHARED="+filepath.Dir(shared.debs), "TEST_ARCH="+arch())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skipf("namespaces may not be made here: %v", err)
	case strings.Contains(string(out), noRoot):
		t.Skipf("%s", out)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

const noRoot = "a root to throw away cannot be mounted here"

// enter makes the root and goes there. It returns what was changed in it since, which
// is read by a handle from before.
func enter(t *testing.T) (changes func() []string) {
	t.Helper()
	must := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	// may is for what a machine can forbid: the test is left out there. All else has to work.
	may := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %s: %v", noRoot, what, err)
		}
	}
	base := os.Getenv("TEST_INSIDE")
	may("making mounts private", unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	may("tmpfs", unix.Mount("tmpfs", base, "tmpfs", 0, "mode=755"))
	upper, root := filepath.Join(base, "upper"), filepath.Join(base, "root")
	for _, d := range []string{"upper", "work", "root"} {
		must(d, os.Mkdir(filepath.Join(base, d), 0o755))
	}
	may("overlay", unix.Mount("overlay", root, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+filepath.Join(base, "work")))
	must("proc", unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""))
	must("dev", unix.Mount("/dev", filepath.Join(root, "dev"), "", unix.MS_BIND|unix.MS_REC, ""))
	// Without /run/systemd there no script takes systemd for running.
	must("run", unix.Mount("tmpfs", filepath.Join(root, "run"), "tmpfs", 0, "mode=755"))
	must("tmp", unix.Mount("tmpfs", filepath.Join(root, "tmp"), "tmpfs", 0, "mode=1777"))
	must("the packages", unix.Mount(os.Getenv("TEST_SHARED"), filepath.Join(root, "mnt"), "", unix.MS_BIND, ""))
	handle, err := os.OpenRoot(upper)
	must("upper", err)
	must("chroot", unix.Chroot(root))
	must("chdir", os.Chdir("/"))
	must("loopback", loopbackUp())
	os.Remove("/var/lib/man-db/auto-update") // indexing all manual pages takes longer than the test
	shared.bin, shared.debs = "/mnt/bin/"+os.Getenv("TEST_ARCH"), "/mnt/debs"
	t.Setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	t.Setenv("TMPDIR", "/tmp")
	t.Setenv("DEBIAN_FRONTEND", "noninteractive")
	return func() []string {
		return slices.DeleteFunc(changed(t, handle.FS()), func(f string) bool { return strings.HasPrefix(f, "/var/lib/man-db/") })
	}
}

// changed lists what the upper layer holds: files that are new or changed, files that are
// gone with a mark of their own, directories that the machine does not have.
func changed(t *testing.T, upper fs.FS) []string {
	t.Helper()
	var list []string
	err := fs.WalkDir(upper, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		name := "/" + path
		i, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case i.Mode()&fs.ModeCharDevice != 0:
			list = append(list, name+" (gone)")
		case !d.IsDir():
			list = append(list, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r); err != nil {
		return fmt.Errorf("SIOCSIFFLAGS: %w", err)
	}
	return nil
}
