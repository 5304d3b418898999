//go:build linux

package packages

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/banyanmq/banyan/test/procs"
)

// What all tests share: the binaries, and packages of two versions of each daemon.
const (
	older = "0.1.0"
	newer = "0.2.0-rc1"
)

var shared struct { // written by TestMain only
	root string // of the module
	bin  string // hubd, gwd, leafd
	debs string // packages
}

func daemons() []string { return []string{"hubd", "gwd", "leafd"} }

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	if inside() {
		shared.bin, shared.debs = os.Getenv("TEST_BIN"), os.Getenv("TEST_DEBS")
		return m.Run(), nil
	}
	var err error
	if shared.root, err = procs.ModuleRoot(); err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "packages")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	bins := procs.NewBinaries(dir)
	shared.bin, shared.debs = filepath.Join(dir, "bin", arch()), filepath.Join(dir, "debs")
	if err := os.MkdirAll(shared.bin, 0o755); err != nil {
		return 0, err
	}
	for _, d := range daemons() {
		exe, err := bins.Build(ctx, d)
		if err != nil {
			return 0, err
		}
		body, err := os.ReadFile(exe)
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(shared.bin, d), body, 0o755); err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(shared.bin, d+".licences"), []byte("a licence\n"), 0o644); err != nil {
			return 0, err
		}
	}
	for _, v := range []string{older, newer} {
		if err := pack(v, shared.debs); err != nil {
			return 0, err
		}
	}
	// What the throw-away root needs of the tree.
	scripts := filepath.Join(dir, "scripts")
	if err := os.Mkdir(scripts, 0o755); err != nil {
		return 0, err
	}
	for _, f := range []string{"install.sh", "rolling-upgrade.sh"} {
		body, err := os.ReadFile(filepath.Join(shared.root, "scripts", f))
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(scripts, f), body, 0o755); err != nil {
			return 0, err
		}
	}
	// The throw-away root is entered by other users too.
	for _, d := range []string{dir, shared.debs} {
		if err := os.Chmod(d, 0o755); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}

func arch() string {
	if runtime.GOARCH == "arm" {
		return "armhf"
	}
	return runtime.GOARCH
}

// pack makes the packages of one version.
func pack(version, out string) error {
	cmd := exec.Command("go", "run", "./scripts/deb", "-bin", filepath.Dir(shared.bin), "-version", version, "-epoch", "1700000000", "-compression", "1", "-out", out)
	cmd.Dir = shared.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// deb is the file of a package.
func deb(name, version string) string {
	v := map[string]string{older: "0.1.0-1", newer: "0.2.0~rc1-1"}[version]
	return filepath.Join(shared.debs, fmt.Sprintf("%s_%s_%s.deb", name, v, arch()))
}

// tool is the path of a program, or the test is left out.
func tool(t *testing.T, name, from string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, from)
	}
	return p
}

// run runs a program that has to succeed, and returns what it printed.
func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryRun(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func tryRun(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return string(out), err
}
