package daemon

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/banyanmq/banyan/pkg/process"
)

// writePid writes our process id: digits only, no newline (config-cli 9). It
// returns what the file held if that is the id of a process that runs.
func writePid(file string) (former []byte, err error) {
	if b, err := os.ReadFile(file); err == nil {
		if pid, err := strconv.Atoi(string(b)); err == nil && pid > 0 && pid != os.Getpid() && process.Exists(pid) {
			former = b
		}
	}
	return former, os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o600)
}

// restorePid gives a file back to the process that it named before: when a
// second daemon is started by mistake, the first one must still be found.
func restorePid(file string, former []byte) {
	if b, err := os.ReadFile(file); err == nil && former != nil && string(b) == strconv.Itoa(os.Getpid()) {
		_ = os.WriteFile(file, former, 0o600)
	}
}

// removePid removes the file if it is still ours.
func removePid(file string) {
	if file == "" {
		return
	}
	if b, err := os.ReadFile(file); err == nil && string(b) == strconv.Itoa(os.Getpid()) {
		os.Remove(file)
	}
}

// writePorts writes the addresses that are listened on, at once or not at all,
// as <dir>/<program>_<pid>.ports.
func writePorts(dir string, all []Endpoint) (string, error) {
	ports := make(map[string][]string)
	for _, e := range all {
		for _, a := range reachable(e.Addr()) {
			ports[e.Kind] = append(ports[e.Kind], e.Scheme+"://"+a)
		}
	}
	b, err := json.Marshal(ports)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, fmt.Sprintf("%s_%d.ports", filepath.Base(os.Args[0]), os.Getpid()))
	tmp := name + ".tmp"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return "", err
	}
	return name, os.Rename(tmp, name)
}

// reachable lists the addresses under which a listener can be reached: its own,
// or those of all interfaces.
func reachable(a *net.TCPAddr) []string {
	if !a.IP.IsUnspecified() {
		return []string{a.String()}
	}
	port := strconv.Itoa(a.Port)
	var out []string
	ifs, err := net.InterfaceAddrs()
	if err == nil {
		for _, x := range ifs {
			if n, ok := x.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				out = append(out, net.JoinHostPort(n.IP.String(), port))
			}
		}
	}
	if len(out) == 0 {
		out = append(out, net.JoinHostPort("127.0.0.1", port))
	}
	return out
}
