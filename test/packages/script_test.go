//go:build linux

package packages

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// release lays binaries out as an unpacked release has them, with the script beside.
func release(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for from, to := range map[string]string{
		shared.bin + "/hubd": "hubd", shared.bin + "/leafd": "leafd", shared.root + "/scripts/install.sh": "install.sh",
		shared.root + "/configs/systemd/hubd.service": "systemd/hubd.service", shared.root + "/configs/systemd/leafd.service": "systemd/leafd.service",
		shared.root + "/configs/debian/hubd.yaml": "debian/hubd.yaml", shared.root + "/configs/debian/hubd.default": "debian/hubd.default",
		shared.root + "/configs/debian/leafd.yaml": "debian/leafd.yaml", shared.root + "/configs/debian/leafd.default": "debian/leafd.default",
	} {
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// script runs install.sh into a directory.
func script(t *testing.T, file, dest string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{file}, args...)...)
	cmd.Env = append(os.Environ(), "DESTDIR="+dest)
	cmd.Dir = t.TempDir() // it must not matter where one stands
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// tree lists the files of a directory.
func tree(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestInstallScript(t *testing.T) {
	from := release(t)
	file := filepath.Join(from, "install.sh")
	dest := t.TempDir()

	if out, err := script(t, file, dest, "--dry-run"); err != nil || len(tree(t, dest)) > 0 || !strings.Contains(out, "/usr/local/bin/hubd") {
		t.Fatalf("a dry run: %v, leaves %v\n%s", err, tree(t, dest), out)
	}
	out, err := script(t, file, dest)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, d := range []string{"hubd", "leafd"} {
		for _, f := range []string{"/usr/local/bin/" + d, "/etc/systemd/system/" + d + ".service", "/etc/" + d + "/" + d + ".yaml", "/etc/default/" + d,
			"/usr/local/share/man/man8/" + d + ".8", "/usr/local/share/bash-completion/completions/" + d} {
			if !slices.Contains(tree(t, dest), f) {
				t.Errorf("there is no %s:\n%s", f, out)
			}
		}
		u := readUnit(t, dest+"/etc/systemd/system/"+d+".service")
		if got, want := u.one(t, "ExecStart"), "/usr/local/bin/"+d+" -c /etc/"+d+"/"+d+".yaml"; got != want {
			t.Errorf("ExecStart=%s, want %s", got, want)
		}
		if text := strings.Join(append(u["ExecStartPre"], u["ExecReload"]...), "\n"); strings.Contains(text, "/usr/bin/") {
			t.Errorf("the service looks elsewhere:\n%s", text)
		}
	}
	if slices.ContainsFunc(tree(t, dest), func(f string) bool { return strings.Contains(f, "gwd") || strings.Contains(f, ".new") }) {
		t.Errorf("what was not there was installed, or something lies about: %v", tree(t, dest))
	}

	// Settings are never overwritten.
	settings := dest + "/etc/hubd/hubd.yaml"
	if err := os.WriteFile(settings, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := script(t, file, dest, "hubd"); err != nil || readFile(t, settings) != "mine" || !strings.Contains(out, settings+" stays as it is") {
		t.Errorf("a second time: %v, settings %q\n%s", err, readFile(t, settings), out)
	}
	if out, err := script(t, file, dest, "--uninstall"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	want := []string{"/etc/default/hubd", "/etc/default/leafd", "/etc/hubd/hubd.yaml", "/etc/leafd/leafd.yaml"}
	if got := tree(t, dest); !slices.Equal(got, want) {
		t.Errorf("an uninstallation leaves %v, want %v", got, want)
	}
}

// What is not what the checksums say is not installed, and nothing else is.
func TestInstallScriptChecks(t *testing.T) {
	from := release(t)
	file, dest := filepath.Join(from, "install.sh"), t.TempDir()
	sums := ""
	for _, d := range []string{"hubd", "leafd"} {
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256([]byte(readFile(t, filepath.Join(from, d)))), d)
	}
	list := filepath.Join(from, "SHA256SUMS")
	for _, c := range []struct {
		sums, says string
		ok         bool
	}{
		{sums, "hubd: checksum is right", true},
		{strings.Replace(sums, sums[80:90], "0000000000", 1), "leafd is not what", false},
		{strings.Replace(sums, "leafd", "other", 1), "does not name leafd", false},
	} {
		if err := os.WriteFile(list, []byte(c.sums), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := script(t, file, dest, "--no-units")
		if (err == nil) != c.ok || !strings.Contains(out, c.says) {
			t.Errorf("%v, want %q in:\n%s", err, c.says, out)
		}
		if got := len(tree(t, dest)) > 0; got != c.ok {
			t.Errorf("installed: %v, want %v", tree(t, dest), c.ok)
		}
		if out, err := script(t, file, dest, "--uninstall"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		os.RemoveAll(dest + "/etc")
	}
	for _, args := range [][]string{{"--nope"}, {"gwd"}, {"--prefix", "relative"}, {"--prefix", "/opt/a b"}, {"--prefix", "/opt/a|b"}, {"--prefix=/opt/a&b"}, {"--from", "/does/not/exist"}} {
		if out, err := script(t, file, dest, args...); err == nil || !strings.HasPrefix(out, "install.sh: ") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if out, err := script(t, file, dest, "--help"); err != nil || !strings.Contains(out, "--dry-run") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestShellcheck(t *testing.T) {
	shellcheck := tool(t, "shellcheck", "shellcheck")
	list := []string{shared.root + "/scripts/install.sh", shared.root + "/scripts/rolling-upgrade.sh"}
	for _, f := range []string{"preinst", "postinst", "prerm", "postrm"} {
		text := strings.NewReplacer("@NAME@", "hubd", "@ALTERNATIVE@", "20", "@START@", "yes").Replace(readFile(t, shared.root+"/configs/debian/"+f))
		filled := filepath.Join(t.TempDir(), f)
		if err := os.WriteFile(filled, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		list = append(list, filled)
	}
	if out, err := tryRun(append([]string{shellcheck, "--shell=sh"}, list...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
