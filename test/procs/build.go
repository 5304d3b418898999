package procs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// ErrNoReference says that no reference server is installed.
var ErrNoReference = errors.New("no nats-server on PATH and NATS_SERVER is not set; install Debian's package nats-server or name a binary in NATS_SERVER")

// Reference returns the path of the reference server: NATS_SERVER if set, else nats-server on PATH, else in /usr/sbin.
func Reference() (string, error) {
	if p := os.Getenv("NATS_SERVER"); p != "" {
		if _, err := os.Stat(p); err != nil {
			return "", fmt.Errorf("NATS_SERVER names %s: %w", p, err)
		}
		return p, nil
	}
	if p, err := exec.LookPath("nats-server"); err == nil {
		return p, nil
	}
	const debian = "/usr/sbin/nats-server"
	if _, err := os.Stat(debian); err == nil {
		return debian, nil
	}
	return "", ErrNoReference
}

// ModuleRoot returns the directory of the go.mod at or above the working directory.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.mod at or above %s", dir)
		}
	}
}

// Binaries builds commands of this module, each once. It is safe for concurrent use.
type Binaries struct {
	dir string

	mu    sync.Mutex // held while building, so that two callers never build the same command
	built map[string]string
}

// NewBinaries returns a builder that puts its results into dir. When BANYAN_BIN names a directory, binaries found there are
// used as they are and nothing is built.
func NewBinaries(dir string) *Binaries {
	return &Binaries{dir: dir, built: make(map[string]string)}
}

// Build returns the path of the command cmd/<name>, building it at the first call. The error of a failed build carries the
// compiler's output.
func (b *Binaries) Build(ctx context.Context, name string) (string, error) {
	if dir := os.Getenv("BANYAN_BIN"); dir != "" {
		p := filepath.Join(dir, name)
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return b.build(ctx, name, "")
}

// BuildVersion is Build with another version stamped into the binary, in a directory of its own.
func (b *Binaries) BuildVersion(ctx context.Context, name, version string) (string, error) {
	return b.build(ctx, name, version)
}

func (b *Binaries) build(ctx context.Context, name, version string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := filepath.Join(version, name)
	if p, ok := b.built[key]; ok {
		return p, nil
	}
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	out := filepath.Join(b.dir, key)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", err
	}
	args := []string{"build", "-o", out}
	if version != "" {
		args = append(args, "-ldflags", "-X github.com/banyanmq/banyan/pkg/version.Version="+version)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/"+name)...)
	cmd.Dir = root
	var msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &msg, &msg
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("building cmd/%s: %w\n%s", name, err, bytes.TrimSpace(msg.Bytes()))
	}
	b.built[key] = out
	return out, nil
}
