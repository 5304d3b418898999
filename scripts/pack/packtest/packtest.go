// Package packtest is what the tests of the other packages share.
package packtest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/banyanmq/banyan/scripts/pack/notices"
)

// Binary builds a Go binary with dependencies: the program that these packages are for.
// (A test's own binary does not say what is linked into it.)
func Binary(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "pack")
	if msg, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", out, "github.com/banyanmq/banyan/scripts/pack").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// Sources is where the Go tool keeps modules and itself.
func Sources(t *testing.T) notices.Source {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOROOT").Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil || len(lines) != 2 {
		t.Fatalf("go env: %v, %q", err, out)
	}
	return notices.Source{ModCache: lines[0], GoRoot: lines[1]}
}
