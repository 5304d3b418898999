//go:build linux

package packages

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// leftOvers are changes that are no packages': dpkg's and the system's own books.
func leftOvers(list []string) []string {
	return slices.DeleteFunc(list, func(name string) bool {
		switch name {
		case "/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-", "/etc/.pwd.lock",
			"/var/log/dpkg.log", "/var/log/alternatives.log":
			return true
		case "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid":
			b, err := os.ReadFile(name)
			return err == nil && !strings.Contains(string(b), "hubd") && !strings.Contains(string(b), "gwd") && !strings.Contains(string(b), "leafd")
		}
		for _, books := range []string{"/var/lib/dpkg/", "/var/cache/", "/var/lib/systemd/deb-systemd-helper-"} {
			if strings.HasPrefix(name, books) && !strings.Contains(name, "hubd") && !strings.Contains(name, "gwd") && !strings.Contains(name, "leafd") {
				return true
			}
		}
		return false
	})
}

func nothingLeft(t *testing.T, when string, changes func() []string) {
	t.Helper()
	if left := leftOvers(changes()); len(left) > 0 {
		t.Errorf("%s there is left:\n%s", when, strings.Join(left, "\n"))
	}
	for _, d := range daemons() {
		for _, dir := range []string{"/etc/" + d, "/var/lib/" + d, "/var/log/" + d, "/usr/share/doc/" + d} {
			if _, err := os.Lstat(dir); err == nil {
				t.Errorf("%s there is %s", when, dir)
			}
		}
		if out, err := tryRun("getent", "passwd", d); err == nil {
			t.Errorf("%s there is the user %s", when, out)
		}
	}
}

// dpkg does not wait for disks here: all is kept in memory.
func dpkg(t *testing.T, what, which string) string {
	t.Helper()
	return run(t, "dpkg", "--force-unsafe-io", what, which)
}

func stat(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(run(t, "stat", "-c", "%U:%G %a", name))
}

// A package is installed, its service is started by hand as its unit says, reloaded, upgraded
// and stopped, and the package is removed and purged.
func TestInstalled(t *testing.T) {
	changes := inThrowAway(t)
	if changes == nil {
		return
	}
	for _, d := range daemons() {
		t.Run(d, func(t *testing.T) {
			dpkg(t, "-i", deb(d, older))
			settings, environment := "/etc/"+d+"/"+d+".yaml", "/etc/default/"+d
			if s := stat(t, settings); s != "root:"+d+" 640" {
				t.Errorf("%s is %s", settings, s)
			}
			if s := stat(t, environment); s != "root:root 640" {
				t.Errorf("%s is %s", environment, s)
			}
			// What an administrator writes there is kept and is used.
			edit(t, settings, "\n# edited\n")
			edit(t, environment, fmt.Sprintf("\n%s_SERVER_NAME=by-environment\n", strings.ToUpper(d)))
			if d != "leafd" {
				edit(t, environment, fmt.Sprintf("%[1]s_LIFECYCLE_DRAIN=30s\n%[1]s_LIFECYCLE_DRAIN_GRACE=1s\n", strings.ToUpper(d)))
			}
			// Again, and its script once more: nothing changes.
			dpkg(t, "-i", deb(d, older))
			run(t, "/var/lib/dpkg/info/"+d+".postinst", "configure", "0.1.0-1")

			b := startByHand(t, d)
			if s := b.told("READY=1"); !strings.Contains(s, "as by-environment") {
				t.Errorf("ready: %q", s)
			}
			b.told("WATCHDOG=1")
			b.told("WATCHDOG=1")
			b.reload()
			if b.limited && strings.Contains(b.log.String(), "files may be open") {
				t.Errorf("the unit's limit of open files is too small:\n%s", b.log)
			}

			dpkg(t, "-i", deb(d, newer)) // while it runs
			for _, f := range []string{settings, environment} {
				if s := readFile(t, f); !strings.Contains(s, "edited") && !strings.Contains(s, "by-environment") {
					t.Errorf("the upgrade has changed %s:\n%s", f, s)
				}
			}
			if s := stat(t, settings); s != "root:"+d+" 640" {
				t.Errorf("%s is %s after the upgrade", settings, s)
			}
			if _, err := os.Stat(settings + ".dpkg-new"); err == nil {
				t.Error("dpkg has questions about the settings")
			}
			b.told("WATCHDOG=1")
			client := serves(t, d)
			took := b.stop()
			t.Logf("%s stopped in %v", d, took.Round(time.Millisecond))
			if client != nil {
				sentAway(t, client, d, took)
			}

			dpkg(t, "-r", d)
			if _, err := os.Stat("/usr/bin/" + d); err == nil {
				t.Error("removed, and the program is there")
			}
			if s := readFile(t, settings); !strings.Contains(s, "edited") {
				t.Errorf("removed, and the settings are %q", s)
			}
			data := "/var/lib/" + d + "/data"
			if d != "gwd" {
				edit(t, data, "kept\n")
			}
			out := dpkg(t, "-P", d)
			if d != "gwd" {
				if s := readFile(t, data); s != "kept\n" || !strings.Contains(out, "is kept") {
					t.Errorf("the purge of %s: data %q\n%s", d, s, out)
				}
				if _, err := tryRun("getent", "passwd", d); err != nil {
					t.Error("the user of the data that was kept is gone")
				}
				// Asked for it, a purge takes data too.
				dpkg(t, "-i", deb(d, newer))
				t.Setenv("BANYAN_PURGE", "data")
				dpkg(t, "-P", d)
			}
			os.Remove("/run/notify")
			os.RemoveAll("/run/" + d) // which systemd does
			nothingLeft(t, "after the purge of "+d, changes)
		})
	}
}

func edit(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// serves asks the daemon at the address of its default settings, as a client where it
// has some, and leaves the client connected.
func serves(t *testing.T, d string) net.Conn {
	t.Helper()
	port := map[string]string{"hubd": "8222", "gwd": "8223", "leafd": "8222"}[d]
	r, err := http.Get("http://127.0.0.1:" + port + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Errorf("healthz of %s: %s", d, r.Status)
	}
	if d == "gwd" {
		return nil
	}
	c, err := net.Dial("tcp", "127.0.0.1:4222")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte("CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
	lines := bufio.NewReader(c)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "PONG\r\n" {
			return c
		}
	}
}

// sentAway: the client of a hub was told, and given the grace; that of a leafd has nowhere to go.
func sentAway(t *testing.T, c net.Conn, d string, took time.Duration) {
	t.Helper()
	told := false
	for lines := bufio.NewScanner(c); lines.Scan(); {
		told = told || strings.Contains(lines.Text(), `"ldm":true`)
	}
	if drains := d == "hubd"; told != drains || drains && took < time.Second || !drains && took > 5*time.Second {
		t.Errorf("%s stopped in %v, its client was told to leave: %v", d, took, told)
	}
}

// The name nats-server: ours where nobody has it, and never by covering another.
func TestAlternatives(t *testing.T) {
	changes := inThrowAway(t)
	if changes == nil {
		return
	}
	for _, f := range []string{"/usr/bin/nats-server", "/usr/sbin/nats-server", "/usr/local/bin/nats-server"} {
		os.Remove(f) // this machine's, if it has one
	}
	before := changes()
	const link = "/usr/bin/nats-server"
	points := func(want string) {
		t.Helper()
		if got, _ := filepath.EvalSymlinks(link); got != want {
			t.Errorf("%s leads to %q, want %q", link, got, want)
		}
	}
	dpkg(t, "-i", deb("leafd", older))
	points("/usr/bin/leafd")
	dpkg(t, "-i", deb("hubd", older))
	points("/usr/bin/hubd")
	if s := run(t, link, "--version"); !strings.HasPrefix(s, "nats-server: v") {
		t.Errorf("%q", s)
	}
	dpkg(t, "-r", "hubd")
	points("/usr/bin/leafd")
	dpkg(t, "-P", "leafd")
	points("")

	for _, real := range []string{"/usr/bin/nats-server", "/usr/sbin/nats-server"} {
		edit(t, real, "a real one\n")
		out := dpkg(t, "-i", deb("hubd", newer))
		if s := readFile(t, real); s != "a real one\n" || !strings.Contains(out, "is left to it") {
			t.Errorf("%s holds %q\n%s", real, s, out)
		}
		dpkg(t, "-P", "hubd")
		if s := readFile(t, real); s != "a real one\n" {
			t.Errorf("%s holds %q after the purge", real, s)
		}
		os.Remove(real)
	}
	// One that comes later gets its name back at the next upgrade.
	dpkg(t, "-i", deb("hubd", older))
	points("/usr/bin/hubd")
	edit(t, "/usr/sbin/nats-server", "a real one\n")
	dpkg(t, "-i", deb("hubd", newer))
	points("")
	dpkg(t, "-P", "hubd")
	os.Remove("/usr/sbin/nats-server")
	var more []string
	for _, c := range leftOvers(changes()) {
		if !slices.Contains(before, c) && !strings.HasSuffix(c, "(gone)") {
			more = append(more, c)
		}
	}
	if len(more) > 0 {
		t.Errorf("there is left: %v", more)
	}
}

// With systemd an upgrade restarts what runs, and only with settings that will do. What is
// run in systemd's stead here writes down what it was asked for.
func TestUpgradeUnderSystemd(t *testing.T) {
	if inThrowAway(t) == nil {
		return
	}
	if err := os.MkdirAll("/run/systemd/system", 0o755); err != nil {
		t.Fatal(err)
	}
	const book = "/run/asked"
	for _, name := range []string{"systemctl", "deb-systemd-invoke"} {
		script := "#!/bin/sh\necho " + name + " \"$@\" >>" + book + "\ncase \"$*\" in *is-active*) [ -e /run/active ] ;; esac\n"
		if err := os.WriteFile("/usr/local/bin/"+name, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	asked := func(what func()) string {
		os.Remove(book)
		what()
		b, _ := os.ReadFile(book)
		return string(b)
	}
	install := func(d, version string) func() { return func() { t.Log(dpkg(t, "-i", deb(d, version))) } }
	has := func(what, where, want string, wanted bool) {
		t.Helper()
		if strings.Contains(where, want) != wanted {
			t.Errorf("%s: %q is in it: %v, want %v:\n%s", what, want, !wanted, wanted, where)
		}
	}
	const restart = "deb-systemd-invoke try-restart "
	for _, d := range []string{"hubd", "gwd"} {
		os.Remove("/run/active")
		s := asked(install(d, older))
		has("installation of "+d, s, "deb-systemd-invoke start "+d+".service", d != "gwd")
		has("installation of "+d, s, "try-restart", false)
		if d == "gwd" { // in all else as hubd
			dpkg(t, "-P", d)
			continue
		}
		s = asked(install(d, newer))
		has("upgrade of what does not run", s, "deb-systemd-invoke", false)

		touch(t, "/run/active")
		s = asked(install(d, older))
		has("upgrade", s, restart+d+".service", true)
		// A setting by the environment counts as well, and quotes are taken off.
		edit(t, "/etc/default/"+d, fmt.Sprintf("%s_LIFECYCLE_DRAIN=\"45s\"\n", strings.ToUpper(d)))
		s = asked(install(d, newer))
		has("upgrade with an environment", s, restart+d+".service", true)
		edit(t, "/etc/default/"+d, fmt.Sprintf("%s_LIFECYCLE_DRAIN='no time'\n", strings.ToUpper(d)))
		s = asked(install(d, older))
		has("upgrade with a bad environment", s, restart, false)

		s = asked(func() { dpkg(t, "-r", d) })
		has("removal", s, "deb-systemd-invoke stop "+d+".service", true)
		has("removal", s, "daemon-reload", true)
		os.Remove("/run/active")
		s = asked(install(d, older))
		has("installation after a removal", s, "deb-systemd-invoke start "+d+".service", true)
		has("installation after a removal", s, "disable", false)
		dpkg(t, "-P", d)
	}
}

// A first start that fails leaves nothing behind that would try again at the next boot.
func TestFirstStartFails(t *testing.T) {
	if inThrowAway(t) == nil {
		return
	}
	if err := os.MkdirAll("/run/systemd/system", 0o755); err != nil {
		t.Fatal(err)
	}
	const book = "/run/asked"
	for name, code := range map[string]string{"systemctl": "0", "deb-systemd-invoke": "1"} {
		stub(t, name, "echo "+name+" \"$@\" >>"+book+"; exit "+code)
	}
	for _, d := range []string{"hubd", "leafd"} {
		os.Remove(book)
		out := dpkg(t, "-i", deb(d, older))
		asked := readFile(t, book)
		for _, want := range []string{"systemctl --system stop " + d + ".service\n", "systemctl --system --quiet disable " + d + ".service\n"} {
			if !strings.Contains(asked, want) {
				t.Errorf("%s was not asked for:\n%s", want, asked)
			}
		}
		if !strings.Contains(out, "systemctl enable --now "+d) {
			t.Errorf("the administrator is not told what to do:\n%s", out)
		}
	}
}

// The script for upgrades checks settings as the unit does: its program, its settings, its variables.
func TestRollingUpgradeChecks(t *testing.T) {
	if inThrowAway(t) == nil {
		return
	}
	dpkg(t, "-i", deb("hubd", older))
	stub(t, "systemctl", "[ \"$1\" = cat ] && cat /run/unit")
	if err := os.WriteFile("/run/unit", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	edit(t, "/etc/hubd/hubd.yaml", "auth: {users: [{name: app, password: {env: APP_PASSWORD}}]}\n")
	edit(t, "/tmp/inventory", "a hub - systemd - hubd.service\n")
	upgrade := func(env ...string) (string, int) {
		cmd := exec.Command("sh", "/mnt/scripts/rolling-upgrade.sh", "--dry-run", "/tmp/inventory")
		cmd.Env = append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	expect := func(when string, want int, says string, env ...string) {
		t.Helper()
		if out, code := upgrade(env...); code != want || !strings.Contains(out, says) {
			t.Errorf("%s: exit code %d, want %d and %q in:\n%s", when, code, want, says, out)
		}
	}
	expect("without its variables", 3, "APP_PASSWORD")
	edit(t, "/etc/default/hubd", "APP_PASSWORD='a $(touch /run/executed) b'\n")
	expect("with them", 0, "would be restarted")
	if _, err := os.Stat("/run/executed"); err == nil {
		t.Error("a value was run")
	}
	edit(t, "/run/unit", "[Service]\nExecStartPre=/usr/bin/hubd check -c /etc/hubd/other.yaml\n")
	expect("as the unit says", 3, "other.yaml")
	expect("by a check of one's own", 0, "would be restarted", "CHECK=[ $unit = hubd.service ]")
	expect("by one that fails", 3, "not accept", "CHECK=false")

	// What was done for another version is not done.
	edit(t, "/tmp/inventory.progress", "version another\ndone a\n")
	expect("after another upgrade", 0, "begins afresh", "CHECK=true")
	expect("after another upgrade", 0, "1  a ", "CHECK=true")
	version, _, _ := strings.Cut(run(t, "hubd", "version"), "\n")
	if err := os.WriteFile("/tmp/inventory.progress", []byte("version "+version+"\ndone a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := upgrade("CHECK=false"); code != 0 || strings.Contains(out, "afresh") {
		t.Errorf("after the same upgrade: exit code %d\n%s", code, out)
	}
}

// install.sh says what it may not do before it does a half of it.
func TestInstallScriptRefuses(t *testing.T) {
	if inThrowAway(t) == nil {
		return
	}
	if err := os.MkdirAll("/opt/mine", 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod("/opt/mine", 0o777); err != nil {
		t.Fatal(err)
	}
	script := []string{"sh", "/mnt/scripts/install.sh", "--from", shared.bin, "--prefix", "/opt/mine", "hubd"}
	out, err := tryRun(append([]string{"runuser", "-u", "nobody", "--"}, script...)...)
	if err == nil || !strings.Contains(out, "run it as root") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	dpkg(t, "-i", deb("hubd", older))
	if err := os.MkdirAll("/etc/systemd", 0o755); err != nil { // a machine with systemd
		t.Fatal(err)
	}
	if out, err := tryRun(script...); err == nil || !strings.Contains(out, "its service would be hidden") {
		t.Errorf("beside the package: %v\n%s", err, out)
	}
	if list := tree(t, "/opt/mine"); len(list) > 0 {
		t.Errorf("refused, and there is %v", list)
	}
}

// stub puts a program of a few words in the place of one of the machine's.
func stub(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile("/usr/local/bin/"+name, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func touch(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
