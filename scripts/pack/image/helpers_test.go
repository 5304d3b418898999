package image

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// output collects what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

const moduleRoot = "../../.."

// binary returns a daemon: BANYAN_BIN/NAME, or built here.
func binary(t *testing.T, daemon string) string {
	t.Helper()
	if dir := os.Getenv("BANYAN_BIN"); dir != "" {
		return filepath.Join(dir, daemon)
	}
	out := filepath.Join(t.TempDir(), daemon)
	cmd := exec.Command("go", "build", "-C", moduleRoot, "-trimpath", "-pgo=off", "-o", out, "./cmd/"+daemon)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", daemon, err, msg)
	}
	return out
}
