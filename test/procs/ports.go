package procs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Ports is what a daemon wrote into its ports file: URLs by listener. Listeners that are off are absent.
type Ports struct {
	Nats       []string `json:"nats"`
	Monitoring []string `json:"monitoring"`
	Cluster    []string `json:"cluster"`
	Profile    []string `json:"profile"`
	WebSocket  []string `json:"websocket"`
	MQTT       []string `json:"mqtt"`
	Gateway    []string `json:"gateway"`
	LeafNodes  []string `json:"leafnodes"`
}

// Client returns the first client URL, or "" if there is none.
func (p Ports) Client() string { return first(p.Nats) }

// HTTP returns the first monitoring URL, or "" if there is none.
func (p Ports) HTTP() string { return first(p.Monitoring) }

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// Addr returns the host:port of a URL as found in a ports file.
func Addr(url string) string {
	if _, rest, ok := strings.Cut(url, "://"); ok {
		return rest
	}
	return url
}

// ReadPorts reads a ports file. A file that is still being written gives an error.
func ReadPorts(path string) (Ports, error) {
	var p Ports
	b, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(b, &p); err != nil {
		return p, fmt.Errorf("ports file %s: %w", path, err)
	}
	return p, nil
}

// portsFile is where a process writes its ports: <dir>/<base name of the executable>_<pid>.ports.
func portsFile(dir, exe string, pid int) string {
	return filepath.Join(dir, fmt.Sprintf("%s_%d.ports", filepath.Base(exe), pid))
}

// Ports waits for the process's ports file in its directory (the settings must name that directory: write {{dir}} in
// Spec.Config) and returns its content. It gives up when ctx ends or the process does.
func (p *Process) Ports(ctx context.Context) (Ports, error) {
	path := portsFile(p.spec.Dir, p.spec.Exe, p.Pid())
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		ports, err := ReadPorts(path)
		if err == nil {
			return ports, nil
		}
		if last = err; errors.Is(err, os.ErrNotExist) {
			last = fmt.Errorf("no ports file %s", path)
		}
		select {
		case <-tick.C:
		case <-p.done:
			return Ports{}, fmt.Errorf("%s ended before it wrote its ports (%w); its last lines:\n%s", p.name(), p.exit, p.Log.Tail(10))
		case <-ctx.Done():
			return Ports{}, fmt.Errorf("%w: %w; last lines of %s:\n%s", last, context.Cause(ctx), p.name(), p.Log.Tail(10))
		}
	}
}
